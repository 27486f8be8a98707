"""Asks the server for its figures, tick by tick, and goes on through failures. Knows nothing of the screen."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

from redis_oom_tui.files.host_memory import with_room
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import CommandRefused
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Rates
from redis_oom_tui.models.verdict import Thresholds, Verdict
from redis_oom_tui.ports import Replayable, Source, TellsSettings
from redis_oom_tui.rules.breakdown import with_clients
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.guarded import TROUBLE, sentence
from redis_oom_tui.rules.headroom import pause_after
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.info_checks import with_settings
from redis_oom_tui.rules.verdict import follow, judge
from redis_oom_tui.tui.loop_lag import LoopLag
from redis_oom_tui.tui.replicas import ReplicaLook
from redis_oom_tui.tui.server_state import Link, ScreenClock, ServerState

_LONGEST_WAIT = 10.0
_CLIENTS_EVERY = 5.0
_SETTINGS_EVERY = 30.0


def backoff(attempts: int) -> float:
    """Seconds to wait after so many failures in a row: quick at first, never more than ten.

    >>> [backoff(n) for n in (1, 2, 3, 4, 5, 50)]
    [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    """
    return min(_LONGEST_WAIT, 2.0 ** min(attempts - 1, 10))


class Poller:
    """Publishes a Reading per tick. A slow answer delays the next tick instead of piling up requests, and a server that
    is slow twice in a row is left alone for many times as long as it took.

    `known` is what was read before the first tick.
    """

    def __init__(
        self,
        source: Source,
        publish: Callable[[ServerState], None],
        *,
        opened: bool = False,
        known: ServerState | None = None,
        thresholds: Thresholds | None = None,
        interval: float = 1.0,
        clock: ScreenClock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._publish = publish
        self._thresholds = thresholds or Thresholds()
        self._interval = interval
        self._clock = clock or ScreenClock()
        self._sleep = sleep
        self._history = History()
        self._reading = known or ServerState(address=source.address)
        if known is not None and known.snapshot is not None:
            self._history.add(known.snapshot)
        self._opened = opened
        self._replicas = ReplicaLook(source)
        self._clients_due = self._settings_due = 0.0
        self._usual = math.inf
        self._before = 0.0
        self._pause = 0.0

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                started = self._clock.monotonic()
                wait = await self.tick()
                spent = self._clock.monotonic() - started
                # A tick that took longer than its interval is followed by a whole pause: never back to back.
                await self._sleep(max(self._pause, wait - spent if spent < wait else wait))
        finally:
            self._replicas.close()

    async def tick(self) -> float:
        """Ask once, publish what came of it, and return the seconds until the next tick."""
        try:
            if not self._opened:
                await self._source.open()
                self._opened = True
            asked = self._clock.monotonic()
            with LoopLag() as own:
                snapshot = await self._source.snapshot()
            # A recording answers from a file, and its process ids mean nothing here and now.
            if not isinstance(self._source, Replayable):
                self._answered_after(max(0.0, self._clock.monotonic() - asked - own.seconds))
                snapshot = with_room(snapshot)
            await self._take_in(snapshot)
        except TROUBLE as error:
            return self._failed(sentence("this poll is", error))
        self._publish(self._reading)
        return self._interval

    def _answered_after(self, seconds: float) -> None:
        self._usual = min(self._usual, seconds)
        # One late answer may be a freeze that is over: only the next look can tell.
        self._pause = pause_after(min(seconds, self._before), self._usual)
        self._before = seconds

    async def _take_in(self, snapshot: Snapshot) -> None:
        capabilities = await self._source.capabilities()
        clients = await self._clients(snapshot, capabilities)
        settings = await self._settings(snapshot)
        snapshot = with_settings(with_clients(snapshot, clients or ()), settings)
        self._history.add(snapshot)
        rates, told = self._history.rates(), forecast(self._history.samples)
        self._reading = ServerState(
            address=self._source.address,
            link=Link.LIVE,
            snapshot=snapshot,
            samples=self._history.samples,
            rates=rates,
            verdict=self._verdict(snapshot, rates, told),
            forecast=told,
            clients=clients,
            capabilities=capabilities,
            settings=settings,
            replicas=self._replicas.seen(snapshot),
            next_try=self._clock.monotonic() + self._pause if self._pause > self._interval else None,
        )

    async def _settings(self, snapshot: Snapshot) -> Mapping[str, str]:
        if snapshot.taken_monotonic < self._settings_due or not isinstance(self._source, TellsSettings):
            return self._reading.settings
        self._settings_due = snapshot.taken_monotonic + _SETTINGS_EVERY
        return await self._source.settings()

    async def _clients(self, snapshot: Snapshot, capabilities: Capabilities) -> tuple[ClientBuffer, ...] | None:
        known = self._reading.clients
        if snapshot.taken_monotonic < self._clients_due or not capabilities.has(Feature.CLIENT_LIST):
            return known
        self._clients_due = snapshot.taken_monotonic + _CLIENTS_EVERY
        try:
            return await self._source.clients()
        except CommandRefused:
            return None

    def _verdict(self, snapshot: Snapshot, rates: Rates, told: Forecast) -> Verdict:
        verdict = judge(snapshot, thresholds=self._thresholds, rates=rates, forecast=told)
        return follow(verdict, self._reading.verdict, snapshot.taken_at)

    def _failed(self, error: str) -> float:
        attempts = self._reading.attempts + 1
        wait, self._pause = max(self._interval, backoff(attempts)), 0.0
        link = Link.LOST if self._reading.snapshot is not None else Link.CONNECTING
        next_try = self._clock.monotonic() + wait
        self._reading = replace(self._reading, link=link, error=error, next_try=next_try, attempts=attempts)
        self._publish(self._reading)
        return wait
