"""`watch` of several profiles in one process: each has its own poll, alerts and hooks, and outlives the others."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.watch_listeners import environment, hook_queues, hook_settings, metrics_of, secrets_of
from redis_oom_tui.files.own_actions import OwnActions
from redis_oom_tui.formatting.server import count_levels
from redis_oom_tui.formatting.sizes import number_of
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import WORST_FIRST, Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.hooks import FAREWELL_SECONDS, inherited
from redis_oom_tui.monitor.listeners import Service
from redis_oom_tui.monitor.output import Note, TickOutput, aside
from redis_oom_tui.monitor.poller import Poller, shared_history
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.monitor.watch import Listener, Monitor
from redis_oom_tui.ports.source import Source, TellsSettings
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.server.open_source import source_for
from redis_oom_tui.server.tasks import together

# With --once: how long its deliveries, retries among them, may take before it leaves.
LAST_DELIVERY_SECONDS = 30.0


class ProfileSource:
    """A profile's server. Its password is fetched when it is opened, and again later where that failed.

    `ours` is what a hook has of our environment: once the password is known, no variable that holds it.
    """

    def __init__(self, invocation: Invocation, name: str, ours: dict[str, str]) -> None:
        self._invocation = invocation
        self._name = name
        self._ours = ours
        self._source: Source | None = None

    @property
    def address(self) -> Address:
        """Where it is, for people."""
        return self._invocation.configuration.profile(self._name).address

    async def open(self) -> None:
        """Fetch the password where it is not known yet, and connect; raises one of `models.errors`."""
        if self._source is None:
            there = await aside(
                lambda: self._invocation.on_profile(self._name), name="password", expected=(TriageError, OSError)
            )
            kept = inherited(self._ours, (), secrets_of(there.connection))
            for variable in self._ours.keys() - kept.keys():
                del self._ours[variable]
            self._source = source_for(there.connection)
        await self._source.open()

    async def close(self) -> None:
        """Let go of every connection."""
        if self._source is not None:
            await self._source.close()

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed; raises one of `models.errors`."""
        return await self._opened().snapshot()

    async def settings(self) -> Mapping[str, str]:
        """Settings by name, where the server tells them."""
        source = self._opened()
        return await source.settings() if isinstance(source, TellsSettings) else {}

    def _opened(self) -> Source:
        if self._source is None:
            raise TriageError("it was not opened")
        return self._source


class LastLevel(Listener):
    """The level of a server by its last poll."""

    name = "the summary"

    def __init__(self) -> None:
        self.level = Level.UNKNOWN

    def on_state(self, state: ServerState) -> None:
        """A server that does not answer is unknown."""
        self.level = Level.UNKNOWN if state.answer is None else state.verdict_now.level


class ProfileWatches:
    """The watches of several profiles. `output` makes what writes the lines of one, by its name and address."""

    def __init__(
        self,
        invocation: Invocation,
        settings: Mapping[str, WatchSettings],
        given: dict[str, Any],
        output: Callable[[str, Address], TickOutput],
        resources: contextlib.ExitStack,
    ) -> None:
        self._clock = Clock()
        self._levels: list[LastLevel] = []
        self._monitors: list[Monitor] = []
        # The one that is polled most often comes first: its ticks stand for all of them.
        settings = dict(sorted(settings.items(), key=lambda item: item[1].interval_seconds))
        self._interval = min(each.interval_seconds for each in settings.values())
        once = given["once"]
        books = {
            name: AlertBook(name, replace(each, hold_seconds=0.0, lost_seconds=0.0) if once else each)
            for name, each in settings.items()
        }
        outputs = {name: output(name, invocation.configuration.profile(name).address) for name in settings}
        first = _log(next(iter(outputs.values())))
        collectors, self._shared = metrics_of(given, list(books.values()), first, resources)
        collecting = dict(zip(books, collectors, strict=False))
        for name, book in books.items():
            there = replace(invocation, profile=invocation.configuration.profile(name), profiles=())
            hooks = hook_settings(there.profile.hooks, given)
            url = invocation.configuration.secret(hooks.webhook, "the webhook's URL")
            ours = environment(there, hooks, url)
            farewell = LAST_DELIVERY_SECONDS if once else FAREWELL_SECONDS
            queues = hook_queues(hooks, there, self._clock, _log(outputs[name]), farewell_seconds=farewell, ours=ours)
            poller = Poller(ProfileSource(invocation, name, ours), settings[name], self._clock, book=book)
            poller.ours = OwnActions(invocation.audit_path).since_last
            poller.history = shared_history(len(settings))
            level = LastLevel()
            listeners = [level, *queues, *([collecting[name]] if collecting else [])]
            self._levels.append(level)
            self._monitors.append(Monitor(poller, outputs[name], self._clock, listeners=listeners))

    def words(self) -> str:
        """How many servers there are of each level."""
        return f"{number_of(len(self._levels), 'profile')}: {count_levels([each.level for each in self._levels])}"

    async def once(self) -> int:
        """Poll all at the same time, deliver, and return the exit code of the worst."""
        states = await together(monitor.once() for monitor in self._monitors)
        stop = asyncio.Event()
        stop.set()
        for listener in self._shared:
            listener.on_state(states[0])
            await listener.run(stop)
        return min((each.level for each in self._levels), key=WORST_FIRST.index).exit_code

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set. Raises what the output raises."""
        service = Service.from_environment(status=lambda _: self.words())
        # Each of the first one's ticks, also those without an answer, is a sign that all of them run.
        for listener in (*self._shared, *([] if service is None else [service])):
            self._monitors[0].add(listener)
        failures: list[BrokenPipeError | BadInput] = []

        async def watch(monitor: Monitor, after: float) -> None:
            try:
                # Spread over the interval: this process is never busy with all of them at once.
                await self._clock.wait(stop, after)
                await monitor.run(stop)
            except (BrokenPipeError, BadInput) as error:
                failures.append(error)
                stop.set()

        gap = self._interval / len(self._monitors)
        async with asyncio.TaskGroup() as watching:
            for place, monitor in enumerate(self._monitors):
                watching.create_task(watch(monitor, gap * place))
        if failures:
            raise failures[0]


def _log(output: TickOutput) -> Callable[[Note], None]:
    def log(note: Note) -> None:
        # Where nobody reads any more, the next tick ends the watch; a delivery must not fail over it.
        with contextlib.suppress(BrokenPipeError, BadInput):
            output.note(note)

    return log
