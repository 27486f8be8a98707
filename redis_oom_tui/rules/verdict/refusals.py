"""Refused writes: which commands memory can refuse, what earlier refusals hint at, when to watch longer for more."""

from enum import StrEnum

from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.verdict.facts import Facts

# None of these can be refused for lack of memory.
_HARMLESS = (
    "auth client config command cluster acl info ping hello select memory object latency slowlog debug role module"
    " monitor scan keys dbsize randomkey type ttl pttl exists touch get mget getrange strlen hget hmget hgetall hkeys"
    " hvals hlen hscan lrange llen lindex smembers sismember scard sscan zrange zscore zcard zscan xrange xlen xinfo"
    " dump del unlink expire pexpire expireat pexpireat persist flushall flushdb save bgsave bgrewriteaof shutdown"
    " subscribe psubscribe publish watch multi discard replicaof slaveof psync replconf"
)
# Error replies, by their first word, of calls that are refused before they run, but not for lack of memory.
REFUSED_OTHERWISE = (
    "NOPERM",
    "NOAUTH",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "MASTERDOWN",
    "LOADING",
    "BUSY",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
)
_NEED_NO_MEMORY = frozenset(_HARMLESS.split())


def takes_memory(command: str) -> bool:
    """Whether a full server may refuse it.

    >>> takes_memory("set"), takes_memory("CLIENT|LIST")
    (True, False)
    """
    return command.lower().partition("|")[0] not in _NEED_NO_MEMORY


class Earlier(StrEnum):
    """Why writes were refused: memory was full for a while, or each of them was too large for the room there was."""

    BURST = "its peak reached the limit: a burst that is over, or another node"
    LARGE = "its peak stayed below the limit: large values, or a limit that was lower then"


def earlier_refusals(snapshot: Snapshot, thresholds: Thresholds) -> Earlier | None:
    """What its peak tells; None where nothing was refused, where it is full now, and where a figure is missing."""
    memory = snapshot.memory
    limit, peak, pressure = memory.maxmemory_bytes, memory.peak_bytes, memory.pressure
    if not snapshot.counters.refused_writes_total or limit is None or peak is None or pressure is None:
        return None
    if pressure >= thresholds.warn or memory.limit_source is not LimitSource.SERVER:
        return None
    return Earlier.BURST if peak >= thresholds.crit * limit else Earlier.LARGE


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
