"""A run and a restore whose process was suspended for a while: what they tell of time leaves that out."""

import asyncio
from pathlib import Path

import pytest

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.server import clocks as active_clock
from tests.support.acting import NO_BACKUP, fill, operating, planned, stepped
from tests.support.servers import RunningServer
from tests.support.waiting import stand_still, stays

SUSPENDED = 1.5


@pytest.fixture(autouse=True)
def _soon_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active_clock, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(active_clock, "_GAP_SECONDS", 0.5)


async def test_the_rate_of_a_run_leaves_out_the_time_for_which_the_process_stood_still(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        fill(client, [b"old:%d" % number for number in range(600)])
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, Criteria(patterns=(b"old:*",)))
        # As SIGSTOP does: nothing runs, and the clock goes on.
        run = await stepped(operator, plan, after=lambda number: stand_still(SUSPENDED) if number == 1 else None)
        view = await run.run()
        assert view.elapsed_seconds < SUSPENDED
        assert view.keys_per_second > 600 / SUSPENDED


async def test_the_time_of_a_restore_leaves_it_out_as_well(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"old:%d" % number for number in range(300)])
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, Criteria(patterns=(b"old:*",)))
        path = Path(str((await operator.run(plan, backup=BackupChoice()).run()).backup_path))
        restoring = operator.restore(path)
        running = asyncio.create_task(restoring.run())
        await asyncio.sleep(0)
        stand_still(SUSPENDED)
        report = await running
        assert report.done_keys == 300
        assert report.elapsed_seconds < SUSPENDED


async def test_no_timer_is_left_when_a_run_has_ended(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"old:1"])
    async with operating(server.connection, tmp_path) as operator:
        plan = await planned(operator, Criteria(patterns=(b"old:*",)))
        run = operator.run(plan, backup=NO_BACKUP)
        first = await run.run()
        assert await stays(lambda: run.view().elapsed_seconds == first.elapsed_seconds)
