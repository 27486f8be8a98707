"""Waiting for a server that answers, but carries out nothing just now: a long script, loading, a failover."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import ServerBusy

_Answer = TypeVar("_Answer")

# Between two questions whether it has ended.
_WAIT = 0.2


async def not_busy(ask: Callable[[], Awaitable[_Answer]], stopped: Callable[[], bool] = lambda: False) -> _Answer:
    """What `ask` returns; asked again while it raises ServerBusy, unless `stopped`, for at most `timeouts.BUSY`.

    Raises what `ask` raises; the ServerBusy says then how long was waited.
    """
    deadline = time.monotonic() + timeouts.BUSY
    while True:
        try:
            return await ask()
        except ServerBusy as busy:
            if stopped():
                raise
            if time.monotonic() >= deadline:
                raise ServerBusy(f"{str(busy).rstrip('.')}: gave up after {timeouts.BUSY:.0f} s") from None
        await asyncio.sleep(_WAIT)
