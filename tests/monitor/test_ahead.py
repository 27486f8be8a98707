"""Where it leads: the watch, its lines, its metrics and the screen say the same of a server that fills up."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from redis_oom_tui.files.server_host import with_host_memory
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.metrics import Metrics
from redis_oom_tui.monitor.output import JsonLines, TextLines
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.verdict import judge
from tests.monitor.scripted import ADDRESS, Script, TurnedClock, snapshot
from tests.monitor.test_loop import SETTINGS
from tests.support.machines import machine


class ReplyOrError(list[str]):
    """Takes lines."""

    def write(self, line: str, /) -> object:
        self.append(line)
        return None


async def looks_at(steps: Iterator[Snapshot | None], count: int) -> list[ServerState]:
    clock = TurnedClock()
    watched = Poller(Script(steps, clock), SETTINGS, clock)
    states = []
    for _ in range(count):
        states.append(await watched.poll())
        clock.turn(5)
    await watched.close()
    return states


async def test_a_server_that_fills_up_is_told_alike_everywhere() -> None:
    states = await looks_at((snapshot(30 + 0.5 * n) for n in range(40)), 31)
    last = states[-1]
    assert last.snapshot is not None
    assert (last.verdict.level.value, last.verdict.rule) == ("warning", "growing")
    assert last.forecast is not None
    assert last.forecast.seconds_to_limit is not None
    low, high = last.forecast.seconds_to_limit
    truth = (100 - 45) / 0.1
    assert low <= truth <= (high or truth)

    people, machines = ReplyOrError(), ReplyOrError()
    TextLines(people).tick(last)
    JsonLines(machines, address=ADDRESS).tick(last)
    assert last.verdict.reason.split("full in ")[1].split(" at this rate")[0] in people[0].split("  full in ")[1]
    document = json.loads(machines[0])
    assert (document["trend"], document["full_in_low_seconds"], document["full_in_high_seconds"]) == (
        "growing",
        low,
        high,
    )
    metrics, registry = Metrics(AlertBook("cache-1", SETTINGS)), CollectorRegistry(auto_describe=False)
    metrics.on_state(last)
    registry.register(metrics)
    assert registry.get_sample_value("redis_oom_seconds_to_limit", {"server": "cache-1", "end": "low"}) == low

    history = History()
    for state in states:
        assert state.snapshot is not None
        history.add(state.snapshot)
    on_screen = judge(last.snapshot, rates=history.rates(), forecast=forecast(history.samples))
    assert on_screen.rule == last.verdict.rule


async def test_between_two_forecasts_the_limit_comes_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_oom_tui.monitor.poller._FORECAST_EVERY_SECONDS", 30.0)
    states = await looks_at((snapshot(30 + 0.5 * n) for n in range(40)), 33)
    ends = [state.forecast.seconds_to_limit for state in states if state.forecast and state.forecast.seconds_to_limit]
    assert ends[-1][0] == ends[-2][0] - 5


@pytest.mark.parametrize("how", ["memory was freed", "the limit was raised"])
async def test_a_forecast_of_before_room_was_made_is_not_told_after(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr("redis_oom_tui.monitor.poller._FORECAST_EVERY_SECONDS", 50.0)
    filling = [snapshot(40 + 0.7 * number, refused=max(0, 10 * (number - 80))) for number in range(85)]
    after = snapshot(40, refused=40)
    if how == "the limit was raised":
        memory = replace(filling[-1].memory, maxmemory_bytes=10 * (after.memory.maxmemory_bytes or 0))
        after = replace(filling[-1], memory=memory)
    *_, full, cured = await looks_at(iter([*filling, after]), 86)
    assert full.verdict.level is Level.OOM
    assert "could be full any moment" not in cured.verdict.reason
    assert "needed more room" not in cured.verdict.reason
    if how == "memory was freed":
        assert cured.verdict.rule == "healthy"


async def test_nothing_is_said_of_the_future_where_nothing_is_known() -> None:
    (state,) = await looks_at(iter([snapshot(50)]), 1)
    machines = ReplyOrError()
    JsonLines(machines, address=ADDRESS).tick(state)
    document = json.loads(machines[0])
    assert (document["trend"], document["full_in_low_seconds"], document["full_in_high_seconds"]) == (None, None, None)


async def test_the_container_is_known_to_the_watch_as_to_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = snapshot(50)
    here = replace(
        here,
        server=replace(here.server, address=Address(), process_id=7),
        memory=replace(here.memory, maxmemory_bytes=None, host_bytes=2**40),
    )
    root = machine(tmp_path, 7, limit=1150 * 2**20)
    monkeypatch.setattr("redis_oom_tui.monitor.poller.with_host_memory", lambda seen: with_host_memory(seen, root))
    (state,) = await looks_at(iter([here]), 1)
    assert state.verdict.rule == "host-full"
