"""What the rules of the verdict look at: one snapshot, what changed lately, and what refused writes tell."""

import math
from enum import StrEnum
from functools import cached_property
from itertools import takewhile

from msgspec import Struct, field

from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.trend import Forecast, Rates
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.rules.breakdown import counted_buffers, counted_parts, estimated_bytes
from redis_oom_tui.rules.clients import takes_memory
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.policies import NOEVICTION, is_known, none_evictable

# Under a volatile-* policy with fewer keys to evict than this share, the limit is as hard as under noeviction.
FEW_EVICTABLE = 0.10
# What INFO itself may take between the server's own look at its limit and its used_memory.
_UNSEEN_BYTES = 128 * 1024
# Of its peak, what is held where nothing was freed since.
_STILL_HELD = 0.9
# A cache that has room for no more values than this holds few.
_FEW_VALUES = 8
# What would be missed: of the limit, at the critical threshold, and at the warning's.
_GOOD_PART, _LARGE_PART = 0.15, 0.25


# A server is as good as full from this share of its limit on, and so much less of it is room that somebody made.
_FULL, _ROOM = 0.99, 0.01
# Below that, only so much of the limit is room for what was refused: what is in use comes and goes by some of it.
_MUCH_ROOM = 0.05


class Facts(Struct, frozen=True, dict=True):
    """The evidence. `clients` is what CLIENT LIST told, `scan` what the keys were found to hold: both may be absent."""

    now: Snapshot
    thresholds: Thresholds = field(default_factory=Thresholds)
    rates: Rates = field(default_factory=Rates)
    forecast: Forecast | None = None
    clients: tuple[ClientBuffer, ...] = ()
    scan: ScanView | None = None

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
        if none_evictable(self.now):
            return False
        if self.policy.startswith("allkeys-"):
            return self.now.keys > 0
        return self.policy.startswith("volatile-") and self.now.expires > 0

    @property
    def cannot_evict(self) -> bool:
        """Whether it is known that there is nothing to evict: a policy that is not reported may well evict."""
        return not self.can_evict and is_known(self.policy) and (self.now.keyspace_known or self.policy == NOEVICTION)

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

    @cached_property
    def parts(self) -> dict[Share, int]:
        """What is compared with the limit, by part; what the server tells only numbers of, by its least size."""
        low = {share: size for share, (size, _) in estimated_bytes(self.now.activity).items()}
        return counted_parts(self.now.memory) | low

    @cached_property
    def used_by_data(self) -> int:
        """What is counted beyond the empty server."""
        return max(0, (self.now.memory.counted_bytes or 0) - (self.now.memory.startup_bytes or 0))

    def explains(self, size: int) -> bool:
        """Whether `size` bytes are why it is full: most of what is counted, or it would be fine without them.

        A cache fills whatever room there is, so there only the first holds.
        """
        counted, limit = self.now.memory.counted_bytes, self.now.memory.maxmemory_bytes
        if counted is None or size <= 0:
            return False
        if 2 * size > max(self.used_by_data, counted / 2):
            return True
        if limit is None or not self.limit_is_hard or self.near is Level.OK:
            return False
        without = (counted - size) / limit
        if self.near is Level.CRITICAL:
            return size >= _GOOD_PART * limit and without < self.thresholds.crit
        return size >= _LARGE_PART * limit and without < self.thresholds.warn

    @cached_property
    def explained_by_keys(self) -> float | None:
        """What keys and their tables hold by a complete scan, as a share of all beyond the empty server; else None, and
        so where nobody told the sizes, or some keys may not be read.

        What memory grew by since the scan is counted as theirs: the scan cannot tell.
        """
        scan = _of_shown_node(self.scan, self.now)
        if scan is None or not scan.complete or scan.error is not None or not self.used_by_data:
            return None
        if scan.refused_keys or (scan.scanned_keys and not scan.bytes_seen and not scan.unsized_keys):
            return None
        # One of some keys or databases only, or of long ago.
        if scan.explained_share is None or scan.scanned_keys < 0.9 * self.now.keys:
            return None
        used_then = scan.bytes_seen / scan.explained_share if scan.explained_share else math.inf
        since = max(0.0, (self.now.memory.used_bytes or 0) - used_then)
        return (scan.bytes_seen + self.parts.get(Share.TABLES, 0) + since) / self.used_by_data

    @property
    def giant(self) -> KeyRow | None:
        """The key that holds most of what is counted; None where there is none, or nobody looked.

        One that would hold more than all of it has been deleted or shortened since the scan.
        """
        counted, scan = self.now.memory.counted_bytes, self.scan
        if scan is None or not counted:
            return None
        large = takewhile(lambda row: 2 * (row.size or 0) > counted, scan.top)
        return next((row for row in large if (row.size or 0) <= counted and _is_on_shown_node(row, self.now)), None)

    @property
    def over_limit_seconds(self) -> float | None:
        """How long without a break; 0.0 when it is not over, None where the server has no such clock (6.2)."""
        exceeded = self.now.counters.eviction_exceeded_ms
        return 0.0 if exceeded and _clock_goes_on(self) else None if exceeded is None else exceeded / 1000

    @property
    def over_limit(self) -> bool:
        """Whether the next write would be refused unless eviction makes room.

        The server's own clock tells it even where its limit or its count are unknown. Without the clock, used memory
        itself must do; it flickers across the limit from call to call.
        """
        if self.now.memory.unlimited:
            return False
        if self.over_limit_seconds is not None:
            return self.over_limit_seconds > 0 or (self.clock_stands_still and self.cannot_evict)
        return self.pressure is not None and self.pressure >= 1.0

    @property
    def clock_stands_still(self) -> bool:
        """Whether it is over its limit and its clock does not tell: it came over it just now, or looks at neither while
        clients are paused.
        """
        counted, limit = self.now.memory.counted_bytes, self.now.memory.maxmemory_bytes
        if counted is None or limit is None or self.now.memory.limit_source is not LimitSource.SERVER:
            return False
        beyond = counted - limit > _UNSEEN_BYTES and not self.now.server.is_replica
        return beyond and self.over_limit_seconds == 0

    @property
    def paused(self) -> bool:
        """Whether writes wait for the end of a pause (CLIENT PAUSE, FAILOVER): by its word, or by a clock that stands
        still though it was over its limit at the look before, too, or goes on though it is below; or by a client whose
        write waits.
        """
        activity, server = self.now.activity, self.now.server
        if activity.failing_over and not server.is_replica:
            return True
        if activity.paused is not None:
            return activity.paused
        if _clock_goes_on(self) or any(
            "b" in client.flags and client.command in _NEVER_WAIT for client in self.clients
        ):
            return not server.is_replica
        grown = max(0, self.rates.growth_bytes or 0)
        counted, limit = self.now.memory.counted_bytes or 0, self.now.memory.maxmemory_bytes or 0
        lasts = self.rates.seconds > 0 and not self.refused and counted - grown > limit
        return lasts and self.clock_stands_still and not server.is_foreign

    @property
    def refused(self) -> int:
        """Writes refused for lack of memory between the two looks."""
        return self.rates.refused_writes or 0

    @property
    def refusing(self) -> bool:
        """Whether it refuses writes: seen, or certain for the next one."""
        last, server = self.rates.last_refused, self.now.server
        # A cure shows at the next look, as room that was made.
        seen = self.refused > 0 and not _has_room_again(self)
        seen = seen and (last is None or last.just_now > 0 or self.near is Level.CRITICAL or last.pressure is not None)
        # At a limit that a person stated it need not refuse, nor need another product at any.
        enforced = self.now.memory.limit_source is not LimitSource.OPERATOR or bool(self.over_limit_seconds)
        certain = self.over_limit and self.cannot_evict and enforced and not (server.is_foreign or server.is_replica)
        return seen or certain

    @property
    def near(self) -> Level:
        """Where the pressure stands between the thresholds."""
        return self.thresholds.level_of(self.pressure)

    @property
    def host(self) -> int | None:
        """The memory there is: the container's where that is known, else what the server says of its host."""
        return self.now.memory.host_bytes


