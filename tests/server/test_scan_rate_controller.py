"""The brake: what moves a scan on its ladder, without a server."""

import pytest

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.snapshot import Counters, Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.scan.pace_steps import BUDGETS, LADDERS, STARTS, PaceReading, first_rung, grown, next_step
from redis_oom_tui.server.scan.rate_controller import RateController

QUIET = PaceReading(delay=0.0, round_trip=0.0002, share=0.05, busy=0.1, others=0.0)


def snapshot(at: float, commands: int, cpu: float) -> Snapshot:
    counters = Counters(commands_total=commands, cpu_main_thread_seconds=cpu)
    return Snapshot(at, at, Server("redis", "7.0.0", "master", Address()), Memory(1), counters=counters)


@pytest.mark.parametrize("pace", list(Pace))
def test_a_waiting_server_is_left_alone_step_by_step(pace: Pace) -> None:
    rung = len(LADDERS[pace]) - 1
    for _ in range(len(LADDERS[pace])):
        rung = next_step(pace, rung, replace(QUIET, delay=BUDGETS[pace].delay * 2))
    assert rung == 0


@pytest.mark.parametrize("pace", [Pace.GENTLE, Pace.NORMAL])
def test_a_spent_budget_is_a_reason_too(pace: Pace) -> None:
    share = (BUDGETS[pace].share or 0) * 1.2
    assert next_step(pace, STARTS[pace], replace(QUIET, share=share)) == STARTS[pace] - 1
    assert next_step(pace, STARTS[pace], replace(QUIET, busy=0.95)) == STARTS[pace] - 1


def test_large_pages_only_where_nobody_else_is_at_work() -> None:
    def top(reading: PaceReading) -> int:
        rung = 0
        for _ in range(20):
            rung = next_step(Pace.NORMAL, rung, reading)
        return rung

    alone, shared = top(QUIET), top(replace(QUIET, others=5000.0))
    step = LADDERS[Pace.NORMAL][shared]
    assert step.lanes * step.count <= 24
    assert alone > shared
    # On a long way many small pages are under way at a time.
    far = LADDERS[Pace.NORMAL][top(replace(QUIET, others=5000.0, round_trip=0.02))]
    assert far.lanes > 4
    assert far.count <= 64


def test_no_page_is_ever_above_a_thousand() -> None:
    assert max(step.count for ladder in LADDERS.values() for step in ladder) <= 1000


def test_gentle_is_made_of_pages_that_nobody_feels() -> None:
    shared = replace(QUIET, others=5000.0)
    rung = 0
    for _ in range(20):
        rung = next_step(Pace.GENTLE, rung, shared)
    step = LADDERS[Pace.GENTLE][rung]
    assert (step.lanes, step.count) == (1, 12)
    assert step.rest > 0


def test_the_share_is_the_scans_part_of_the_main_threads_time() -> None:
    braking = RateController(Pace.NORMAL)
    braking.informed(snapshot(100.0, 1000, 10.0), 0)
    braking.informed(snapshot(101.0, 5000, 10.5), 3000)
    assert braking.shown().share == pytest.approx(0.375)
    assert braking.shown().words == "using 38 % of the server (budget 50 %)"


def test_it_brakes_by_the_probe_and_says_so() -> None:
    braking = RateController(Pace.NORMAL)
    for _ in range(5):
        braking.probed(0.0002)
    braking.at_rest()
    before = braking.step
    for _ in range(5):
        braking.probed(0.004)
    braking.decide()
    assert braking.step != before
    assert braking.shown().braking
    assert "braking" in braking.shown().words
    assert braking.shown().probe_ms == pytest.approx(4.0)


def test_without_an_answer_it_holds_until_there_is_one() -> None:
    braking = RateController(Pace.NORMAL)
    braking.probed(0.001)
    braking.hold()
    assert not braking.free.is_set()
    assert "holding" in braking.shown().words
    braking.probed(1.0)
    assert braking.held
    braking.probed(0.001)
    assert not braking.held


@pytest.mark.parametrize("pace", list(Pace))
def test_a_long_way_is_no_slow_server(pace: Pace) -> None:
    braking = RateController(pace)
    for _ in range(3):
        braking.probed(0.5)
    braking.at_rest()
    assert braking.hold_after > 2 * 0.5
    assert braking.free.is_set()
    braking.hold()
    braking.probed(0.6)
    assert not braking.held


def test_a_server_that_is_mute_from_the_first_is_not_a_long_way() -> None:
    braking = RateController(Pace.NORMAL)
    braking.probed(20.0)
    braking.hold()
    braking.probed(5.0)
    assert braking.held


@pytest.mark.parametrize("pace", list(Pace))
def test_over_a_long_way_pages_grow_and_near_ones_stay(pace: Pace) -> None:
    """A long way is no slow server: no more keys a second are asked for than a near server is asked at the start."""
    near = LADDERS[pace][STARTS[pace]]
    assert first_rung(pace, 0.0005) == STARTS[pace]
    assert all(grown(pace, step, 0.0005) == step for step in LADDERS[pace])
    far = grown(pace, LADDERS[pace][first_rung(pace, 0.3)], 0.3)
    assert far.count > 4 * near.count or far.count == 1000
    assert far.lanes * far.count / 0.3 <= near.lanes * near.count / 0.001


@pytest.mark.parametrize("pace", list(Pace))
def test_a_scan_over_a_long_way_begins_with_large_pages(pace: Pace) -> None:
    braking = RateController(pace)
    for _ in range(3):
        braking.probed(0.3)
    braking.at_rest()
    assert braking.step.count >= 128
    assert not braking.held
