"""Acting on a whole cluster: by slot, node by node, through failovers and slots that move."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from redis_oom_tui.actions import run as running_plans
from redis_oom_tui.actions.batch import Ready
from redis_oom_tui.actions.batches import Batch, Batches
from redis_oom_tui.actions.cluster import Cluster
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.actions.run import Run
from redis_oom_tui.files.backup_reading import as_lines
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Outcome, Plan
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.mutations.connections import PinnedConnection
from tests.support.cluster import QUICK_MS, STEADY_MS, RunningCluster, clustered, moved_slot, take_over
from tests.support.servers import available
from tests.support.waiting import in_step, stays, until

OLD, KEPT = 600, 300


@pytest.fixture
def cluster() -> Iterator[RunningCluster]:
    with clustered() as running:
        _filled(running)
        yield running


def _filled(cluster: RunningCluster) -> None:
    _fill(cluster, b"old:%d", OLD)
    _fill(cluster, b"kept:%d", KEPT)


def _fill(cluster: RunningCluster, form: bytes, number: int) -> None:
    for node in cluster.primaries:
        with node.server.client() as client, client.pipeline(transaction=False) as pipeline:
            for index in range(number):
                name = form % index
                if cluster.owner(key_slot(name)) is node:
                    pipeline.set(name, "v" * 50)
            pipeline.execute()
            in_step(client)


def _held(cluster: RunningCluster, prefix: bytes) -> int:
    """Keys of a pattern on the nodes that are up and primaries now."""
    total = 0
    for node in cluster.nodes:
        with contextlib.suppress(Exception), node.server.client() as client:
            if client.info("replication")["role"] == "master":
                total += sum(1 for _ in client.scan_iter(match=prefix + b"*", count=1000))
    return total


@contextlib.asynccontextmanager
async def acting(cluster: RunningCluster, folder: Path) -> AsyncIterator[tuple[ClusterSource, LiveOperator]]:
    source = ClusterSource(cluster.connection)
    operator = LiveOperator(Cluster(source), folder=folder)
    try:
        await source.open()
        await operator.learn()
        yield source, operator
    finally:
        await operator.close()
        await source.close()


async def _planned(operator: LiveOperator, criteria: Criteria | None = None) -> Plan:
    view = await operator.plan(criteria or Criteria(patterns=(b"old:*",))).run()
    assert view.plan is not None, view.error
    return view.plan


async def test_a_plan_is_carried_out_on_every_node_and_taken_back(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (source, operator):
        plan = await _planned(operator)
        assert len(plan.keys) == OLD
        assert all(key.id.node == cluster.owner(key_slot(key.id.key)).name for key in plan.keys)
        consent = operator.consent(plan, BackupChoice())
        assert all(node.name in consent[1] for node in cluster.primaries)
        shown = await source.snapshot()
        first = operator.budget(plan, shown)
        assert f"On {shown.server.node}, " in first.words
        assert operator.budget(plan, shown, before=first).plan_bytes == first.plan_bytes
        view = await operator.run(plan, backup=BackupChoice()).run()
        assert (view.counts[Outcome.DELETED], view.failed) == (OLD, False), view.ended
        assert _held(cluster, b"old:") == 0
        assert _held(cluster, b"kept:") == KEPT
        assert [entry.action for entry in operator.history()] == ["delete"]
        report = await operator.restore(Path(str(view.backup_path))).run()
        assert (report.counts, report.failed) == ({RestoreOutcome.RESTORED: OLD}, False), report.ended
        again = await operator.restore(Path(str(view.backup_path))).run()
    assert _held(cluster, b"old:") == OLD
    assert set(again.counts) == {RestoreOutcome.EXISTS}


async def test_a_damaged_backup_is_restored_to_no_node_unless_that_is_asked_for(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        view = await operator.run(await _planned(operator), backup=BackupChoice()).run()
        file = Path(str(view.backup_path))
        lines = list(as_lines(file))
        file.write_bytes(b"".join(lines[:5] + lines[6:]))
        report = await operator.restore(file).run()
        assert (report.failed, report.file_damaged, _held(cluster, b"old:")) == (True, True, 0)
        assert "--damaged-ok" in str(report.ended)
        report = await operator.restore(file, damaged_ok=True).run()
        assert (report.failed, report.file_damaged) == (False, True), report.ended
        assert "is damaged" in str(report.ended)
        assert _held(cluster, b"old:") == len(lines) - 3


async def test_after_a_failover_a_plan_counts_for_the_node_that_has_its_keys_now(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    async with acting(cluster, tmp_path) as (source, operator):
        plan = await _planned(operator)
        lost, successor = cluster.primaries[1], cluster.replicas[1]
        before = sum(key.id.node == lost.name for key in plan.keys)
        take_over(successor)
        serving = source.members.primaries
        await until_async(
            lambda: successor.port in [server.address.port for server in serving()], source.members.refresh
        )
        source.pin(successor.name)
        shown = await source.snapshot()
        budget = operator.budget(plan, shown)
        consent = operator.consent(plan, BackupChoice())
    assert shown.server.node == successor.name
    assert f"On {successor.name}, {before} of the keys." in budget.words
    assert f"{successor.name} {before}" in consent[1]
    assert lost.name not in consent[1]


async def until_async(condition: Callable[[], bool], again: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await again()
            await asyncio.sleep(0.05)


async def test_limits_of_a_plan_hold_for_the_whole_cluster(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator, Criteria(patterns=(b"old:*",), max_keys=10))
        with pytest.raises(BadInput, match=r"^gone:1 is not a primary of the cluster now\. Its primaries: 127"):
            operator.plan(Criteria(patterns=(b"old:*",), node="gone:1"))
        marked = tuple(KeyId(0, key, node="stale") for key in (b"old:1", b"old:2", b"old:3", b"no-such-key"))
        chosen = await _planned(operator, Criteria(keys=marked))
    assert len(plan.keys) == 10
    assert plan.matched_keys == OLD
    assert sorted(key.id.key for key in chosen.keys) == [b"old:1", b"old:2", b"old:3"]


async def test_what_a_plan_would_break_is_counted_over_all_nodes(cluster: RunningCluster, tmp_path: Path) -> None:
    _fill(cluster, b"session:%d", 90)
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator, Criteria(patterns=(b"session:*",)))
        (said,) = [flag for flag in plan.flags if "sessions" in flag]
        assert said.startswith("90 keys look like sessions (such as session:")


async def test_the_plan_of_another_cluster_is_not_run(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator, Criteria(patterns=(b"old:*",), max_keys=5))
        foreign = replace(plan, keys=tuple(replace(key, id=replace(key.id, node="elsewhere:1")) for key in plan.keys))
        view = await operator.run(foreign, backup=BackupChoice()).run()
    assert view.failed
    assert view.counts == {Outcome.NOT_ATTEMPTED: 5}
    assert "not the cluster of the plan" in (view.ended or "")
    assert _held(cluster, b"old:") == OLD


async def test_slots_that_moved_since_the_plan_are_followed(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (source, operator):
        plan = await _planned(operator)
        run = operator.run(plan, backup=BackupChoice())
        mine = [key_slot(key.id.key) for key in plan.keys if key.id.node == cluster.primaries[0].name]
        slots = set(mine[:3])
        for slot in slots:
            moved_slot(cluster, slot, cluster.primaries[1])
        view = await _blind_to_the_first_change(source, run)
    # A key that moved begins its idle time anew: one that was idle for seconds when planned reads as used since.
    counts = dict(view.counts)
    assert counts[Outcome.DELETED] >= OLD - sum(slot in slots for slot in mine), view.ended
    assert counts[Outcome.DELETED] + counts.get(Outcome.CHANGED, 0) == OLD, view.ended
    assert _held(cluster, b"old:") == counts.get(Outcome.CHANGED, 0)
    assert _held(cluster, b"kept:") == KEPT


async def _blind_to_the_first_change(source: ClusterSource, run: Run):  # type: ignore[no-untyped-def]
    """The run believes what it knew when the plan was made, and has to learn from MOVED."""
    real, times = source.members.refresh, 0

    async def refresh() -> bool:
        nonlocal times
        times += 1
        return False if times == 1 else await real()

    source.members.refresh = refresh  # type: ignore[method-assign]
    return await run.run()


KILLED = [("valkey", 0, False), ("valkey", 500, True)] + [(flavour, 500, False) for flavour in available()]


@pytest.mark.parametrize(("flavour", "done", "elected"), KILLED)
async def test_a_primary_killed_during_the_run_is_followed_by_its_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str, done: int, elected: bool
) -> None:
    many = 3000
    monkeypatch.setattr(running_plans, "_PATIENCE_SECONDS", 90.0)
    # The dead node is not asked for so long: another has its slots by then.
    monkeypatch.setattr(timeouts, "GIVE_UP", 60.0)
    with clustered(flavour=flavour, timeout_ms=QUICK_MS if elected else STEADY_MS) as cluster:
        _filled(cluster)
        _fill(cluster, b"old:%d", many)
        async with acting(cluster, tmp_path) as (_, operator):
            plan = await _planned(operator)
            run = operator.run(plan, backup=BackupChoice(wanted=False))
            running = asyncio.create_task(run.run())
            while run.view().done_keys < done:
                await asyncio.sleep(0)
            cluster.primaries[1].server.kill()
            assert not running.done()
            if not elected:
                take_over(cluster.replicas[1])
            began = time.monotonic()
            view = await running
        assert time.monotonic() - began < 50.0
        _assert_only_planned_keys_went(cluster, dict(view.counts), many, view.ended)


def _assert_only_planned_keys_went(
    cluster: RunningCluster, counts: dict[Outcome, int], many: int, ended: str | None
) -> None:
    # In doubt are only keys whose reply was on its way when the node died; a replica's idle times differ, and a key
    # that looks younger there than it did is kept as changed.
    assert counts.get(Outcome.NOT_ATTEMPTED, 0) == 0, ended
    assert sum(counts.values()) == many
    assert counts[Outcome.DELETED] > many / 2, ended
    # What the dead primary had deleted, and its replica not yet, is there again after the failover.
    until(lambda: _held(cluster, b"kept:") == KEPT, "every key that was not planned")
    assert _held(cluster, b"old:") <= many - counts[Outcome.DELETED] + 1000


async def test_a_defect_on_one_node_stops_the_others_and_all_is_recorded(
    cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = Batches._act
    others = 0

    async def breaking(batches: Batches, connection: PinnedConnection, batch: Batch, ready: Ready) -> None:
        nonlocal others
        port = cluster.primaries[1].name.rpartition(":")[2]
        if str(connection._server.address).endswith(port):
            while not others:
                await asyncio.sleep(0.01)
            raise ZeroDivisionError
        await act(batches, connection, batch, ready)
        others += 1

    monkeypatch.setattr(Batches, "_act", breaking)
    _fill(cluster, b"old:%d", 6000)
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator)
        run = operator.run(plan, backup=BackupChoice(wanted=False))
        with pytest.raises(ZeroDivisionError):
            await run.run()
        view = run.view()
        held = _held(cluster, b"old:")
        # Nothing goes on behind it, what was done is counted, and the action has its end in the audit file.
        assert held == 6000 - view.counts[Outcome.DELETED]
        assert await stays(lambda: _held(cluster, b"old:") == held)
    assert 0 < view.counts[Outcome.DELETED] < 6000
    assert view.failed
    assert "A defect of this tool ended this early" in str(view.ended)
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_bytes().splitlines()]
    intents = {line["id"] for line in lines if line["phase"] == "intent"}
    assert intents == {line["id"] for line in lines if line["phase"] == "result"}
    assert len(intents) == 1
