"""Running several things at once so that none goes on unseen, ending what takes too long, and how long it took."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import MonitorBroken, OtherServer, ServerBusy, ServerUnreachable
from redis_oom_tui.ports.source import StoppableJob
from redis_oom_tui.server.replies import info_in


class ReusableTimeout:
    """`with alarm:` raises TimeoutError in its body after `seconds`; to be used again and again, by one task at a time.

    asyncio's own timeout sets a timer and takes it away each time. This one leaves its timer standing: only when it
    rings does it look whether that which it was last set for is still going on, and for how much longer it may.

    Where this process had no turn for a while, on a crowded machine, it rings late. What came meanwhile is read first,
    and the body gets as much longer, once: that time says nothing about the server.
    """

    __slots__ = ("_cancelled_before", "_late", "_rang", "_seconds", "_task", "_timer", "_until")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._rang = self._late = False
        self._cancelled_before = 0
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None or self._task is not None:
            raise RuntimeError("an alarm is for one task at a time")
        self._task = task
        self._cancelled_before = task.cancelling()
        self._until = loop.time() + self._seconds
        self._late = False
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._ring, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._rang or task is None:
            return
        self._rang = False
        # Somebody else may have cancelled the task as well: that is not ours to swallow.
        if task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._task is None:
            return
        now = loop.time()
        if now >= self._until and self._late:
            self._rang = True
            self._task.cancel()
            return
        if now >= self._until:
            self._late = True
            self._until = now + min(now - self._until, self._seconds)
        self._timer = loop.call_at(self._until, self._ring, loop)


_AGAIN_SECONDS = 0.2


T = TypeVar("T")


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
        raise MonitorBroken(f"The {name} broke ({defect}): stopped, as nothing would throttle it") from error


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


async def run_all(runs: Sequence[StoppableJob[T]]) -> list[T]:
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


async def read_ahead(source: Iterator[T]) -> AsyncGenerator[T, None]:
    """What `source` yields, each read in a thread while what came before it is at work."""
    nothing = object()

    def in_thread() -> "asyncio.Task[Any]":
        return asyncio.create_task(asyncio.to_thread(next, source, nothing), name="read ahead")

    coming = in_thread()
    try:
        while (found := await asyncio.shield(coming)) is not nothing:
            coming = in_thread()
            yield found
    finally:
        # A thread cannot be cancelled, and a file is open as long as it reads.
        await asyncio.gather(coming, return_exceptions=True)


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
                raise ServerBusy(f"{str(busy).rstrip('.')}: gave up after {timeouts.BUSY:.0f}s") from None
        await asyncio.sleep(_WAIT)


_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0


def is_silent(error: ServerUnreachable) -> bool:
    """Whether somebody is there and says nothing: a server that never answered may be one that is not there."""
    return error.silent


def silent_or_closed_once() -> Callable[[ServerUnreachable], bool]:
    """For `until_lost`, where nothing was asked that belongs together: a silent server is asked again, and one that
    closed the connection, once: it may have done so while that was idle.
    """
    closed = 0

    def worth(error: ServerUnreachable) -> bool:
        nonlocal closed
        closed += not error.silent
        return error.silent or closed == 1

    return worth


async def until_lost(
    ask: Callable[[], Awaitable[_Answer]],
    stopped: Callable[[], bool] = lambda: False,
    *,
    worth: Callable[[ServerUnreachable], bool] = lambda _: True,
    superseded: Callable[[], Awaitable[bool]] | None = None,
) -> _Answer:
    """What `ask` returns, asked again while the server is lost or silent; so nothing that changes it is asked here.

    Gives up `timeouts.GIVE_UP` after the first loss, when `stopped`, at a loss that is not `worth` it, or as soon as it
    is `superseded`, with the last ServerUnreachable.
    """
    try:
        return await ask()
    except ServerUnreachable as error:
        failure = error
    deadline, wait = time.monotonic() + timeouts.GIVE_UP, _FIRST_WAIT
    while worth(failure) and (left := deadline - time.monotonic()) > 0 and not stopped():
        try:
            async with asyncio.timeout(left):
                if superseded is not None and await superseded():
                    break
                return await ask()
        except ServerUnreachable as error:
            failure = error
        except TimeoutError:
            break
        await asyncio.sleep(min(wait, max(0.0, deadline - time.monotonic())))
        wait = min(_LONGEST_WAIT, 2 * wait)
    raise failure


class LosableServer(Protocol):
    """What is asked of a server that was lost."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    @property
    def superseded(self) -> Callable[[], Awaitable[bool]]:
        """Tells whether another node of its cluster serves what it served."""


class SameProcess:
    """Asks a server again, on a new connection, where one was lost or silent, as long as it is the process of `run_id`:
    a cursor of SCAN holds there alone. Without a `run_id` nobody could tell, and nothing is asked again.
    """

    def __init__(self, server: LosableServer, run_id: str | None, stopped: Callable[[], bool]) -> None:
        self._server = server
        self._run_id = run_id
        self._stopped = stopped

    async def answer(self, ask: Callable[[], Awaitable[T]], reopen: Callable[[], Awaitable[object]]) -> T:
        """What `ask` returns, which changes nothing. `reopen` connects again, and returns the reply to INFO server.

        Raises OtherServer where the server was restarted meanwhile, else what `until_lost` raises.
        """
        lost = False

        async def again() -> T:
            nonlocal lost
            try:
                if lost:
                    info = await reopen()
                    if not isinstance(info, bytes) or info_in(info).get("run_id") != self._run_id:
                        raise OtherServer.at(self._server.address)
                return await ask()
            except ServerUnreachable:
                lost = True
                raise

        return await until_lost(
            again, self._stopped, worth=lambda _: self._run_id is not None, superseded=self._server.superseded
        )
