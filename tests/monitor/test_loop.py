"""The loop on a scripted server: what it tells, what it survives, how it ends."""

import asyncio
import gc
import itertools
import sys
from collections.abc import Iterable

import pytest

from redis_oom_tui.models.alert import Event, EventKind
from redis_oom_tui.models.config import HookSettings, WatchSettings
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.hooks import DeliveryFailed, HookQueue
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.monitor.watch import Listener, Monitor
from redis_oom_tui.rules.alerts import AlertBook
from tests.monitor.scripted import Remembered, Script, TurnedClock, snapshot

SETTINGS = WatchSettings(interval_seconds=5, hold_seconds=10, quiet_seconds=30, lost_seconds=15)


class Recorder(Listener):
    """A listener that counts."""

    def __init__(self) -> None:
        self.looks = 0
        self.told_total = 0
        self.events: list[Event] = []
        self.ended = False

    def on_state(self, state: ServerState) -> None:
        self.looks += 1

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.told_total += event.kind is not EventKind.RESTARTED

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.ended = True


class Unsteady:
    """A hook of which every other delivery fails."""

    name = "unsteady"
    turn = False

    async def deliver(self, event: Event) -> str:
        self.turn = not self.turn
        await asyncio.sleep(0)
        if self.turn:
            raise DeliveryFailed("it answered 500")
        return "taken"


async def run(
    steps: Iterable[Snapshot | None], *, output: Remembered | None = None, listeners: tuple[Listener, ...] = ()
) -> tuple[Remembered, Script, Monitor]:
    """Watch until the script is over."""
    clock = TurnedClock()
    output = output or Remembered()
    stop = asyncio.Event()

    def until_over() -> Iterable[Snapshot | None]:
        last: Snapshot | None = None
        for step in steps:
            last = step
            yield step
        stop.set()
        yield from itertools.repeat(last)

    script = Script(iter(until_over()), clock)
    watch = Monitor(
        Poller(script, SETTINGS, clock, book=AlertBook("cache-1", SETTINGS)), output, clock, listeners=listeners
    )
    await watch.run(stop)
    return output, script, watch


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind.value for event in events]


async def test_an_incident_is_told_as_it_goes() -> None:
    steps = [
        *[snapshot(50)] * 5,
        *[snapshot(85)] * 5,
        *[snapshot(96)] * 5,
        *[snapshot(101, refused=n) for n in range(1, 6)],
        *[snapshot(96, refused=5)] * 12,
        *[snapshot(96, refused=5, evicted=n * 100, policy="allkeys-lru") for n in range(9)],
    ]
    recorder = Recorder()
    output, _, _ = await run(steps, listeners=(recorder,))
    assert kinds(output.events) == ["warning", "critical", "oom", "eased", "recovered"]
    assert output.events == recorder.events
    assert output.events[2].figures.refused_writes_total == 1
    assert output.events[-1].figures.policy == "allkeys-lru"
    assert recorder.looks == len(output.ticks)
    assert recorder.ended
    assert "stopped after" in output.notes[-1].text


async def test_a_cache_that_evicts_as_it_should_is_no_alarm() -> None:
    output, _, _ = await run([snapshot(99, evicted=n * 50, policy="allkeys-lru") for n in range(40)])
    assert output.events == []


async def test_a_policy_that_finds_nothing_to_evict_counts_as_noeviction() -> None:
    output, _, _ = await run([snapshot(97, policy="volatile-lru")] * 10)
    assert kinds(output.events) == ["critical"]


async def test_counters_that_are_reset_raise_no_alarm() -> None:
    output, _, _ = await run([*[snapshot(50, refused=900)] * 5, *[snapshot(50, refused=0)] * 5])
    assert output.events == []


async def test_a_restart_with_its_loading_raises_no_alarm_about_memory() -> None:
    server = replace(snapshot().server, run_id="b", uptime_seconds=1)
    loading = replace(snapshot(97), server=server, activity=replace(snapshot().activity, loading=True))
    after = replace(snapshot(50), server=server)
    output, _, _ = await run([*[snapshot(50)] * 5, None, *[loading] * 20, *[after] * 5])
    assert kinds(output.events) == ["lost", "back", "restarted"]


async def test_a_lost_server_is_opened_anew_at_each_tick() -> None:
    output, script, _ = await run([snapshot(50), None, None, None, None, None, snapshot(50)])
    assert kinds(output.events) == ["lost", "back"]
    assert script.opened == 6
    silences = [tick.silent_seconds for tick in output.ticks if tick.answer is None]
    assert silences == [5, 10, 15, 20, 25]
    assert [tick.alert for tick in output.ticks][4] is Level.UNKNOWN
    assert not script.is_open


async def test_after_a_failover_it_asks_again_who_the_master_is() -> None:
    replica = replace(snapshot(50), server=replace(snapshot().server, role="replica"))
    _, script, _ = await run([snapshot(50), snapshot(50), replica, replica, replica])
    assert script.opened == 2


async def test_what_a_cluster_says_of_itself_is_in_the_log() -> None:
    output, _, _ = await run([snapshot(50), replace(snapshot(50), notes=("b is a primary now in place of a",))])
    assert ("server", "b is a primary now in place of a") in [(note.kind, note.text) for note in output.notes]


