"""A primary killed under the eyes of the tool, a slot that moves, and what is said of both."""

import asyncio
from collections.abc import Iterator

import pytest

from redis_oom_tui.models.errors import CommandRefused, ServerUnreachable
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.cluster.source import ClusterSource
from tests.support.cluster import RunningCluster, clustered, moved_slot, take_over
from tests.support.proxy import lied_to, unknown
from tests.support.sources import cluster_opened


@pytest.fixture
def cluster() -> Iterator[RunningCluster]:
    with clustered() as running:
        yield running


async def test_a_killed_primary_is_told_and_its_replica_followed(cluster: RunningCluster) -> None:
    lost, successor = cluster.primaries[2], cluster.replicas[2]
    async with cluster_opened(cluster.connection) as source:
        await source.snapshot()
        lost.server.kill()
        dark = await source.snapshot()
        take_over(successor)
        healed = await _until_promoted(source, successor.name)
        calm = await source.snapshot()
    verdict = judge(dark)
    assert verdict.level is Level.UNKNOWN
    assert f"{lost.name} did not answer" in verdict.reason
    assert dark.cluster is not None
    assert dark.cluster.keys is None
    assert f"{successor.name} is a primary now instead of {lost.name}" in healed.notes
    assert healed.cluster is not None
    assert healed.cluster.keys == 0
    assert judge(calm).level is Level.OK
    assert any(finding.id == "node-lost" and lost.name in finding.title for finding in find(calm))


async def _until_promoted(source: ClusterSource, name: str) -> Snapshot:
    async with asyncio.timeout(30):
        while True:
            snapshot = await source.snapshot()
            if any(name in note for note in snapshot.notes):
                return snapshot
            await asyncio.sleep(0.05)


async def test_the_node_that_was_given_may_die(cluster: RunningCluster) -> None:
    async with cluster_opened(cluster.connection) as source:
        await source.snapshot()
        cluster.primaries[0].server.kill()
        take_over(cluster.replicas[0])
        snapshot = await _until_promoted(source, cluster.replicas[0].name)
    assert snapshot.cluster is not None
    assert snapshot.cluster.open_slots == 0


async def test_a_slot_that_moved_is_noticed(cluster: RunningCluster) -> None:
    now = [0.0]
    source = ClusterSource(cluster.connection, monotonic=lambda: now[0])
    await source.open()
    await source.snapshot()
    moved_slot(cluster, 5, cluster.primaries[1])
    now[0] += 60
    snapshot = await source.snapshot()
    await source.close()
    assert snapshot.notes == ("slots moved: 2 primaries serve other slots than before",)
    owner = source.topology.owners().of_slot(5)
    assert owner is not None
    assert owner.name == cluster.primaries[1].name


async def test_a_primary_that_falls_silent_holds_nobody_up(cluster: RunningCluster) -> None:
    """Frozen, not dead: its kernel still accepts connections. The others are shown meanwhile."""
    frozen = cluster.primaries[1]
    connection = replace(cluster.connection, connect_timeout_seconds=0.4, read_timeout_seconds=0.4)
    source = ClusterSource(connection)
    with frozen.server.frozen():
        await source.open()
        async with asyncio.timeout(30):
            dark = await source.snapshot()
        take_over(cluster.replicas[1])
        healed = await _until_promoted(source, cluster.replicas[1].name)
    await source.close()
    assert dark.cluster is not None
    (silent,) = [view for view in dark.cluster.nodes if view.name == frozen.name]
    assert "did not answer in time" in (silent.error or "")
    assert healed.cluster is not None
    assert healed.cluster.lost == ()


async def test_a_user_who_may_not_list_nodes_sees_those_that_serve(cluster: RunningCluster) -> None:
    refused = b"-NOPERM User sre has no permissions to run the 'cluster|nodes' command\r\n"
    seed = replace(cluster.connection, cluster=False)
    with lied_to(seed, {"CLUSTER NODES": refused}) as liar:
        source = ClusterSource(replace(liar.connection, cluster=True))
        await source.open()
        found = source.topology
        cluster_view = (await source.snapshot()).cluster
        await source.close()
    assert [node.name for node in found.primaries] == [node.name for node in cluster.primaries]
    # Replicas are there as far as the node has heard of their offset by now.
    assert {node.primary for node in found.nodes} == {node.name for node in cluster.primaries}
    assert cluster_view is not None
    assert not cluster_view.lost


async def test_a_cluster_whose_addresses_lead_nowhere_from_here(cluster: RunningCluster) -> None:
    elsewhere = b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:1\r\n$3\r\nabc\r\n"
    answers = {"CLUSTER SLOTS": elsewhere, "CLUSTER NODES": unknown("CLUSTER")}
    with lied_to(replace(cluster.connection, cluster=False), answers) as liar:
        source = ClusterSource(replace(liar.connection, cluster=True))
        await source.open()
        with pytest.raises(ServerUnreachable, match="announce others"):
            await source.snapshot()
        await source.close()


async def test_a_user_who_may_ask_nothing_about_the_cluster(cluster: RunningCluster) -> None:
    with lied_to(replace(cluster.connection, cluster=False), {"CLUSTER": unknown("CLUSTER")}) as liar:
        source = ClusterSource(replace(liar.connection, cluster=True))
        with pytest.raises(CommandRefused, match="CLUSTER SLOTS"):
            await source.open()
        await source.close()
