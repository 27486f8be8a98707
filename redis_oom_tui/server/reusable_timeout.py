"""An end to what takes too long, cheap enough to stand around each of thousands of pages a second."""

import asyncio
from types import TracebackType


class ReusableTimeout:
    """`with alarm:` raises TimeoutError in its body after `seconds`; to be used again and again, by one task at a time.

    asyncio's own timeout sets a timer and takes it away each time. This one leaves its timer standing: only when it
    rings does it look whether that which it was last set for is still going on, and for how much longer it may.
    """

    __slots__ = ("_cancelled_before", "_rang", "_seconds", "_task", "_timer", "_until")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._rang = False
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
        if loop.time() < self._until:
            self._timer = loop.call_at(self._until, self._ring, loop)
        else:
            self._rang = True
            self._task.cancel()
