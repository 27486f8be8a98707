"""One look at a server per tick, judged; what goes wrong becomes a sentence, and the next look starts anew."""

import asyncio
import contextlib
from typing import Protocol

from msgspec import Struct, field

from redis_oom_tui.files.host_memory import with_room
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import JudgedSample, Silence
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Rates
from redis_oom_tui.models.verdict import Verdict
from redis_oom_tui.monitor.clock import WaitingClock
from redis_oom_tui.ports import TellsSettings
from redis_oom_tui.rules.alerts import lowered, reading
from redis_oom_tui.rules.forecast import aged, forecast
from redis_oom_tui.rules.guarded import TROUBLE, attempt, sentence
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.info_checks import with_write_settings
from redis_oom_tui.rules.verdict import judge, unknown

# A look that takes longer than this is given up, whatever the driver's own timeouts add up to.
_PATIENCE_SECONDS = 10.0
# A look needs so long at least to connect and ask.
_LEAST_SECONDS = 1.0
_GOODBYE_SECONDS = 3.0
# A forecast costs milliseconds; growth that ends must be seen to end.
_FORECAST_EVERY_SECONDS = 5.0
# Twenty minutes at the usual interval as they came, and thinned what is older.
_SAMPLES = 240


class PolledSource(Protocol):
    """The part of `ports.Source` that a watch needs."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    async def open(self) -> None:
        """Connect; raises one of `models.errors`."""

    async def close(self) -> None:
        """Let go of every connection; never raises. It may be opened again."""

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed; raises one of `models.errors`."""


class PollResult(Struct, frozen=True):
    """What a tick came to. `snapshot` is None where the server did not answer."""

    heard: JudgedSample | Silence
    verdict: Verdict
    snapshot: Snapshot | None = None
    rates: Rates = field(default_factory=Rates)
    forecast: Forecast | None = None


class Polling:
    """Looks at `source` again and again, and opens it anew after a failure or a change of role."""

    def __init__(self, source: PolledSource, settings: WatchSettings, clock: WaitingClock) -> None:
        self.source = source
        self.settings = settings
        self._clock = clock
        self._open = False
        self._history = History(_SAMPLES)
        self._forecast: Forecast | None = None
        self._forecast_made = 0.0
        self._asked = 0.0
        self._silent_since: float | None = None
        self._counts_as_lost = False

    async def look(self, *, whole: bool = False) -> PollResult:
        """One look; never raises for a server's fault. Its rates are since the look before, or of the `whole` past."""
        self._asked = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._patience()):
                snapshot = await self._snapshot()
        except TimeoutError:
            return await self._failed(f"{self.source.address} did not answer in time: look at its load and the network")
        except TROUBLE as error:
            return await self._failed(sentence("this look is", error))
        self._silent_since, self._counts_as_lost = None, False
        return attempt("this look is", lambda: self._judged(snapshot, whole), lambda fault: self._silent(fault.words))

    async def close(self) -> None:
        """Let go of the server; one that does not answer its goodbye is left alone."""
        self._open = False
        with contextlib.suppress(TimeoutError, *TROUBLE):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self.source.close()

    def _patience(self) -> float:
        """For how long this look may wait: not beyond the moment at which the silence makes the server a lost one."""
        patience = max(_PATIENCE_SECONDS, self.settings.interval_seconds)
        if self._silent_since is None or self._counts_as_lost:
            return patience
        left = self._silent_since + self.settings.lost_seconds - self._asked
        # What would be left for one look more is waited for in this one.
        last = 0 < left <= patience + self.settings.interval_seconds + _LEAST_SECONDS
        return max(_LEAST_SECONDS, left) if last else patience

    async def _snapshot(self) -> Snapshot:
        if not self._open:
            await self.source.open()
            self._open = True
        snapshot = await self.source.snapshot()
        before = self._history.latest
        if before is not None and snapshot.server.role != before.server.role:
            # After a failover the one that answers here may no longer be the master: ask again who is.
            await self.close()
            await self.source.open()
            self._open = True
            snapshot = await self.source.snapshot()
        if snapshot.activity.last_save_failed and isinstance(self.source, TellsSettings):
            # Only the settings tell whether it stops writes.
            snapshot = with_write_settings(snapshot, await self.source.settings())
        return snapshot

    async def _failed(self, reason: str) -> PollResult:
        if self._silent_since is None:
            self._silent_since = self._asked
        silent = self._silent(reason)
        self._counts_as_lost = silent.heard.monotonic - self._silent_since >= self.settings.lost_seconds
        await self.close()
        return silent

    def _silent(self, reason: str) -> PollResult:
        return PollResult(Silence(self._clock.monotonic(), self._clock.wall(), reason, self._asked), unknown(reason))

    def _judged(self, snapshot: Snapshot, whole: bool) -> PollResult:
        snapshot = with_room(snapshot)
        rates = self._history.add(snapshot)
        if whole:
            # All that was seen counts: there is no next look that could show a cure.
            rates = replace(self._history.rates(), refused_just_now=None)
        ahead = self._ahead(snapshot.taken_monotonic)
        thresholds = self.settings.thresholds
        lenient = lowered(thresholds, self.settings.hysteresis)
        verdict = judge(snapshot, thresholds=thresholds, rates=rates, forecast=ahead)
        staying = judge(snapshot, thresholds=lenient, rates=rates, forecast=ahead)
        return PollResult(reading(snapshot, verdict, staying), verdict, snapshot, rates, ahead)

    def _ahead(self, now: float) -> Forecast:
        if self._forecast is None or now >= self._forecast_made + _FORECAST_EVERY_SECONDS:
            self._forecast, self._forecast_made = forecast(self._history.samples), now
        return aged(self._forecast, now - self._forecast_made)
