"""An end to what takes too long, and how long something was under way without the time the process was stopped."""

import asyncio
import time
from collections.abc import Callable
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


# The loop is heard of so often; when it is heard of so much too late, the process was suspended (Ctrl+Z, SIGSTOP) or
# the machine slept: what it measures stood still as well.
_BEAT_SECONDS = 0.5
_GAP_SECONDS = 2.0


class ActiveClock:
    """Counts seconds by `clock` while it runs, on from `elapsed`. `gaps` is how often the process stood still."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, elapsed: float = 0.0) -> None:
        self._clock = clock
        self._started: float | None = None
        self._elapsed = elapsed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.gaps = 0

    @property
    def runs(self) -> bool:
        """Whether it counts now."""
        return self._started is not None

    def start(self) -> None:
        """Count from now on."""
        self._started = self._clock()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._heard = self._loop.time()
        self._beat(self._loop)

    def stop(self) -> None:
        """Count no further."""
        self._elapsed = self.elapsed
        self._started = None
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._timer = None

    @property
    def elapsed(self) -> float:
        """Seconds that it ran in all."""
        self._heed_gap()
        return self._elapsed + (0.0 if self._started is None else self._clock() - self._started)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._heed_gap()
        self._timer = loop.call_later(_BEAT_SECONDS, self._beat, loop)

    def _heed_gap(self) -> None:
        if self._loop is None or self._started is None:
            return
        before, self._heard = self._heard, self._loop.time()
        if self._heard - before > _BEAT_SECONDS + _GAP_SECONDS:
            self._elapsed -= self._heard - before
            self.gaps += 1
