"""What the rules of the verdict look at: one snapshot, what changed lately, and what refused writes tell."""

from enum import StrEnum
from functools import cached_property

from msgspec import Struct, field

from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.trend import Forecast, Rates
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.rules.breakdown import counted_buffers
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.policies import NOEVICTION, is_known

# Under a volatile-* policy with fewer keys to evict than this share, the limit is as hard as under noeviction.
FEW_EVICTABLE = 0.10
# Where eviction works, used memory strays from the limit by some buffers, not by as much as this.
_BEYOND_FLICKER = 1.05


class Facts(Struct, frozen=True, dict=True):
    """The evidence. `host_bytes` is the memory that the server's host or container really has, None where unknown."""

    now: Snapshot
    thresholds: Thresholds
    rates: Rates = field(default_factory=Rates)
    forecast: Forecast | None = None
    host_bytes: int | None = None

    @property
    def policy(self) -> str:
        """maxmemory-policy, by its own name."""
        return self.now.memory.policy

    @property
    def pressure(self) -> float | None:
        """The counted share of maxmemory; None without a limit."""
        return self.now.memory.pressure

    @property
    def can_evict(self) -> bool:
        """Whether the policy finds any key that it may throw away."""
        if self.policy.startswith("allkeys-"):
            return self.now.keys > 0
        return self.policy.startswith("volatile-") and self.now.expires > 0

    @property
    def cannot_evict(self) -> bool:
        """Whether it is known that there is nothing to evict: a policy that is not reported may well evict."""
        return not self.can_evict and is_known(self.policy) and (self.now.keyspace_known or self.policy == NOEVICTION)

    @property
    def name(self) -> str:
        """What to call the server where it is neither Redis nor Valkey."""
        return self.now.server.product or "This server"

    @property
    def few_evictable(self) -> bool:
        """Whether eviction would soon run out of keys, though it has some now."""
        return self.policy.startswith("volatile-") and self.now.expires < FEW_EVICTABLE * self.now.keys

    @property
    def limit_is_hard(self) -> bool:
        """Whether being close to the limit means that writes will be refused, not that keys make room."""
        return not self.can_evict or self.few_evictable

    @cached_property
    def buffer_bytes(self) -> int:
        """Client and replication buffers that count towards the limit."""
        return counted_buffers(self.now.memory)

    @property
    def over_limit_seconds(self) -> float | None:
        """How long without a break; 0.0 when it is not over, None where the server has no such clock (6.2)."""
        exceeded = self.now.counters.eviction_exceeded_ms
        return None if exceeded is None else exceeded / 1000

    @property
    def over_limit(self) -> bool:
        """Whether the next write would be refused unless eviction makes room.

        The server's own clock tells it even where its limit or its count are unknown. Without the clock, used memory
        itself must do; it flickers across the limit from call to call.
        """
        if self.now.memory.unlimited:
            return False
        if self.over_limit_seconds is not None:
            return self.over_limit_seconds > 0
        return self.pressure is not None and self.pressure >= 1.0

    @property
    def losing(self) -> bool:
        """Whether eviction does not keep up: over the limit for a second, or by more than a flicker without a clock."""
        if self.over_limit_seconds is None:
            return (self.pressure or 0.0) >= _BEYOND_FLICKER
        return self.over_limit_seconds >= 1.0

    @property
    def refused(self) -> int:
        """Writes refused for lack of memory between the two looks."""
        return self.rates.refused_writes or 0

    @property
    def refused_lately(self) -> bool:
        """Whether refusals were seen, and not only before room was made: a cure shows at the next look."""
        just_now = self.rates.refused_just_now
        return self.refused > 0 and (just_now is None or just_now > 0 or self.near is Level.CRITICAL)

    @property
    def refusing(self) -> bool:
        """Whether it refuses writes now: seen, or certain for the next one."""
        certain = self.over_limit and self.cannot_evict and self._enforces and not self.now.server.is_replica
        return self.refused_lately or certain

    @property
    def _enforces(self) -> bool:
        """Whether it refuses at the limit that it is measured by: a stated one, or another product's, need not be."""
        if self.now.server.is_foreign:
            return False
        return self.now.memory.limit_source is not LimitSource.OPERATOR or bool(self.over_limit_seconds)

    @property
    def near(self) -> Level:
        """Where the pressure stands between the thresholds."""
        return self.thresholds.level_of(self.pressure)

    @property
    def host(self) -> int | None:
        """The memory there is: what the caller knows of the container, else what the server says of its host."""
        return self.host_bytes or self.now.memory.host_bytes

    @property
    def since(self) -> float | None:
        """When it went over its limit, by the server's own clock; None where that cannot be told."""
        seconds = self.over_limit_seconds
        return self.now.taken_at - seconds if seconds else None


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


LONGER_SECONDS = 1.5
"""How long after the first sample refused writes are waited for, where something hints at them."""
STEP_SECONDS = 0.25
"""The time between two samples then."""
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
