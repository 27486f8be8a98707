"""Safety rule 9: a run measures the server's answers, slows down, stops when it must, and says so."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.server.call_throttle import CallThrottle, windowed
from redis_oom_tui.server.clocks import UndelayedClock, undelayed_clock
from redis_oom_tui.server.pace_steps import CALLS
from redis_oom_tui.server.rate_controller import RateController
from tests.support.acting import fill, operating, planned
from tests.support.proxy import wired
from tests.support.servers import RunningServer

QUICK, SLOW = 0.0005, 0.2
BUSY = 15_000.0
SHARES = tuple(step.share for step in CALLS.steps)
FULL = SHARES[-1]


class Clock:
    """A clock that only moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def taught(*waits: float, others: float | None = 0.0, quiet: float = QUICK) -> CallThrottle:
    """A pacer beside so many commands a second of others, after probes that waited like this, decided after each."""
    pacer = CallThrottle(clock=Clock())
    pacer.rate.rested([quiet], others)
    for waited in waits:
        for _ in range(6):
            pacer.rate.probed(waited)
        pacer.rate.decide()
    return pacer


def test_where_nobody_else_is_at_work_it_leans_as_hard_as_it_can() -> None:
    pacer = taught(QUICK)
    assert (pacer.share, pacer.window, pacer.resting) == (FULL, 2, False)
    assert pacer.words("deleting") == "deleting"


@pytest.mark.parametrize("others", [BUSY, None])
def test_beside_others_or_where_that_is_not_known_it_takes_half_of_the_server_at_most(others: float | None) -> None:
    pacer = taught(*[QUICK] * 9, others=others)
    assert (pacer.share, pacer.window) == (0.5, 1)


def called(pacer: CallThrottle, seconds: float) -> CallThrottle:
    """`pacer` after calls that each kept the server so long."""
    for _ in range(200):
        pacer.took(pacer.per_call, seconds)
    return pacer


def test_calls_are_as_long_as_suits_those_who_wait_behind_them() -> None:
    assert called(taught(QUICK), 0.0003).per_call == 400
    near = 0.00005
    assert called(taught(quiet=near, others=BUSY), 0.00003 + near).per_call == 64
    assert called(taught(quiet=near, others=BUSY), 0.00005 + near).per_call == 16
    assert called(taught(quiet=near, others=BUSY), 0.00009 + near).per_call == 5


def test_calls_are_not_cut_short_for_the_way_to_the_server() -> None:
    assert called(taught(quiet=0.002, others=BUSY), 0.00003 + 0.002).per_call == 64


def test_calls_are_not_cut_short_because_the_way_trembles() -> None:
    """Over a network of half a millisecond, a tenth of which comes and goes: as long as they were on the machine itself
    they would take ten times as many round trips.
    """
    pacer = taught(quiet=0.0005, others=BUSY)
    for number in range(600):
        pacer.took(pacer.per_call, 0.0005 + 0.0000025 * pacer.per_call + (0.00003, 0.00006, 0.00012)[number % 3])
    assert 30 <= pacer.per_call <= 64


class Calls:
    """Calls of which each is answered after a second of the server, and `waits` seconds of this process's own wait."""

    ending = False

    def __init__(self, throttle: CallThrottle, clock: Clock, schedstat: Path, waits: float) -> None:
        self._throttle, self._clock, self._schedstat, self._waits = throttle, clock, schedstat, waits
        self._waited = 0.0

    def end(self, at: int) -> int:
        return at + 1

    def make(self, at: int, end: int) -> int:
        return at

    async def send(self, made: int) -> None: ...

    async def answer(self, made: int, keys: int) -> int:
        self._clock.now += 1.0 + self._waits
        self._waited += self._waits
        self._schedstat.write_text(f"7 {self._waited * 1e9:.0f} 1\n")
        return made

    async def abandon(self) -> None: ...


