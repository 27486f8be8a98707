"""How hard a scan or an action leans on the server: as its pace allows, by how the server answers others."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from enum import Enum
from statistics import median_low

from redis_oom_tui.formatting.sizes import percent
from redis_oom_tui.models.scan import ThrottleState
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.server.pace_steps import (
    PaceProfile,
    PaceReading,
    PaceStep,
    first_level,
    grown,
    highest_level,
    next_step,
    nobody_at_work,
)

_SHOWN_PROBES = 40
# One late wake-up is no reason to throttle or to stop.
_QUIET_PROBES, _PROBES = 3, 6
_TOO_SLOW_SECONDS = 2.0
# By how much the server may become slower, whoever makes it so, before it is spared.
_SLOWER_SECONDS, _SLOWER_TIMES = 0.1, 5.0
# What the way itself takes is no sign of a slow server; but no way takes longer than a second.
_WAYS, _LONGEST_WAY = 2, 1.0


class Probes:
    """What PINGs waited, in seconds: at rest, and beside what is watched."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._at_rest: float | None = None
        self._quiet: deque[float] = deque(maxlen=_QUIET_PROBES)
        self._beside: deque[float] = deque(maxlen=_PROBES)
        self._since_decided: list[float] = []
        self._shown: deque[float] = deque(maxlen=_SHOWN_PROBES)
        self.quickest = math.inf

    def rested(self, pings: Sequence[float]) -> None:
        """PINGs took so long while nothing was under way."""
        quiet = _quick(pings)
        self._first = quiet if self._first is None else self._first
        self._quiet.append(quiet)
        self._at_rest = median_low(self._quiet)
        self._since_decided = []
        self.quickest = min(self.quickest, *pings)

    def beside(self, seconds: float) -> None:
        """A PING took so long beside what is watched."""
        self._beside.append(seconds)
        self._since_decided.append(seconds)
        self._shown.append(seconds)
        self.quickest = min(self.quickest, seconds)

    @property
    def at_rest(self) -> float | None:
        """How long a PING takes at rest; None before the first."""
        return self._at_rest

    @property
    def least_at_rest(self) -> float:
        """The quickest of the last ones at rest."""
        return min(self._quiet, default=0.0)

    @property
    def round_trip(self) -> float:
        """The same, 0 where nobody knows."""
        return self._at_rest or 0.0

    @property
    def waited(self) -> float:
        """How long others wait while it is under way: a PING that waited for this process itself tells nothing."""
        probes = self._beside or self._quiet
        if not probes:
            return 0.0
        return _quick(probes) if len(probes) > _QUIET_PROBES else median_low(probes)

    def take_delay(self, *, lately: bool) -> float:
        """By how much others wait longer than at rest; `lately`: since this was asked last, which tells a scan sooner
        that it is too much."""
        recent, self._since_decided = sorted(self._since_decided), []
        waited = recent[len(recent) // 4] if lately and recent else self.waited
        return max(0.0, waited - self.round_trip)

    @property
    def slower(self) -> bool:
        """Whether the server became much slower than it was at first, whoever makes it so."""
        first = self._first
        return first is not None and self.round_trip > max(_SLOWER_TIMES * first, first + _SLOWER_SECONDS)

    @property
    def hopeless(self) -> bool:
        """Whether the server has been so slow, for so long, that an action should stop."""
        last = list(self._beside)[-_QUIET_PROBES:]
        return len(last) == _QUIET_PROBES and min(last) >= _TOO_SLOW_SECONDS

    @property
    def slowest(self) -> float | None:
        """The 99th percentile of the last ones."""
        return sorted(self._shown)[int(len(self._shown) * 0.99)] if self._shown else None


class Hold(Enum):
    """Why nothing may be sent."""

    SLOW = "a PING has had no answer for too long"
    REST = "the monitor probes the server without our load"
    PAUSE = "a person paused it"


class RateController:
    """Turns what was measured into the step to take, and lets nothing through while there is a reason to hold.

    Pure but for its events: whoever probes the server hands the figures in. All times are in seconds.
    """

    def __init__(self, profile: PaceProfile) -> None:
        self._profile = profile
        self._level = profile.start
        self.probes = Probes()
        self._share: float | None = None
        self._others: float | None = None
        self._busy: float | None = None
        self._before: Snapshot | None = None
        self._sent_before = 0
        self._new_probes = False
        self._lowered = False
        self.holds: set[Hold] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.resumed = asyncio.Event()
        self.resumed.set()
        self._on_the_way = 0
        self.home = asyncio.Event()
        self.home.set()
        self.stopping = False

    # What is sent asks.

    @property
    def step(self) -> PaceStep:
        """How much at once, right now."""
        return grown(self._profile, self._profile.steps[self._level], self.probes.round_trip)

    async def ready(self) -> None:
        """Return when the next page or call may be sent."""
        await self._open.wait()

    def begun(self) -> None:
        """A page or call is on its way."""
        self._on_the_way += 1
        self.home.clear()

    def ended(self) -> None:
        """Its reply came, or was lost."""
        self._on_the_way = max(0, self._on_the_way - 1)
        if not self._on_the_way:
            self.home.set()

    # Who holds it.

    @property
    def holding(self) -> bool:
        """Whether nothing may be sent now."""
        return not self._open.is_set()

    @property
    def throttled(self) -> bool:
        """Whether it holds itself back now."""
        return self._lowered or Hold.SLOW in self.holds

    def hold(self, why: Hold = Hold.SLOW) -> None:
        """Send nothing until `release`."""
        self.holds.add(why)
        if why is Hold.PAUSE:
            self.resumed.clear()
        if not self.stopping:
            self._open.clear()

    def release(self, why: Hold = Hold.SLOW) -> None:
        """Go on, as far as this reason goes."""
        self.holds.discard(why)
        if why is Hold.PAUSE:
            self.resumed.set()
        if not self.holds:
            self._open.set()

    def stop(self) -> None:
        """Nobody waits any longer: whoever sends sees `stopping`."""
        self.stopping = True
        self._open.set()

    def start(self) -> None:
        """A run begins."""
        self.stopping = False
        self.release(Hold.PAUSE)

    def use(self, profile: PaceProfile) -> None:
        """Lean harder, or less, from the next page on."""
        self._profile = profile
        self._level = first_level(profile, self.probes.round_trip)
        self._lowered = False

    # What the monitor measures.

    @property
    def hold_after(self) -> float:
        """Seconds without an answer after which it holds: over a long way, more."""
        return self._profile.hold + _WAYS * min(self.probes.quickest, _LONGEST_WAY)

    def probed(self, seconds: float) -> None:
        """A PING took so long beside what is under way."""
        if seconds <= self.hold_after:
            self.release()
        self.probes.beside(seconds)
        self._new_probes = True

    def rested(self, pings: Sequence[float], others: float | None = None) -> None:
        """While nothing was under way PINGs took so long, and others sent so many commands a second, if that was
        counted: others' load comes and goes, and only the difference is ours."""
        first = self.probes.at_rest is None
        self.probes.rested(pings)
        if others is not None:
            self._others = others
        if first:
            self._level = max(self._level, first_level(self._profile, self.probes.round_trip))
        if self._profile.leaps and self.alone and not self.throttled:
            self._level = self._profile.alone

    def informed(self, snapshot: Snapshot, sent: int) -> None:
        """INFO came; `sent` is how many commands were sent from here in all."""
        before, self._before = self._before, snapshot
        ours, self._sent_before = sent - self._sent_before, sent
        if before is None:
            return
        seconds = snapshot.taken_monotonic - before.taken_monotonic
        commands = _difference(snapshot.counters.commands_total, before.counters.commands_total)
        cpu = _difference(snapshot.counters.cpu_main_thread_seconds, before.counters.cpu_main_thread_seconds)
        if seconds <= 0 or commands is None:
            return
        self._others = max(0.0, commands - ours) / seconds
        if cpu is not None:
            self._busy = min(1.0, cpu / seconds)
            # Commands cost about the same, so our part of them is our part of the server's time.
            self._share = self._busy * min(1.0, ours / commands) if commands else 0.0

    def decide(self) -> None:
        """Lean harder or less, by what was measured since the last time."""
        if not self._new_probes:
            return
        self._new_probes = False
        before, measured = self._level, self._measured(self.probes.take_delay(lately=not self._profile.leaps))
        self._level = next_step(self._profile, before, measured)
        slowed = self._level < min(before, highest_level(self._profile, measured))
        self._lowered = slowed or (self._lowered and self._level <= before)

    def _measured(self, delay: float = 0.0) -> PaceReading:
        probes = self.probes
        return PaceReading(delay, probes.round_trip, self._share, self._busy, self._others, probes.slower)

    # What people see.

    @property
    def alone(self) -> bool:
        """Whether nobody else is at work, as far as is known."""
        return nobody_at_work(self._others)

    def shown(self) -> ThrottleState:
        """For people."""
        slowest, at_rest = self.probes.slowest, self.probes.at_rest
        return ThrottleState(
            share=self._share,
            probe_ms=None if slowest is None else slowest * 1000,
            baseline_ms=None if at_rest is None else at_rest * 1000,
            throttled=self.throttled,
            words=_words(self._share, self._profile.share, slow=Hold.SLOW in self.holds, throttled=self.throttled),
        )


def _words(share: float | None, budget: float | None, *, slow: bool, throttled: bool) -> str:
    if slow:
        return "paused: the server answers too slowly"
    limit = "" if budget is None else f" (budget {percent(budget)})"
    using = "" if share is None else f"using {percent(share)} of the server{limit}"
    return f"{using}, throttled".lstrip(", ") if throttled else using


def _quick(probes: Sequence[float]) -> float:
    """The lower quartile: a PING that waited for this process itself to come round says nothing of the server."""
    return sorted(probes)[(len(probes) - 1) // 4]


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else max(0.0, now - before)
