"""The brake of a run: how many keys go at once, and how long it rests, by what probes beside it had to wait."""

from collections import deque
from statistics import median_low

from redis_oom_tui.words.sizes import count

# One call: it takes about a millisecond, and less of it would spare nobody.
_FEWEST = 100
_MOST = 1000
_FIRST = 200
# What batches may add to the waiting of others: an EVAL of 100 keys takes 1 to 3 ms, and a small machine wakes late.
_ADDED_SECONDS = 0.01
_TIMES = 3.0
# By how much the server may become slower, whoever makes it so, before the run holds back.
_SLOWER_SECONDS = 0.1
_SLOWER_TIMES = 5.0
# One late wake-up is no reason to brake: the middle one of so many probes counts.
_LOOKED_AT = 3
_TOO_SLOW_SECONDS = 2.0
_SHORT_LINK_SECONDS = 0.003


class Pacer:
    """Grows while the server answers quickly, halves and rests when not. All times are in seconds.

    `first` is how long a PING waited before the run began.
    """

    def __init__(self, first: float) -> None:
        self._overloaded = max(_SLOWER_TIMES * first, first + _SLOWER_SECONDS)
        self._quiet: deque[float] = deque([first], maxlen=_LOOKED_AT)
        self._beside: deque[float] = deque(maxlen=_LOOKED_AT)
        self.keys = _FIRST
        self.rest = 0.0

    @property
    def waited(self) -> float:
        """How long others wait while a batch is under way."""
        return median_low(self._beside) if self._beside else median_low(self._quiet)

    def learn(self, quiet: float | None, beside: float) -> None:
        """Take in how long a PING waited beside a batch, and before it, if one was sent then."""
        if quiet is not None:
            self._quiet.append(quiet)
        self._beside.append(beside)
        alone = median_low(self._quiet)
        if self.waited > max(_TIMES * alone, alone + _ADDED_SECONDS) or alone > self._overloaded:
            self.keys = max(_FEWEST, self.keys // 2)
            self.rest = min(1.0, self.waited)
        else:
            self.keys = min(_MOST, self.keys * 3 // 2)
            self.rest = 0.0

    @property
    def window(self) -> int:
        """How many calls may be on their way at once: over a short link one keeps the server as busy as ten."""
        return 1 if median_low(self._quiet) < _SHORT_LINK_SECONDS else _MOST // 100

    @property
    def braking(self) -> bool:
        """Whether it holds itself back now."""
        return self.rest > 0.0

    @property
    def hopeless(self) -> bool:
        """Whether the server has been so slow, for so long, that the run should stop."""
        return len(self._beside) == _LOOKED_AT and min(self._beside) >= _TOO_SLOW_SECONDS

    def words(self, doing: str) -> str:
        """The phase as a person reads it.

        >>> pacer = Pacer(0.001)
        >>> pacer.learn(0.001, 0.04)
        >>> pacer.words("deleting")
        'deleting, braking: the server takes 40 ms to answer, 100 keys at a time'
        """
        if not self.braking:
            return doing
        waited = f"{self.waited * 1000:.0f} ms"
        return f"{doing}, braking: the server takes {waited} to answer, {count(self.keys)} keys at a time"
