"""A sample of a whole cluster: each node's share of it, and whether it tells anything of the keys not read."""

import math
from collections.abc import Iterable, Mapping

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.rules import sampling
from redis_oom_tui.server.cluster.node_scan import NodeScan
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.tasks import together

# Nodes of which the one was read this much more than the other make no fair sample together.
_EVEN = 1.25
BY_SLOT = "These servers walk slot by slot, so a part of their keys is no fair sample: nothing is estimated from it."
UNEVEN = "More of some nodes was read than of others, so nothing is estimated from it."


async def quotas(servers: Mapping[str, LiveServer], sample: int) -> dict[str, int]:
    """How many keys to read on each node, by name: `sample` shared out by the keys that each holds."""
    held = dict(zip(servers, await together(map(_keys, servers.values())), strict=True))
    total = sum(held.values())
    return {name: max(1, math.ceil(sample * keys / total)) if total else sample for name, keys in held.items()}


async def _keys(server: LiveServer) -> int:
    try:
        return (await server.snapshot()).keys
    except TriageError:
        return 0


def fair_sample(scans: Iterable[NodeScan], tally: ScanAggregates) -> sampling.SampledShare | str:
    """What the keys of `tally`, read by `scans`, are a fair sample of; or the sentence why of nothing."""
    read = [scan for scan in scans if scan.held_keys]
    if not read or not all(scan.fair for scan in read):
        return BY_SLOT
    shares = [min(1.0, scan.keys / scan.held_keys) for scan in read]
    if min(shares) <= 0 or max(shares) > _EVEN * min(shares):
        return UNEVEN
    used = [scan.used_bytes for scan in read]
    limit = None if None in used else sum(each or 0 for each in used)
    total = max(tally.keys, sum(scan.held_keys for scan in read))
    return sampling.SampledShare(tuple(tally.group_keys), total, limit)
