"""What an unchanged key must look like now: worked out from the plan, compared on the server or, at worst, here."""

from typing import NamedTuple

from redis_oom_tui.models.plan import PlannedKey

# The server tells idle times in whole seconds, from a clock that it renews at least once a second.
_IDLE_SLACK = 2
TTL_SLACK_MS = 5000
# Above this, sizes of collections are estimates from a few elements, which rehashing may shift.
_EXACT_BELOW = 4096
_EXACT_TYPES = frozenset({"string"})
# Redis counts a shared object as used 2^31 - 1 times (OBJ_SHARED_REFCOUNT), and any other by its references.
SHARED_USERS = 1_000_000_000
# A shared number takes no more than its name and an entry: nothing larger has to be asked about.
SHARED_GROWTH = 1.3
SHARED_ROOM = 128


class Expected(NamedTuple):
    """How a key looks if nobody changed it: -1 where a comparison is left out; `ttl_ms` -1 for no expiry.

    `digest` is the SHA-1 of its DUMP, '' where it was not saved.
    """

    type: str
    ttl_ms: int
    least_idle: int
    smallest: int
    largest: int
    digest: str = ""


def expected(key: PlannedKey, now: float, digest: str = "", *, saved_untouched: bool = False) -> Expected:
    """What `key` must look like at `now` (Unix seconds). Untouched, it grew idle by all the time since it was read.

    A digest stands for the size; and for the idle time as well, unless saving it left no mark (CLIENT NO-TOUCH).

    >>> from redis_oom_tui.models.keys import KeyId
    >>> expected(PlannedKey(KeyId(0, b"k"), "string", 90, idle_seconds=5, read_at=100.0), 110.0)
    Expected(type='string', ttl_ms=-1, least_idle=13, smallest=90, largest=90, digest='')
    """
    read_at, ttl_ms, idle = key.read_at, key.ttl_ms, key.idle_seconds
    elapsed = now - read_at if read_at is not None and now > read_at else 0.0
    lives = -1 if ttl_ms is None else max(0, round(ttl_ms - elapsed * 1000))
    least_idle = -1
    if idle is not None and (saved_untouched or not digest):
        least_idle = max(0, int(idle + elapsed) - _IDLE_SLACK)
    smallest, largest = (-1, -1) if digest else size_class(key)
    return Expected(key.type, lives, least_idle, smallest, largest, digest)


def size_class(key: PlannedKey) -> tuple[int, int]:
    """The least and the largest MEMORY USAGE that still count as unchanged; (-1, -1) where the size is not known.

    It is compared with what the server answered from the same few elements, not with a size that was measured closer.
    """
    size = key.size if key.answered is None else key.answered
    if size is None:
        return -1, -1
    if size <= _EXACT_BELOW or key.type in _EXACT_TYPES:
        return size, size
    return size // 2, size * 2


def may_be_shared(want: Expected, name_bytes: int) -> bool:
    """Whether the idle time to be compared may be another key's as well: that of a number which Redis shares.

    >>> may_be_shared(Expected("string", -1, 9, 72, 72), 5), may_be_shared(Expected("string", -1, 9, 300, 300), 5)
    (True, False)
    """
    return want.type == "string" and want.least_idle >= 0 and want.largest <= SHARED_GROWTH * name_bytes + SHARED_ROOM


def difference(want: Expected, kind: str | None, ttl_ms: int | None, idle: int | None, size: int | None) -> str | None:
    """What the script says, from replies read one by one: 'gone', 'type', 'ttl', 'used', 'size', or None if unchanged.

    `kind` is None for a key that is not there; `ttl_ms` None for one that does not expire; unknown `idle` and `size`
    are None and not compared.
    """
    if kind is None:
        return "gone"
    if kind != want.type:
        return "type"
    if (want.ttl_ms < 0) != (ttl_ms is None):
        return "ttl"
    if ttl_ms is not None and abs(want.ttl_ms - ttl_ms) > TTL_SLACK_MS:
        return "ttl"
    if idle is not None and idle < want.least_idle:
        return "used"
    if size is not None and want.smallest >= 0 and not want.smallest <= size <= want.largest:
        return "size"
    return None
