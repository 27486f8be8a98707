"""The bounds of an armed cleanup: of each run and of the hour, whatever breaks."""

import asyncio
import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest

from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.alert import JudgedSample
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey, RunView
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.verdict import judge
from tests.monitor.keyspace import BOUNDS, Keyspace, Watching, _Run
from tests.monitor.scripted import ADDRESS, answered, snapshot


@pytest.mark.parametrize("size", [50, 450])
async def test_a_million_candidates_and_small_bounds(tmp_path: Path, size: int) -> None:
    """Three hours of a critical state: every run and every hour stays within its bounds in keys and in bytes."""
    keyspace = Keyspace(sizes=itertools.repeat(size))
    watching = Watching(tmp_path, keyspace)
    taken: list[tuple[float, int, int]] = []
    before = (0, 0)
    running = asyncio.create_task(watching.armed.run(watching.stop))
    critical = snapshot(96)
    verdict = judge(critical)
    for _ in range(3 * 720):
        reading = JudgedSample(watching.clock.now, watching.clock.wall(), verdict.level, verdict.level)
        watching.book.observe(reading)
        watching.armed.on_state(answered(critical, reading))
        for _ in range(30):
            await asyncio.sleep(0)
        now = (keyspace.deleted_keys, keyspace.deleted_bytes)
        if now != before:
            taken.append((watching.clock.now, now[0] - before[0], now[1] - before[1]))
            before = now
        watching.clock.turn(5)
    watching.stop.set()
    await running
    assert len(taken) >= 6
    for at, keys, bytes_ in taken:
        assert keys <= 100
        assert bytes_ <= 10_000
        hour = [item for item in taken if 0 <= at - item[0] < 3600]
        assert sum(item[1] for item in hour) <= 250
        assert sum(item[2] for item in hour) <= 50_000
    assert keyspace.candidates == 1_000_000 - keyspace.deleted_keys
    assert all(criteria.max_keys is not None and criteria.max_keys <= 100 for criteria in keyspace.asked)


async def test_a_clock_that_jumps_does_not_open_the_bounds_of_the_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The computer's clock is set ahead by a day while the watch runs."""
    keyspace = Keyspace()
    watching = Watching(tmp_path, keyspace)
    running = asyncio.create_task(watching.armed.run(watching.stop))
    for poll in range(600):
        if poll == 300:
            monkeypatch.setattr(watching.clock, "wall", lambda: 1_700_086_400 + watching.clock.now)
        verdict = judge(snapshot(96))
        reading = JudgedSample(watching.clock.now, watching.clock.wall(), verdict.level, verdict.level)
        watching.book.observe(reading)
        watching.armed.on_state(answered(snapshot(96), reading))
        for _ in range(30):
            await asyncio.sleep(0)
        watching.clock.turn(5)
    watching.stop.set()
    await running
    assert sum(keyspace.runs) <= 250


async def test_a_watch_that_was_restarted_goes_on_with_the_hour_it_found(tmp_path: Path) -> None:
    keyspace = Keyspace()
    for _ in range(5):
        await Watching(tmp_path, keyspace).see(*[snapshot(96)] * 16)
    assert keyspace.runs == [100, 100, 50]


async def test_the_cooldown_counts_from_the_end_of_a_cleanup(tmp_path: Path) -> None:
    began: list[float] = []

    class Slow(Keyspace):
        def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
            began.append(watching.clock.now)
            watching.clock.turn(200)
            return super().run(plan, backup=backup)

    watching = Watching(tmp_path, Slow())
    await watching.see(*[snapshot(96)] * 80)
    assert len(began) == 2
    assert 200 + BOUNDS.cooldown_seconds <= began[1] - began[0] <= 200 + BOUNDS.cooldown_seconds + 10


async def test_keys_of_unknown_size_fit_no_bound(tmp_path: Path) -> None:
    saved = frozen(Plan((PlannedKey(KeyId(0, b"a"), "string", None),), Criteria(patterns=(b"a",)), 0.0, str(ADDRESS)))
    watching = Watching(tmp_path, Keyspace(), plan=saved)
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == []
    assert "keys of unknown size" in watching.said


async def test_a_saved_plan_runs_as_it_was_saved(tmp_path: Path) -> None:
    keys = tuple(PlannedKey(KeyId(0, b"k%d" % number), "string", 10) for number in range(20))
    saved = frozen(Plan(keys, Criteria(patterns=(b"k*",)), 0.0, str(ADDRESS)))
    watching = Watching(tmp_path, Keyspace(), plan=saved)
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == [20]
    assert watching.keyspace.asked == []


@dataclass
class BreaksDuringTheRun(Keyspace):
    """Its ledger cannot be written any more once the run has deleted."""

    path: Path = Path()

    def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
        run = super().run(plan, backup=backup)
        real = run.run

        async def broken() -> RunView:
            view = await real()
            self.path.unlink()
            self.path.mkdir()
            return view

        run.run = broken
        return run


async def test_a_ledger_that_cannot_be_written_after_the_run_never_says_that_nothing_was_begun(tmp_path: Path) -> None:
    keyspace = BreaksDuringTheRun(path=tmp_path / "emergency.json")
    watching = Watching(tmp_path, keyspace)
    await watching.see(*[snapshot(96)] * 16)
    assert keyspace.deleted_keys > 0
    assert "not started" not in watching.said
    (event,) = watching.events
    assert "100 deleted" in event.reason
    assert "could not be recorded, so the whole plan counts against the hour" in event.reason


async def test_a_ledger_that_cannot_be_written_before_the_run_keeps_it_from_beginning(tmp_path: Path) -> None:
    keyspace = Keyspace()
    watching = Watching(tmp_path, keyspace)
    (tmp_path / "emergency.new").mkdir()
    await watching.see(*[snapshot(96)] * 16)
    assert keyspace.deleted_keys == 0
    assert "not started" in watching.said
    assert "cannot be written" in watching.said


class BreaksOff(Keyspace):
    """Its run raises after it has deleted."""

    def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
        run = super().run(plan, backup=backup)
        real = run.run

        async def broken() -> RunView:
            await real()
            raise ServerUnreachable("the server went away")

        run.run = broken
        return run


async def test_a_run_that_broke_off_is_not_told_as_not_begun_and_all_of_it_counts(tmp_path: Path) -> None:
    keyspace = BreaksOff()
    watching = Watching(tmp_path, keyspace)
    await watching.see(*[snapshot(96)] * 16)
    assert keyspace.deleted_keys > 0
    assert "not started" not in watching.said
    assert "interrupted after it had begun" in watching.said
    spent = Ledger(tmp_path / "emergency.json").spent("cache-1", watching.clock.wall())
    assert sum(each.keys for each in spent) >= keyspace.deleted_keys
