"""When an alert begins and when it ends, and the alerts of one server as a screen needs them.

A level begins with a sample at or above it, when the samples since another such one, at least the holding time ago,
were not clearly below it, which is by the hysteresis. It ends once they have been clearly below it for as long. So
what swings about a threshold is told once, and a single peak never. Refused writes are told at once. A gap in the
samples longer than the time after which a server counts as lost is a break: nothing is concluded across it.
"""

from collections import deque

from msgspec import Struct, field

from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.alert import Alert, Event, EventKind, Figures, JudgedSample, Silence
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.history import restarted
from redis_oom_tui.rules.verdict.facts import Facts

_LEVELS = (Level.OK, Level.WARNING, Level.CRITICAL, Level.OOM)
_RANK = {level: rank for rank, level in enumerate(_LEVELS)}
_ALARMS = {Level.WARNING: EventKind.WARNING, Level.CRITICAL: EventKind.CRITICAL, Level.OOM: EventKind.OOM}
# A warning of growth stays until the limit is that many times further off than where it began.
_LATER = 2
_NEVER: tuple[float | None, ...] = (None, None, None, None)


class State(Struct, frozen=True):
    """What must be remembered between two samples. `above[n]` and `below[n]` are since when, for the n-th level."""

    server: str
    level: Level = Level.OK
    since: float | None = None
    events_total: int = 0
    above: tuple[float | None, ...] = _NEVER
    below: tuple[float | None, ...] = _NEVER
    last: JudgedSample | None = None
    silent_since: float | None = None
    lost: bool = False


class _Step(Struct):
    """A step being taken: the state so far and the events that it set off."""

    state: State
    events: list[Event] = field(default_factory=list)

    def emit(
        self, kind: EventKind, sample: JudgedSample | Silence, reason: str, *, level: Level, began: float | None
    ) -> None:
        last = sample if isinstance(sample, JudgedSample) else self.state.last
        self.state = replace(self.state, events_total=self.state.events_total + 1)
        self.events.append(
            Event(
                number=self.state.events_total,
                kind=kind,
                at=sample.at,
                server=self.state.server,
                level=level,
                before=self.state.level,
                reason=reason,
                rule=sample.rule if isinstance(sample, JudgedSample) else "",
                figures=last.figures if last is not None else Figures(),
                lasted_seconds=None if began is None else max(0.0, sample.monotonic - began),
            )
        )


def step(state: State, sample: JudgedSample | Silence, settings: WatchSettings) -> tuple[State, tuple[Event, ...]]:
    """The state after `sample`, and the events that it set off, in their order."""
    taken = _Step(state)
    if isinstance(sample, Silence):
        _note_silence(taken, sample, settings)
    else:
        _note_sample(taken, sample, settings)
    return taken.state, tuple(taken.events)


def lowered(thresholds: Thresholds, hysteresis: float) -> Thresholds:
    """The thresholds below which an alert may end.

    >>> lowered(Thresholds(0.75, 0.95, 3600), 0.25)
    Thresholds(warn=0.5, crit=0.7, soon_seconds=7200)
    """
    warn, crit = max(0.0, thresholds.warn - hysteresis), max(0.0, thresholds.crit - hysteresis)
    return Thresholds(warn, crit, _LATER * thresholds.soon_seconds)


_UNJUDGED = frozenset({"limit-unknown", "count-unknown"})


def judged_sample(snapshot: Snapshot, verdict: Verdict, staying: Verdict) -> JudgedSample | Silence:
    """A snapshot as the alerts see it; a Silence where it could not be judged. `staying` is the lenient verdict.

    A server that loads its data after a restart serves nobody: that is silence, not memory that ran out. One that
    answers, and whose limit or count nobody knows, is heard: it raises no alarm before it refuses writes.
    """
    levels = (verdict.level, staying.level)
    if verdict.rule == "loading" or (Level.UNKNOWN in levels and verdict.rule not in _UNJUDGED):
        return Silence(snapshot.taken_monotonic, snapshot.taken_at, verdict.reason)
    rising, lenient = (Level.OK if level is Level.UNKNOWN else level for level in levels)
    if rising is Level.CRITICAL and _is_over(snapshot):
        lenient = Level.OOM
    return JudgedSample(
        monotonic=snapshot.taken_monotonic,
        at=snapshot.taken_at,
        rising=rising,
        staying=lenient,
        reason=verdict.reason,
        rule=verdict.rule,
        figures=figures(snapshot),
        run_id=snapshot.server.run_id,
        uptime_seconds=snapshot.server.uptime_seconds,
        server="" if snapshot.cluster is not None else str(snapshot.server.address),
    )


