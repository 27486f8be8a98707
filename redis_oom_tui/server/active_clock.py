"""How long a scan or an action was under way, without the time for which the process itself was stopped."""

import asyncio
import time
from collections.abc import Callable

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
