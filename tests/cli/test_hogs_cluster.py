"""`hogs -c`: one table of the whole cluster, each key with its node."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from redis_oom_tui.cli import main as entry
from tests.support.cluster import Node, RunningCluster, clustered
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


def test_a_scan_that_was_broken_off_is_resumed(
    cluster: RunningCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for node in cluster.primaries:
        with node.server.client() as client:
            for name in [f"part:{number}" for number in range(3_000)]:
                if cluster.owner(_slot(name)) is node:
                    client.set(name, "v")
    port, first = cluster.primaries[0].port, str(tmp_path / "first.scan")
    assert _run(["-c", "-p", str(port), "hogs", "--sample", "600", "--save", first]) == 0
    assert f" -c hogs --resume {first}\n" in capsys.readouterr().err
    assert _run(["-p", str(port), "hogs", "--resume", first]) == 2
    assert "is of a cluster: give -c" in capsys.readouterr().err
    assert _run(["-c", "-p", str(port), "hogs", "--resume", first, "--sample", "9"]) == 2
    assert "continues a cluster's scan to its end: leave --sample out" in capsys.readouterr().err
    assert _run(["-c", "-p", str(port), "hogs", "--resume", first, "--json"]) == 0
    document = document_of("hogs", capsys.readouterr().out)
    held = sum(_keys(node) for node in cluster.primaries)
    assert (document["complete"], document["scanned_keys"]) == (True, held)


def _run(words: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        entry.main(words)
    return ended.value.code


def _keys(node: Node) -> int:
    with node.server.client() as client:
        return int(client.dbsize())


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