def _is_over(snapshot: Snapshot) -> bool:
    """Whether it holds more than its limit and can evict nothing. Where that is by a few bytes, the reply to INFO may
    be what is too much: some writes pass then, others do not.
    """
    memory, server = snapshot.memory, snapshot.server
    enforced = memory.limit_source is LimitSource.SERVER and not (server.is_replica or server.is_foreign)
    return enforced and (memory.pressure or 0.0) >= 1.0 and Facts(snapshot).cannot_evict


def figures(snapshot: Snapshot) -> Figures:
    """The numbers that an event carries."""
    return Figures(
        used_bytes=snapshot.memory.used_bytes,
        maxmemory_bytes=snapshot.memory.maxmemory_bytes,
        pressure=snapshot.memory.pressure,
        policy=snapshot.memory.policy,
        refused_writes_total=snapshot.counters.refused_writes_total,
        evicted_keys_total=snapshot.counters.evicted_keys_total,
        limit_source=snapshot.memory.limit_source,
    )


def _note_silence(taken: _Step, sample: Silence, settings: WatchSettings) -> None:
    state = taken.state
    began = sample.monotonic if sample.asked is None else sample.asked
    since = began if state.silent_since is None else state.silent_since
    taken.state = replace(state, silent_since=since)
    if not state.lost and sample.monotonic - since >= settings.lost_seconds:
        taken.emit(EventKind.LOST, sample, sample.reason, level=Level.UNKNOWN, began=None)
        taken.state = replace(taken.state, lost=True)


def _note_sample(taken: _Step, sample: JudgedSample, settings: WatchSettings) -> None:
    before = taken.state.last
    if taken.state.lost:
        began = taken.state.silent_since
        away = duration(None if began is None else sample.monotonic - began)
        reason = f"The server is back after {away}. {sample.reason}".strip()
        taken.emit(EventKind.BACK, sample, reason, level=taken.state.level, began=began)
    restart = before is not None and restarted(before, sample)
    if before is not None and restart:
        taken.emit(EventKind.RESTARTED, sample, _restart(before, sample), level=taken.state.level, began=None)
    gap = before is not None and sample.monotonic - before.monotonic > max(
        settings.lost_seconds, 2 * settings.interval_seconds
    )
    state = replace(taken.state, silent_since=None, lost=False, last=sample)
    if state.since is None:
        state = replace(state, since=sample.monotonic)
    if restart or gap:
        state = replace(state, above=_NEVER, below=_NEVER)
    taken.state = _timed(state, sample)
    _change_level(taken, sample, settings)


def _restart(before: JudgedSample, now: JudgedSample) -> str:
    if before.server and now.server and before.server != now.server:
        return f"Failover: {now.server} is the server now, instead of {before.server}; its counters are its own."
    return "The server restarted or failed over; its counters were reset."


def _timed(state: State, sample: JudgedSample) -> State:
    """Since when the samples have been about or above, and clearly below, each level."""
    rising, staying, now = _RANK[sample.rising], _RANK[sample.staying], sample.monotonic
    above = tuple(
        (now if rising >= rank else None) if since is None else (since if staying >= rank else None)
        for rank, since in enumerate(state.above)
    )
    below = tuple(
        (now if since is None else since) if staying < rank else None for rank, since in enumerate(state.below)
    )
    return replace(state, above=above, below=below)


def _change_level(taken: _Step, sample: JudgedSample, settings: WatchSettings) -> None:
    state = taken.state
    here = _RANK[state.level]
    reached = max(rank for rank in range(len(_LEVELS)) if rank == 0 or _held(state.above, rank, sample, settings))
    if reached > here:
        taken.emit(_ALARMS[_LEVELS[reached]], sample, sample.reason, level=_LEVELS[reached], began=None)
    elif here and _left(state.below, here, sample, settings):
        reached = max(rank for rank in range(here) if rank == 0 or not _left(state.below, rank, sample, settings))
        kind = EventKind.EASED if reached else EventKind.RECOVERED
        taken.emit(kind, sample, sample.reason, level=_LEVELS[reached], began=state.since)
    else:
        return
    taken.state = replace(taken.state, level=_LEVELS[reached], since=sample.monotonic)


