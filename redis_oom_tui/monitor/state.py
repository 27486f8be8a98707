"""What a poll comes to: one frozen value a tick for all who subscribe, and what was seen in the last hours."""

from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.files.server_host import with_host_memory
from redis_oom_tui.models import alert
from redis_oom_tui.models.address import Address, ClientBuffer, LargeCommand
from redis_oom_tui.models.alert import Event, JudgedSample, Silence
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Episode, Forecast, Rates, TrendSample
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.report import episodes
from redis_oom_tui.rules.verdict import follow, judge, unknown


class Link(StrEnum):
    """How it stands with the server: never reached yet, answering, or lost (what is shown is old)."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


class ServerState(Struct, frozen=True):
    """All that is known of the server at one tick.

    `samples` are the trend of the last minutes to hours, oldest first; `rates` are over the last ten seconds, `gained`
    since the answer before. `sample` is what the alerts went by, `events` are what it set off, and `alert` is the level
    that stands; UNKNOWN while the server is lost.

    Where the last poll failed the link is not LIVE: all figures are from before, `error` says why in one sentence, and
    `next_try` when it is tried again (monotonic seconds). A LIVE one has a `next_try` where the server took so long to
    answer that it is left alone for a while. `silent_since` is set from the first tick without an answer on, also while
    a poll still waits for its own: when the last answer came or, before the first, when it was asked for.

    `clients` is None until CLIENT LIST answered, and where it was not asked for: then `unlisted` says why. `settings`
    are the few that a diagnosis looks at; `replicas` is what those of a primary without a cluster last said, `large`
    who sent large values of late.
    """

    address: Address
    link: Link = Link.CONNECTING
    snapshot: Snapshot | None = None
    samples: tuple[TrendSample, ...] = ()
    rates: Rates = field(default_factory=Rates)
    gained: Rates = field(default_factory=Rates)
    verdict: Verdict | None = None
    forecast: Forecast = field(default_factory=Forecast)
    clients: tuple[ClientBuffer, ...] | None = None
    unlisted: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    replicas: tuple[NodeView, ...] = ()
    large: tuple[LargeCommand, ...] = ()
    error: str | None = None
    next_try: float | None = None
    attempts: int = 0
    silent_since: float | None = None
    sample: JudgedSample | Silence = field(default_factory=lambda: Silence(0.0, 0.0))
    events: tuple[Event, ...] = ()
    alert: Level = Level.OK

    def age(self, now: float) -> float | None:
        """Seconds since the figures were read, `now` being monotonic; None before the first."""
        return None if self.snapshot is None else max(0.0, now - self.snapshot.taken_monotonic)

    @property
    def why_no_clients(self) -> str | None:
        """Why no client can be listed, in a sentence; None where they can, or that is not known yet."""
        reason = self.capabilities.why_not(Feature.CLIENT_LIST)
        return self.unlisted or None if reason is None else f"CLIENT LIST is refused here: {reason}"

    @property
    def answer(self) -> Snapshot | None:
        """The snapshot, where the server answered the poll of this tick; else None."""
        return self.snapshot if self.link is Link.LIVE and self.silent_since is None else None

    @property
    def verdict_now(self) -> Verdict:
        """The verdict on this tick: unknown, with the reason, where there was no answer."""
        if self.answer is not None and self.verdict is not None:
            return self.verdict
        return unknown(self.sample.reason or self.error or "there was no answer yet")

    @property
    def silent_seconds(self) -> float:
        """For how long there has been no answer by this tick."""
        return 0.0 if self.silent_since is None else max(0.0, self.sample.monotonic - self.silent_since)


def first_state(sample: Snapshot, thresholds: Thresholds) -> ServerState:
    """What one sample alone amounts to: a state without a past, before anything else was asked for."""
    snapshot, history = with_host_memory(sample), History()
    history.add(snapshot)
    rates, trend = history.rates(), forecast(history.samples)
    verdict = judge(snapshot, thresholds=thresholds, rates=rates, forecast=trend)
    return ServerState(
        address=snapshot.server.address,
        link=Link.LIVE,
        snapshot=snapshot,
        samples=history.samples,
        rates=rates,
        verdict=follow(verdict, None, snapshot.taken_at),
        forecast=trend,
    )


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
        self._addresses: dict[str, None] = {}

    @property
    def events(self) -> tuple[alert.Event, ...]:
        """The last events, oldest first."""
        return self.book.timeline

    @property
    def former(self) -> tuple[str, ...]:
        """Where the server was before a failover, as far as it was seen."""
        return tuple(self._addresses)[:-1]

    def standing(self) -> alert.Alert | None:
        """The alert that stands now."""
        now = self._clock.monotonic()
        found = self.book.standing(now)
        if found is None or found.snoozed_until is None:
            return found
        return replace(found, snoozed_until=self._clock.wall() + found.snoozed_until - now)

    def snooze(self, seconds: float) -> None:
        """Keep what stands quiet for so long, however the time of day is set meanwhile, unless it gets worse."""
        self.book.snooze(self._clock.monotonic(), seconds)

    def episodes(self) -> tuple[Episode, ...]:
        """The verdicts of the last hours, in order."""
        return episodes(self._kept, self.book.settings.thresholds)

    def observe(self, state: ServerState) -> None:
        """Keep what a state shows, where the server answered."""
        snapshot = state.answer
        if snapshot is None:
            return
        self.first = self.first or snapshot
        if snapshot.cluster is None:
            self._addresses.pop(where := str(snapshot.server.address), None)
            self._addresses[where] = None
        if not self._kept or snapshot.taken_monotonic - self._kept[-1].taken_monotonic >= _KEEP_EVERY_SECONDS:
            self._kept.append(snapshot)
