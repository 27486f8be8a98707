"""Writes to a cluster that are tried again where a node is out of memory."""

import contextlib

import pytest
import redis

from redis_oom_tui.resilience import NamespaceCleanup, OomRetry
from tests.server.test_resilience import fill, hold, retrying
from tests.support.cluster import Node, RunningCluster, clustered
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started
from tests.support.waiting import until


def _cluster_of_one(flavour: str) -> contextlib.AbstractContextManager[RunningServer]:
    return started(flavour, f"port {free_ports(1)[0]}", "cluster-enabled yes", "cluster-node-timeout 5000")


def _serving(client: redis.Redis) -> int:
    """Let the only node serve every slot; its port."""
    client.execute_command("CLUSTER ADDSLOTSRANGE" if _has_ranges(client) else "CLUSTER ADDSLOTS", *_slots(client))
    until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster is up")
    return int(client.config_get("port")["port"])


def _has_ranges(client: redis.Redis) -> bool:
    return int(str(client.info("server")["redis_version"]).split(".")[0]) >= 7


def _slots(client: redis.Redis) -> list[int]:
    return [0, 16383] if _has_ranges(client) else list(range(16384))


def test_a_cluster_pipeline_sends_only_what_was_refused_again(flavour: str) -> None:
    with _cluster_of_one(flavour) as server, server.client() as client:
        port = _serving(client)
        client.set("kept", "0")
        fill(client)
        with redis.RedisCluster(host="127.0.0.1", port=port) as cluster:
            retry, helper = retrying(server)
            pipeline = cluster.pipeline()
            pipeline.get("kept").set("a", "1").get("missing").set("b", "2")
            assert retry.execute(pipeline) == [b"0", True, None, True]
            assert helper.heard == [1, 2]
            assert cluster.get("b") == b"2"


def fill_cluster(cluster: RunningCluster) -> None:
    """A cache on each primary, all of them over their limit."""
    for node in cluster.primaries:
        with node.server.client() as client:
            client.config_set("maxmemory", 0)
            # Names of other slots are refused: each node takes its own.
            pipeline = client.pipeline(transaction=False)
            for number in range(1500):
                pipeline.set(f"cache:{number}", b"x" * 1000, ex=3600)
            pipeline.execute(raise_on_error=False)
            hold(client, 100_000)


def test_a_cleanup_makes_room_on_every_node_of_a_cluster() -> None:
    with clustered(2, replicas=False) as running:
        fill_cluster(running)
        with redis.RedisCluster(host="127.0.0.1", port=running.primaries[0].port) as cluster:
            cleanup = NamespaceCleanup(cluster, b"cache:", max_keys=300, idle_over_seconds=0)
            retry = OomRetry(retries=6, base_seconds=0.01, cap_seconds=0.05, before_retry=cleanup)
            # The names are served by different nodes.
            assert [retry.call(cluster.set, name, "v") for name in ("a", "b", "c")] == [True] * 3
            assert 0 < cleanup.deleted_total <= 1500
            rest = 1500 - cleanup.deleted_total
            assert sum(cleanup() for _ in range(20)) == rest
            assert not list(cluster.scan_iter(match="cache:*"))


def _held(nodes: list[Node]) -> list[int]:
    held = []
    for node in nodes:
        with node.server.client() as client:
            held.append(client.dbsize())
    return held


def test_a_lost_node_is_named_and_the_others_are_gone_on_with() -> None:
    with clustered(3, replicas=False) as running:
        fill_cluster(running)
        with redis.RedisCluster(host="127.0.0.1", port=running.primaries[0].port) as cluster:
            lost, *others = running.primaries
            there = sum(_held(others))
            cleanup = NamespaceCleanup(cluster, b"cache:", max_keys=2000, idle_over_seconds=0)
            lost.server.kill()
            assert (cleanup(), cleanup.deleted_total) == (there, there)
            assert list(cleanup.lost) == [lost.name]
            assert _held(others) == [0, 0]


def test_the_error_of_a_lost_node_is_no_answer_of_a_pipeline() -> None:
    class Pipeline:
        """As a cluster's pipeline answers where one node is lost."""

        def __init__(self) -> None:
            self.command_stack = [(("SET", "a", "1"), {}), (("SET", "b", "2"), {})]

        def execute(self, *, raise_on_error: bool) -> list[object]:
            assert not raise_on_error
            return [True, redis.ConnectionError("Connection refused")]

    with pytest.raises(redis.ConnectionError, match="refused"):
        OomRetry(retries=1).execute(Pipeline())
