"""What an unchanged key must look like: worked out from the plan, compared on the server or, at worst, here.

All times are the server's. Its clock for idle times (INFO's lru_clock) less a key's idle time is the second of the
key's last use, exactly, on Redis 6.2, 7.0, 8.2 and Valkey 9.1. A later use shows as a later second. A use within the
very second of the read could not be told from the one before: who reads keys marks those that were in use then.
"""

from typing import NamedTuple

from msgspec import Struct

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey

TTL_SLACK_MS = 5000
# INFO's lru_clock: 24 bits of seconds. It runs behind the time of day by up to a second or two.
LRU_CLOCK_SECONDS = 2**24
MOST_BEHIND = 60
# Where the server does not tell that clock, this much is left to it.
IDLE_SLACK = 2
# Above this, sizes of collections are estimates from a few elements, which rehashing may shift.
_EXACT_BELOW = 4096
_EXACT_TYPES = frozenset({"string"})
# Redis counts a shared object as used 2^31 - 1 times (OBJ_SHARED_REFCOUNT), and any other by its references.
SHARED_USERS = 1_000_000_000
# A shared number takes no more than its name and an entry: nothing larger has to be asked about.
SHARED_GROWTH = 1.3
SHARED_ROOM = 128


IN_USE = -2


class ServerTime(NamedTuple):
    """The server's clocks at one moment: its time of day in Unix milliseconds, and the whole Unix seconds from which it
    takes idle times, None where it does not tell those.
    """

    ms: int
    idle_clock: int | None = None

    @property
    def seconds(self) -> int:
        """The whole seconds of the time of day."""
        return self.ms // 1000

    @property
    def least_idle_clock(self) -> int:
        """What idle times are taken from, or the earliest that this may be."""
        return self.seconds - IDLE_SLACK if self.idle_clock is None else self.idle_clock


def server_time(ms: int, lru_clock: int | None) -> ServerTime:
    """The clocks by the time of day and INFO's `lru_clock`.

    >>> server_time(1_795_977_719_130, 815606).idle_clock, server_time(9000, None).least_idle_clock
    (1795977718, 7)
    """
    behind = None if lru_clock is None else (ms // 1000 - lru_clock) % LRU_CLOCK_SECONDS
    return ServerTime(ms, ms // 1000 - behind if behind is not None and behind <= MOST_BEHIND else None)


class ReadSpan(NamedTuple):
    """The server's time before and after some keys were read."""

    before: ServerTime
    after: ServerTime

    @property
    def _unknown(self) -> int:
        """By how much the clock of idle times may be another than what is taken for it."""
        return IDLE_SLACK if self.before.idle_clock is None or self.after.idle_clock is None else 0

    @property
    def ticked(self) -> bool:
        """Whether it is not sure in which second of the clock of idle times they were read."""
        return self.in_use_seconds > 0

    @property
    def in_use_seconds(self) -> int:
        """A key that was idle for so long, or for less, may have been used in the very second in which it was read: a
        later use in that second would not show.
        """
        return max(0, self.latest_idle_clock - self.before.least_idle_clock) + self._unknown

    @property
    def latest_idle_clock(self) -> int:
        """What idle times were taken from at the end, or the latest that this may be."""
        return self.after.seconds if self.after.idle_clock is None else self.after.idle_clock

    @property
    def read_at(self) -> float:
        """When the keys were read, in Unix seconds, within the second that idle times are taken from."""
        now = self.after.ms / 1000
        return now if int(now) == self.latest_idle_clock else self.latest_idle_clock + 0.999

    def over(self, now: ServerTime) -> bool:
        """Whether, `now`, a use would show in each key that was read."""
        return now.least_idle_clock - self._unknown > self.latest_idle_clock


class Expected(Struct, frozen=True, gc=False):
    """A key, and how it looks if nobody changed it, by the server's clock: -1 where a comparison is left out.

    `expires_ms` is when it expires, in Unix milliseconds: -1 for never, -2 for any time. `used_at` is the second of its
    last use: IN_USE where a use since would not show. `digest` is the SHA-1 of its DUMP, '' where it was not saved.
    """

    id: KeyId
    type: str
    expires_ms: int
    used_at: int
    smallest: int
    largest: int
    digest: str = ""


def expected(key: PlannedKey, digest: str = "", *, saved_untouched: bool = False) -> Expected:
    """What `key` must look like from now on.

    A digest stands for the size; and for the idle time as well, unless saving it left no mark (CLIENT NO-TOUCH).

    >>> want = expected(PlannedKey(KeyId(0, b"k"), "string", 90, idle_seconds=5, read_at=100.5))
    >>> want.expires_ms, want.used_at, want.smallest, want.largest
    (-1, 95, 90, 90)
    """
    read_at, ttl_ms, idle = key.read_at, key.ttl_ms, key.idle_seconds
    expires_ms = used_at = smallest = largest = -1
    if ttl_ms is not None:
        expires_ms = -2 if read_at is None else round(read_at * 1000) + ttl_ms
    if idle is None:
        pass
    elif read_at is None:
        used_at = -1 if digest else IN_USE
    elif saved_untouched or not digest:
        used_at = int(read_at) - idle if read_at > idle else 0
    # Compared with what the server answered from the same few elements, not with a size that was measured closer.
    size = key.size if key.answered is None else key.answered
    if not digest and size is not None:
        exact = size <= _EXACT_BELOW or key.type in _EXACT_TYPES
        smallest, largest = (size, size) if exact else (size // 2, size * 2)
    return Expected(key.id, key.type, expires_ms, used_at, smallest, largest, digest)


def may_be_shared(want: Expected) -> bool:
    """Whether the idle time to be compared may be another key's as well: that of a number which Redis shares.

    >>> small, large = (Expected(KeyId(0, b"count"), "string", -1, 9, size, size) for size in (72, 300))
    >>> may_be_shared(small), may_be_shared(large)
    (True, False)
    """
    shared_at_most = SHARED_GROWTH * len(want.id.key) + SHARED_ROOM
    return want.type == "string" and want.used_at >= 0 and want.largest <= shared_at_most


def difference(
    want: Expected, kind: str | None, ttl_ms: int | None, idle: int | None, size: int | None, now: ServerTime
) -> str | None:
    """What the script says, from replies read one by one: 'gone', 'type', 'ttl', 'used', 'size', or None if unchanged.

    `kind` is None for a key that is not there; `ttl_ms` None for one that does not expire; unknown `idle` and `size`
    are None and not compared. `now` is the server's time when it gave these replies.
    """
    if kind is None:
        return "gone"
    if kind != want.type:
        return "type"
    if (want.expires_ms == -1) != (ttl_ms is None):
        return "ttl"
    if ttl_ms is not None and want.expires_ms >= 0 and abs(want.expires_ms - now.ms - ttl_ms) > TTL_SLACK_MS:
        return "ttl"
    if idle is not None and want.used_at >= 0 and idle < now.least_idle_clock - want.used_at:
        return "used"
    if size is not None and want.smallest >= 0 and not want.smallest <= size <= want.largest:
        return "size"
    return None
