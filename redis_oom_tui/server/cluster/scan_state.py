"""Where a cluster's scan stands: its view, whether a part is a fair sample, and, broken off, plain values (JSON's)."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field, to_builtins

from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.formatting.typed import Number, converted
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import Interval, NodeShare, Pace, ScanOptions, ScanState, ScanView, ThrottleState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import sampling
from redis_oom_tui.rules.pattern_rows import Samples
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.cluster.node_scan import NodePlace, NodeScan, Slot, summed
from redis_oom_tui.server.cluster.topology import Owners
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.checkpoint import (
    DAMAGED,
    AggregatesValues,
    OptionsValues,
    RangeValues,
    aggregates_read,
    aggregates_written,
    earlier_keys,
    options_read,
    options_written,
    ranges_written,
    standing_read,
)
from redis_oom_tui.server.scan.view import PatternRows
from redis_oom_tui.server.tasks import together


class ClusterScanProgress(Struct):
    """Where the scan of a cluster stands, apart from what it has counted.

    `scans` are those of this round; `past_keys` and `shares` what earlier rounds counted, `unseen_keys` what lost nodes
    still had, `used_bytes` the used_memory of all that were scanned whole, `contradictions` what speaks against the
    sizes of each of them. `ahead` are keys counted on another node than the one that `owners` has for their slot.
    `sample` is what was counted, where that is a fair one.
    """

    pace: Pace
    state: ScanState = ScanState.RUNNING
    error: str | None = None
    notes: dict[str, None] = field(default_factory=dict)
    timed: bool = True
    scans: list[NodeScan] = field(default_factory=list)
    past_keys: int = 0
    shares: tuple[NodeShare, ...] = ()
    unseen_keys: int = 0
    used_bytes: int = 0
    contradictions: list[str] = field(default_factory=list)
    used_known: bool = True
    owners: Owners = field(default_factory=lambda: Owners(()))
    ahead: dict[bytes, str] = field(default_factory=dict)
    sample: sampling.SampledShare | None = None


class ClusterScanView:
    """Makes views of one scan of a cluster, with how long it was under way by `watch`, on from `elapsed`."""

    def __init__(
        self,
        options: ScanOptions,
        aggregates: ScanAggregates,
        standing: ClusterScanProgress,
        clock: Callable[[], float],
        elapsed: float = 0.0,
    ) -> None:
        self._options = options
        self._aggregates = aggregates
        self._standing = standing
        self._patterns = PatternRows(aggregates, clock)
        self.watch = ActiveClock(clock, elapsed)

    def view(self) -> ScanView:
        """The scan as it stands. Estimates come at the end of a sample alone: until then the nodes are not in step."""
        aggregates, standing, elapsed = self._aggregates, self._standing, self.watch.elapsed
        complete = standing.state is ScanState.COMPLETE
        held = standing.past_keys + standing.unseen_keys + sum(scan.held_keys for scan in standing.scans)
        total = max(aggregates.keys, held)
        scanned = 1.0 if complete else aggregates.keys / total if total else None
        goes_on = standing.state is ScanState.RUNNING and bool(scanned)
        return ScanView(
            state=standing.state,
            scanned_keys=aggregates.keys,
            total_keys=total,
            bytes_seen=aggregates.bytes,
            volatile_keys=aggregates.volatile_keys,
            volatile_bytes=aggregates.volatile_bytes,
            elapsed_seconds=elapsed,
            keys_per_second=aggregates.keys / elapsed if elapsed > 0 else 0.0,
            remaining_seconds=elapsed * (1 - scanned) / scanned if goes_on and scanned else None,
            top=tuple(self._placed(top.row) for top in aggregates.largest()),
            patterns=self._patterns.rows(standing.state, _samples(standing.sample)),
            types=aggregates.types(),
            vanished_keys=aggregates.vanished,
            refused_keys=aggregates.refused,
            estimated_bytes=self._whole(),
            explained_share=self._explained() if complete else None,
            throttle=_together([scan.throttle for scan in standing.scans]),
            pace=standing.pace,
            error=standing.error,
            scanned_share=scanned,
            notes=tuple(standing.notes),
            ttls_known=standing.timed,
            unsized_keys=aggregates.unsized,
            contradiction=_contradiction(standing.contradictions) if complete else None,
            nodes=summed([*standing.shares, *(scan.share for scan in standing.scans)]),
        )

    def _placed(self, row: KeyRow) -> KeyRow:
        owner = self._standing.owners.of_key(row.id.key)
        node = self._standing.ahead.get(row.id.key) or (None if owner is None else owner.name)
        return row if node is None else replace(row, id=replace(row.id, node=node))

    def _whole(self) -> Interval | None:
        standing = self._standing
        if standing.state is ScanState.COMPLETE:
            return sampling.counted(self._aggregates.bytes)
        return self._aggregates.estimated_bytes(_samples(standing.sample))

    def _explained(self) -> float | None:
        used = self._standing.used_bytes if self._standing.used_known else None
        return self._aggregates.bytes / used if used and self._aggregates.bytes and not self._options.filtered else None


def _samples(sample: sampling.SampledShare | None) -> Samples:
    """A cluster has one database."""
    return {} if sample is None else {0: sample}


# Sentences of so many nodes are shown; of more, their number.
_MOST_SENTENCES = 3


def _contradiction(sentences: list[str]) -> str | None:
    """What speaks against the sizes of each node."""
    more = len(sentences) - _MOST_SENTENCES
    shown = [*sentences[:_MOST_SENTENCES], *([f"So it is on {count(more)} more of the nodes."] if more > 0 else [])]
    return " ".join(shown) or None


def _together(states: Iterable[ThrottleState]) -> ThrottleState:
    """The node that suffers most speaks for all."""
    return max(
        states, key=lambda state: (state.throttled, state.probe_ms or 0.0, state.share or 0.0), default=ThrottleState()
    )


# Nodes of which the one was read this much more than the other make no fair sample together.
_EVEN = 1.25
BY_SLOT = "These servers scan slot by slot, so a part of their keys is not a fair sample: nothing is estimated from it."
UNEVEN = "Some nodes were read further than others, so nothing is estimated from it."


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


def fair_sample(scans: Iterable[NodeScan], aggregates: ScanAggregates) -> sampling.SampledShare | str:
    """What the keys of `aggregates`, read by `scans`, are a fair sample of; or the sentence why of nothing."""
    read = [scan for scan in scans if scan.held_keys]
    if not read or not all(scan.fair for scan in read):
        return BY_SLOT
    shares = [min(1.0, scan.keys / scan.held_keys) for scan in read]
    if min(shares) <= 0 or max(shares) > _EVEN * min(shares):
        return UNEVEN
    used = [scan.used_bytes for scan in read]
    limit = None if None in used else sum(each or 0 for each in used)
    total = max(aggregates.keys, sum(scan.held_keys for scan in read))
    return sampling.SampledShare(tuple(aggregates.group_keys), total, limit)


class _Node(Struct, kw_only=True):
    """Where the scan of one node stands."""

    node: str
    run_id: str | None
    slots: list[Slot]
    cursor_ranges: list[list[RangeValues]] = field(name="walks")
    place: NodePlace


class _Values(Struct, kw_only=True):
    """All that is kept of the scan."""

    elapsed: Number
    options: OptionsValues
    aggregates: AggregatesValues = field(name="tally")
    nodes: list[_Node]


class ClusterCheckpoint:
    """What an earlier process had come to: `options`, `aggregates`, `elapsed` seconds, and the scan of each node."""

    def __init__(self, progress: Mapping[str, Any], pace: Pace | None) -> None:
        """Read what `cluster_checkpoint_values` wrote, to resume at `pace`. Raises BadInput."""
        try:
            found = converted(progress, _Values)
            self.options = options_read(found.options, pace, None)
            self.aggregates = aggregates_read(found.aggregates, self.options)
            self._standings = [standing_read(node.cursor_ranges, node.run_id) for node in found.nodes]
        except (ValueError, IndexError):
            raise BadInput(DAMAGED) from None
        self.elapsed = found.elapsed
        self.values = progress
        self._nodes = found.nodes

    def standing(self) -> ClusterScanProgress:
        """The whole scan as it stood."""
        notes = {earlier_keys(self.aggregates.keys): None}
        return ClusterScanProgress(self.options.pace, state=ScanState.STOPPED, notes=notes)

    def scans(self, server_of: Callable[[str], LiveServer]) -> list[NodeScan]:
        """The scan of each node, to go on with. Raises one of `models.errors` where a node is not there any more."""
        scans = []
        for node, standing in zip(self._nodes, self._standings, strict=True):
            server, options = server_of(node.node), self.options
            scans.append(
                NodeScan(server, options, node.slots, self.aggregates, node.node, standing=standing, place=node.place)
            )
        return scans


def cluster_checkpoint_values(
    options: ScanOptions, aggregates: ScanAggregates, scans: Iterable[NodeScan], elapsed: float
) -> dict[str, Any] | None:
    """What `ClusterCheckpoint` needs; None where a node that was begun has no run id: nobody could tell whether it is
    the same server later, and its cursors mean nothing to another.
    """
    scans = list(scans)
    if any(scan.standing.cursor_ranges and scan.standing.run_id is None for scan in scans):
        return None
    for scan in scans:
        scan.view()  # what is on its way to the counts arrives there
    values = _Values(
        elapsed=elapsed,
        options=options_written(options),
        aggregates=aggregates_written(aggregates),
        nodes=[_written(scan) for scan in scans],
    )
    found: dict[str, Any] = to_builtins(values)
    return found


def _written(scan: NodeScan) -> _Node:
    return _Node(
        node=scan.node,
        run_id=scan.standing.run_id,
        slots=sorted(scan.slots),
        cursor_ranges=ranges_written(scan.standing),
        place=scan.place,
    )
