"""When an action gives up on a server whose connection is lost again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import ServerUnreachable

_Answer = TypeVar("_Answer")

# So many losses one after the other, with no word in between, and the run ends: at the latest when they have taken
# `timeouts.GIVE_UP`.
_LOSSES = 5
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0


class Losses:
    """Losses of the connection that follow each other with no word in between."""

    def __init__(self) -> None:
        self._number = 0
        self._first = 0.0

    def enough(self, *, since_last: bool = False) -> bool:
        """Count one more; whether to give up. `since_last` says that the server was heard since the last one."""
        now = time.monotonic()
        if since_last or not self._number:
            self._number, self._first = 0, now
        self._number += 1
        return self._number >= _LOSSES or now - self._first > timeouts.GIVE_UP


async def asked_until_lost(ask: Callable[[], Awaitable[_Answer]], stopped: Callable[[], bool]) -> _Answer:
    """What `ask` returns, which changes nothing on the server: asked again while the server is lost or silent.

    Gives up `timeouts.GIVE_UP` after the first loss, or when `stopped`, with the last ServerUnreachable.
    """
    try:
        return await ask()
    except ServerUnreachable as error:
        failure = error
    deadline, wait = time.monotonic() + timeouts.GIVE_UP, _FIRST_WAIT
    while (left := deadline - time.monotonic()) > 0 and not stopped():
        try:
            async with asyncio.timeout(left):
                return await ask()
        except ServerUnreachable as error:
            failure = error
        except TimeoutError:
            break
        await asyncio.sleep(min(wait, max(0.0, deadline - time.monotonic())))
        wait = min(_LONGEST_WAIT, 2 * wait)
    raise failure
