"""The loop: look, judge, write a line, tell whoever listens, wait for the next tick."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

from redis_oom_tui.formatting.sizes import count, duration
from redis_oom_tui.models.alert import Event, EventKind, Silence
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import WaitingClock
from redis_oom_tui.monitor.output import Note, Tick, TickOutput
from redis_oom_tui.monitor.polling import Polling, PollResult
from redis_oom_tui.rules.alert_book import AlertBook
from redis_oom_tui.rules.guarded import TROUBLE, attempt, sentence
from redis_oom_tui.rules.verdict import unknown
from redis_oom_tui.rules.verdict.refusals import calls_for_a_longer_look

# A single look knows no rates; a second one so soon after tells whether writes are being refused right now.
_SECOND_LOOK_SECONDS = 0.5
# Where something hints at refused writes: how long after the first look they are waited for, and how often.
_LONGEST_LOOK_SECONDS = 1.5
_STEP_SECONDS = 0.25
# What failed is begun again after so long, then twice as long.
_AGAIN_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 300.0


class Listener(Protocol):
    """Somebody who is told of every look and event, and who never makes the loop wait."""

    def seen(self, look: PollResult) -> None:
        """A tick has passed. Returns at once."""

    def told(self, event: Event) -> None:
        """An event has happened. Returns at once."""

    async def run(self, stop: asyncio.Event) -> None:
        """Do the work that `seen` and `told` left, until `stop` is set and, for a short while, what is left then."""


class Monitor:
    """A watch over one server; the interval is from the start of a look to the start of the next."""

    def __init__(
        self,
        looking: Polling,
        book: AlertBook,
        output: TickOutput,
        clock: WaitingClock,
        *,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.looks_total = 0
        self._looking = looking
        self._book = book
        self._output = output
        self._clock = clock
        self._listeners = list(listeners)
        self._heard_at: float | None = None

    def add(self, listener: Listener) -> None:
        """One more listener, before the watch runs."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """An event that a listener has brought about, told as any other."""
        self._announce(self._book.note(event))

    async def once(self) -> PollResult:
        """Look, twice where the first was answered, write one line, and return the last look.

        Listeners are told of it, and do their work before this ends.
        """
        stop = asyncio.Event()
        try:
            look = await self._looking.look()
            if look.snapshot is not None:
                look = await self._looked_again(look.snapshot.taken_monotonic, stop)
            self.looks_total += 1
            events = self._book.observe(look.heard)
            try:
                self._write(lambda: self._output.tick(Tick(look, look.verdict.level)))
            finally:
                self._tell_listeners(look, events)
                stop.set()
                await asyncio.gather(*(self._keep_running(listener, stop) for listener in self._listeners))
        finally:
            await self._looking.close()
        return look

    async def _looked_again(self, since: float, stop: asyncio.Event) -> PollResult:
        """A second look, and more of them for a while where something hints at refused writes and none was seen."""
        thresholds = self._looking.settings.thresholds
        pause = _SECOND_LOOK_SECONDS
        while True:
            await self._clock.wait(stop, pause)
            look = await self._looking.look(whole=True)
            if look.snapshot is None or look.verdict.level is Level.OOM:
                return look
            pause = min(_STEP_SECONDS, since + _LONGEST_LOOK_SECONDS - self._clock.monotonic())
            if pause <= 0 or not calls_for_a_longer_look(look.snapshot, thresholds):
                return look

    def _tell_listeners(self, look: PollResult, events: Sequence[Event]) -> None:
        for listener in self._listeners:
            for event in events:
                self._call(listener, functools.partial(listener.told, event))
            self._call(listener, functools.partial(listener.seen, look))

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set, then say so in a last line. Raises what the output raises."""
        began = self._clock.monotonic()
        broken: BrokenPipeError | BadInput | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for listener in self._listeners:
                    tasks.create_task(self._keep_running(listener, stop), name=type(listener).__name__)
                try:
                    await self._tick_until(stop)
                except (BrokenPipeError, BadInput) as error:
                    # Nobody reads the lines any more; what hooks still have to deliver is delivered.
                    broken = error
                finally:
                    stop.set()
        finally:
            await self._looking.close()
        if broken is not None:
            raise broken
        self._last_line(self._clock.monotonic() - began)

    async def _tick_until(self, stop: asyncio.Event) -> None:
        interval = self._looking.settings.interval_seconds
        due = self._clock.monotonic()
        while not stop.is_set():
            await self._tick(stop)
            now = self._clock.monotonic()
            # A look that took longer than its interval makes the missed ones fall out; they are not made up for.
            due += interval * (1 + max(0, int((now - due) // interval)))
            await self._clock.wait(stop, due - now)

    async def _tick(self, stop: asyncio.Event) -> None:
        look = await self._look_or_stop(stop)
        if look is None:
            return
        self.looks_total += 1
        events = self._book.observe(look.heard)
        self._write(lambda: self._output.tick(Tick(look, self._alert(), self._silence(look))))
        for text in () if look.snapshot is None else look.snapshot.notes:
            self._output.note(Note("server", text, look.heard.at))
        for event in events:
            self._announce(event)
        for listener in self._listeners:
            self._call(listener, functools.partial(listener.seen, look))

    def _announce(self, event: Event) -> None:
        try:
            self._write(lambda: self._output.event(event))
        finally:
            for listener in self._listeners:
                self._call(listener, functools.partial(listener.told, event))

    def _write(self, line: Callable[[], None]) -> None:
        """Write a line; one whose words fail is told as that."""
        attempt("this line is", line, lambda fault: self._failed(fault.words))

    def _call(self, listener: Listener, deed: Callable[[], None]) -> None:
        """What a listener does at once; where it fails, the others are told all the same."""
        try:
            deed()
        except TROUBLE as error:
            self._failed(f"{_name(listener)}: {sentence(f'{_name(listener)} is', error)}")

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
            self._failed(f"{_name(listener)}: {sentence(f'{_name(listener)} is', error)}")
            if stop.is_set() or await self._clock.wait(stop, pause):
                return
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)

    def _failed(self, text: str) -> None:
        # Where nobody reads any more, the next tick ends the watch.
        with contextlib.suppress(BrokenPipeError, BadInput):
            self._output.note(Note("failed", text, self._clock.wall(), Level.WARNING))

    async def _look_or_stop(self, stop: asyncio.Event) -> PollResult | None:
        """The look, or None where it was asked to stop before an answer came: a silent server delays no farewell."""
        looking = asyncio.ensure_future(self._looking.look())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not looking.done() or looking.cancelled():
                return None
            error = looking.exception()
            return looking.result() if error is None else self._unseen(sentence("this look is", error))
        finally:
            for task in (looking, stopping):
                task.cancel()
            await asyncio.gather(looking, stopping, return_exceptions=True)

    def _unseen(self, reason: str) -> PollResult:
        return PollResult(Silence(self._clock.monotonic(), self._clock.wall(), reason), unknown(reason))

    def _alert(self) -> Level:
        return Level.UNKNOWN if self._book.lost else self._book.level

    def _silence(self, look: PollResult) -> float:
        """For how long nothing was heard: since the last answer or, where there was none, the first look."""
        now = look.heard.monotonic
        if self._heard_at is None or not isinstance(look.heard, Silence):
            self._heard_at = now
        return now - self._heard_at

    def _last_line(self, seconds: float) -> None:
        events = sum(event.kind is not EventKind.CLEANUP for event in self._book.timeline)
        text = f"stopped as asked after {duration(seconds)} and {count(self.looks_total)} looks"
        figures = {"looks": self.looks_total, "events": events, "alert": self._alert().value}
        self._output.note(Note("end", text, self._clock.wall(), figures=figures))


def _name(listener: Listener) -> str:
    """What it is called in a line."""
    return str(getattr(listener, "name", type(listener).__name__))
