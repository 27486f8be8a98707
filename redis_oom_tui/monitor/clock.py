"""Time as the watch sees it, so that a day of it can be tried in seconds."""

import asyncio
import time
from typing import Protocol


class WaitingClock(Protocol):
    """Two clocks and a way to wait."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""

    def wall(self) -> float:
        """The time of day, Unix seconds."""

    async def wait(self, stop: asyncio.Event, seconds: float) -> bool:
        """Wait so long, or until `stop` is set; returns whether it is."""


class RealClock:
    """The machine's own."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def wall(self) -> float:
        """The time of day, Unix seconds."""
        return time.time()

    async def wait(self, stop: asyncio.Event, seconds: float) -> bool:
        """Wait so long, or until `stop` is set; returns whether it is."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await stop.wait()
        except TimeoutError:
            return stop.is_set()
        return True
