"""The watch: each state of the poller becomes a line, and goes to whoever listens: hooks, metrics, an armed cleanup."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence

from redis_oom_tui.formatting.sizes import duration, number_of
from redis_oom_tui.models.alert import Event
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.output import Note, TickOutput
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.guarded import TROUBLE, attempt, sentence
from redis_oom_tui.rules.verdict.facts import LONGER_SECONDS, STEP_SECONDS, needs_longer_sample

# A single sample knows no rates; a second one so soon after tells whether writes are being refused right now.
_SECOND_POLL_SECONDS = 0.5
# What failed is begun again after so long, then twice as long.
_AGAIN_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 300.0


class Listener:
    """Somebody who hears of every tick and event, and who never makes the watch wait; `name` is for a line."""

    name = "a listener"

    def on_state(self, state: ServerState) -> None:
        """A tick has passed. Returns at once."""

    def on_event(self, event: Event) -> None:
        """An event has happened. Returns at once."""

    async def run(self, stop: asyncio.Event) -> None:
        """Do the work that those two left, until `stop` is set and, for a short while, what is left then."""


class Monitor:
    """A watch over one server, by the states of its poller."""

    def __init__(self, poller: Poller, output: TickOutput, clock: Clock, *, listeners: Sequence[Listener] = ()) -> None:
        self._poller = poller
        self._book = poller.book
        self._output = output
        self._clock = clock
        self._listeners = list(listeners)
        self._failing: dict[tuple[str, str], str] = {}

    def add(self, listener: Listener) -> None:
        """One more listener, before the watch runs."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """An event that a listener has brought about, told as any other."""
        self._announce(self._book.note(event))

    async def once(self) -> ServerState:
        """Poll, twice where the first was answered, write one line, and return the last state.

        Listeners hear of it, and do their work before this ends.
        """
        stop = asyncio.Event()
        try:
            state = await self._poller.ask()
            if state.answer is not None:
                await self._ask_again(state.answer.taken_monotonic, stop)
            # An alert hears of the last alone.
            state = self._poller.alerted()
            try:
                self._write(lambda: self._output.tick(state))
            finally:
                self._tell_listeners(state)
                stop.set()
                await asyncio.gather(*(self._keep_running(listener, stop) for listener in self._listeners))
        finally:
            await self._poller.close()
        return state

    async def _ask_again(self, since: float, stop: asyncio.Event) -> None:
        """A second sample, and more of them for a while where something hints at refused writes and none was seen."""
        thresholds = self._poller.settings.thresholds
        pause = _SECOND_POLL_SECONDS
        while True:
            await self._clock.wait(stop, pause)
            state = await self._poller.ask(whole=True)
            if state.answer is None or state.verdict_now.level is Level.OOM:
                return
            pause = min(STEP_SECONDS, since + LONGER_SECONDS - self._clock.monotonic())
            if pause <= 0 or not needs_longer_sample(state.answer, thresholds):
                return

    def _tell_listeners(self, state: ServerState) -> None:
        for listener in self._listeners:
            for event in state.events:
                self._call(listener, "event", functools.partial(listener.on_event, event))
            self._call(listener, "tick", functools.partial(listener.on_state, state))

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set, then say so in a last line. Raises what the output raises."""
        began = self._clock.monotonic()
        broken: BrokenPipeError | BadInput | None = None
        async with asyncio.TaskGroup() as tasks:
            for listener in self._listeners:
                tasks.create_task(self._keep_running(listener, stop), name=listener.name)
            try:
                await self._poller.run(self._tick, stop)
            except (BrokenPipeError, BadInput) as error:
                # Nobody reads the lines any more; what hooks still have to deliver is delivered.
                broken = error
            finally:
                stop.set()
        if broken is not None:
            raise broken
        self._last_line(self._clock.monotonic() - began)

    def _tick(self, state: ServerState) -> None:
        self._write(lambda: self._output.tick(state))
        for text in () if state.answer is None else state.answer.notes:
            self._output.note(Note("server", text, state.sample.at))
        for event in state.events:
            self._announce(event)
        for listener in self._listeners:
            self._call(listener, "tick", functools.partial(listener.on_state, state))

    def _announce(self, event: Event) -> None:
        try:
            self._write(lambda: self._output.event(event))
        finally:
            for listener in self._listeners:
                self._call(listener, "event", functools.partial(listener.on_event, event))

    def _write(self, line: Callable[[], None]) -> None:
        """Write a line; one whose words fail is told as that."""
        attempt("this line is", line, lambda fault: self._failed(fault.words))

    def _call(self, listener: Listener, what: str, call: Callable[[], None]) -> None:
        """What a listener does at once; where it fails, the others are told all the same."""
        try:
            call()
        except TROUBLE as error:
            self._failed_at(listener, what, error)
        else:
            self._failing.pop((listener.name, what), None)

    async def _keep_running(self, listener: Listener, stop: asyncio.Event) -> None:
        """Run it until `stop` is set, and again after a while where it fails: the watch outlives what it runs."""
        pause = _AGAIN_SECONDS
        while True:
            running = asyncio.ensure_future(listener.run(stop))
            try:
                await asyncio.wait({running})
            finally:
                running.cancel()
            error = None if running.cancelled() else running.exception()
            if error is None:
                return
            self._failed_at(listener, "run", error)
            if stop.is_set() or await self._clock.wait(stop, pause):
                return
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)

    def _failed_at(self, listener: Listener, what: str, error: BaseException) -> None:
        """Say what a listener fails at, once: again only where it succeeded since, or fails for another reason."""
        name = listener.name
        text = f"{name}: {sentence(f'{name} is', error)}"
        if self._failing.get((name, what)) != text:
            self._failing[name, what] = text
            self._failed(text)

    def _failed(self, text: str) -> None:
        # Where nobody reads any more, the next tick ends the watch.
        with contextlib.suppress(BrokenPipeError, BadInput):
            self._output.note(Note("failed", text, self._clock.wall(), Level.WARNING))

    def _last_line(self, seconds: float) -> None:
        text = f"stopped after {duration(seconds)} ({number_of(self._poller.polls_total, 'poll')})"
        alert = Level.UNKNOWN if self._book.lost else self._book.level
        figures = {"looks": self._poller.polls_total, "events": self._book.events_total, "alert": alert.value}
        self._output.note(Note("end", text, self._clock.wall(), figures=figures))
