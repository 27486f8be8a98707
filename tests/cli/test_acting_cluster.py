"""`limits -c` and `cleanup -c`, `restore -c`: every node, told node by node."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from redis_oom_tui.cli import main as entry
from tests.support.cluster import RunningCluster, clustered

KEYS = 90


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with clustered(replicas=False) as running:
        for index in range(KEYS):
            name = b"tmp:%d" % index
            with running.owner(key_slot(name)).server.client() as client:
                client.set(name, "v" * 100)
        yield running


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def _run(cluster: RunningCluster, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        entry.main(["-c", "-p", str(cluster.primaries[0].port), *words, "--json"])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_a_limit_for_all_nodes(cluster: RunningCluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = _run(cluster, capsys, "limits", "--maxmemory", "200mb", "--yes")
    assert code == 0, document
    for node in cluster.primaries:
        with node.server.client() as client:
            assert client.config_get("maxmemory") == {"maxmemory": str(200 * 1024 * 1024)}


def test_cleanup_and_restore(cluster: RunningCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    backup = tmp_path / "backup.jsonl"
    code, planned = _run(cluster, capsys, "cleanup", "--match", "tmp:*")
    assert (code, len(planned["keys"])) == (0, KEYS)
    assert _left(cluster) == KEYS
    code, _ = _run(cluster, capsys, "cleanup", "--match", "tmp:*", "--backup", str(backup), "--yes")
    assert (code, _left(cluster)) == (0, 0)
    files = sorted(tmp_path.glob("backup*.jsonl"))
    assert len(files) == 3
    for file in files:
        code, _ = _run(cluster, capsys, "restore", str(file), "--yes")
        assert code == 0
    assert _left(cluster) == KEYS


def _left(cluster: RunningCluster) -> int:
    total = 0
    for node in cluster.primaries:
        with node.server.client() as client:
            total += sum(1 for _ in client.scan_iter(match="tmp:*"))
    return total