def _held(above: tuple[float | None, ...], rank: int, sample: JudgedSample, settings: WatchSettings) -> bool:
    needed = 0.0 if _LEVELS[rank] is Level.OOM else settings.hold_seconds
    since = above[rank]
    return since is not None and _RANK[sample.rising] >= rank and sample.monotonic - since >= needed


def _left(below: tuple[float | None, ...], rank: int, sample: JudgedSample, settings: WatchSettings) -> bool:
    needed = settings.quiet_seconds if _LEVELS[rank] is Level.OOM else settings.hold_seconds
    since = below[rank]
    return since is not None and sample.monotonic - since >= needed


_RAISES = frozenset({EventKind.WARNING, EventKind.CRITICAL, EventKind.OOM, EventKind.LOST})


class AlertBook:
    """Keeps the alerts of `server`. Pure: it acts on what it is given, and time comes in with it.

    >>> from redis_oom_tui.models.alert import JudgedSample
    >>> book = AlertBook("127.0.0.1:6379", WatchSettings())
    >>> [event.kind.value for event in book.observe(JudgedSample(0, 0, Level.OOM, Level.OOM, "refusing writes"))]
    ['oom']
    >>> book.acknowledge()
    >>> book.standing(now=5.0)
    Alert(level=<Level.OOM: 'oom'>, lost=False, reason='refusing writes', since=0, quiet=True, snoozed_until=None)
    """

    def __init__(self, server: str, settings: WatchSettings, *, keep: int = 500) -> None:
        self.settings = settings
        self._state = State(server)
        self._timeline: deque[Event] = deque(maxlen=keep)
        self._began = 0.0
        self._reason = ""
        self._silence: Silence | None = None
        self._silent_at = 0.0
        self._acknowledged = False
        self._snoozed_until: float | None = None

    @property
    def server(self) -> str:
        """Whose alerts these are."""
        return self._state.server

    @property
    def level(self) -> Level:
        """The level that stands, held and with hysteresis; OK before the first alarm."""
        return self._state.level

    @property
    def lost(self) -> bool:
        """Whether the server has been silent for longer than the settings allow."""
        return self._state.lost

    @property
    def events_total(self) -> int:
        """How many events there were, those that the timeline keeps no longer among them."""
        return self._state.events_total

    @property
    def timeline(self) -> tuple[Event, ...]:
        """The last events, oldest first."""
        return tuple(self._timeline)

    def observe(self, sample: JudgedSample | Silence) -> tuple[Event, ...]:
        """Take one sample into account; returns the events that it set off, each only once."""
        self._remember_silence(sample)
        before, state = self._state.level, self._state
        self._state, events = attempt("the alert is", lambda: step(state, sample, self.settings), lambda _: (state, ()))
        if self._state.level is not before:
            self._began = sample.at
            self._reason = sample.reason
        for event in events:
            self._timeline.append(event)
            if event.kind in _RAISES:
                self._acknowledged, self._snoozed_until = False, None
        return events

    def note(self, event: Event) -> Event:
        """Put something else into the timeline, such as a cleanup; returned with its number."""
        self._state = replace(self._state, events_total=self._state.events_total + 1)
        numbered = replace(event, number=self._state.events_total)
        self._timeline.append(numbered)
        return numbered

    def standing(self, now: float) -> Alert | None:
        """The alert that stands at `now`, by the clock that `snooze` goes by, or None. It stays while it is quiet, and
        says so.
        """
        snoozed = self._snoozed_until if self._snoozed_until is not None and now < self._snoozed_until else None
        quiet = self._acknowledged or snoozed is not None
        if self._state.lost and self._silence is not None:
            return Alert(Level.UNKNOWN, True, self._silence.reason, self._silent_at, quiet, snoozed)
        if self._state.level is Level.OK:
            return None
        return Alert(self._state.level, False, self._reason, self._began, quiet, snoozed)

    def acknowledge(self) -> None:
        """Somebody has seen it: quiet until it gets worse, or comes again."""
        self._acknowledged = True

    def snooze(self, now: float, seconds: float) -> None:
        """Quiet for so long from `now` on, unless it gets worse."""
        self._snoozed_until = now + seconds

    def _remember_silence(self, sample: JudgedSample | Silence) -> None:
        if isinstance(sample, JudgedSample):
            self._silence = None
        else:
            if self._silence is None:
                self._silent_at = sample.at
            self._silence = sample
