"""Real servers driven through an incident: each state held, fluttering and repeated; each event once, in order."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis

from redis_oom_tui.models.alert import Event
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.watch import Monitor
from redis_oom_tui.rules import history
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.server.live import LiveServer
from tests.monitor.scripted import Remembered
from tests.support.servers import RunningServer
from tests.support.waiting import be_late

SETTINGS = WatchSettings(interval_seconds=0.05, hold_seconds=0.3, quiet_seconds=1.2, lost_seconds=0.5)


@pytest.fixture(autouse=True)
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals count for as long as a span of rates: 10 s outside of this test, and 15 s for a single one."""
    monkeypatch.setattr(history, "RATE_SECONDS", 1.5)
    monkeypatch.setattr(history, "SINGLE_SECONDS", 1.5)


class Driven:
    """A server whose pressure a test sets by its limit, and a watch over it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.client = server.client()
        self.output = Remembered(keep_ticks=False)
        self.book = AlertBook("s", SETTINGS)
        self.stop = asyncio.Event()

    @property
    def events(self) -> list[Event]:
        return self.output.events

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]

    def pressure(self, percent: float) -> None:
        """Set the limit so that what is in use now is this share of it."""
        used = self.client.info("memory")["used_memory"]
        self.client.config_set("maxmemory", int(used / percent * 100))

    def refuse(self) -> None:
        """Over the limit, with a write that is refused."""
        self.pressure(130)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            self.client.set("one more", "x")

    async def until(self, condition: Callable[[], object], act: Callable[[], None] = lambda: None) -> None:
        async with asyncio.timeout(30):
            while not condition():
                act()
                await asyncio.sleep(0.02)

    async def for_a_while(self, seconds: float = 0.5) -> None:
        """Some looks at what stays as it is."""
        await be_late(seconds)


async def driven(server: RunningServer, story: Callable[[Driven], Awaitable[None]]) -> Driven:
    scene = Driven(server)
    scene.client.config_set("maxmemory-policy", "noeviction")
    with scene.client.pipeline(transaction=False) as pipe:
        for number in range(4000):
            pipe.set(f"k{number}", "x" * 1000)
        pipe.execute()
    scene.pressure(50)
    clock = Clock()
    watch = Monitor(Poller(LiveServer(server.connection), SETTINGS, clock, book=scene.book), scene.output, clock)
    running = asyncio.create_task(watch.run(scene.stop))
    try:
        await story(scene)
    finally:
        scene.stop.set()
        await running
        scene.client.close()
    return scene


async def test_an_incident_from_healthy_to_recovered(server: RunningServer) -> None:
    async def story(scene: Driven) -> None:
        await scene.for_a_while()
        scene.pressure(87)
        await scene.until(lambda: len(scene.events) >= 1)
        scene.pressure(97)
        await scene.until(lambda: len(scene.events) >= 2)
        scene.refuse()
        await scene.until(lambda: len(scene.events) >= 3)
        scene.pressure(97)
        await scene.until(lambda: len(scene.events) >= 4)
        scene.client.config_set("maxmemory-policy", "allkeys-lru")
        scene.pressure(105)  # from here on it evicts, as it should
        await scene.until(lambda: len(scene.events) >= 5)
        await scene.for_a_while()
        scene.client.config_set("maxmemory-policy", "noeviction")
        scene.pressure(50)
        await scene.for_a_while()

    scene = await driven(server, story)
    assert scene.kinds == ["warning", "critical", "oom", "eased", "recovered"]
    assert [event.number for event in scene.events] == [1, 2, 3, 4, 5]
    assert scene.events[0].figures.pressure == pytest.approx(0.87, abs=0.05)
    assert scene.events[1].figures.pressure == pytest.approx(0.97, abs=0.05)
    assert scene.events[4].figures.policy == "allkeys-lru"


async def test_a_flutter_about_a_threshold_is_told_once(valkey: RunningServer) -> None:
    async def story(scene: Driven) -> None:
        async def flutter() -> None:
            for percent in (82, 78.5):
                scene.pressure(percent)
                await be_late(0.1)

        while "warning" not in scene.kinds:
            await flutter()
        for _ in range(10):
            await flutter()
        scene.pressure(50)
        await scene.until(lambda: "recovered" in scene.kinds)

    assert (await driven(valkey, story)).kinds == ["warning", "recovered"]


async def test_refusals_that_come_and_go_are_one_outage_each_time(valkey: RunningServer) -> None:
    async def story(scene: Driven) -> None:
        for number in (2, 4):
            for _ in range(4):
                scene.refuse()
                await be_late(0.15)
                scene.pressure(50)
                await be_late(0.15)
            await scene.until(lambda number=number: len(scene.events) >= number)  # type: ignore[misc]

    assert (await driven(valkey, story)).kinds == ["oom", "recovered"] * 2


async def test_reset_counters_and_a_restart_raise_no_alarm(server: RunningServer) -> None:
    async def story(scene: Driven) -> None:
        scene.refuse()
        await scene.until(lambda: scene.kinds == ["oom"])
        scene.pressure(50)
        await scene.until(lambda: scene.kinds == ["oom", "recovered"])
        scene.client.config_resetstat()
        await scene.for_a_while()
        scene.server.kill()
        await be_late(0.2)
        await asyncio.to_thread(scene.server.start)
        await scene.until(lambda: "restarted" in scene.kinds)
        await scene.for_a_while()

    kinds = (await driven(server, story)).kinds
    assert [kind for kind in kinds if kind not in ("lost", "back")] == ["oom", "recovered", "restarted"]


async def test_a_server_that_stays_away_is_lost_and_found(valkey: RunningServer) -> None:
    async def story(scene: Driven) -> None:
        await scene.for_a_while(0.3)
        scene.server.kill()
        await scene.until(lambda: scene.kinds == ["lost"])
        await asyncio.to_thread(scene.server.start)
        await scene.until(lambda: len(scene.events) >= 3)

    scene = await driven(valkey, story)
    assert scene.kinds == ["lost", "back", "restarted"]
    assert "refuses connections" in scene.events[0].reason or "no socket" in scene.events[0].reason


async def test_without_a_limit_nothing_is_measured_against_it(valkey: RunningServer) -> None:
    async def story(scene: Driven) -> None:
        scene.client.config_set("maxmemory", 0)
        await scene.for_a_while()

    scene = await driven(valkey, story)
    assert scene.events == []
