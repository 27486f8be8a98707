"""The rate controller: what moves a scan or an action up and down its steps, without a server."""

import pytest

from redis_oom_tui.models.activity import Counters
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.snapshot import Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.pace_steps import CALLS, PROFILES, PaceProfile, PaceReading, first_level, grown, next_step
from redis_oom_tui.server.rate_controller import Hold, RateController

NORMAL = PROFILES[Pace.NORMAL]
QUIET = PaceReading(delay=0.0, round_trip=0.0002, share=0.05, busy=0.1, others=0.0)


def snapshot(at: float, commands: int, cpu: float) -> Snapshot:
    counters = Counters(commands_total=commands, cpu_main_thread_seconds=cpu)
    return Snapshot(at, at, Server("redis", "7.0.0", "master", Address()), Memory(1), counters=counters)


@pytest.mark.parametrize("pace", list(Pace))
def test_a_waiting_server_is_left_alone_step_by_step(pace: Pace) -> None:
    level = len(PROFILES[pace].steps) - 1
    for _ in range(len(PROFILES[pace].steps)):
        level = next_step(PROFILES[pace], level, replace(QUIET, delay=PROFILES[pace].delay * 2))
    assert level == 0


@pytest.mark.parametrize("pace", [Pace.GENTLE, Pace.NORMAL])
def test_a_spent_budget_is_a_reason_too(pace: Pace) -> None:
    share = (PROFILES[pace].share or 0) * 1.2
    assert next_step(PROFILES[pace], PROFILES[pace].start, replace(QUIET, share=share)) == PROFILES[pace].start - 1
    assert next_step(PROFILES[pace], PROFILES[pace].start, replace(QUIET, busy=0.95)) == PROFILES[pace].start - 1


def test_large_pages_only_where_nobody_else_is_at_work() -> None:
    def top(measured: PaceReading) -> int:
        level = 0
        for _ in range(20):
            level = next_step(PROFILES[Pace.NORMAL], level, measured)
        return level

    alone, shared = top(QUIET), top(replace(QUIET, others=5000.0))
    step = PROFILES[Pace.NORMAL].steps[shared]
    assert step.connections * step.count <= 24
    assert alone > shared
    # On a long way many small pages are under way at a time.
    far = PROFILES[Pace.NORMAL].steps[top(replace(QUIET, others=5000.0, round_trip=0.02))]
    assert far.connections > 4
    assert far.count <= 64


def test_no_page_is_ever_above_a_thousand() -> None:
    assert max(step.count for profile in PROFILES.values() for step in profile.steps) <= 1000


def test_gentle_is_made_of_pages_that_nobody_feels() -> None:
    shared = replace(QUIET, others=5000.0)
    level = 0
    for _ in range(20):
        level = next_step(PROFILES[Pace.GENTLE], level, shared)
    step = PROFILES[Pace.GENTLE].steps[level]
    assert (step.connections, step.count) == (1, 12)
    assert step.rest > 0


def test_the_share_is_the_scans_part_of_the_main_threads_time() -> None:
    rate = RateController(NORMAL)
    rate.informed(snapshot(100.0, 1000, 10.0), 0)
    rate.informed(snapshot(101.0, 5000, 10.5), 3000)
    assert rate.shown().share == pytest.approx(0.375)
    assert rate.shown().words == "using 38% of the server (budget 50%)"


def test_it_brakes_by_the_probe_and_says_so() -> None:
    rate = RateController(NORMAL)
    rate.rested([0.0002] * 5)
    before = rate.step
    for _ in range(5):
        rate.probed(0.004)
    rate.decide()
    assert rate.step != before
    assert rate.shown().throttled
    assert "throttled" in rate.shown().words
    assert rate.shown().probe_ms == pytest.approx(4.0)


def test_without_an_answer_it_holds_until_there_is_one() -> None:
    rate = RateController(NORMAL)
    rate.rested([0.001])
    rate.hold()
    assert rate.holding
    assert "paused" in rate.shown().words
    rate.probed(1.0)
    assert Hold.SLOW in rate.holds
    rate.probed(0.001)
    assert Hold.SLOW not in rate.holds


@pytest.mark.parametrize("pace", list(Pace))
def test_a_long_way_is_no_slow_server(pace: Pace) -> None:
    rate = RateController(PROFILES[pace])
    rate.rested([0.5] * 3)
    assert rate.hold_after > 2 * 0.5
    assert not rate.holding
    rate.hold()
    rate.probed(0.6)
    assert Hold.SLOW not in rate.holds


def test_a_server_that_is_mute_from_the_first_is_not_a_long_way() -> None:
    rate = RateController(NORMAL)
    rate.rested([20.0])
    rate.hold()
    rate.probed(5.0)
    assert Hold.SLOW in rate.holds


@pytest.mark.parametrize("pace", list(Pace))
def test_over_a_long_way_pages_grow_and_near_ones_stay(pace: Pace) -> None:
    """A long way is no slow server: no more keys a second are asked for than a near server is asked at the start."""
    near = PROFILES[pace].steps[PROFILES[pace].start]
    assert first_level(PROFILES[pace], 0.0005) == PROFILES[pace].start
    assert all(grown(PROFILES[pace], step, 0.0005) == step for step in PROFILES[pace].steps)
    far = grown(PROFILES[pace], PROFILES[pace].steps[first_level(PROFILES[pace], 0.3)], 0.3)
    assert far.count > 4 * near.count or far.count == 1000
    assert far.connections * far.count / 0.3 <= near.connections * near.count / 0.001


@pytest.mark.parametrize("pace", list(Pace))
def test_a_scan_over_a_long_way_begins_with_large_pages(pace: Pace) -> None:
    rate = RateController(PROFILES[pace])
    rate.rested([0.3] * 3)
    assert rate.step.count >= 128
    assert Hold.SLOW not in rate.holds


def test_every_reason_to_hold_has_to_end() -> None:
    rate = RateController(NORMAL)
    rate.rested([0.001])
    rate.hold(Hold.PAUSE)
    rate.hold(Hold.REST)
    rate.hold()
    rate.probed(0.001)
    rate.release(Hold.REST)
    assert rate.holding
    rate.release(Hold.PAUSE)
    assert not rate.holding


async def test_told_to_stop_nobody_waits_any_longer_whatever_holds() -> None:
    rate = RateController(NORMAL)
    for why in Hold:
        rate.hold(why)
    rate.stop()
    await rate.ready()
    rate.hold()
    await rate.ready()


@pytest.mark.parametrize("profile", [*PROFILES.values(), CALLS])
def test_a_server_that_becomes_slow_by_itself_is_spared(profile: PaceProfile) -> None:
    rate = RateController(profile)
    rate.rested([0.0005] * 3)
    before = rate.step
    for _ in range(3):
        rate.rested([0.2] * 3)
        rate.probed(0.2)
        rate.decide()
    assert rate.throttled
    assert rate.step != before


@pytest.mark.parametrize("profile", [*PROFILES.values(), CALLS])
def test_others_who_come_to_work_are_given_way_to_at_once(profile: PaceProfile) -> None:
    alone = replace(QUIET, others=0.0)
    assert next_step(profile, profile.alone, replace(alone, others=5000.0)) == profile.shared


async def test_what_is_on_its_way_is_waited_for() -> None:
    rate = RateController(NORMAL)
    rate.begun()
    rate.begun()
    rate.ended()
    assert not rate.home.is_set()
    rate.ended()
    await rate.home.wait()
