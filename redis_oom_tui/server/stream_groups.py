"""The consumer groups of a stream: who reads it, what was delivered and not acknowledged, and who has gone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis_oom_tui.models.keys import ConsumerHealth, GroupHealth

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
"""Sends commands and returns the raw replies, refusals in their places."""
# The reply is some 100 bytes a consumer, and groups were seen with hundreds of thousands.
_MOST_GROUPS, _MOST_CONSUMERS = 50, 1000


async def group_health(ask: Ask, key: bytes) -> tuple[GroupHealth, ...]:
    """The groups of a stream; of a group with very many consumers only their number. Empty where that is refused."""
    (raw,) = await ask([("XINFO", "GROUPS", key)])
    if not isinstance(raw, list):
        return ()
    groups = [dict(zip(one[::2], one[1::2], strict=False)) for one in raw[:_MOST_GROUPS]]
    asked = [one for one in groups if 0 < one[b"consumers"] <= _MOST_CONSUMERS]
    replies = await ask([("XINFO", "CONSUMERS", key, one[b"name"]) for one in asked]) if asked else []
    consumers = {one[b"name"]: _consumers(reply) for one, reply in zip(asked, replies, strict=True)}
    return tuple(
        GroupHealth(one[b"name"], one[b"consumers"], one[b"pending"], one.get(b"lag"), consumers.get(one[b"name"], ()))
        for one in groups
    )


def _consumers(reply: Any) -> tuple[ConsumerHealth, ...]:
    if not isinstance(reply, list):
        return ()
    found = [dict(zip(one[::2], one[1::2], strict=False)) for one in reply]
    return tuple(ConsumerHealth(one[b"name"], one[b"pending"], one[b"idle"] // 1000) for one in found)
