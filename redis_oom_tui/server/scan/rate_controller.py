"""The brake: a scan watches how the server answers others, and leans on it no harder than its pace allows."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence

from redis_oom_tui.formatting.sizes import percent
from redis_oom_tui.models.scan import Brake, Pace
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.server.scan.pace_steps import (
    BUDGETS,
    LADDERS,
    STARTS,
    PaceReading,
    PaceStep,
    first_rung,
    grown,
    next_step,
)

_KEPT_PROBES = 40
# What the way itself takes is no sign of a slow server; but no way takes longer than a second.
_WAYS, _LONGEST_WAY = 2, 1.0


class RateController:
    """Turns what was measured into the step to take. Pure: whoever probes the server hands the figures in."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._rung = STARTS[pace]
        self._probes: deque[float] = deque(maxlen=_KEPT_PROBES)
        self._recent: list[float] = []
        self._baseline = math.inf
        self._quickest = math.inf
        self._share: float | None = None
        self._others: float | None = None
        self._busy: float | None = None
        self._before: Snapshot | None = None
        self._sent_before = 0
        self._lowered = False
        self._resting = False
        self.held = False
        self.free = asyncio.Event()
        self.free.set()

    @property
    def hold_after(self) -> float:
        """Seconds without an answer after which the scan holds: over a long way, more."""
        return BUDGETS[self._pace].hold + _WAYS * min(self._quickest, _LONGEST_WAY)

    def hold(self) -> None:
        """A PING has had no answer for too long: send nothing until one has."""
        self.held = True
        self.free.clear()

    @property
    def pace(self) -> Pace:
        """How hard it may lean."""
        return self._pace

    def set_pace(self, pace: Pace) -> None:
        """Lean harder, or less, from the next page on."""
        self._pace = pace
        self._rung = first_rung(pace, self.round_trip or 0.0)
        self._lowered = False

    @property
    def step(self) -> PaceStep:
        """How many lanes, and how large a page, right now."""
        return grown(self._pace, LADDERS[self._pace][self._rung], self.round_trip or 0.0)

    @property
    def round_trip(self) -> float | None:
        """Seconds to the server and back while it was least disturbed."""
        return None if math.isinf(self._baseline) else self._baseline

    @property
    def quickest(self) -> float:
        """The least that a PING took, in seconds; infinite before the first."""
        return self._quickest

    def release(self) -> None:
        """The probe itself is lost: whether the server still answers, the lanes will find out."""
        self.held = False
        self.free.set()

    def probed(self, seconds: float) -> None:
        """A PING took so long."""
        self._quickest = min(self._quickest, seconds)
        if seconds <= self.hold_after:
            self.held = False
            if not self._resting:
                self.free.set()
        self._probes.append(seconds)
        self._recent.append(seconds)

    def rest(self) -> None:
        """The scan stands still for a moment, to see how the server answers without it."""
        self._resting = True
        self.free.clear()
        self._recent = []

    def at_rest(self) -> None:
        """The probes since were taken at rest: others' load comes and goes, and only the difference is the scan's."""
        if self._recent:
            now = _quick(self._recent)
            first = math.isinf(self._baseline)
            self._baseline = now if first else (self._baseline + now) / 2
            if first:
                self._rung = max(self._rung, first_rung(self._pace, now))
        self._recent = []
        self._resting = False
        if not self.held:
            self.free.set()

    def informed(self, snapshot: Snapshot, sent: int) -> None:
        """INFO came; `sent` is how many commands this scan has sent in all."""
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
            # Commands cost about the same, so the scan's part of them is its part of the server's time.
            self._share = self._busy * min(1.0, ours / commands) if commands else 0.0

    def decide(self) -> None:
        """Move on the ladder by what was measured since the last time."""
        if not self._recent:
            return
        now = _quick(self._recent)
        self._recent = []
        before = self._rung
        reading = PaceReading(max(0.0, now - self._baseline), self._baseline, self._share, self._busy, self._others)
        self._rung = next_step(self._pace, self._rung, reading)
        self._lowered = self._rung < before or (self._lowered and self._rung == before)

    def shown(self) -> Brake:
        """For people."""
        slowest = sorted(self._probes)[int(len(self._probes) * 0.99)] if self._probes else None
        braking = self._lowered or self.held
        return Brake(
            share=self._share,
            probe_ms=None if slowest is None else slowest * 1000,
            baseline_ms=None if math.isinf(self._baseline) else self._baseline * 1000,
            braking=braking,
            words=self._words(braking=braking),
        )

    def _words(self, *, braking: bool) -> str:
        if self.held:
            return "holding: the server answers too slowly"
        budget = BUDGETS[self._pace].share
        limit = "" if budget is None else f" (budget {percent(budget)})"
        using = "" if self._share is None else f"using {percent(self._share)} of the server{limit}"
        return f"{using}, braking".lstrip(", ") if braking else using


def _quick(probes: Sequence[float]) -> float:
    """The lower quartile: a PING that waited for this process itself to come round says nothing of the server."""
    return sorted(probes)[len(probes) // 4]


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else max(0.0, now - before)
