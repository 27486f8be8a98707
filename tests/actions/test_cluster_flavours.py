"""The core of acting on a cluster, on the other servers: their SCAN goes by the hash, and some commands are older."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.verdict import judge
from tests.actions.test_cluster import KEPT, OLD, _fill, _filled, _held, _planned, acting
from tests.support.cluster import RunningCluster, clustered, moved_slot
from tests.support.servers import available

OTHERS = [flavour for flavour in available() if flavour != "valkey"]


@pytest.fixture(params=OTHERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[RunningCluster]:
    with clustered(flavour=request.param) as running:
        _filled(running)
        yield running


async def test_a_full_shard_is_found_and_cleaned_and_all_is_put_back(cluster: RunningCluster, tmp_path: Path) -> None:
    full = cluster.primaries[2]
    with full.server.client() as client:
        client.config_set("maxmemory", 1_000_000)
    async with acting(cluster, tmp_path) as (source, operator):
        verdict = judge(await source.snapshot())
        assert (verdict.level, full.name in verdict.reason) == (Level.OOM, True), verdict.reason
        plan = await _planned(operator)
        view = await operator.run(plan, backup=BackupChoice()).run()
        assert (view.counts, view.failed) == ({Outcome.DELETED: OLD}, False), view.ended
        assert (_held(cluster, b"old:"), _held(cluster, b"kept:")) == (0, KEPT)
        assert (await operator.settings.apply(await operator.settings.propose("maxmemory", "unlimited"))).took
        assert not (await operator.restore(Path(str(view.backup_path))).run()).failed
    assert _held(cluster, b"old:") == OLD


async def test_a_limit_for_all_nodes_and_for_one(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        result = await operator.settings.apply(await operator.settings.propose("maxmemory", "64mb"))
        assert (result.took, len(result.nodes)) == (True, 6), result.detail
        alone = await operator.settings.apply(
            await operator.settings.propose_on(cluster.replicas[1].name, "maxmemory", "32mb")
        )
        assert (alone.took, len(alone.nodes)) == (True, 1), alone.detail
    limits = []
    for node in cluster.nodes:
        with node.server.client() as client:
            limits.append(int(client.config_get("maxmemory")["maxmemory"]) // 2**20)
    assert limits == [64, 64, 64, 64, 32, 64]


async def test_a_slot_that_moved_since_the_plan(cluster: RunningCluster, tmp_path: Path) -> None:
    _fill(cluster, b"old:%d", OLD)
    async with acting(cluster, tmp_path) as (_, operator):
        plan = await _planned(operator)
        mine = [key_slot(key.id.key) for key in plan.keys if key.id.node == cluster.primaries[0].name]
        moved_slot(cluster, mine[0], cluster.primaries[1])
        view = await operator.run(plan, backup=BackupChoice(wanted=False)).run()
    changed = view.counts.get(Outcome.CHANGED, 0)
    assert view.counts[Outcome.DELETED] + changed == OLD, view.ended
    assert changed <= mine.count(mine[0])
    assert (_held(cluster, b"old:"), _held(cluster, b"kept:")) == (changed, KEPT)