@pytest.mark.parametrize("waits", [0.0, 5.0])
async def test_of_a_call_it_is_known_how_long_this_process_waited_for_a_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits: float
) -> None:
    schedstat, clock = tmp_path / "schedstat", Clock()
    schedstat.write_text("0 0 0\n")
    throttle = CallThrottle(clock=clock, now=UndelayedClock(str(schedstat), clock).moment)
    took: list[tuple[float, float]] = []
    monkeypatch.setattr(throttle, "took", lambda _, *seconds: took.append(seconds))
    answers = windowed(throttle, Calls(throttle, clock, schedstat, waits), 3)
    assert [answer async for _, _, answer in answers] == [0, 1, 2]
    assert took == [(1.0 + waits, waits)] * 3


def test_one_wait_for_a_processor_is_no_time_of_the_server_and_no_call_is_cut_short_for_it() -> None:
    """Others on the machine take the processor from this process for 5 ms now and then."""
    pacers = [taught(*[QUICK] * 9, others=BUSY) for _ in range(2)]
    for number in range(60):
        late = 0.005 if number % 3 == 0 else 0.0
        pacers[0].took(16, 0.00003 + QUICK)
        pacers[1].took(16, 0.00003 + QUICK + late, late)
    calm, crowded = pacers
    assert crowded.per_call == calm.per_call == 64
    assert crowded._owed < 10 * calm._owed < 0.3


def test_a_server_that_works_while_this_process_waits_for_a_processor_gets_no_longer_calls() -> None:
    """Both on one core: nearly all of each call looks like our own wait."""
    pacer = taught(*[QUICK] * 9, others=BUSY)
    for _ in range(60):
        pacer.took(16, 0.0003 + QUICK, 0.0003)
    assert pacer.per_call == 5
    assert pacer.resting


def test_a_page_of_scan_passes_more_keys_than_a_call_looks_at() -> None:
    assert taught(QUICK, others=BUSY).per_page == 8 * 16
    assert called(taught(QUICK), 0.0003).per_page == 2000


def test_all_throttles_of_a_thread_hold_one_file_open() -> None:
    assert undelayed_clock() is undelayed_clock()


def test_a_wait_while_the_clock_is_read_does_not_turn_it_back(tmp_path: Path) -> None:
    schedstat, clock = tmp_path / "schedstat", Clock()
    clock.now = 3.0
    schedstat.write_text("0 0 0\n")

    def now_and_a_wait() -> float:
        now = clock.now
        if now == 3.0:
            clock.now += 5.0
            schedstat.write_text("7 5000000000 1\n")
        return now

    assert UndelayedClock(str(schedstat), now_and_a_wait)() == 3.0


