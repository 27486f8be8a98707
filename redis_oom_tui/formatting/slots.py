"""Slots of a cluster, as a sentence names them."""

from binascii import crc_hqx
from collections.abc import Iterable

from redis_oom_tui.formatting.sizes import count

SLOTS = 16_384
_NAMED = 5


def slot_of(key: bytes) -> int:
    """The slot of `key` in a cluster: CRC16 of it, or of its hash tag where it has one (Redis's keyHashSlot).

    >>> slot_of(b"123456789"), slot_of(b"{user1000}.following") == slot_of(b"user1000")
    (12739, True)
    """
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else key, 0) % SLOTS


def slots_by_number(slots: Iterable[int]) -> str:
    """The first few by number, and how many more.

    >>> slots_by_number([7]), slots_by_number(range(9))
    ('slot 7', 'slots 0, 1, 2, 3, 4 and 4 more')
    """
    numbers = sorted(slots)
    more = len(numbers) - _NAMED
    named = ", ".join(map(str, numbers[:_NAMED])) + (f" and {count(more)} more" if more > 0 else "")
    return f"slots {named}" if len(numbers) > 1 else f"slot {named}"
