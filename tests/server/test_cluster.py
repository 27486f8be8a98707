"""A cluster of three primaries and three replicas, looked at as one."""

import asyncio
from collections.abc import Iterator

import pytest

from redis_oom_tui.models.address import Secret, SlotStats
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import NotAllowed, NotRedis
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.findings import Case, examine, find
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.replies import heaviest_slots
from tests.support.cluster import RunningCluster, clustered
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer, available, started
from tests.support.sources import cluster_opened
from tests.support.waiting import read_until


@pytest.fixture(scope="module", params=available())
def cluster(request: pytest.FixtureRequest) -> Iterator[RunningCluster]:
    with clustered(flavour=request.param) as running:
        yield running


async def test_every_node_is_found_with_its_slots(cluster: RunningCluster) -> None:
    async with cluster_opened(cluster.connection) as source:
        topology = source.topology
    assert [node.name for node in topology.primaries] == [node.name for node in cluster.primaries]
    assert topology.open_slots == 0
    copies = {node.name: node.primary for node in topology.nodes if not node.is_primary}
    assert copies == {b.name: a.name for a, b in zip(cluster.primaries, cluster.replicas, strict=True)}
    owners = topology.owners()
    for slot in (0, 5461, 5462, 16383):
        owner = owners.of_slot(slot)
        assert owner is not None
        assert owner.name == cluster.owner(slot).name


async def test_nodes_that_are_first_met_after_the_close_keep_no_connection(cluster: RunningCluster) -> None:
    """As a poll that is under way while the screen leaves meets them; opened again, they keep theirs."""

    def held() -> list[str]:
        found = []
        for node in cluster.nodes:
            with node.server.client() as client:
                found += [node.name for one in client.client_list() if one["name"] == "redis-oom-tui"]
        return found

    source = ClusterSource(cluster.connection)
    await source.open()
    await source.close()
    for _ in range(2):
        snapshot = await source.snapshot()
        assert snapshot.cluster is not None
        assert [view.error for view in snapshot.cluster.nodes] == [None] * 6
    await read_until(lambda: asyncio.to_thread(held), lambda found: not found)
    assert held() == []
    await source.open()
    await source.snapshot()
    assert {node.name for node in cluster.primaries} <= set(held())
    # Opened once more, it lets go of none that it still has.
    await source.open()
    await source.snapshot()
    await source.close()
    await read_until(lambda: asyncio.to_thread(held), lambda found: not found)
    assert held() == []


async def test_the_full_shard_comes_first_and_speaks_for_the_cluster(cluster: RunningCluster) -> None:
    full = cluster.primaries[1]
    with full.server.client() as client:
        client.config_set("maxmemory", 1_000_000)
    try:
        async with cluster_opened(cluster.connection) as source:
            snapshot = await source.snapshot()
    finally:
        with full.server.client() as client:
            client.config_set("maxmemory", 0)
    assert snapshot.server.node == full.name
    assert snapshot.cluster is not None
    assert snapshot.cluster.nodes[0].name == full.name
    assert [view.error for view in snapshot.cluster.nodes] == [None] * 6
    verdict = judge(snapshot)
    assert verdict.level is Level.OOM
    assert full.name in verdict.reason
    assert "differs-maxmemory" in {finding.id for finding in find(snapshot)}


async def test_one_shard_far_fuller_than_the_others(cluster: RunningCluster) -> None:
    nodes = cluster.primaries
    try:
        for node, share in zip(nodes, (0.9, 0.4, 0.4), strict=True):
            with node.server.client() as client:
                client.config_set("maxmemory", int(client.info("memory")["used_memory"] / share))
        with nodes[0].server.client() as client:
            client.set("k2", "v")
        async with cluster_opened(cluster.connection) as source:
            found = {finding.id: finding for finding in find(await source.snapshot())}
    finally:
        for node in nodes:
            with node.server.client() as client:
                client.config_set("maxmemory", 0)
        with nodes[0].server.client() as client:
            client.unlink("k2")
    assert found["shard-skew"].title.startswith(f"{nodes[0].name} is ")
    counted = nodes[0].server.flavour in ("valkey", "redis8")
    words = "slots with most keys: 449 (1 key)" if counted else f"its heaviest slots are not known: {NOT_THERE}"
    assert found["shard-skew"].evidence[-1].startswith(words)
    assert (words in found["shard-skew"].advice) == counted


