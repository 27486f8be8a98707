"""A setting on a whole cluster, or on one node of it: read back on each, told node by node, taken back on each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from redis_oom_tui.actions.cluster_settings import in_order
from redis_oom_tui.formatting.settings import changed_elsewhere_words, value_now
from redis_oom_tui.formatting.sizes import count, size
from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.cluster import servers_in
from redis_oom_tui.rules.undoing import ServerNow, undo_list
from redis_oom_tui.tui.flows.state import LimitsState
from tests.actions.test_cluster import acting, until_async
from tests.support.cluster import QUICK_MS, Node, RunningCluster, clustered


@pytest.fixture
def cluster() -> Iterator[RunningCluster]:
    with clustered() as running:
        yield running


async def test_a_setting_is_set_on_every_node_read_back_and_undone(cluster: RunningCluster, tmp_path: Path) -> None:
    with cluster.replicas[0].server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    async with acting(cluster, tmp_path) as (_, operator):
        change = await operator.settings.propose("maxmemory-policy", "volatile-ttl")
        assert "all 6 nodes" in change.consequence
        assert any(cluster.replicas[0].name in warning for warning in change.warnings)
        about_replicas = [warning for warning in change.warnings if "This is a replica" in warning]
        assert len(about_replicas) == 1
        assert all(node.name in about_replicas[0] for node in cluster.replicas)
        result = await operator.settings.apply(change)
        assert (result.took, result.now) == (True, "volatile-ttl"), result.detail
        assert _policies(cluster) == ["volatile-ttl"] * 6
    # Another run of the tool: it knows the change from the audit file, node by node.
    async with acting(cluster, tmp_path) as (source, operator):
        snapshot = await source.snapshot()
        names = servers_in(snapshot, str(source.address))
        (row,) = undo_list(operator.history(), (), ServerNow(names, operator.history()[0].at, snapshot))
        assert row.change is not None
        assert (row.refused, row.what) == ("", "set maxmemory-policy back to each node's own old value, on 6 nodes")
        assert (await operator.settings.propose_back(row.change)).old == "volatile-ttl"
        assert (await operator.settings.undo(row.change)).took
        assert undo_list(operator.history(), (), ServerNow(names, operator.history()[0].at, snapshot)) == ()
    assert _policies(cluster) == ["noeviction"] * 3 + ["allkeys-lru"] + ["noeviction"] * 2


async def test_a_limit_for_all_says_what_other_nodes_have_for_people(cluster: RunningCluster, tmp_path: Path) -> None:
    with cluster.primaries[2].server.client() as client:
        client.config_set("maxmemory", "64mb")
    async with acting(cluster, tmp_path) as (_, operator):
        warnings = " ".join((await operator.settings.propose("maxmemory", "100mb")).warnings)
    assert "It is 64.0 MiB (67,108,864 bytes) on " in warnings or "It is no limit (0) on " in warnings
    assert "67108864" not in warnings
    assert "the other nodes keep theirs" not in warnings


def _policies(cluster: RunningCluster) -> list[str]:
    found = []
    for node in cluster.nodes:
        with node.server.client() as client:
            found.append(str(client.config_get("maxmemory-policy")["maxmemory-policy"]))
    return found


async def test_a_partial_success_is_told_node_by_node(cluster: RunningCluster, tmp_path: Path) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        change = await operator.settings.propose("maxmemory", "100mb")
        cluster.replicas[2].server.kill()
        result = await operator.settings.apply(change)
    assert not result.took
    assert "5 of 6 nodes took it" in result.detail
    assert cluster.replicas[2].name in result.detail
    assert result.partly
    lost = [node for node in result.nodes if not node.took]
    assert [node.node for node in lost] == [cluster.replicas[2].name]
    assert {node.now for node in result.nodes if node.took} == {str(100 * 1024 * 1024)}


async def test_a_node_that_cannot_be_read_back_is_unknown_and_undone_too(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    node = cluster.primaries[1]
    async with acting(cluster, tmp_path) as (_, operator):
        change = await operator.settings.propose("maxmemory-samples", "7")
        with node.server.client() as client:
            client.execute_command("ACL SETUSER", "default", "-config", "+config|set")
        result = await operator.settings.apply(change)
        assert (result.took, result.unread, result.partly) == (False, True, True)
        assert result.detail.startswith(f"5 of 6 nodes took it. Not known of: {node.name}: unknown: ")
        assert [one.node for one in result.nodes if one.unread] == [node.name]
        with node.server.client() as client:
            client.execute_command("ACL SETUSER", "default", "+@all")
            assert client.config_get("maxmemory-samples") == {"maxmemory-samples": "7"}
            assert (await operator.settings.undo(result)).took
            assert client.config_get("maxmemory-samples") == {"maxmemory-samples": "5"}


async def test_what_a_partial_success_changed_can_be_taken_back(cluster: RunningCluster, tmp_path: Path) -> None:
    with cluster.primaries[1].server.client() as client:
        client.execute_command("ACL SETUSER", "default", "-config|set")
    async with acting(cluster, tmp_path) as (_, operator):
        result = await operator.settings.apply(await operator.settings.propose("maxmemory-policy", "allkeys-lfu"))
        assert result.partly
        assert sorted(_policies(cluster)) == ["allkeys-lfu"] * 5 + ["noeviction"]
        back = await operator.settings.undo(result)
        assert back.took, back.detail
    assert _policies(cluster) == ["noeviction"] * 6


@pytest.mark.parametrize("kind", ["primaries", "replicas"])
async def test_one_node_alone(cluster: RunningCluster, tmp_path: Path, kind: str) -> None:
    node = getattr(cluster, kind)[1]
    async with acting(cluster, tmp_path) as (_, operator):
        change = await operator.settings.propose_on(node.name, "maxmemory-policy", "allkeys-lru")
        assert f"On {node.name} alone; the other 5 nodes keep theirs." in change.consequence
        assert any("after a failover" in warning for warning in change.warnings)
        result = await operator.settings.apply(change)
        assert (result.took, result.now, [each.node for each in result.nodes]) == (True, "allkeys-lru", [node.name])
        assert sorted(_policies(cluster)) == ["allkeys-lru"] + ["noeviction"] * 5
        assert (await operator.settings.undo(result)).took
        assert _policies(cluster) == ["noeviction"] * 6
        with pytest.raises(ServerUnreachable, match=f"no node elsewhere:1 now; it has .*{node.name}"):
            await operator.settings.propose_on("elsewhere:1", "maxmemory", "1gb")
        with pytest.raises(BadInput, match="not an eviction policy"):
            await operator.settings.propose_on(node.name, "maxmemory-policy", "fastest")


async def test_what_a_policy_may_evict_is_told_of_the_node_shown_alone(cluster: RunningCluster, tmp_path: Path) -> None:
    held: dict[str, int] = {}
    for node in cluster.primaries:
        with node.server.client() as client:
            names = [b"lasting:%d" % number for number in range(90)] + [b"short:%d" % number for number in range(60)]
            for name in names:
                if cluster.owner(key_slot(name)) is node:
                    client.set(name, "v" * 100, ex=None if name.startswith(b"lasting") else 3600)
            held[node.name] = client.dbsize()
    async with acting(cluster, tmp_path) as (source, operator):
        await source.snapshot()
        scan = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        limits = await operator.settings.limits(scan)
        policies = {view.name: view for view in limits.policies}
        change = await operator.settings.propose_on(cluster.primaries[1].name, "maxmemory-policy", "allkeys-lru", scan)
    share = next(share for share in scan.nodes if share.node == limits.node)
    assert policies["allkeys-lru"].evictable_keys == held[limits.node] == share.keys
    assert policies["allkeys-lru"].evictable_bytes == share.bytes < scan.bytes_seen
    assert (policies["volatile-lru"].evictable_bytes, policies["volatile-lru"].share) == (
        share.volatile_bytes,
        share.volatile_bytes / share.bytes,
    )
    assert sum(share.bytes for share in scan.nodes) == scan.bytes_seen
    assert change.node == cluster.primaries[1].name


async def test_a_node_that_has_failed_is_said_to_keep_its_value(tmp_path: Path) -> None:
    with clustered(timeout_ms=QUICK_MS) as cluster:
        lost = cluster.replicas[2]
        async with acting(cluster, tmp_path) as (source, operator):
            before = await operator.settings.propose("maxmemory", "64mb")
            lost.server.kill()
            await until_async(lambda: any(node.failed for node in source.topology.nodes), source.members.refresh)
            change = await operator.settings.propose("maxmemory", "64mb")
            result = await operator.settings.apply(change)
    assert not any("Not on" in warning for warning in before.warnings)
    assert f"Not on {lost.name}, which the cluster counts as failed: set it there once it is back" in change.warnings
    assert (result.took, len(result.nodes)) == (True, 5), result.detail


def _maxmemory(node: Node) -> str:
    with node.server.client() as client:
        return str(client.config_get("maxmemory")["maxmemory"])


def _under_half(node: Node) -> int:
    """Give it a limit of half of what it holds."""
    with node.server.client() as client:
        limit = int(client.info("memory")["used_memory"]) // 2
        client.config_set("maxmemory", limit)
    return limit


async def test_an_undo_warns_of_each_node_that_holds_more_than_its_old_limit(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    full = cluster.primaries[1]
    tight = _under_half(full)
    evicting = cluster.primaries[2]
    _under_half(evicting)
    with evicting.server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    async with acting(cluster, tmp_path) as (_, operator):
        result = await operator.settings.apply(await operator.settings.propose("maxmemory", "1gb"))
        assert result.took, result.detail
        back = await operator.settings.propose_back(result)
        assert (back.old, back.new) == (str(2**30), ""), "each node gets its own"
        assert f"{size(tight)} ({count(tight)} bytes) on {full.name}" in back.consequence
        assert "no limit (0) on " in back.consequence
        outages = [warning for warning in back.warnings if "will be refused until" in warning]
        assert len(outages) == 1
        assert outages[0].startswith(f"{full.name}: ")
        assert any(evicting.name in sentence and "evicted" in sentence for sentence in back.warnings), back.warnings
        assert not any("the other nodes keep theirs" in sentence for sentence in back.warnings)
        ended = await operator.settings.undo(result)
        assert ended.took, ended.detail
        assert f"{size(tight)} ({count(tight)} bytes) on {full.name}" in value_now(ended)
    assert _maxmemory(full) == str(tight)
    assert _maxmemory(cluster.primaries[0]) == "0"


async def test_an_undo_says_before_the_question_where_it_would_be_refused(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    other = cluster.primaries[2]
    async with acting(cluster, tmp_path) as (_, operator):
        result = await operator.settings.apply(await operator.settings.propose("maxmemory-policy", "allkeys-lru"))
        with other.server.client() as client:
            client.config_set("maxmemory-policy", "volatile-ttl")
        back = await operator.settings.propose_back(result)
        assert (back.old, back.new) == ("allkeys-lru", "noeviction")
        assert (
            f"{other.name}: maxmemory-policy is volatile-ttl by now, not allkeys-lru as it was shown: check again"
            in (back.warnings)
        )
        limit = await operator.settings.propose_on(other.name, "maxmemory", "1gb")
        assert not any("keep theirs" in warning for warning in limit.warnings), "it is said in the first sentence"
        alone = await operator.settings.apply(await operator.settings.propose_on(other.name, "maxmemory-samples", "7"))
        back = await operator.settings.propose_back(alone)
        assert (back.node, back.old, back.new) == (other.name, "7", "5")
        assert back.consequence.startswith(f"On {other.name} alone. ")


async def test_a_change_of_which_no_node_is_known_is_not_undone(cluster: RunningCluster, tmp_path: Path) -> None:
    result = ChangeResult(Change("maxmemory-samples", "5", "7"), took=True, now="7")
    async with acting(cluster, tmp_path) as (_, operator):
        with pytest.raises(BadInput, match="is not recorded: set it on each node"):
            await operator.settings.propose_back(result)


def _node(name: str, primary: str = "") -> ClusterNode:
    return ClusterNode(f"n:{name}", name, Address("n", int(name)), primary=f"n:{primary or name}")


def test_limits_rise_before_others_fall_and_no_replica_is_ever_smaller_than_its_primary() -> None:
    nodes = [_node("1"), _node("2"), _node("3"), _node("11", "1"), _node("12", "2"), _node("13", "3")]
    olds = {"1": "100", "11": "100", "2": "0", "12": "0", "3": None, "13": "200"}
    changes = {f"n:{short}": Change("maxmemory", old, "200") for short, old in olds.items()}
    order = [name.removeprefix("n:") for name in in_order(changes, nodes)]
    assert order == ["11", "1", "3", "13", "2", "12"]


async def test_each_nodes_limit_is_set_in_the_order_that_its_own_direction_asks_for(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    falls, rises = (cluster.primaries[0], cluster.replicas[0]), (cluster.primaries[1], cluster.replicas[1])
    for nodes, limit in ((falls, "900mb"), (rises, "100mb")):
        for node in nodes:
            with node.server.client() as client:
                client.config_set("maxmemory", limit)
    async with acting(cluster, tmp_path) as (_, operator):
        change = await operator.settings.propose("maxmemory", "500mb")
        assert dict(change.olds)[falls[0].name] == str(900 * 2**20)
        assert any(sentence.startswith(f"{rises[0].name}: When it reverts to 100.0 MiB") for sentence in change.returns)
        result = await operator.settings.apply(change)
        order = [node.node for node in result.nodes]
        assert order.index(rises[1].name) < order.index(rises[0].name) < order.index(falls[0].name)
        assert order.index(falls[0].name) < order.index(falls[1].name)
        back = [node.node for node in (await operator.settings.undo(result)).nodes]
        assert back.index(falls[1].name) < back.index(falls[0].name) < back.index(rises[0].name)
        assert back.index(rises[0].name) < back.index(rises[1].name)


async def test_a_node_whose_value_is_another_than_it_was_shown_keeps_it(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    other = cluster.primaries[2]
    async with acting(cluster, tmp_path) as (_, operator):
        change = await operator.settings.propose("maxmemory-policy", "allkeys-lru")
        with other.server.client() as client:
            client.config_set("maxmemory-policy", "volatile-ttl")
        result = await operator.settings.apply(change)
    assert (result.took, result.partly) == (False, True)
    assert f"{other.name}: maxmemory-policy is volatile-ttl by now, not noeviction as it was shown" in result.detail


async def test_a_countdown_ends_where_others_set_the_value_on_every_node(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    async with acting(cluster, tmp_path) as (_, operator):
        settings = operator.settings
        held = await settings.apply(await settings.propose("maxmemory-samples", "7"), revert_after=60)
        state = LimitsState(reverting=held, reverts_at=60.0, held_now=await settings.values_by_node(held))
        assert (state.changed_on, state.changed_elsewhere) == ((), None)
        assert state.returning(20) == ("maxmemory-samples", 40.0)
        for place, node in enumerate(cluster.nodes):
            with node.server.client() as client:
                client.config_set("maxmemory-samples", 5)
            state = replace(state, held_now=await settings.values_by_node(held))
            last = place == len(cluster.nodes) - 1
            assert len(state.changed_on) == place + 1
            assert (state.changed_elsewhere, state.returning(20) is None) == ("5" if last else None, last)
        with cluster.nodes[0].server.client() as client:
            client.config_set("maxmemory-samples", 9)
        state = replace(state, held_now=await settings.values_by_node(held))
        assert state.changed_elsewhere == ""
        assert "other values on its nodes now" in changed_elsewhere_words(held, "")
        assert settings.keep(held)