def _clock_goes_on(facts: Facts) -> bool:
    """Whether its clock runs though it is below its limit: room was made, or the limit raised, during a pause, in
    which it does not look at either. Our own INFO would have stopped the clock otherwise.
    """
    memory, activity = facts.now.memory, facts.now.activity
    counted, limit = memory.counted_bytes, memory.maxmemory_bytes
    if counted is None or limit is None or memory.limit_source is not LimitSource.SERVER:
        return False
    if not facts.now.counters.eviction_exceeded_ms or activity.paused is False or facts.now.server.is_foreign:
        return False
    # Where it says nothing of a pause, what was freed in the background since that look is no sign of one.
    margin = 0 if activity.paused else _UNSEEN_BYTES + limit // 100
    last = facts.rates.last_refused
    return counted + margin <= limit and not (last is not None and last.just_now)


# Writes that nothing else holds up: no element is waited for, no module, no replica.
_NEVER_WAIT = frozenset(b"set setex mset incr incrby append hset lpush rpush sadd zadd xadd del unlink expire".split())


def _has_room_again(facts: Facts) -> bool:
    """Whether there is room that was not there for the writes that were refused: it was full and is no longer, or
    much was freed, or the limit raised, below that.
    """
    last, pressure = facts.rates.last_refused, facts.pressure
    if facts.over_limit or last is None or last.pressure is None or pressure is None:
        return False
    if last.just_now and last.pressure < _FULL:
        return False
    return pressure <= last.pressure - (_ROOM if last.pressure >= _FULL else _MUCH_ROOM)