async def test_who_sends_large_values_and_to_which_node(cluster: RunningCluster) -> None:
    node = cluster.primaries[1]
    with node.server.client() as client:
        client.config_set("slowlog-log-slower-than", 0)
        client.client_setname("importer")
        # In slot 10166, which the second of three has.
        used = client.info("memory")["used_memory"]
        client.set("k:1", b"v" * 3_000_000)
        client.config_set("maxmemory", int((used + 3_000_000) / 0.87))
    try:
        async with cluster_opened(cluster.connection) as source:
            snapshot, large = await source.snapshot(), await source.large_commands()
    finally:
        with node.server.client() as client:
            client.config_set("maxmemory", 0)
            client.config_set("slowlog-log-slower-than", 10_000)
            client.unlink("k:1")
    (found,) = [each for each in examine(Case(snapshot, large=large)) if each.id == "large-writers"]
    assert found.title == f"Commands of up to 2.9 MiB are sent: SET of k:1 by importer on {node.name}"


async def test_slots_that_nobody_serves(cluster: RunningCluster) -> None:
    first = cluster.primaries[0]
    with first.server.client() as client:
        client.execute_command("CLUSTER DELSLOTS", 7)
    try:
        async with cluster_opened(cluster.connection) as source:
            snapshot = await source.snapshot()
    finally:
        with first.server.client() as client:
            client.execute_command("CLUSTER ADDSLOTS", 7)
    found, verdict = {finding.id: finding for finding in find(snapshot)}, judge(snapshot)
    assert (verdict.level, verdict.rule) == (Level.CRITICAL, "slots-open")
    assert verdict.reason.startswith(f"{found['slots-open'].title}: every command on their keys fails. 127.0.0.1:")
    assert found["slots-open"].title == "1 of 16,384 slots are not served by any node"


async def test_keys_are_the_sum_of_the_primaries(cluster: RunningCluster) -> None:
    async with cluster_opened(cluster.connection) as source:
        cluster_view = await source.cluster()
    held = []
    for node in cluster.primaries:
        with node.server.client() as client:
            held.append(client.dbsize())
    assert cluster_view.keys == sum(held)


async def test_a_replica_with_a_smaller_limit_is_found(cluster: RunningCluster) -> None:
    replica = cluster.replicas[2]
    with replica.server.client() as client:
        client.config_set("maxmemory", 1_000_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        async with cluster_opened(cluster.connection) as source:
            snapshot = await source.snapshot()
    finally:
        with replica.server.client() as client:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")
    risk = next(finding for finding in find(snapshot) if finding.id == "replica-promotion")
    assert f"Replica {replica.name}: if promoted, it would evict" in risk.title
    verdict = judge(snapshot)
    assert (verdict.level, verdict.rule, risk.level) == (Level.WARNING, "replica-limit", Level.WARNING)
    assert verdict.reason.startswith(risk.title)


async def test_the_gate_holds_on_every_node(cluster: RunningCluster) -> None:
    async with cluster_opened(cluster.connection) as source:
        for server in source.members.primaries():
            with pytest.raises(NotAllowed):
                await server.client().execute_command("FLUSHALL")


async def test_clients_of_all_nodes_know_theirs(cluster: RunningCluster) -> None:
    async with cluster_opened(cluster.connection) as source:
        lines = await source.clients()
        capabilities = await source.capabilities()
    assert {line.node for line in lines} == {node.name for node in cluster.primaries}
    assert capabilities.missing.keys() <= {Feature.NO_TOUCH, Feature.NO_EVICT}


async def test_a_server_that_is_no_cluster_is_told_so(valkey: RunningServer) -> None:
    source = ClusterSource(replace(valkey.connection, cluster=True))
    with pytest.raises(NotRedis, match="leave out -c"):
        await source.open()
    await source.close()


NOT_THERE = "CLUSTER SLOT-STATS (Valkey 8.0, Redis 8.2) is not available here"


@pytest.mark.parametrize("by_memory", [True, False])
async def test_the_heaviest_slots_by_what_the_node_counts(by_memory: bool) -> None:
    # Written from the documentation of Redis: no server at hand counts memory by slot.
    counted = b"-ERR Unrecognized sort metric for ORDERBY.\r\n"
    if by_memory:
        counted = b"*1\r\n*2\r\n:7\r\n*4\r\n$9\r\nkey-count\r\n:2\r\n$12\r\nmemory-bytes\r\n:900\r\n"
    answers = {"CLUSTER SLOT-STATS": counted}
    with started("valkey") as server, lied_to(server.connection, answers) as liar:
        live = LiveServer(liar.connection)
        heaviest = await heaviest_slots(live.client())
        await live.close()
    assert heaviest == ((SlotStats(7, 2, 900),) if by_memory else NOT_THERE)


async def test_slots_that_the_user_may_not_ask_for_are_not_taken_for_missing() -> None:
    with started("valkey", "cluster-enabled yes") as server:
        with server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "sre", "on", ">night", "~*", "+@all", "-cluster|slot-stats")
        live = LiveServer(replace(server.connection, username="sre", password=Secret("night")))
        heaviest = await heaviest_slots(live.client())
        await live.close()
    assert heaviest == "this user may not run CLUSTER SLOT-STATS"
