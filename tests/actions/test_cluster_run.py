"""A run over a cluster is one action: one line of intent, one backup, one cap, and one plan to go on with."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_oom_tui.actions.outcomes import READ_BY_BACKUP
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.structs import replace
from tests.actions.test_cluster import OLD, _fill, _filled, _held, _planned, acting
from tests.support.cluster import RunningCluster, clustered
from tests.support.servers import available

MANY = 3000


@pytest.fixture(params=available())
def cluster(request: pytest.FixtureRequest) -> Iterator[RunningCluster]:
    with clustered(flavour=request.param) as running:
        _filled(running)
        yield running


async def test_a_run_that_was_cut_off_goes_on_by_the_hash_of_the_plan(cluster: RunningCluster, tmp_path: Path) -> None:
    _fill(cluster, b"old:%d", MANY)
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator)
        run = operator.run(plan, backup=BackupChoice())
        running = asyncio.create_task(run.run())
        while run.view().counts.get(Outcome.DELETED, 0) < 500:
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        first = run.view()
        assert set(operator._context.audit.unfinished(plan.hash)) <= {str(first.backup_path)}
        resumed = operator.run(plan, backup=BackupChoice())
        again = await resumed.run()
        # Where reading is a use, keys that were read as the run was cut off are kept: no copy was written yet.
        kept = list(resumed.outcomes(frozenset({Outcome.CHANGED})))
        assert {one.detail for one in kept} <= {READ_BY_BACKUP}
        files = {str(backup.path) for backup in operator.backups()}
        assert (_held(cluster, b"old:"), files) == (len(kept), {first.backup_path, again.backup_path})
        doubtful = again.counts.get(Outcome.IN_DOUBT, 0)
        deleted = first.counts[Outcome.DELETED] + again.counts.get(Outcome.DELETED, 0)
        least = MANY - first.counts.get(Outcome.IN_DOUBT, 0) - doubtful - len(kept)
        assert least <= deleted <= MANY, again.ended
        assert "deleted by an earlier run of this plan" in str(again.ended)
        assert len([entry for entry in operator.history() if entry.plan == plan.hash]) == 2
        for file in files:
            assert not (await operator.restore(Path(file)).run()).failed
    assert _held(cluster, b"old:") >= MANY - doubtful


async def test_a_full_backup_ends_the_run_on_every_node_at_once(cluster: RunningCluster, tmp_path: Path) -> None:
    _fill(cluster, b"old:%d", MANY)
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator)
        began = time.monotonic()
        view = await operator.run(plan, backup=BackupChoice(max_total_bytes=8_000)).run()
        # Nobody can take over what was not attempted: nobody is waited for.
        assert time.monotonic() - began < 15
        assert view.failed
        assert "reached its cap" in str(view.ended)
        assert 0 < view.counts[Outcome.DELETED] < MANY
        assert _held(cluster, b"old:") == MANY - view.counts[Outcome.DELETED]
        report = await operator.restore(Path(str(view.backup_path))).run()
    assert (report.failed, _held(cluster, b"old:")) == (False, MANY), report.ended


async def test_backups_of_earlier_versions_one_for_each_node_come_back(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (source, operator):
        plan = await _planned(operator)
        view = await operator.run(plan, backup=BackupChoice()).run()
        server = (await source.snapshot()).server
        by_node: dict[str, list[Record]] = defaultdict(list)
        for record in read_records(Path(str(view.backup_path))):
            assert record is not None
            by_node[record.node].append(replace(record, node=""))
        assert set(by_node) == {node.name for node in cluster.primaries}
        restored = 0
        for number, (node, records) in enumerate(by_node.items()):
            path = tmp_path / f"old-{number}.jsonl"
            writer = BackupWriter(path, replace(plan, server=node), server, time.time())
            writer.add(*records)
            writer.close()
            report = await operator.restore(path).run()
            assert set(report.counts) == {RestoreOutcome.RESTORED}, report.ended
            restored += report.counts[RestoreOutcome.RESTORED]
    assert (restored, _held(cluster, b"old:")) == (OLD, OLD)
