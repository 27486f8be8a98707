"""The clocks that the monitor goes by, and how late this process itself was."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # what draws the first frame imports the clock, and must not wait for asyncio
    import asyncio

_BEAT_SECONDS = 0.05


class Clock:
    """The machine's two clocks, in seconds: one that never jumps, and the time of day (Unix). Tests turn their own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self.wall = wall

    async def wait(self, stop: "asyncio.Event", seconds: float) -> bool:
        """Wait so long, or until `stop` is set; returns whether it is."""
        import asyncio  # noqa: PLC0415 - as above

        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await stop.wait()
        except TimeoutError:
            return stop.is_set()
        return True


class LoopLag:
    """Around a question: by how much the event loop was late meanwhile, which is not the server's delay.

    On a crowded machine that is much, and all of the time for which the process was stopped (Ctrl+Z).
    """

    def __init__(self) -> None:
        self._late = 0.0
        self._due: float | None = None
        self._beat: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._late, self._due = self.seconds, None

    @property
    def seconds(self) -> float:
        """How late by now, all together."""
        now_late = 0.0 if self._due is None else self._loop().time() - self._due
        return self._late + max(0.0, now_late)

    @staticmethod
    def _loop() -> "asyncio.AbstractEventLoop":
        import asyncio  # noqa: PLC0415 - as above

        return asyncio.get_running_loop()

    def _wait(self) -> None:
        loop = self._loop()
        self._due = loop.time() + _BEAT_SECONDS
        self._beat = loop.call_at(self._due, self._beaten)

    def _beaten(self) -> None:
        self._late = self.seconds
        self._wait()
