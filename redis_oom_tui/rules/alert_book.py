"""The alerts of one server as a screen needs them: what stands now, what was seen to, and what happened so far."""

from collections import deque

from redis_oom_tui.models.alert import Alert, Event, EventKind, JudgedSample, Silence
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.alerts import State, step
from redis_oom_tui.rules.guarded import attempt

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
    def timeline(self) -> tuple[Event, ...]:
        """The last events, oldest first."""
        return tuple(self._timeline)

    def observe(self, look: JudgedSample | Silence) -> tuple[Event, ...]:
        """Take one look at the server into account; returns the events that it set off, each told only once."""
        self._remember_silence(look)
        before, state = self._state.level, self._state
        self._state, events = attempt("the alert is", lambda: step(state, look, self.settings), lambda _: (state, ()))
        if self._state.level is not before:
            self._began = look.at
            self._reason = look.reason
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
        """The alert that stands at `now` (Unix seconds), or None. It stays while it is quiet, and says so."""
        snoozed = self._snoozed_until if self._snoozed_until is not None and now < self._snoozed_until else None
        quiet = self._acknowledged or snoozed is not None
        if self._state.lost and self._silence is not None:
            return Alert(Level.UNKNOWN, True, self._silence.reason, self._silent_at, quiet, snoozed)
        if self._state.level is Level.OK:
            return None
        return Alert(self._state.level, False, self._reason, self._began, quiet, snoozed)

    def acknowledge(self) -> None:
        """Somebody has seen it: quiet until it gets worse, or comes anew."""
        self._acknowledged = True

    def snooze(self, now: float, seconds: float) -> None:
        """Quiet for so long, unless it gets worse."""
        self._snoozed_until = now + seconds

    def _remember_silence(self, look: JudgedSample | Silence) -> None:
        if isinstance(look, JudgedSample):
            self._silence = None
        else:
            if self._silence is None:
                self._silent_at = look.at
            self._silence = look
