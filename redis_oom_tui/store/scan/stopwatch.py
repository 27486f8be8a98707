"""How long a scan was under way, its stops left out."""

from collections.abc import Callable


class Stopwatch:
    """Counts seconds by `clock` while it runs, on from `elapsed`."""

    def __init__(self, clock: Callable[[], float], elapsed: float = 0.0) -> None:
        self._clock = clock
        self._started: float | None = None
        self._elapsed = elapsed

    @property
    def runs(self) -> bool:
        """Whether it counts now."""
        return self._started is not None

    def start(self) -> None:
        """Count from now on."""
        self._started = self._clock()

    def stop(self) -> None:
        """Count no further."""
        self._elapsed = self.elapsed
        self._started = None

    @property
    def elapsed(self) -> float:
        """Seconds that it ran in all."""
        return self._elapsed + (0.0 if self._started is None else self._clock() - self._started)
