"""The clocks that the monitor goes by, and how late this process itself was."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_BEAT_SECONDS = 0.05


class Clock:
    """The machine's two clocks, in seconds: one that never jumps, and the time of day (Unix). Tests turn their own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self.wall = wall

    async def wait(self, stop: asyncio.Event, seconds: float) -> bool:
        """Wait so long, or until `stop` is set; returns whether it is."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await stop.wait()
        except TimeoutError:
            return stop.is_set()
        return True


class LoopLag:
    """Around a question: `seconds` by which the event loop was late meanwhile, which are not the server's.

    On a crowded machine they are many, and all of it where the process was stopped (Ctrl+Z) and goes on.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._due = 0.0
        self._beat: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._note()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _BEAT_SECONDS
        self._beat = loop.call_at(self._due, self._beaten)

    def _beaten(self) -> None:
        self._note()
        self._wait()

    def _note(self) -> None:
        self.seconds += max(0.0, asyncio.get_running_loop().time() - self._due)