async def test_a_slow_poll_is_followed_by_a_whole_pause_and_makes_none_pile_up() -> None:
    clock = TurnedClock()
    script = Script(itertools.repeat(snapshot(50)), clock)
    stop = asyncio.Event()
    started: list[float] = []

    def slow(number: int) -> None:
        started.append(clock.now - 1000)
        clock.turn(12.0 if number == 2 else 0.0)
        if number == 5:
            stop.set()

    script.on_look = slow
    await Monitor(Poller(script, SETTINGS, clock, book=AlertBook("s", SETTINGS)), Remembered(), clock).run(stop)
    assert started == [0, 5, 22, 27, 32]


async def test_a_silent_server_delays_no_farewell() -> None:
    class Silent(Script):
        async def snapshot(self) -> Snapshot:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    asked = asyncio.Event()
    clock = TurnedClock()
    output = Remembered()
    silent = Silent(iter(()), clock)
    stop = asyncio.Event()
    watch = Monitor(Poller(silent, SETTINGS, clock, book=AlertBook("s", SETTINGS)), output, clock)
    running = asyncio.create_task(watch.run(stop))
    await asked.wait()
    stop.set()
    await asyncio.wait_for(running, 5)
    assert [note.kind for note in output.notes] == ["end"]
    assert not silent.is_open


async def test_a_hook_that_hangs_delays_no_look_and_loses_no_event() -> None:
    """The hook takes nothing for a hundred looks, of which each goes on as if there were none."""
    gate = asyncio.Event()
    delivered: list[int] = []

    class Hanging:
        name = "hanging"

        async def deliver(self, event: Event) -> str:
            await gate.wait()
            delivered.append(event.number)
            return "taken"

    def steps() -> Iterable[Snapshot | None]:
        for _ in range(5):
            yield from [*[snapshot(50)] * 10, *[snapshot(96)] * 10]
        assert delivered == []
        gate.set()
        yield snapshot(96)

    courier = HookQueue(Hanging(), HookSettings(min_gap_seconds=0), TurnedClock(), lambda _: None)
    output, script, _ = await run(steps(), listeners=(courier,))
    assert script.asked > 100
    assert len(output.events) >= 9
    assert delivered == [event.number for event in output.events]


async def test_a_goodbye_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.monitor.poller._GOODBYE_SECONDS", 0.01)

    class Clinging(Script):
        async def close(self) -> None:
            await super().close()
            await asyncio.Event().wait()

    clock = TurnedClock()
    looking = Poller(Clinging(iter([None, snapshot(50)]), clock), SETTINGS, clock)
    assert (await looking.poll()).answer is None
    assert (await looking.poll()).answer is not None
    await looking.close()


async def test_when_nobody_reads_any_more_it_lets_go_of_everything() -> None:
    class Broken(Remembered):
        def tick(self, tick: ServerState) -> None:
            raise BrokenPipeError

    recorder = Recorder()
    with pytest.raises(BrokenPipeError):
        await run([snapshot(50)] * 5, output=Broken(), listeners=(recorder,))
    assert recorder.ended


@pytest.mark.parametrize(
    ("percent", "code"),
    [(50, 0), (85, 1), (96, 2), (101, 2), (None, 3)],
    ids=["ok", "warning", "critical", "oom", "lost"],
)
async def test_a_single_look_ends_as_a_monitoring_plugin_does(percent: float | None, code: int) -> None:
    clock = TurnedClock()
    step = None if percent is None else snapshot(percent)
    script = Script(itertools.repeat(step), clock)
    output = Remembered()
    watch = Monitor(Poller(script, SETTINGS, clock, book=AlertBook("s", SETTINGS)), output, clock)
    assert (await watch.once()).verdict_now.level.exit_code == code
    assert len(output.ticks) == 1
    assert not script.is_open


async def test_hours_leave_no_trace_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """3100 ticks with a server that fills, refuses, empties, restarts and goes away, again and again."""
    monkeypatch.setattr("redis_oom_tui.monitor.poller._FORECAST_EVERY_SECONDS", 600.0)
    day = [
        *[snapshot(50)] * 20,
        *[snapshot(85)] * 20,
        *[snapshot(101, refused=n) for n in range(20)],
        *[None] * 20,
        *[replace(snapshot(50), server=replace(snapshot().server, run_id="b"))] * 20,
    ]
    recorder = Recorder()
    hook = Unsteady()
    courier = HookQueue(hook, HookSettings(burst=1000, min_gap_seconds=0), TurnedClock(), lambda _: None)
    measured: list[int] = []

    def steps() -> Iterable[Snapshot | None]:
        for number in range(31):
            if number in (20, 30):
                gc.collect()
                measured.append(sys.getallocatedblocks())
            yield from day
            recorder.events.clear()
            output.events.clear()

    output = Remembered(keep_ticks=False)
    _, script, _ = await run(steps(), output=output, listeners=(recorder, courier))
    assert script.asked > 31 * len(day)
    assert recorder.told_total > 100
    assert courier.counts.delivered + courier.counts.failed == recorder.told_total
    assert min(courier.counts.delivered, courier.counts.failed) > 34
    # What it keeps is bounded, and still fills a little: less than half a block a tick.
    assert measured[1] - measured[0] < 10 * len(day) // 2
    assert recorder.ended
    assert not script.is_open
    assert len(asyncio.all_tasks()) == 1
