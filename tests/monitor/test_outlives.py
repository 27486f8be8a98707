"""A watch outlives every error of all that it runs: hooks, listeners, an armed cleanup, a rule, a look, a line."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.alert import Event, EventKind
from redis_oom_tui.models.config import Emergency, HookSettings, NamedPlan
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.emergency import EmergencyCleanup, EmergencyJob
from redis_oom_tui.monitor.hooks import HookQueue
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.monitor.watch import Listener, Monitor
from redis_oom_tui.rules.alerts import AlertBook
from tests.monitor.scripted import Remembered, Script, TurnedClock, snapshot
from tests.monitor.test_loop import SETTINGS, Recorder

ERRORS = [
    ValueError("odd figures"),
    RecursionError(),
    OSError(28, "No space left on device"),
    ServerUnreachable("The server is away."),
    ExceptionGroup("two tasks", [ServerUnreachable("The server is away."), ValueError("odd")]),
    TriageError("Anything."),
]
LINK = {EventKind.LOST, EventKind.BACK}
named = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
pytestmark = pytest.mark.defects


class Breaks(Listener):
    """A listener that fails at one thing, time and again."""

    name = "the broken one"

    def __init__(self, at: str, error: Exception) -> None:
        self.at, self.error, self.runs = at, error, 0

    def on_state(self, state: ServerState) -> None:
        if self.at == "seen":
            raise self.error

    def on_event(self, event: Event) -> None:
        if self.at == "told":
            raise self.error

    async def run(self, stop: asyncio.Event) -> None:
        self.runs += 1
        await asyncio.sleep(0)
        if self.at == "run":
            raise self.error
        await stop.wait()


class Watching:
    """A watch over a server that fills, refuses and empties; ended once its script is over."""

    def __init__(self, looks: int = 60) -> None:
        self.clock, self.stop, self.output = TurnedClock(), asyncio.Event(), Remembered()
        self.left = looks
        self.script = Script(self.steps(), self.clock)
        self.book = AlertBook("cache-1", SETTINGS)
        self.looking = Poller(self.script, SETTINGS, self.clock, book=self.book)
        self.watch = Monitor(self.looking, self.output, self.clock)
        self.recorder = Recorder()

    def steps(self) -> Iterator[Snapshot]:
        for number in range(self.left):
            yield snapshot(101 if number > 5 else 50, refused=10 * max(0, number - 5))
        self.stop.set()
        yield from itertools.repeat(snapshot(50))

    async def run(self, *listeners: object) -> list[str]:
        for listener in (*listeners, self.recorder):
            self.watch.add(listener)  # type: ignore[arg-type]
        await asyncio.wait_for(self.watch.run(self.stop), 20)
        assert self.recorder.ended
        assert self.recorder.looks >= 60
        assert EventKind.OOM in [event.kind for event in self.recorder.events]
        assert self.output.notes[-1].kind == "end"
        return [note.text for note in self.output.notes if note.kind == "failed"]


@named
@pytest.mark.parametrize("at", ["seen", "told", "run"])
async def test_a_listener_that_fails_is_told_and_the_others_go_on(at: str, error: Exception) -> None:
    breaks = Breaks(at, error)
    failed = await Watching().run(breaks)
    assert len(failed) == 1, "it is said once"
    assert failed[0].startswith("the broken one: ")
    assert "Traceback" not in failed[0]
    if at == "run":
        assert breaks.runs >= 2, "it begins again"


async def test_what_fails_again_after_a_success_is_said_again() -> None:
    breaks = Breaks("never", ValueError("odd"))
    calls = itertools.count()

    def on_state(state: ServerState) -> None:
        if next(calls) in (3, 4, 5, 20):
            raise OSError(28, "No space left on device")

    breaks.on_state = on_state  # type: ignore[method-assign]
    failed = await Watching().run(breaks)
    assert failed == ["the broken one: the system refused: No space left on device"] * 2


@named
async def test_a_hook_that_fails_in_no_known_way_is_a_failed_delivery(error: Exception) -> None:
    watching = Watching()

    class Broken:
        name = "exec"

        async def deliver(self, event: Event) -> str:
            raise error

    courier = HookQueue(Broken(), HookSettings(), watching.clock, watching.output.note)
    assert await watching.run(courier) == []
    assert courier.counts.failed >= 1
    assert [note for note in watching.output.notes if note.kind == "hook" and note.figures["ok"] is False]


@named
async def test_an_armed_cleanup_that_fails_is_a_line_and_alerting_goes_on(error: Exception, tmp_path) -> None:
    watching = Watching(120)

    @asynccontextmanager
    async def connect(node: str):
        raise error
        yield

    plan = NamedPlan("cache", Criteria(patterns=(b"cache:*",)))
    emergency = Emergency(plan="cache", armed=True, after_seconds=10, cooldown_seconds=60)
    cleanup = EmergencyCleanup(
        EmergencyJob("cache", plan, emergency, connect),
        watching.book,
        Ledger(tmp_path / "ledger.json"),
        watching.clock,
        log=watching.output.note,
        tell=watching.watch.tell,
    )
    assert await watching.run(cleanup) == []
    said = [note.text for note in watching.output.notes if note.kind == "cleanup"]
    assert len(said) >= 2, "it is tried again after its pause"
    assert all("not started" in text or "failed" in text for text in said)


async def test_a_rule_that_fails_is_told_as_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.rules.forecast._course", lambda points: 1 // 0)
    watching = Watching()
    await watching.run()
    assert any(tick.forecast.not_judged for tick in watching.output.ticks)


async def test_a_look_that_fails_in_no_known_way_is_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watching()
    ask, count = watching.script.snapshot, itertools.count()

    async def sometimes() -> Snapshot:
        if next(count) % 3 == 1:
            raise ValueError("odd")
        return await ask()

    monkeypatch.setattr(watching.script, "snapshot", sometimes)
    await watching.run()
    assert any("not judged" in tick.sample.reason for tick in watching.output.ticks if tick.answer is None)


async def test_a_line_whose_words_fail_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watching()
    monkeypatch.setattr(watching.output, "tick", lambda tick: 1 // 0)
    failed = await watching.run()
    assert failed[0] == "this line is not judged: a defect of this tool (ZeroDivisionError)"


async def test_after_a_gap_the_watch_goes_on() -> None:
    """17 s of watching, silent for 190 s, and back: the trend had two clusters and no mean."""
    clock, stop, output = TurnedClock(), asyncio.Event(), Remembered()

    def steps() -> Iterator[Snapshot | None]:
        yield from (snapshot(30 + n / 10) for n in range(18))
        yield from itertools.repeat(None, 190)
        yield from (snapshot(40 + n / 10) for n in range(40))
        stop.set()
        yield from itertools.repeat(snapshot(44))

    settings = replace(SETTINGS, interval_seconds=1.0)
    looking = Poller(Script(steps(), clock), settings, clock)
    watch = Monitor(looking, output, clock)
    await asyncio.wait_for(watch.run(stop), 20)
    assert output.ticks[-1].verdict_now.level is not Level.UNKNOWN
    assert [event.kind for event in output.events if event.kind in LINK] == [EventKind.LOST, EventKind.BACK]
    assert not [note for note in output.notes if note.kind == "failed"]
