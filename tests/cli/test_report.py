"""`report` on a live server and on a recording: complete, safe to paste, and silent about names where asked."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.cli.report import _recorded
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.recordings import Moment, Recorder
from redis_oom_tui.models.address import Address, ClientBuffer
from tests.rules.snapshots import MIB, snapshot_of
from tests.support.json_documents import document_of
from tests.support.servers import RunningServer


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert not ended.value.code
    return capsys.readouterr().out


def load(server: RunningServer) -> None:
    with server.client() as client:
        for number in range(1500):
            client.set(f"session:{number}", b"x" * 500, ex=None if number < 300 else 90_000)
            client.set(f"customer:{number}:[x](http://evil)|<b>", b"y" * 200)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.9))


def test_a_live_server_is_reported_whole(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    load(server)
    text = reported(capsys, "-s", server.socket_path, "report")
    assert text.startswith("# Memory incident report: unix:/")
    for words in ("**OOM: Refusing writes", "## Figures", "## Findings", "## What uses the memory", "## Largest keys"):
        assert words in text
    assert "300 of 1,500 keys in session:\\* have no TTL" in text
    # What is in backticks is no markup.
    assert re.search(r"(?<!\\)(\]\(|<)|://", re.sub(r"`[^`\n]+`", "", text)) is None
    assert ("Values not sampled" in text) == (server.flavour != "valkey")


def test_of_no_keys_a_report_says_that_it_scanned(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    text = reported(capsys, "-s", valkey.socket_path, "report")
    assert "By a scan of all keys (0, 0 B)." in text
    assert "## What uses the memory" not in reported(capsys, "-s", valkey.socket_path, "report", "--no-scan")


def test_the_document_says_the_same(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    load(valkey)
    document = document_of("report", reported(capsys, "-s", valkey.socket_path, "report", "--json"))
    assert document["verdict"]["level"] == "oom"
    assert document["after"]["memory"]["policy"] == "noeviction"
    assert document["scan"]["complete"]
    assert {"raise-limit", "no-ttl-stragglers"} <= {finding["id"] for finding in document["findings"]}
    assert len(document["scan"]["keys"]) == 100


def test_actions_on_this_server_under_another_address_are_told_with_that(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        client.mset({f"old:{number}": "x" * 100 for number in range(20)})
    reported(capsys, "-s", server.socket_path, "cleanup", "--match", "old:*", "--yes")
    other = tmp_path / "other"
    other.symlink_to(server.socket_path)
    document = document_of("report", reported(capsys, "-s", str(other), "report", "--no-scan", "--json"))
    assert [(each["action"], each["server"]) for each in document["actions"]] == [
        ("delete", f"unix:{server.socket_path}")
    ]
    text = reported(capsys, "-s", str(other), "report", "--no-scan")
    assert re.search(r"Deleted 20 of 20 keys; used memory .*[^.]; deleted 20 \|", text)


def test_without_names_no_name_is_told(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    load(valkey)
    for form in ((), ("--json",)):
        text = reported(capsys, "-s", valkey.socket_path, "report", "--no-names", *form)
        assert "session" not in text
        assert "customer" not in text
        assert "pattern-1" in text


def recording(path: Path) -> Path:
    """Twenty minutes: healthy, filling up, refusing, then cured by a larger limit."""
    recorder = Recorder(path, Address("cache-1"))
    for tick in range(120):
        used = min(100 + 12 * tick, 1001) * MIB
        over = used > 1000 * MIB and tick < 100
        limit = 1000 if tick < 100 else 2000
        refused = 50 * max(0, min(tick, 99) - 76)
        snapshot = snapshot_of(used, limit * MIB, at=1000.0 + 10 * tick, refused=refused, over_ms=5000 if over else 0)
        recorder.add(Moment(snapshot.taken_monotonic, snapshot.taken_at, snapshot=snapshot))
    recorder.close()
    return path


def test_a_client_that_had_left_by_the_end_of_a_recording_is_not_of_its_end(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", Address("cache-1"))
    for at, clients in ((1.0, (ClientBuffer(1, "10.0.0.1:5"),)), (2.0, ())):
        recorder.add(Moment(at, at, snapshot=snapshot_of(at=at)))
        recorder.add(Moment(at, at, clients=clients))
    recorder.close()
    assert _recorded(tmp_path / "r").clients == ()


def test_a_recording_tells_the_verdicts_over_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path / "r")
    audit = AuditFile(tmp_path / "audit.jsonl", wall=lambda: 1_001_995.0)
    action = audit.intent("set", server="127.0.0.1:6379", who="ann@bastion", what="maxmemory 1000 MiB to 2000 MiB")
    audit.result(action, ok=True, result="maxmemory is 2000 MiB")
    audit.intent("set", server="10.0.0.9:6379", who="ann@bastion", what="elsewhere")
    document = document_of(
        "report", reported(capsys, "--audit", str(audit.path), "report", "--from", str(file), "--json")
    )
    levels = [episode["level"] for episode in document["episodes"]]
    assert levels == ["ok", "warning", "critical", "oom", "ok"]
    oom = document["episodes"][3]
    assert oom["refused_writes"] == 1150
    assert oom["peak_pressure"] > 1.0
    assert document["before"]["memory"]["maxmemory_bytes"] == 1000 * MIB
    assert document["after"]["memory"]["maxmemory_bytes"] == 2000 * MIB
    assert [entry["what"] for entry in document["actions"]] == ["maxmemory 1000 MiB to 2000 MiB"]
    text = reported(capsys, "--audit", str(audit.path), "report", "--from", str(file))
    for words in ("## Before and after", "## Verdicts over time", "## What was done", "ann\\@bastion", "1000 MiB"):
        assert words in text


def test_a_report_is_written_to_a_new_file_of_its_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = recording(tmp_path / "r"), tmp_path / "report.md"
    assert reported(capsys, "report", "--from", str(file), "--output", str(out)) == ""
    assert out.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SystemExit) as ended:
        main(["report", "--from", str(file), "--output", str(out)])
    assert ended.value.code == 2
    assert "exists already: name a new file" in capsys.readouterr().err
