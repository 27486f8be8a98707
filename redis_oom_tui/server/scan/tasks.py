"""Running several things at once so that none goes on unseen, and waiting for a server that is busy."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import MonitorBroken, ServerBusy

_AGAIN_SECONDS = 0.2


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Stoppable(Protocol[T_co]):
    """A run that can be asked to end at its next safe point."""

    async def run(self) -> T_co:
        """Carry it out."""

    def stop(self) -> None:
        """End it at the next safe point."""


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel `tasks`, and return when they have let go of their connections.

    Once is not enough: up to Python 3.11, `asyncio.wait_for`, which redis-py connects with, may swallow a cancellation
    that comes just as it is done.
    """
    ending = list(tasks)
    while waiting := [task for task in ending if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*ending, return_exceptions=True)


@contextlib.asynccontextmanager
async def monitored(job: Coroutine[Any, Any, None], stop: Callable[[], None], name: str) -> AsyncIterator[None]:
    """Run the monitor `job` for as long as the context lasts. One that breaks calls `stop` at once, so that what it
    watches over ends at its next safe point; MonitorBroken is raised then, with `name` in its sentence.
    """
    task = asyncio.create_task(job, name=name)

    def ended(_: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            stop()

    task.add_done_callback(ended)
    try:
        yield
    finally:
        await end([task])
    error = None if task.cancelled() else task.exception()
    if error is not None:
        defect = f"{type(error).__name__}: {safe_text(str(error), 200)}"
        raise MonitorBroken(f"The {name} broke ({defect}): stopped, as nothing would brake") from error


async def together(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each of `asked` returns, in order. The first error ends the others before it is raised."""
    tasks = [asyncio.create_task(one) for one in asked]
    if not tasks:
        return []
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task in done:
                task.result()
        return [task.result() for task in tasks]
    finally:
        await end(tasks)


async def run_all(runs: Sequence[Stoppable[T]]) -> list[T]:
    """Each of `runs` to its end. One that breaks stops the others: they end at a safe point, where they record what
    they did, and only then is its error raised.
    """
    tasks = [asyncio.create_task(run.run()) for run in runs]
    if not tasks:
        return []
    try:
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if any(task.cancelled() or task.exception() is not None for task in done):
            for run in runs:
                run.stop()
        if pending:
            await asyncio.wait(pending)
    finally:
        await end(tasks)
    return [task.result() for task in tasks]


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