def few_values_bytes(facts: Facts) -> int | None:
    """The mean size of a key in a cache that has evicted, holds a few of that size, and has no room for one more; None
    elsewhere.
    """
    limit, keys = facts.now.memory.maxmemory_bytes, facts.now.keys
    evicted = facts.rates.evicted_keys or facts.now.counters.evicted_keys_total
    if not (limit and keys and evicted and facts.can_evict and facts.now.keyspace_known):
        return None
    each = (facts.parts.get(Share.DATA, 0) + facts.parts.get(Share.REST, 0)) // keys
    fits = (facts.now.memory.counted_bytes or 0) + each <= limit
    return each if each * _FEW_VALUES >= limit and not fits else None


# Error replies, by their first word, of calls that are refused before they run, but not for lack of memory.
REFUSED_OTHERWISE = (
    *("NOPERM", "NOAUTH", "MISCONF", "NOREPLICAS", "READONLY", "MASTERDOWN", "LOADING", "BUSY"),
    *("CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "CROSSSLOT"),
)


class Earlier(StrEnum):
    """Why writes were refused: memory was full for a while, or each of them was too large for the room there was."""

    BURST = "its peak reached the limit: a burst that is over"
    LARGE = "its peak stayed below the limit: large values, or a limit that was lower then"
    LOWER = "its peak stayed below the limit and is still held: a limit that was lower then, or large values"


def earlier_refusals(snapshot: Snapshot, thresholds: Thresholds) -> Earlier | None:
    """What its peak tells; None where nothing was refused, where it is full now, and where a figure is missing."""
    memory = snapshot.memory
    limit, peak, pressure = memory.maxmemory_bytes, memory.peak_bytes, memory.pressure
    if not snapshot.counters.refused_writes_total or limit is None or peak is None or pressure is None:
        return None
    if pressure >= thresholds.warn or memory.limit_source is not LimitSource.SERVER:
        return None
    if peak >= thresholds.crit * limit:
        return Earlier.BURST
    # What filled a lower limit is still there; a value that was too large never was.
    return Earlier.LOWER if (memory.used_bytes or 0) >= _STILL_HELD * peak else Earlier.LARGE


LONGER_SECONDS = 1.5
"""How long after the first sample refused writes are waited for, where something hints at them."""
STEP_SECONDS = 0.25
"""The time between two samples then."""
# What a server says that refuses every write.
_EVERY_WRITE = ("MISCONF", "NOREPLICAS")
# Eviction under load leaves a server over its limit for moments.
_OVER_MS = 200


def needs_longer_sample(snapshot: Snapshot, thresholds: Thresholds) -> bool:
    """Whether anything hints at refused writes that come too seldom for a short look; also on any node of a cluster.

    A full cache that evicts as it should, and a server that has refused nothing, give no hint.
    """
    nodes = () if snapshot.cluster is None else snapshot.cluster.nodes
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
    return (facts.near is Level.CRITICAL and facts.cannot_evict) or few_values_bytes(facts) is not None


def _is_on_shown_node(row: KeyRow, snapshot: Snapshot) -> bool:
    """Whether a key is on the node whose figures these are, where the scan is of a whole cluster."""
    cluster = snapshot.cluster
    if cluster is None:
        return True
    slot, shown = slot_of(row.id.key), (view.node for view in cluster.nodes if view.name == snapshot.server.node)
    return any(first <= slot <= last for node in shown for first, last in node.ranges)


def _of_shown_node(scan: ScanView | None, snapshot: Snapshot) -> ScanView | None:
    """The scan of the keys of the node whose figures these are, where it is of a whole cluster."""
    if scan is None or snapshot.cluster is None or not scan.nodes:
        return scan
    return scan.on(snapshot.server.node)
