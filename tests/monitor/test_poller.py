"""The poller: a tick at a time, never back to back, and through every failure."""

import asyncio
import itertools

import pytest

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.errors import PermissionRefused, ServerUnreachable
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Thresholds
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.details import Details
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import Link, first_state
from redis_oom_tui.rules.verdict.phrases import VerdictRule
from tests.support.scripted import FakeClock, ScriptedSource, a_snapshot


class Enough(Exception):
    """The test has seen what it wants."""


class Waiting(Clock):
    """A clock that moves when it is waited for."""

    def __init__(self, clock):
        super().__init__(clock.monotonic, clock.wall)
        self.move = clock.move

    async def wait(self, stop, seconds):
        await asyncio.sleep(0)
        self.move(max(0.0, seconds))
        return stop.is_set()


def a_poller(source, clock, *, naps=100, interval=1.0, took=(0.0,), opened=False, known=None):
    """A poller as the screen has it, until so many naps lie between its polls; `took` is what each poll costs."""
    readings, slept, ended = [], [], []
    ask, costs = source.snapshot, itertools.chain(took, itertools.repeat(took[-1]))

    async def slowly():
        slept.extend(round(clock.monotonic() - end, 3) for end in ended)
        if len(slept) >= naps:
            raise Enough
        clock.move(next(costs))
        try:
            return await ask()
        finally:
            ended[:] = [clock.monotonic()]

    source.snapshot = slowly
    settings = WatchSettings(interval_seconds=interval)
    details = Details(source)
    poller = Poller(source, settings, Waiting(clock), details=details, known=known, shared=True, opened=opened)
    return (poller, readings.append), readings, slept


async def run(poller):
    with pytest.raises(Enough):
        await poller[0].run(poller[1])


async def test_a_list_of_clients_is_not_mixed_with_the_figures_of_another_moment():
    """The server books a client within a second. A list that comes every fifth poll would move the shares each time."""
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    source.some_clients = (ClientBuffer(1, "10.0.0.7:1", total_bytes=60 * 2**20),)
    poller, readings, _ = a_poller(source, clock, naps=12)
    await run(poller)
    assert readings[-1].clients == source.some_clients
    assert {reading.snapshot.memory.clients_normal_bytes for reading in readings} == {3 * 2**20}


async def test_the_first_step_names_no_command_that_is_refused():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    source.some_capabilities = Capabilities().without(Feature.SCAN, "SCAN is renamed away")
    poller, readings, _ = a_poller(source, clock, naps=3)
    await run(poller)
    assert "(in a dump of it, as SCAN is refused here)" in readings[-1].verdict.first_step
    assert "Hogs" not in readings[-1].verdict.first_step


async def test_ticks_keep_their_interval_whatever_a_poll_costs():
    clock = FakeClock()
    poller, readings, slept = a_poller(ScriptedSource(clock=clock), clock, naps=4, took=(0.25,))
    await run(poller)
    assert slept == [0.75] * 4
    assert [reading.link for reading in readings] == [Link.LIVE] * 4


async def test_a_slow_server_is_not_asked_back_to_back():
    clock = FakeClock()
    poller, readings, slept = a_poller(ScriptedSource(clock=clock), clock, naps=3, took=(2.5,))
    await run(poller)
    assert slept == [1.0, 18.0, 18.0]
    assert all(reading.next_try is not None for reading in readings[1:])


async def test_a_slow_server_is_left_alone_and_asked_as_before_once_it_is_quick_again():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    poller, readings, slept = a_poller(source, clock, naps=6, took=(0.01, 3.0, 1.5, 0.01, 0.01, 0.01))
    await run(poller)
    assert slept == [0.99, 1.0, 13.41, 0.99, 0.99, 0.99]
    assert [reading.next_try is not None for reading in readings] == [False, False, True, False, False, False]


async def test_after_one_late_answer_the_next_look_comes_at_once():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    poller, readings, slept = a_poller(source, clock, naps=4, took=(0.01, 18.0, 0.01, 0.01))
    await run(poller)
    assert slept == [0.99, 1.0, 0.99, 0.99]
    assert all(reading.next_try is None for reading in readings)


async def test_over_a_slow_link_the_interval_is_kept():
    clock = FakeClock()
    poller, readings, slept = a_poller(ScriptedSource(clock=clock), clock, naps=4, took=(0.6,))
    await run(poller)
    assert slept == [0.4] * 4
    assert all(reading.next_try is None for reading in readings)


async def test_a_server_that_is_away_is_tried_ever_more_seldom_and_polled_at_once_when_back():
    clock = FakeClock()
    gone = ServerUnreachable("Nothing listens.")
    source = ScriptedSource([a_snapshot(), *[gone] * 6, a_snapshot()], clock=clock)
    poller, readings, slept = a_poller(source, clock, naps=9)
    await run(poller)
    assert slept == [1.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 1.0, 1.0]
    lost = [reading for reading in readings if reading.link is Link.LOST]
    assert [attempts for attempts, _ in itertools.groupby(reading.attempts for reading in lost)] == [1, 2, 3, 4, 5, 6]
    times = [round(reading.sample.monotonic - 1000) for reading in readings]
    assert times == list(range(len(times))), "a state each tick, also while it is left alone"
    assert [round(reading.silent_seconds) for reading in lost] == list(range(1, len(lost) + 1))
    assert all(reading.snapshot is not None for reading in lost), "what was known stays"
    assert readings[-1].link is Link.LIVE
    assert readings[-1].error is None
    assert source.opened == 1


