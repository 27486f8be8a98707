"""Slots of a cluster, as a sentence names them."""

from collections.abc import Iterable

from redis_oom_tui.words.sizes import count

_NAMED = 5


def slots_by_number(slots: Iterable[int]) -> str:
    """The first few by number, and how many more.

    >>> slots_by_number([7]), slots_by_number(range(9))
    ('slot 7', 'slots 0, 1, 2, 3, 4 and 4 more')
    """
    numbers = sorted(slots)
    more = len(numbers) - _NAMED
    named = ", ".join(map(str, numbers[:_NAMED])) + (f" and {count(more)} more" if more > 0 else "")
    return f"slots {named}" if len(numbers) > 1 else f"slot {named}"
