"""The brake of a run: how many keys go at once, and how long it rests, by what a probe beside it had to wait."""

from redis_oom_tui.words.sizes import count

_FEWEST = 20
_MOST = 1000
_FIRST = 200
# What a batch may add to the waiting of others: SCAN.md's "2x" plus what a small machine needs to wake up.
_ADDED_SECONDS = 0.005
_TIMES = 3.0
_TOO_SLOW_SECONDS = 2.0
_TOO_SLOW_IN_A_ROW = 3


class Pacer:
    """Grows while the probe finds the server quick, halves and rests when not. All times are in seconds."""

    def __init__(self, baseline: float) -> None:
        self._limit = max(_TIMES * baseline, baseline + _ADDED_SECONDS)
        self._slow = 0
        self.keys = _FIRST
        self.rest = 0.0
        self.waited = baseline

    def learn(self, waited: float) -> None:
        """Take in how long a probe waited while a batch was under way."""
        self.waited = waited
        self._slow = self._slow + 1 if waited >= _TOO_SLOW_SECONDS else 0
        if waited > self._limit:
            self.keys = max(_FEWEST, self.keys // 2)
            self.rest = min(1.0, 2 * waited)
        else:
            self.keys = min(_MOST, self.keys * 3 // 2)
            self.rest = 0.0

    @property
    def braking(self) -> bool:
        """Whether it holds itself back now."""
        return self.rest > 0.0

    @property
    def hopeless(self) -> bool:
        """Whether the server has been so slow, for so long, that the run should stop."""
        return self._slow >= _TOO_SLOW_IN_A_ROW

    def words(self, doing: str) -> str:
        """The phase as a person reads it.

        >>> pacer = Pacer(0.001)
        >>> pacer.learn(0.04)
        >>> pacer.words("deleting")
        'deleting, braking: the server takes 40 ms to answer, 100 keys at a time'
        """
        if not self.braking:
            return doing
        waited = f"{self.waited * 1000:.0f} ms"
        return f"{doing}, braking: the server takes {waited} to answer, {count(self.keys)} keys at a time"
