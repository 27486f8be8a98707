"""What happened to the server while the screen was open: its alerts, and its verdicts over the hours."""

from collections import deque

from redis_oom_tui.models import alert
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.report import Episode
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.alert_book import AlertBook
from redis_oom_tui.rules.report import episodes

# Five hours and a half: counters are totals, so what happens between two of them is not lost.
_KEEP_EVERY_SECONDS = 10.0
_KEPT = 2000


class AlertHistory:
    """Keeps the alerts of one server, which its poller fills in, and the snapshots that `observe` is given."""

    def __init__(self, server: str, settings: WatchSettings, clock: Clock) -> None:
        self.book = AlertBook(server, settings)
        self._clock = clock
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

    def observe(self, state: ServerState) -> None:
        """Keep what a state shows, where the server answered."""
        snapshot = state.answer
        if snapshot is None:
            return
        self.first = self.first or snapshot
        if not self._kept or snapshot.taken_monotonic - self._kept[-1].taken_monotonic >= _KEEP_EVERY_SECONDS:
            self._kept.append(snapshot)
