"""The usual truth: one shard is full and refuses writes. Found, explained, scanned, cleaned, and well again."""

from collections.abc import Iterator

import pytest
import redis
from redis.crc import key_slot

from tests.cli.ran import on_cluster
from tests.support.cluster import Node, RunningCluster, clustered

MIB = 2**20


@pytest.fixture
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        yield running


def _fill(node: Node, tag: str) -> None:
    """Until it refuses: all of a tag's keys are on one shard."""
    with node.server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 4 * MIB)
        for number in range(100_000):
            try:
                client.set("cache:{" + tag + f"}}:{number}", "v" * 1000)
            except redis.exceptions.OutOfMemoryError:
                return
    raise AssertionError("it never refused")


def test_one_shard_out_of_memory(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    full = cluster.primaries[1]
    tag = next(tag for tag in map(str, range(1000)) if cluster.owner(key_slot(tag.encode())) is full)
    _fill(full, tag)
    code, checked = on_cluster(cluster, capsys, "check")
    assert (code, checked["verdict"]) == (2, "oom")
    assert full.name in checked["reason"]
    assert [node["verdict"] for node in checked["nodes"]] == ["oom", "ok", "ok"]
    _, scanned = on_cluster(cluster, capsys, "hogs")
    assert {key["node"] for key in scanned["keys"]} == {full.name}
    assert scanned["patterns"][0]["pattern"].startswith("cache:")
    _, cleaned = on_cluster(cluster, capsys, "cleanup", "--match", "cache:*", "--max-bytes", "3mb", "--yes")
    assert cleaned["report"]["ok"], cleaned["report"]
    code, after = on_cluster(cluster, capsys, "check")
    assert (code, after["verdict"]) == (0, "ok")
    with full.server.client() as client:
        client.set("cache:{" + tag + "}:again", "v")
    # The report is asked of another node, and tells of what was done through the first.
    _, text = on_cluster(cluster, capsys, "report")
    assert [(one["action"], one["server"]) for one in text["actions"]] == [
        ("delete", f"the cluster behind {cluster.primaries[0].name}")
    ]


def test_one_key_fills_one_shard(flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    with clustered(3, "maxmemory 12mb", replicas=False, flavour=flavour) as cluster:
        full = cluster.primaries[2]
        name = next(f"queue:{n}" for n in range(1000) if cluster.owner(key_slot(b"queue:%d" % n)) is full)
        with full.server.client() as client:
            while client.info("memory")["used_memory"] < 11.7 * MIB:
                client.rpush(name, *[b"x" * 9000] * 5)
        _, checked = on_cluster(cluster, capsys, "check")
    assert f"one key, {name}, holds" in checked["reason"]
    assert "Of the other 2, the emptiest is at" in checked["reason"]
    assert checked["first_step"].startswith("See that key first")
    assert "move slots to primaries with room, unless one key" in checked["first_step"]
