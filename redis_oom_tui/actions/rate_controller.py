"""The brake of an action: how much goes to the server at once, and how much of its time, by what others feel of it.

What hurts others is the call that the server works off before it turns to them: so calls are as long as suits who else
is there, by what the last ones took. How often they come is a share of the server's time, moved by what probes wait.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from statistics import median_low

from redis_oom_tui.formatting.sizes import percent

# How long a call may take, in seconds: beside others at work, and where nobody waits behind it. Below a few dozen keys
# the call itself is most of what it costs, so only keys that take the server long go in smaller ones.
_CALL_SHARED, _CALL_ALONE = 0.00015, 0.001
_FEWEST, _FIRST, _MOST_SHARED, _MOST = 5, 32, 64, 400
_CALLS_LOOKED_AT = 6
# What is written down at a time, and may be in doubt after a crash.
_BATCH_FEWEST, _BATCH_FIRST, _BATCH_MOST, _BATCH_SECONDS = 100, 200, 2000, 0.1
# The share of the server's one core, from gently to all of it; the last only where nobody else is at work.
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0)
_START, _SHARED = 4, 6
_OTHERS_AT_WORK = 200.0
# By how much others may wait longer: where they are at work, and where only this process may be late to hear of it.
_DELAY_SHARED, _DELAY_ALONE = 0.0006, 0.025
# By how much the server may become slower, whoever makes it so, before the action holds back.
_SLOWER_SECONDS, _SLOWER_TIMES = 0.1, 5.0
# An event loop sleeps a millisecond at least; and nobody should wait longer than a second for the next sign of life.
_SHORTEST_REST, _LONGEST_REST = 0.001, 1.0
# One late wake-up is no reason to brake or to stop.
_LOOKED_AT = 3
_TOO_SLOW_SECONDS = 2.0
_LONG_WAY = 0.003
_GUESSED_SECONDS = 1e-5
_HOLD_SECONDS = 0.25
# What the way itself takes is no sign of a slow server; but no way takes longer than a second.
_WAYS, _LONGEST_WAY = 2, 1.0


class Probes:
    """What PINGs waited, before and beside an action; `first` before it began. All times are in seconds.

    After `hold_after` without an answer, nothing more is sent until there is one.
    """

    def __init__(self, first: float) -> None:
        self.hold_after = _HOLD_SECONDS + _WAYS * min(first, _LONGEST_WAY)
        self.slow = max(_SLOWER_TIMES * first, first + _SLOWER_SECONDS)
        self.quiet: deque[float] = deque([first], maxlen=_LOOKED_AT)
        self.beside: deque[float] = deque(maxlen=2 * _LOOKED_AT)

    @property
    def round_trip(self) -> float:
        """How long a PING takes while the action is not under way."""
        return median_low(self.quiet)

    @property
    def waited(self) -> float:
        """How long others wait while it is under way: a PING that waited for this process itself tells nothing."""
        probes = sorted(self.beside) or sorted(self.quiet)
        return probes[(len(probes) - 1) // 4] if len(probes) > _LOOKED_AT else median_low(probes)

    @property
    def hopeless(self) -> bool:
        """Whether the server has been so slow, for so long, that the action should stop."""
        last = list(self.beside)[-_LOOKED_AT:]
        return len(last) == _LOOKED_AT and min(last) >= _TOO_SLOW_SECONDS


class ActionRateController:
    """Leans harder while nobody waits for it, and less when somebody does. All times are in seconds.

    `first` is how long a PING took before the action began. `walking` is for SCAN, which passes most keys by.
    """

    def __init__(self, first: float, *, walking: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.probes = Probes(first)
        self._walking = walking
        self._size = _FIRST
        self._calls: list[float] = []
        self._others: float | None = None
        self._rung = _START
        self._lowered = False
        self._owed = 0.0
        self._used = 0.0
        self._used_since = clock()
        self._using: float | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._held = False
        self.stopping = False
        self._on_the_way = 0
        self.home = asyncio.Event()
        self.home.set()
        self.keys = _BATCH_FIRST

    # What the calls ask.

    @property
    def per_call(self) -> int:
        """How many keys in a call, so that it takes about as long as it may."""
        if self._walking:
            return max(_FIRST, self._size)
        return self._size if self.alone else min(self._size, _MOST_SHARED)

    @property
    def window(self) -> int:
        """How many calls may be on their way at once: over a long way, as many as keep the server from waiting."""
        if self.probes.round_trip >= _LONG_WAY:
            return 10
        return 2 if self.alone else 1

    @property
    def resting(self) -> bool:
        """Whether the next call has to wait."""
        return self._owed >= _SHORTEST_REST or not self._free.is_set()

    async def ready(self) -> None:
        """Return when the next call may be sent."""
        await self._free.wait()
        if self._owed >= _SHORTEST_REST and not self.stopping:
            began = self._clock()
            await asyncio.sleep(self._owed)
            self._owed = max(-_SHORTEST_REST, self._owed - (self._clock() - began))
        await self._free.wait()

    def begun(self) -> None:
        """A call is on its way."""
        self._on_the_way += 1
        self.home.clear()

    def took(self, keys: int, seconds: float) -> None:
        """A call of so many keys kept the server, or the way to it, for so long; of none where its reply was lost."""
        self._on_the_way = max(0, self._on_the_way - 1)
        if not self._on_the_way:
            self.home.set()
        if not keys:
            return
        if self.probes.round_trip >= _LONG_WAY:
            # Most of it was the way: what the server's part was can only be guessed.
            busy = min(seconds, keys * _GUESSED_SECONDS)
        else:
            busy = seconds if self.alone else max(seconds / 5, seconds - min(self.probes.quiet))
        self._fit(busy)
        self._used += busy
        self._owed = min(_LONGEST_REST, self._owed + busy * (1.0 / self.share - 1.0))

    def _fit(self, busy: float) -> None:
        """Longer or shorter calls, by what the quicker of the last ones took: the others may have waited for us."""
        self._calls.append(busy)
        if len(self._calls) < _CALLS_LOOKED_AT:
            return
        quick, allowed = sorted(self._calls)[1], _CALL_ALONE if self.alone else _CALL_SHARED
        self._calls.clear()
        if quick > 2 * allowed:
            self._size = max(_FEWEST, self._size * 3 // 4)
        elif quick < allowed:
            self._size = min(_MOST, self._size * 3 // 2)

    def batched(self, keys: int, seconds: float) -> None:
        """A batch of so many keys took so long: the next is longer while that was short."""
        fitting = int(keys * _BATCH_SECONDS / max(seconds, 1e-6))
        self.keys = max(_BATCH_FEWEST, min(_BATCH_MOST, fitting, 2 * self.keys))

    # What the watch tells.

    def probed(self, seconds: float) -> None:
        """A PING took so long while the action was under way."""
        self.probes.beside.append(seconds)
        if seconds <= self.probes.hold_after:
            self.release()

    def looked(self, quiet: float, others: float | None) -> None:
        """While nothing was under way a PING took `quiet`, and others sent so many commands a second."""
        self.probes.quiet.append(quiet)
        self._others = others
        if self.alone and not self.braking:
            self._rung = len(SHARES) - 1

    def hold(self, *, slow: bool = True) -> None:
        """Send nothing until `release`: a PING has had no answer for too long, or somebody wants to look at the server
        without the action.
        """
        self._held = slow
        self._free.clear()

    def release(self) -> None:
        """Go on."""
        self._held = False
        self._free.set()

    def stop(self) -> None:
        """Send nothing more at all."""
        self.stopping = True
        self._free.set()

    def decide(self) -> None:
        """Lean harder or less, by what the probes waited since the last time."""
        now = self._clock()
        if now > self._used_since:
            self._using = min(1.0, self._used / (now - self._used_since))
        self._used, self._used_since = 0.0, now
        delay = self.probes.waited - self.probes.round_trip
        allowed = (
            max(_DELAY_ALONE, 2 * self.probes.round_trip)
            if self.alone
            else max(_DELAY_SHARED, self.probes.round_trip / 2)
        )
        before = self._rung
        if delay > 4 * allowed or self.probes.round_trip > self.probes.slow:
            self._rung = max(0, self._rung - 2)
        elif delay > allowed:
            self._rung = max(0, self._rung - 1)
        elif delay < allowed / 2:
            self._rung += 1
        self._rung = min(self._rung, len(SHARES) - 1 if self.alone else _SHARED)
        self._lowered = self._rung < min(before, _SHARED) or (self._lowered and self._rung <= before)

    # What people see.

    @property
    def alone(self) -> bool:
        """Whether nobody else is at work, as far as is known."""
        return self._others is not None and self._others < _OTHERS_AT_WORK

    @property
    def share(self) -> float:
        """How much of the server's time it may take."""
        return SHARES[self._rung]

    @property
    def braking(self) -> bool:
        """Whether it holds itself back now."""
        return self._lowered or self._held

    def words(self, doing: str) -> str:
        """The phase as a person reads it.

        >>> pacer = ActionRateController(0.001)
        >>> pacer.words("deleting")
        'deleting'
        >>> pacer.probed(0.04); pacer.decide(); pacer.words("deleting")
        'deleting, braking: using 0 % of the server (budget 5 %), which takes 40 ms to answer'
        """
        if self._held:
            return f"{doing}, braking: the server answers too slowly"
        using = (
            "" if self._using is None else f"using {percent(self._using)} of the server (budget {percent(self.share)})"
        )
        if self.braking:
            return f"{doing}, braking: {using}, which takes {math.ceil(self.probes.waited * 1000)} ms to answer"
        if not using or self.alone:
            return doing
        return f"{doing}, {using}"
