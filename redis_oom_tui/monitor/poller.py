"""The poll of one server: a state a tick, with its verdict, trend and alerts, through every failure; and of several."""

import asyncio
import contextlib
import functools
import math
import time
from collections.abc import Callable, Mapping

from redis_oom_tui.files.server_host import with_host_memory
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.alert import JudgedSample, Silence
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, TrendSample
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock, LoopLag
from redis_oom_tui.monitor.details import Details, ReplicaPoll
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.ports.source import PolledSource, Replayable, TellsSettings
from redis_oom_tui.rules.alerts import AlertBook, judged_sample, lowered
from redis_oom_tui.rules.forecast import aged, forecast
from redis_oom_tui.rules.guarded import TROUBLE, sentence
from redis_oom_tui.rules.headroom import pause_after
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.info_fields import with_write_settings
from redis_oom_tui.rules.verdict import follow, judge

_LONGEST_WAIT = 10.0
_GOODBYE_SECONDS = 3.0
# A forecast costs milliseconds; growth that ends must be seen to end.
_FORECAST_EVERY_SECONDS = 5.0
# Where so much of it went since, or the limit is another, a forecast is of a past that is over.
_FELL_SHARE = 0.01

Subscriber = Callable[[ServerState], None]


def backoff(attempts: int) -> float:
    """Seconds to wait after so many failures in a row: quick at first, never more than ten.

    >>> [backoff(n) for n in (1, 2, 3, 4, 5, 50)]
    [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    """
    return min(_LONGEST_WAIT, 2.0 ** min(attempts - 1, 10))


def _made_room(then: TrendSample | None, now: TrendSample | None) -> bool:
    """Whether memory was freed since `then`, or the limit is another."""
    if then is None or now is None or then.maxmemory_bytes != now.maxmemory_bytes:
        return then is not now
    return then.counted_bytes - now.counted_bytes > _FELL_SHARE * then.counted_bytes


