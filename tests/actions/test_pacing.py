"""Safety rule 9: a run measures the server's answers, slows down, stops when it must, and says so."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.actions.pacing import Pacer
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome
from tests.support.acting import fill, operating, planned
from tests.support.proxy import wired
from tests.support.servers import RunningServer

QUICK, SLOW = 0.0005, 0.2


def taught(*waits: float) -> Pacer:
    pacer = Pacer(QUICK)
    for waited in waits:
        pacer.learn(QUICK, waited)
    return pacer


def test_a_quick_server_is_given_more_at_once() -> None:
    assert taught(*[QUICK] * 9).keys == 1000
    assert taught(*[QUICK] * 9).rest == 0


def test_a_slow_server_is_given_less_and_a_rest_and_that_is_said() -> None:
    pacer = taught(*[SLOW] * 9)
    assert (pacer.keys, pacer.rest) == (100, 0.2)
    assert pacer.words("deleting") == "deleting, braking: the server takes 200 ms to answer, 100 keys at a time"


def test_one_late_answer_is_no_reason_to_brake() -> None:
    assert not taught(QUICK, QUICK, SLOW, QUICK).braking


def test_it_recovers() -> None:
    assert not taught(*[SLOW] * 5, *[QUICK] * 3).braking


def test_a_server_that_stays_mute_ends_the_run() -> None:
    assert taught(2.5, 2.5, 2.5).hopeless
    assert not taught(2.5, 2.5, QUICK, 2.5).hopeless


def test_a_server_that_is_slow_by_itself_is_spared_as_well() -> None:
    pacer = Pacer(QUICK)
    for _ in range(3):
        pacer.learn(SLOW, SLOW)
    assert pacer.braking


def test_a_long_link_is_no_reason_to_brake() -> None:
    pacer = Pacer(SLOW)
    for _ in range(9):
        pacer.learn(SLOW, SLOW + 0.005)
    assert (pacer.keys, pacer.braking) == (1000, False)


@given(waits=st.lists(st.floats(0, 10), max_size=30))
def test_it_stays_within_its_bounds(waits: list[float]) -> None:
    pacer = taught(*waits)
    assert 100 <= pacer.keys <= 1000
    assert 0 <= pacer.rest <= 1


async def test_behind_a_link_that_turns_slow_the_run_brakes_and_finishes(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        fill(client, [b"k%d" % n for n in range(1500)])
        with wired(valkey.connection) as wire:
            async with operating(wire.connection, tmp_path) as operator:
                plan = await planned(operator, Criteria(patterns=(b"k*",)))
                run = operator.run(plan, backup=BackupChoice(wanted=False))
                phases: set[str] = set()
                learn = Pacer.learn

                def learning(self: Pacer, quiet: float | None, beside: float) -> None:
                    learn(self, quiet, beside)
                    phases.add(self.words("deleting"))
                    wire.faults.delay = 0.2 if len(phases) < 2 else 0.0

                monkeypatch.setattr(Pacer, "learn", learning)
                view = await run.run()
        assert any("braking" in phase for phase in phases)
        assert dict(view.counts) == {Outcome.DELETED: 1500}
