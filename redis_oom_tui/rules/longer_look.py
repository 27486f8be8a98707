"""Whether a short look may have missed refused writes: what INFO tells of the past, and of how full it is."""

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.refusable import takes_memory
from redis_oom_tui.rules.verdict.facts import Facts

# What a server says that refuses every write.
_EVERY_WRITE = ("MISCONF", "NOREPLICAS")
# Eviction under load leaves a server over its limit for moments.
_OVER_MS = 200


def calls_for_a_longer_look(snapshot: Snapshot, thresholds: Thresholds) -> bool:
    """Whether anything hints at refused writes that come too seldom for a short look; also on any node of a cluster.

    A full cache that evicts as it should, and a server that has refused nothing, give no hint.
    """
    nodes = () if snapshot.fleet is None else snapshot.fleet.nodes
    seen = (snapshot, *(view.snapshot for view in nodes if view.snapshot is not None))
    return attempt("its past is", lambda: any(_hints(one, thresholds) for one in seen), lambda _: True)


def _hints(snapshot: Snapshot, thresholds: Thresholds) -> bool:
    counters = snapshot.counters
    if any(counters.errors_by_kind.get(kind) for kind in _EVERY_WRITE):
        return True
    if counters.refused_writes_total or (counters.eviction_exceeded_ms or 0) >= _OVER_MS:
        return True
    unsure = counters.refused_writes_total is None or counters.refused_is_lower_bound
    if unsure and any(takes_memory(command) for command in counters.refused_by_command):
        return True
    facts = Facts(snapshot, thresholds)
    return facts.near is Level.CRITICAL and facts.cannot_evict
