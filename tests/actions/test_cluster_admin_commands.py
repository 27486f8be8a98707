"""What is done to a whole cluster at once, or to one client of one of its nodes: on real nodes, told node by node."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot

from redis_oom_tui.actions.cluster import Cluster
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.server.cluster.source import ClusterSource
from tests.support.acting import calls
from tests.support.cluster import Node, RunningCluster, clustered
from tests.support.servers import available
from tests.support.sources import cluster_opened


@pytest.fixture(scope="module", params=available())
def cluster(request: pytest.FixtureRequest) -> Iterator[RunningCluster]:
    with clustered(replicas=False, flavour=request.param) as running:
        yield running


@contextlib.asynccontextmanager
async def acting(cluster: RunningCluster, folder: Path) -> AsyncIterator[tuple[ClusterSource, LiveOperator]]:
    async with cluster_opened(cluster.connection) as source:
        operator = LiveOperator(Cluster(source), folder=folder)
        try:
            await operator.learn()
            yield source, operator
        finally:
            await operator.close()


async def test_a_purge_is_of_every_primary(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        done = await operator.purge()
    assert done.ok, done.sentence
    for node in cluster.primaries:
        assert f"{node.name}: RSS " in done.sentence
        with node.server.client() as client:
            assert calls(client, "memory|purge", "memory") > 0


async def test_a_node_that_refuses_is_named_and_the_others_are_purged(cluster: RunningCluster, tmp_path: Path) -> None:
    refusing, *others = cluster.primaries
    async with acting(cluster, tmp_path) as (_, operator):
        with refusing.server.client() as client:
            client.execute_command("ACL SETUSER", "default", "-memory")
            try:
                done = await operator.purge()
            finally:
                client.execute_command("ACL SETUSER", "default", "+memory")
    assert not done.ok
    assert f"{refusing.name}: RSS" not in done.sentence
    assert all(f"{name}: " in done.sentence for name in (node.name for node in cluster.primaries))
    assert all(f"{node.name}: RSS " in done.sentence for node in others)


async def test_a_walk_over_all_keys_drops_nothing_that_lives(cluster: RunningCluster, tmp_path: Path) -> None:
    for node in cluster.primaries:
        _fill(cluster, node)
    async with acting(cluster, tmp_path) as (_, operator):
        done = await operator.reap()
    assert done.ok, done.sentence
    for node in cluster.primaries:
        assert f"{node.name}: No expired key was left to remove; used memory went from " in done.sentence
        with node.server.client() as client:
            assert client.dbsize() == 50
            assert calls(client, "scan") > 0


async def test_a_client_is_closed_on_its_node_and_no_other(cluster: RunningCluster, tmp_path: Path) -> None:
    node = cluster.primaries[2]
    with redis.Redis(port=node.port, client_name="held", protocol=2) as held:
        held.ping()
        async with acting(cluster, tmp_path) as (source, operator):
            shown = next(line for line in await source.clients() if line.name == b"held")
            done = await operator.kill_client(shown)
            again = await operator.kill_client(shown)
            history = operator.history()
    assert shown.node == node.name
    assert done.ok, done.sentence
    assert not again.ok
    assert "nothing was done" in again.sentence
    assert [entry.server for entry in history] == [node.name, node.name]


async def test_an_emergency_that_nobody_prepared_is_refused(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        with pytest.raises(BadInput):
            operator.emergency()


def _fill(cluster: RunningCluster, node: Node) -> None:
    """Fifty keys that this primary serves."""
    mine = (name for number in range(10_000) if cluster.owner(key_slot(name := b"k:%d" % number)) is node)
    with node.server.client() as client, client.pipeline(transaction=False) as pipeline:
        for name, _ in zip(mine, range(50), strict=False):
            pipeline.set(name, "v")
        pipeline.execute()