class Poller:
    """Polls `source` and publishes a `ServerState` a tick; one poll at a time.

    `details` is what to ask beside INFO, `known` what was known before the first poll. A `shared` source is used by
    others too: it is never closed here, its own timeouts say when a poll has failed, and a server that is away or
    slow is left alone for a while. Any other one is opened again after each failure.
    """

    def __init__(
        self,
        source: PolledSource,
        settings: WatchSettings,
        clock: Clock | None = None,
        *,
        book: AlertBook | None = None,
        details: Details | None = None,
        known: ServerState | None = None,
        shared: bool = False,
        opened: bool = False,
    ) -> None:
        self.polls_total = 0
        self.settings = settings
        self.book = book or AlertBook(str(source.address), settings)
        self.state = known or ServerState(address=source.address)
        self._source = source
        self._clock = clock or Clock()
        self._details = details
        self._replicas = ReplicaPoll(source)
        self._shared, self._opened = shared, opened
        self.history = History()
        """The past that is kept; where many servers are polled, a shorter one may be put here before the first poll."""
        self.ours: Callable[[Snapshot], bool] | None = None
        """Whether an action of this tool took or gave back memory there since it was last asked; may be put here."""
        if self.state.snapshot is not None:
            self.history.add(self.state.snapshot)
        self._forecast, self._forecast_made = Forecast(), -math.inf
        self._forecast_of: TrendSample | None = None
        self._asked, self._lag = 0.0, LoopLag()
        self._heard: JudgedSample | None = None
        self._quickest, self._took_before, self._pause = math.inf, 0.0, 0.0

    async def run(self, publish: Subscriber, stop: asyncio.Event | None = None) -> None:
        """Publish a state a tick until `stop` is set; one without an answer where a poll takes longer than that."""
        stop = stop or asyncio.Event()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                began = self._clock.monotonic()
                polling = asyncio.ensure_future(self.poll())
                try:
                    await self._until_answered(polling, stopping, began, publish)
                finally:
                    polling.cancel()
                    await asyncio.wait((polling,))
                if polling.cancelled():
                    return
                publish(polling.result())
                await self._rest(stop, self._next(began), publish)
        finally:
            stopping.cancel()
            await self.close()

    async def poll(self) -> ServerState:
        """Poll once, to the end; never raises for a server's fault."""
        await self.ask()
        return self.alerted()

    async def ask(self, *, whole: bool = False) -> ServerState:
        """A poll that no alert hears of. It is judged by the `whole` past where asked, else by the last seconds."""
        self.polls_total += 1
        self._asked, self._lag = self._clock.monotonic(), LoopLag()
        # Whatever the driver's own timeouts add up to.
        patience = None if self._shared else max(timeouts.GIVE_UP, self.settings.interval_seconds)
        try:
            with self._lag:
                async with asyncio.timeout(patience):
                    snapshot = await self._answer()
                    self._replicas.seen(snapshot)
                    if whole:
                        await self._replicas.answered()
            self.state = self._judged(snapshot, whole)
        except TimeoutError:
            address = self._source.address
            await self._failed(f"{address} did not answer in time: check its load and the network")
        except TROUBLE as error:
            await self._failed(sentence("this poll is", error))
        return self.state

    def alerted(self) -> ServerState:
        """The state with what its sample means to the alerts; a moment of a recording that stays counts once."""
        sample, heard = self.state.sample, self._heard
        held = isinstance(sample, JudgedSample) and heard is not None and sample.monotonic == heard.monotonic
        self._heard = sample if isinstance(sample, JudgedSample) else None
        events = () if held else self.book.observe(sample)
        self.state = replace(self.state, events=events, alert=Level.UNKNOWN if self.book.lost else self.book.level)
        return self.state

    async def close(self) -> None:
        """Ask no more, and let go of a source of its own; one that does not answer its goodbye is left unchanged."""
        self._replicas.close()
        await self._let_go()

    async def _let_go(self) -> None:
        if self._shared:
            return
        self._opened = False
        with contextlib.suppress(TimeoutError, *TROUBLE):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._source.close()

    async def _until_answered(
        self, polling: asyncio.Task[ServerState], stopping: asyncio.Task[bool], began: float, publish: Subscriber
    ) -> None:
        """Wait for the poll to end, or to be asked to stop; publish at each tick until then that nothing came yet."""
        interval = self.settings.interval_seconds
        while True:
            tick = interval - (self._clock.monotonic() - began) % interval
            ended, _ = await asyncio.wait((polling, stopping), timeout=tick, return_when=asyncio.FIRST_COMPLETED)
            if ended:
                return
            # Where this process itself stood still, the answer may have come meanwhile.
            if self._clock.monotonic() - self._asked - self._lag.seconds >= interval / 2:
                publish(self._unanswered())

    @property
    def _wait(self) -> float:
        interval = self.settings.interval_seconds
        return max(interval, backoff(self.state.attempts)) if self._shared and self.state.attempts else interval

    def _next(self, began: float) -> float:
        """When to poll again; a poll that took longer than that is followed by a whole pause: never back to back."""
        now, due = self._clock.monotonic(), began + self._wait
        return max(due if now < due else now + self._wait, now + self._pause)

    async def _rest(self, stop: asyncio.Event, until: float, publish: Subscriber) -> None:
        """Wait for the next poll; while a server that is away is left alone, each tick says so."""
        interval = self.settings.interval_seconds
        while self.state.attempts and until - self._clock.monotonic() > interval and not stop.is_set():
            await self._clock.wait(stop, interval)
            publish(self._unanswered())
        await self._clock.wait(stop, until - self._clock.monotonic())

    async def _answer(self) -> Snapshot:
        if not self._opened:
            await self._source.open()
            self._opened = True
        asked, late = self._clock.monotonic(), self._lag.seconds
        snapshot = await self._source.snapshot()
        # A recording answers from a file, and its process ids mean nothing here and now.
        if not isinstance(self._source, Replayable):
            self._answered_after(max(0.0, self._clock.monotonic() - asked - (self._lag.seconds - late)))
            snapshot = with_host_memory(await self._after_a_change_of_role(snapshot))
        if self._details is not None:
            return await self._details.ask(snapshot)
        if snapshot.activity.last_save_failed and isinstance(self._source, TellsSettings):
            # Only the settings tell whether it stops writes.
            snapshot = with_write_settings(snapshot, await self._source.settings())
        return snapshot

    def _answered_after(self, seconds: float) -> None:
        self._quickest = min(self._quickest, seconds)
        # One late answer may be a freeze that is over: only the next poll can tell.
        slow = pause_after(min(seconds, self._took_before), self._quickest)
        self._pause = slow if self._shared else 0.0
        self._took_before = seconds

    async def _after_a_change_of_role(self, snapshot: Snapshot) -> Snapshot:
        """`snapshot`, or a later one: after a failover the one that answers here may be the primary no longer."""
        before = self.history.latest
        if before is None or before.server.node != snapshot.server.node or before.server.role == snapshot.server.role:
            return snapshot
        await self._let_go()
        await self._source.open()
        self._opened = True
        return await self._source.snapshot()

    def _judged(self, snapshot: Snapshot, whole: bool) -> ServerState:
        settings = self.settings
        gained = self.history.add(snapshot, ours=self.ours is not None and self.ours(snapshot))
        rates, trend = self.history.rates(), self._trend(snapshot.taken_monotonic)
        if whole:
            # All that was seen counts: there is no next poll that could show a cure.
            gained = rates = replace(rates, last_refused=None)
        details = self._details
        clients, scan = ((), None) if details is None else (details.clients or (), details.scan())
        replicas = self._replicas.seen(snapshot)
        judged = functools.partial(
            judge, snapshot, rates=rates, forecast=trend, clients=clients, scan=scan, replicas=replicas
        )
        verdict = judged(thresholds=settings.thresholds)
        lenient = lowered(settings.thresholds, settings.hysteresis)
        staying = judged(thresholds=lenient)
        state = ServerState(
            address=self._source.address,
            link=Link.LIVE,
            sample=judged_sample(snapshot, verdict, staying),
            snapshot=snapshot,
            samples=self.history.samples,
            rates=rates,
            gained=gained,
            replicas=replicas,
            verdict=follow(verdict, self.state.verdict, snapshot.taken_at),
            forecast=trend,
            next_try=self._clock.monotonic() + self._pause if self._pause > settings.interval_seconds else None,
        )
        return state if self._details is None else self._details.added_to(state)

    def _trend(self, now: float) -> Forecast:
        last = next(reversed(self.history.samples), None)
        if not 0 <= now - self._forecast_made < _FORECAST_EVERY_SECONDS or _made_room(self._forecast_of, last):
            self._forecast, self._forecast_made = forecast(self.history.samples), now
            self._forecast_of = last
        return aged(self._forecast, now - self._forecast_made)

    async def _failed(self, reason: str) -> None:
        now, asked = self._clock.monotonic(), self._asked + self._lag.seconds
        self._pause = 0.0
        self.state = replace(
            self.state,
            link=Link.CONNECTING if self.state.snapshot is None else Link.LOST,
            error=reason,
            attempts=self.state.attempts + 1,
            silent_since=self._silent_since(),
            sample=Silence(now, self._clock.wall(), reason, asked),
        )
        self.state = replace(self.state, next_try=now + self._wait)
        await self._let_go()

    def _unanswered(self) -> ServerState:
        now, since = self._clock.monotonic(), self._silent_since()
        at = time.strftime("%H:%M:%S", time.localtime(self._clock.wall() - (now - since)))
        reason = self.state.error or f"{self._source.address} has not answered since {at}"
        silence = Silence(now, self._clock.wall(), reason, self._asked + self._lag.seconds)
        self.state = replace(self.state, silent_since=since, sample=silence)
        return self.alerted()

    def _silent_since(self) -> float:
        state = self.state
        if state.silent_since is not None:
            return state.silent_since
        return self._asked if state.snapshot is None else state.snapshot.taken_monotonic


