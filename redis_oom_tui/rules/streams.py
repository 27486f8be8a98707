"""What is wrong with the readers of a stream: consumers that have gone, and entries that nobody will acknowledge."""

from collections.abc import Iterator, Sequence

from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import count, duration, number_of
from redis_oom_tui.models.keys import ConsumerHealth, GroupHealth

_GONE_SECONDS = 3600
_LONG_GONE_SECONDS = 86400
_NAMED = 3
_MANY = 1000
_MOST_SENTENCES = 50


def group_words(groups: Sequence[GroupHealth]) -> str:
    """How many groups and pending entries there are.

    >>> group_words([GroupHealth(b"mail", 2, 30)])
    '1 group, 2 consumers, 30 pending entries'
    """
    pending = sum(group.pending for group in groups)
    entries = "1 pending entry" if pending == 1 else f"{count(pending)} pending entries"
    consumers = number_of(sum(group.consumers for group in groups), "consumer")
    return f"{number_of(len(groups), 'group')}, {consumers}, {entries}"


def health(groups: Sequence[GroupHealth]) -> tuple[str, ...]:
    """What is wrong with the groups, in sentences; none where nothing is, and no more than a person reads."""
    sentences = [sentence for group in groups for sentence in _of(group)]
    if len(sentences) <= _MOST_SENTENCES:
        return tuple(sentences)
    return (
        *sentences[:_MOST_SENTENCES],
        f"{count(len(sentences) - _MOST_SENTENCES)} more such sentences are left out.",
    )


def _of(group: GroupHealth) -> Iterator[str]:
    name = f"Group '{escape_exact(group.name[:80])}'"
    gone = [one for one in group.known if one.idle_seconds >= _GONE_SECONDS and one.pending]
    for one in sorted(gone, key=lambda one: -one.pending)[:_NAMED]:
        yield (
            f"{name}: {_consumer(one)} was last seen {duration(one.idle_seconds)} ago, holding {_entries(one.pending)}."
            f" XAUTOCLAIM gives {'it' if one.pending == 1 else 'them'} to another consumer; XGROUP DELCONSUMER loses"
            f" {'it' if one.pending == 1 else 'them'}."
        )
    if len(gone) > _NAMED:
        rest = sum(one.pending for one in sorted(gone, key=lambda one: -one.pending)[_NAMED:])
        more = number_of(len(gone) - _NAMED, "more consumer")
        were, hold = ("was", "holds") if len(gone) - _NAMED == 1 else ("were", "hold")
        yield f"{name}: {more} {were} not seen for an hour and {hold} {_entries(rest)}."
    idle = sum(one.idle_seconds >= _LONG_GONE_SECONDS and not one.pending for one in group.known)
    if idle:
        were, hold = ("consumer was", "holds") if idle == 1 else ("consumers were", "hold")
        yield f"{name}: {count(idle)} {were} not seen for a day and {hold} nothing: XGROUP DELCONSUMER removes such."
    if group.consumers >= _MANY and not group.known:
        new = " Nothing is pending, so a new group from its last-delivered-id (XGROUP DESTROY, CREATE) loses nothing."
        yield (
            f"{name} has {count(group.consumers)} consumers. Where clients take a new name at each start, most of them"
            f" have gone: XINFO CONSUMERS tells.{'' if group.pending else new}"
        )
    if group.pending and not group.consumers:
        yield f"{name} has {_entries(group.pending)} and no consumer: nobody acknowledges them."
    active = [one for one in group.known if one.idle_seconds < _GONE_SECONDS]
    if group.lag and not active and group.consumers <= len(group.known):
        yield f"{name} is {count(group.lag)} behind, and no consumer read it within an hour."


def _consumer(one: ConsumerHealth) -> str:
    return f"consumer '{escape_exact(one.name[:60])}'"


def _entries(number: int) -> str:
    return "1 pending entry" if number == 1 else f"{count(number)} pending entries"
