"""A bound in bytes holds for all nodes of a cluster together."""

import pytest
from redis.crc import key_slot

from tests.cli.ran import on_cluster
from tests.support.cluster import clustered


def test_all_nodes_together_take_no_more_than_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    value = {b"field%d" % at: b"x" * 20 for at in range(29)} | {b"data": b"d" * 10_000}
    with clustered(replicas=False) as cluster:
        for number in range(300):
            name = b"bull:mail:%d" % number
            with cluster.owner(key_slot(name)).server.client() as client:
                client.hset(name, mapping=value)
        code, found = on_cluster(
            cluster, capsys, "cleanup", "--match", "bull:*", "--max-bytes", "1mb", "--no-backup", "--yes"
        )
        left = 0
        for node in cluster.primaries:
            with node.server.client() as client:
                left += client.dbsize()
    assert code == 0, found
    deleted = found["report"]["counts"]["deleted"]
    assert left == 300 - deleted
    assert 0.7 * 1024**2 < found["plan"]["bytes_high"] <= 1024**2
    assert 0.7 * 1024**2 < found["report"]["taken_bytes"] <= 1.3 * 1024**2
