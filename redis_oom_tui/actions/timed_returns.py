"""Old values that return by themselves, unless they are called off in time."""

import asyncio
from collections.abc import Awaitable, Callable

from redis_oom_tui.models.settings import ChangeResult

TakeBack = Callable[[ChangeResult], Awaitable[ChangeResult]]
"""Sets the old value of a change again, and tells how that ended; a failure is told, too, and not raised."""


class TimedReturns:
    """The timed returns of one server's settings, at most one for each."""

    def __init__(self, take_back: TakeBack) -> None:
        self._take_back = take_back
        self._due: dict[str, ChangeResult] = {}
        self._tasks: dict[str, asyncio.Task[ChangeResult]] = {}
        self._forwarded: dict[str, ChangeResult] = {}

    def arrange(self, result: ChangeResult, seconds: float) -> None:
        """Take `result` back after `seconds`, in place of what was arranged for that setting before."""
        name = result.change.name
        self.call_off(name)
        self._forwarded.pop(name, None)
        self._due[name] = result
        self._tasks[name] = asyncio.create_task(self._later(result, seconds), name="timed return")

    def call_off(self, name: str) -> bool:
        """Let the present value stay; False where none was to return, or it is on its way."""
        if self._due.pop(name, None) is None:
            return False
        self._tasks.pop(name).cancel()
        return True

    async def ended(self, name: str) -> ChangeResult | None:
        """How the return of that setting ended, once it has; None where none was arranged, or it was called off."""
        task = self._tasks.get(name)
        if name in self._forwarded:
            return self._forwarded[name]
        return None if task is None else await asyncio.shield(task)

    async def close(self) -> None:
        """Bring each forward, and return when all have ended."""
        for name, result in list(self._due.items()):
            self.call_off(name)
            self._forwarded[name] = await self._take_back(result)
        await asyncio.gather(*self._tasks.values())

    async def _later(self, result: ChangeResult, seconds: float) -> ChangeResult:
        await asyncio.sleep(seconds)
        self._due.pop(result.change.name, None)
        return await self._take_back(result)
