"""Clocks that leave out what is no time of the server: while this process was suspended, or waited for a processor."""

import asyncio
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple

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
        self._check_gap()
        return self._elapsed + (0.0 if self._started is None else self._clock() - self._started)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._check_gap()
        self._timer = loop.call_later(_BEAT_SECONDS, self._beat, loop)

    def _check_gap(self) -> None:
        if self._loop is None or self._started is None:
            return
        before, self._heard = self._heard, self._loop.time()
        if self._heard - before > _BEAT_SECONDS + _GAP_SECONDS:
            self._elapsed -= self._heard - before
            self.gaps += 1


class ClockReading(NamedTuple):
    """A time in seconds, and how many seconds this thread had waited for a processor by then."""

    seconds: float
    waited: float = 0.0

    def until(self, end: "ClockReading") -> tuple[float, float]:
        """Seconds from this moment to `end`, and how many of them this thread waited for a processor."""
        return end.seconds - self.seconds, end.waited - self.waited


# What it takes at most to read a clock and a short file, unless something comes between.
_READ_AT_ONCE = 0.00002


class UndelayedClock:
    """Seconds by a clock that stands still while this thread waits for a processor: what is measured by it beside other
    processes at work says as much of the server as it does on a quiet machine.

    Linux tells that wait in `path` (its second number, in nanoseconds); elsewhere the clock never stands still. To be
    read by the thread that made it.
    """

    def __init__(self, path: str = "/proc/thread-self/schedstat", clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._file)

    def __call__(self) -> float:
        before, now = -1.0, self._clock()
        while True:
            began, waited, now = now, self._waited(), self._clock()
            # A wait in between that is not told yet counts as time, but is no longer than that.
            if now - began < _READ_AT_ONCE:
                return now - waited
            # It may have waited in between: with that wait subtracted from a time before it, the clock would go back.
            if waited == before:
                return began - waited
            before = waited

    def moment(self) -> ClockReading:
        """Now, by a clock that does not stand still."""
        return ClockReading(self._clock(), self._waited())

    def _waited(self) -> float:
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 80, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0


_of_thread = threading.local()


def undelayed_clock() -> UndelayedClock:
    """The one of this thread: each holds a file open, and a cluster has hundreds of nodes."""
    if not hasattr(_of_thread, "clock"):
        _of_thread.clock = UndelayedClock()
    clock: UndelayedClock = _of_thread.clock
    return clock
