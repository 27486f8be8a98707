"""What happened to the server while the screen was open: the alerts of the watch, fed by the screen's own readings."""

from collections import deque

from redis_oom_tui.models import alert
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.report import Episode
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.alert_book import AlertBook
from redis_oom_tui.rules.alerts import lowered, reading
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.report import episodes
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.tui.server_state import Link, ScreenClock, ServerState

# Five hours and a half: counters are totals, so what happens between two of them is not lost.
_KEEP_EVERY_SECONDS = 10.0
_KEPT = 2000


class AlertHistory:
    """Keeps the alerts and events of one server. Every reading goes through `observe`, on screen or not."""

    def __init__(self, server: str, settings: WatchSettings, clock: ScreenClock) -> None:
        self.book = AlertBook(server, settings)
        self._clock = clock
        self._taken: float | None = None
        self.first: Snapshot | None = None
        self._kept: deque[Snapshot] = deque(maxlen=_KEPT)

    @property
    def events(self) -> tuple[alert.Event, ...]:
        """The last events, oldest first."""
        return self.book.timeline

    def standing(self) -> alert.Alert | None:
        """The alert that stands now."""
        return self.book.standing(self._clock.wall())

    def episodes(self) -> tuple[Episode, ...]:
        """The verdicts of the last hours, in order."""
        return episodes(self._kept, self.book.settings.thresholds)

    def observe(self, look: ServerState) -> tuple[alert.Event, ...]:
        """Take a reading into account; returns the events that it set off."""
        return attempt("the alert is", lambda: self._observed(look), lambda _: ())

    def _observed(self, look: ServerState) -> tuple[alert.Event, ...]:
        snapshot = look.snapshot
        if look.link is not Link.LIVE:
            if look.error is None:
                return ()
            return self.book.observe(alert.Silence(self._clock.monotonic(), self._clock.wall(), look.error))
        if snapshot is None or look.verdict is None or snapshot.taken_monotonic == self._taken:
            return ()
        self._taken = snapshot.taken_monotonic
        self.first = self.first or snapshot
        if not self._kept or snapshot.taken_monotonic - self._kept[-1].taken_monotonic >= _KEEP_EVERY_SECONDS:
            self._kept.append(snapshot)
        lenient = lowered(self.book.settings.thresholds, self.book.settings.hysteresis)
        staying = judge(snapshot, thresholds=lenient, rates=look.rates, forecast=look.forecast)
        return self.book.observe(reading(snapshot, look.verdict, staying))
