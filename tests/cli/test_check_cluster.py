"""`check -c`: one verdict for the cluster, each node with its own."""

import contextlib
import re
from collections.abc import Iterator

import pytest
from redis.exceptions import ResponseError

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster, clustered
from tests.support.json_documents import document_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        with running.primaries[2].server.client() as client:
            client.config_set("maxmemory", 1_000_000)
        yield running


def _check(cluster: RunningCluster, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), "check", *words])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_in_words(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = _check(cluster, capsys)
    full = cluster.primaries[2].name
    assert code == 2
    assert out.startswith(f"OOM: {full} (worst of 3 primaries): ")
    assert sum(" slots  " in line for line in out.splitlines()) == 3
    assert "The primaries differ in maxmemory" in out


def test_as_json(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = _check(cluster, capsys, "--json")
    document = document_of("check", out)
    assert document["verdict"] == "oom"
    assert [node["verdict"] for node in document["nodes"]] == ["oom", "ok", "ok"]
    assert document["nodes"][0]["node"] == cluster.primaries[2].name
    assert document["nodes"][1]["maxmemory_bytes"] is None


def test_in_a_chat_and_as_a_plugin(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = _check(cluster, capsys, "--markdown")
    nodes = [line for line in out.splitlines() if re.match(r"- `[\d.]+:\d+`: ", line)]
    assert code == 2
    assert [node.partition("`: ")[2][:3] for node in nodes] == ["OOM", "OK,", "OK,"]
    assert nodes[1].endswith("OK, no limit")
    code, out = _check(cluster, capsys, "--perfdata")
    assert code == 2
    assert out.startswith("CRITICAL: ")
    assert " | used=" in out.splitlines()[0]


def test_what_a_plugin_counts_is_of_all_primaries(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the worst one alone, a counter would jump with each change of the worst."""
    for node in cluster.primaries:
        with node.server.client() as client:
            for number in range(30):
                # Refused where another serves the slot, and at OOM.
                with contextlib.suppress(ResponseError):
                    client.set(f"key:{number}", b"x")
    keys = 0
    for node in cluster.primaries:
        with node.server.client() as client:
            keys += client.dbsize()
    assert 0 < keys < 30
    _, out = _check(cluster, capsys, "--perfdata")
    assert f" refused_writes={30 - keys}c;;;0; evicted_keys=0c;;;0; keys={keys};;;0;" in out.splitlines()[0]