def test_where_the_system_does_not_tell_that_wait_all_time_counts(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = 3.0
    (tmp_path / "empty").touch()
    assert [UndelayedClock(str(tmp_path / name), clock)() for name in ("none", "empty")] == [3.0, 3.0]


def test_keys_that_take_the_server_long_go_in_small_calls() -> None:
    assert called(taught(QUICK), 0.5).per_call == 5


def test_calls_beside_others_are_followed_by_rests_as_long_as_the_share_asks_for() -> None:
    pacer = taught(*[QUICK] * 9, others=BUSY)
    assert not pacer.resting
    for _ in range(10):
        pacer.took(40, 0.0002 + QUICK)
    assert pacer.resting


async def test_a_rest_ends() -> None:
    pacer = taught(*[QUICK] * 9, others=BUSY)
    for _ in range(10):
        pacer.took(40, 0.0002 + QUICK)
    pacer._clock = time.monotonic
    await pacer.ready()
    assert not pacer.resting


def test_a_slow_server_is_given_less_and_that_is_said() -> None:
    pacer = taught(*[SLOW] * 9)
    assert (pacer.share, pacer.rate.throttled) == (SHARES[0], True)
    assert "throttled" in pacer.words("deleting")
    assert "which takes 200 ms to answer" in pacer.words("deleting")


def test_others_who_wait_a_little_longer_are_given_way_to() -> None:
    assert taught(*[QUICK + 0.001] * 3, others=BUSY).rate.throttled
    assert not taught(*[QUICK + 0.001] * 3).rate.throttled


def test_one_late_answer_is_no_reason_to_brake() -> None:
    pacer = taught(QUICK, QUICK)
    pacer.rate.probed(SLOW)
    pacer.rate.decide()
    assert not pacer.rate.throttled


def test_it_recovers() -> None:
    pacer = taught(*[SLOW] * 5, *[QUICK] * 9)
    assert (pacer.share, pacer.rate.throttled) == (FULL, False)


def test_a_server_that_stays_mute_ends_the_action() -> None:
    assert taught(2.5).probes.hopeless
    assert not taught(2.5, QUICK).probes.hopeless


def test_a_probe_without_an_answer_holds_everything_until_it_has_one() -> None:
    pacer = taught(QUICK)
    pacer.rate.hold()
    assert pacer.resting
    assert pacer.words("deleting") == "deleting, throttled: the server answers too slowly"
    pacer.rate.probed(QUICK)
    assert not pacer.resting


def test_a_long_way_is_no_slow_server() -> None:
    pacer = taught(quiet=0.5)
    assert pacer.rate.hold_after > 2 * 0.5
    pacer.rate.hold()
    pacer.rate.probed(0.6)
    assert not pacer.resting
    assert not taught(quiet=20.0).rate.hold_after > 3.0


async def test_told_to_stop_nobody_waits_any_longer() -> None:
    pacer = taught(QUICK)
    pacer.rate.hold()
    pacer.stop()
    await pacer.ready()
    assert pacer.stopping


def test_a_server_that_is_slow_by_itself_is_spared_as_well() -> None:
    pacer = taught(QUICK)
    for _ in range(3):
        pacer.rate.rested([SLOW], 0.0)
        pacer.rate.probed(SLOW)
        pacer.rate.decide()
    assert pacer.rate.throttled


def test_a_long_way_is_no_reason_to_brake() -> None:
    pacer = taught(*[SLOW + 0.005] * 9, quiet=SLOW)
    assert (pacer.share, pacer.window, pacer.rate.throttled) == (FULL, 10, False)


def test_batches_grow_while_they_are_short_and_shrink_when_not() -> None:
    pacer = taught(QUICK)
    for _ in range(9):
        pacer.batched(pacer.keys, 0.001)
    assert pacer.keys == 2000
    pacer.batched(2000, 10.0)
    assert pacer.keys == 100


@given(
    waits=st.lists(st.floats(0, 10), max_size=30),
    calls=st.lists(st.tuples(st.integers(1, 400), st.floats(0, 10)), max_size=30),
    others=st.none() | st.floats(0, 1e6),
)
def test_it_stays_within_its_bounds(waits: list[float], calls: list[tuple[int, float]], others: float | None) -> None:
    pacer = taught(*waits, others=others)
    for keys, seconds in calls:
        pacer.took(keys, seconds)
        pacer.batched(keys, seconds)
    assert 5 <= pacer.per_call <= 400
    assert 100 <= pacer.keys <= 2000
    assert pacer.share in SHARES
    assert pacer._owed <= 1.0


async def test_behind_a_link_that_turns_slow_the_run_brakes_and_finishes(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        fill(client, [b"k%d" % n for n in range(1500)])
        with wired(valkey.connection) as wire:
            async with operating(wire.connection, tmp_path) as operator:
                plan = await planned(operator, Criteria(patterns=(b"k*",)))
                run = operator.run(plan, backup=BackupChoice(wanted=False))
                phases: list[str] = []
                ready, decide = CallThrottle.ready, RateController.decide

                async def slow(self: CallThrottle) -> None:
                    """Calls wait for the throttle to notice, and from then on the link is quick again."""
                    wire.faults.delay = 0.0 if any("throttled" in phase for phase in phases) else 0.2
                    await ready(self)

                def deciding(self: RateController) -> None:
                    decide(self)
                    phases.append(CallThrottle(self).words("deleting"))

                monkeypatch.setattr(CallThrottle, "ready", slow)
                monkeypatch.setattr(CallThrottle, "resting", True)
                monkeypatch.setattr(CallThrottle, "per_call", 5)
                monkeypatch.setattr(RateController, "decide", deciding)
                view = await run.run()
        assert any("throttled" in phase for phase in phases)
        assert dict(view.counts) == {Outcome.DELETED: 1500}
