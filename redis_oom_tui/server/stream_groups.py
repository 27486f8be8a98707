"""The consumer groups of a stream: who reads it, what was delivered and not acknowledged, and who has gone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from redis_oom_tui.models.keys import ConsumerHealth, GroupHealth
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.replies import array, data, strings, whole

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
"""Sends commands and returns the raw replies, refusals in their places."""
# The reply is some 100 bytes a consumer, and groups were seen with hundreds of thousands.
_MOST_GROUPS, _MOST_CONSUMERS = 50, 1000


async def group_health(ask: Ask, key: bytes, *, most: int | None = None) -> tuple[GroupHealth, ...]:
    """The groups of a stream; of a group with very many consumers only their number, and so of all but some groups,
    those with most pending entries. Empty where that is refused.

    With `most`, no more than so many consumers are asked for in all groups together.
    """
    (raw,) = await ask([("XINFO", "GROUPS", key)])
    if not isinstance(raw, list):
        return ()
    groups = [_group(_fields(one)) for one in raw]
    asked, left = list[bytes](), most
    for group in sorted(groups, key=lambda group: -group.pending)[:_MOST_GROUPS]:
        if 0 < group.consumers <= (_MOST_CONSUMERS if left is None else min(left, _MOST_CONSUMERS)):
            asked.append(group.name)
            left = None if left is None else left - group.consumers
    replies = await ask([("XINFO", "CONSUMERS", key, name) for name in asked]) if asked else []
    known = {name: _consumers(reply) for name, reply in zip(asked, replies, strict=True)}
    return tuple(replace(group, known=known.get(group.name, ())) for group in groups)


def _group(fields: Mapping[bytes, Any]) -> GroupHealth:
    lag = fields.get(b"lag")
    name, consumers, pending = data(fields.get(b"name")), whole(fields.get(b"consumers")), whole(fields.get(b"pending"))
    return GroupHealth(name, consumers, pending, None if lag is None else whole(lag))


def _consumers(reply: Any) -> tuple[ConsumerHealth, ...]:
    if not isinstance(reply, list):
        return ()
    found = map(_fields, reply)
    return tuple(
        ConsumerHealth(data(one.get(b"name")), whole(one.get(b"pending")), whole(one.get(b"idle")) // 1000)
        for one in found
    )


def _fields(reply: object) -> Mapping[bytes, Any]:
    """One group or consumer, told as names and values in turn; raises redis-py's InvalidResponse for another form."""
    found = array(reply)
    return dict(zip(strings(found[::2]), found[1::2], strict=False))