# All servers together: a poll costs this process some milliseconds.
_POLLS_PER_SECOND = 20.0
# Between the first polls of two servers, and so between all later ones: never all of them in one moment.
_GAP_SECONDS = 0.02
# All servers together: a sample takes 300 bytes, and several hours of 200 servers would take 40 MB.
_SAMPLES, _LEAST_SAMPLES, _MOST_SAMPLES = 30_000, 120, 720


def shared_history(servers: int) -> History:
    """The past of one of so many servers, as long as there is memory for all of them."""
    return History(min(_MOST_SAMPLES, max(_LEAST_SAMPLES, _SAMPLES // servers)))


class SeveralPollers:
    """Polls each of `sources` by its settings. `states` is what is known of each by now."""

    def __init__(
        self, sources: Mapping[str, PolledSource], settings: Mapping[str, WatchSettings], clock: Clock
    ) -> None:
        least = len(sources) / _POLLS_PER_SECOND
        gentle = {
            name: replace(each, interval_seconds=max(least, each.interval_seconds)) for name, each in settings.items()
        }
        self._pollers = {name: Poller(source, gentle[name], clock) for name, source in sources.items()}
        for poller in self._pollers.values():
            poller.history = shared_history(len(sources))
        self.states: dict[str, ServerState] = {name: poller.state for name, poller in self._pollers.items()}
        self.interval_seconds = max(each.interval_seconds for each in gentle.values())
        """The longest time between two polls of a server."""

    async def run(self, publish: Callable[[], None]) -> None:
        """Poll until cancelled; `publish` is called at each new state. It may be run again afterwards."""
        async with asyncio.TaskGroup() as polling:
            for place, name in enumerate(self._pollers):
                polling.create_task(self._poll(name, place * _GAP_SECONDS, publish))

    async def _poll(self, name: str, after: float, publish: Callable[[], None]) -> None:
        def take(state: ServerState) -> None:
            self.states[name] = state
            publish()

        await asyncio.sleep(after)
        await self._pollers[name].run(take)