async def test_a_server_that_cannot_be_opened_is_opened_again():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    opened = source.open

    async def refuse_once():
        await opened()
        if source.opened == 1:
            raise ServerUnreachable("Not yet.")

    source.open = refuse_once
    poller, readings, _ = a_poller(source, clock, naps=1)
    await run(poller)
    assert [reading.link for reading in readings] == [Link.CONNECTING, Link.LIVE]
    assert readings[0].error == "Not yet."


async def test_an_opened_source_is_not_opened_again():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)
    poller, _, _ = a_poller(source, clock, naps=2, opened=True)
    await run(poller)
    assert source.opened == 0


async def test_clients_are_asked_for_now_and_then_and_not_where_that_is_refused():
    clock = FakeClock()
    source = ScriptedSource(clock=clock, clients=[ClientBuffer(1, "10.0.0.1:1")])
    asked = []
    listing = source.clients

    async def counted():
        asked.append(clock.monotonic())
        return await listing()

    source.clients = counted
    poller, readings, _ = a_poller(source, clock, naps=11)
    await run(poller)
    assert len(asked) == 3
    assert readings[3].clients == readings[0].clients
    source.some_capabilities = Capabilities().without(Feature.CLIENT_LIST, "It is renamed away.")
    await run(poller)
    assert len(asked) == 3


async def test_a_refused_client_list_is_unknown_not_empty():
    clock = FakeClock()
    source = ScriptedSource(clock=clock)

    async def refused():
        raise PermissionRefused("You may not.")

    source.clients = refused
    poller, readings, _ = a_poller(source, clock, naps=1)
    await run(poller)
    assert readings[0].clients is None
    assert readings[0].link is Link.LIVE


async def test_rates_and_verdict_come_from_the_last_seconds():
    clock = FakeClock()
    source = ScriptedSource([a_snapshot(refused=1000 + 7 * n) for n in range(6)], clock=clock)
    poller, readings, _ = a_poller(source, clock, naps=5)
    await run(poller)
    last = readings[-1]
    assert last.rates.per_second(last.rates.refused_writes) == 7.0
    assert last.verdict.level is Level.OOM
    assert "28 refused in the last 4.0s" in last.verdict.reason
    assert len(last.samples) == 5


async def test_what_was_known_before_the_first_tick_counts_over_the_time_since():
    clock = FakeClock()
    known = first_state(replace(a_snapshot(refused=100), taken_monotonic=clock.monotonic()), Thresholds())
    clock.move(0.5)
    source = ScriptedSource([a_snapshot(refused=130)], clock=clock)
    poller, readings, _ = a_poller(source, clock, naps=1, known=known)
    await run(poller)
    rates = readings[0].rates
    assert rates.refused_writes == 30
    assert rates.per_second(rates.refused_writes) == pytest.approx(60)
    assert len(readings[0].samples) == 2


async def test_after_a_gap_and_a_clock_that_jumps_it_polls_on():
    clock = FakeClock()
    gone = ServerUnreachable("Nothing listens.")
    fills = [a_snapshot(used=(300 + n) * 2**20) for n in range(18)]
    source = ScriptedSource([*fills, *[gone] * 22, *fills, *fills], clock=clock)
    poller, readings, _ = a_poller(source, clock, naps=75)
    await run(poller)
    assert sum(reading.answer is not None for reading in readings) == 53
    assert readings[-1].link is Link.LIVE
    assert readings[-1].error is None


@pytest.mark.defects
async def test_a_rule_that_fails_is_shown_as_not_judged_and_the_next_poll_comes(monkeypatch):
    def fails(facts):
        return 1 // 0

    monkeypatch.setattr("redis_oom_tui.rules.verdict.RULES", (VerdictRule("fails", (), fails),))
    clock = FakeClock()
    poller, readings, _ = a_poller(ScriptedSource(clock=clock), clock, naps=3)
    await run(poller)
    verdict = readings[-1].verdict
    assert verdict.level is Level.UNKNOWN
    assert (
        "Not judged in full: the rule 'fails' is not judged: a defect of this tool (ZeroDivisionError)"
        in verdict.reason
    )
    assert len(readings) == 3


@pytest.mark.defects
@pytest.mark.parametrize(
    "error", [ValueError("odd"), OSError(5, "Input/output error"), ExceptionGroup("", [KeyError(1)])]
)
async def test_a_poll_that_fails_in_no_known_way_is_tried_again(error):
    clock = FakeClock()
    source = ScriptedSource([a_snapshot(), error, a_snapshot()], clock=clock)
    poller, readings, _ = a_poller(source, clock, naps=3)
    await run(poller)
    assert [reading.link for reading in readings] == [Link.LIVE, Link.LOST, Link.LIVE]
    assert readings[1].error
