"""`hogs -c`: one table of the whole cluster, each key with its node."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster, clustered
from tests.support.json_documents import document_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        yield running


def test_the_largest_keys_of_all_nodes(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    for number, node in enumerate(cluster.primaries, start=1):
        tag = next(tag for tag in map(str, range(1000)) if cluster.owner(_slot(tag)) is node)
        with node.server.client() as client:
            client.set("hog:{" + tag + "}", "v" * 10_000 * number)
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "hogs", "--json"])
    document = document_of("hogs", capsys.readouterr().out)
    assert ended.value.code == 0
    assert document["complete"] is True
    assert [key["node"] for key in document["keys"]] == [node.name for node in reversed(cluster.primaries)]


def test_a_scan_of_a_cluster_is_not_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", "1", "hogs", "--resume", __file__])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        "slots may have moved since: leave --resume out to scan from scratch, and give the old file to --compare"
        in said.err
    )


def _slot(tag: str) -> int:
    return key_slot(tag.encode())


def test_a_report_has_every_node(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "report"])
    text = capsys.readouterr().out
    assert "## Nodes" in text
    assert ", up ?" not in text
    assert all(node.name in text for node in cluster.primaries)
    with pytest.raises(SystemExit):
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "report", "--json"])
    nodes = document_of("report", capsys.readouterr().out)["nodes"]
    assert sorted(node["node"] for node in nodes) == sorted(node.name for node in cluster.primaries)


def test_a_pattern_selects_what_it_counted_on_all_nodes(
    cluster: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [b"user:%d" % n for n in range(300)] + [b"user:%d:session" % n for n in range(90)] + [b"user:a:1"]
    for name in names:
        with cluster.owner(key_slot(name)).server.client() as client:
            client.set(name, b"v")

    def run(*words: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            entry.main(["-c", "-p", str(cluster.primaries[0].port), *words, "--json"])
        assert not ended.value.code
        return json.loads(capsys.readouterr().out)

    rows = {row["pattern"]: row for row in run("hogs")["patterns"] if row["pattern"].startswith("user:")}
    assert rows["user:<id>"]["keys"] == 300
    for row in rows.values():
        assert run("cleanup", "--pattern", row["select"])["plan"]["matched_keys_total"] == row["keys"]
        assert run("hogs", "--pattern", row["select"])["scanned_keys"] == row["keys"]
    found = {policy["name"]: policy for policy in run("limits", "--scan")["policies"]}
    assert found["allkeys-random"]["first_to_go"] == []
