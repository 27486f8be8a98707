"""`limits` with a scan: how much each policy may evict, and which patterns go first."""

import json
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.cli import main as entry
from tests.cli.test_limits import run
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer


def policies(out: str) -> dict[str, Any]:
    return {policy["name"]: policy for policy in document_of("limits", out)["policies"]}


def fill_with_ttls(server: RunningServer) -> None:
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(3000):
            pipe.set(b"big:%d" % number, b"v" * 100, ex=90_000)
        for number in range(300):
            pipe.set(b"short:%d" % number, b"v" * 100, ex=600)
        pipe.execute()


def test_without_a_scan_bytes_and_patterns_are_null(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    fill_with_ttls(server)
    _, out, _ = run(server, capsys, "--json")
    document = document_of("limits", out)
    assert document["scan"] is None
    found = policies(out)["volatile-ttl"]
    assert (found["evictable_keys_total"], found["evictable_bytes"], found["first_to_go"]) == (3300, None, None)
    assert found["first_to_go_unknown"] == "the keys were not scanned"
    _, out, _ = run(server, capsys)
    assert "limits --scan" in out


def test_a_scan_tells_bytes_and_the_pattern_with_the_shortest_ttls(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_with_ttls(server)
    code, out, _ = run(server, capsys, "--scan", "--json")
    assert code == 0
    document, found = document_of("limits", out), policies(out)
    assert (document["scan"]["complete"], document["scan"]["scanned_keys"]) == (True, 3300)
    assert found["volatile-ttl"]["first_to_go"] == ["short:*"]
    assert found["volatile-ttl"]["first_to_go_by"] == "the shortest TTLs"
    assert found["volatile-ttl"]["evictable_bytes"] > 300_000
    assert found["allkeys-lfu"]["first_to_go"] is None
    assert found["noeviction"]["evictable_keys_total"] == 0
    _, out, _ = run(server, capsys, "--scan")
    assert "first, by the shortest TTLs: short:*" in out
    assert "scan of all 3,300 keys" in out


def test_chance_names_no_pattern_and_a_tie_says_so(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with valkey.client() as client:
        for number in range(50):
            for pattern in "abcde":
                client.set(f"{pattern}:{number}", b"v" * 100, ex=9000)
    _, out, _ = run(valkey, capsys, "--scan", "--json")
    found = policies(out)
    assert (found["allkeys-random"]["first_to_go"], found["allkeys-random"]["first_to_go_unknown"]) == ([], None)
    for name, by in (("volatile-ttl", "the shortest TTLs"), ("allkeys-lru", "the longest idle times")):
        assert (found[name]["first_to_go"], found[name]["first_to_go_unknown"]) == (None, f"5 patterns tie by {by}")
    _, out, _ = run(valkey, capsys, "--scan")
    assert "no pattern is evicted first, by chance" in out
    assert "a:*" not in out


def test_a_saved_scan_is_told_with_its_age(
    server: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fill_with_ttls(server)
    path = tmp_path / "a.scan"
    with pytest.raises(SystemExit):
        entry.main(["-s", server.socket_path, "hogs", "--save", str(path)])
    capsys.readouterr()
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"taken_at": saved["taken_at"] - 7200}))
    _, out, _ = run(server, capsys, "--saved-scan", str(path), "--json")
    assert 7200 <= document_of("limits", out)["scan"]["age_seconds"] < 7500
    assert policies(out)["volatile-ttl"]["first_to_go"] == ["short:*"]
    assert policies(out)["allkeys-lru"]["first_to_go_unknown"] == "idle times were not read"
    _, out, _ = run(server, capsys, "--saved-scan", str(path))
    assert "2 hours ago" in out
    path.write_text(json.dumps(saved | {"run_id": "another"}))
    assert "restarted" in run(server, capsys, "--saved-scan", str(path))[1]
    code, _, err = run(server, capsys, "--scan", "--saved-scan", str(path))
    assert code == 2
    assert "cannot be combined" in err
