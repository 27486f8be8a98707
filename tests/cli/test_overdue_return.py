"""The tool was killed while a setting was to go back: every command that shows the server says so."""

import json
import time
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.audit_lines import change_fields
from redis_oom_tui.models.settings import Change, ChangeResult
from tests.support.servers import RunningServer


def _killed(running: RunningServer, path: Path, setting: str, old: str, new: str, **place: str) -> None:
    """What a tool leaves behind that set something for three seconds a minute ago, and was killed before they ended."""
    audit = AuditFile(path, wall=lambda: time.time() - 60)
    place = {"server": str(running.connection.address), **place}
    what = f"{setting}: {old} to {new}, reverted in 3s unless kept"
    action = audit.intent("set", who="sre@host", what=what, before=old, reverts_in_seconds=3.0, **place)
    result = ChangeResult(Change(setting, old, new), took=True, now=new)
    audit.result(action, ok=True, result=f"{setting} is {new} now", after=new, change=change_fields(result))


def _run(capsys: pytest.CaptureFixture[str], server: RunningServer, audit: Path, *words: str) -> str:
    with pytest.raises(SystemExit):
        main(["-s", server.socket_path, "--audit", str(audit), *words])
    return capsys.readouterr().out


def test_every_command_tells_of_a_return_that_is_overdue(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert json.loads(_run(capsys, server, audit, "check", "--json"))["unreturned"] == []
    _killed(server, audit, "maxmemory-policy", "noeviction", "allkeys-lru")
    said = "maxmemory-policy was to revert to noeviction"
    assert said in _run(capsys, server, audit, "check")
    assert said in json.loads(_run(capsys, server, audit, "check", "--json"))["unreturned"][0]
    assert said in _run(capsys, server, audit, "limits")
    assert said in json.loads(_run(capsys, server, audit, "limits", "--json"))["unreturned"][0]
    assert "overdue" in _run(capsys, server, audit, "report")
    (action,) = json.loads(_run(capsys, server, audit, "report", "--json"))["actions"]
    assert action["overdue"]
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
    assert json.loads(_run(capsys, server, audit, "check", "--json"))["unreturned"] == []


@pytest.mark.parametrize("same", [True, False])
def test_what_was_set_under_another_address_is_known_by_the_run_id(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], same: bool
) -> None:
    audit = tmp_path / "audit.jsonl"
    with valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        run_id = client.info("server")["run_id"] if same else "r0"
    _killed(valkey, audit, "maxmemory-policy", "noeviction", "allkeys-lru", server="cache-1:6379", run_id=run_id)
    for command in ("check", "limits"):
        sentences = json.loads(_run(capsys, valkey, audit, command, "--json"))["unreturned"]
        assert ["maxmemory-policy was to revert to noeviction" in each for each in sentences] == [True] * same


def test_a_setting_that_check_does_not_read_is_named_as_well(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    _killed(valkey, audit, "maxclients", "10000", "9000")
    (overdue,) = json.loads(_run(capsys, valkey, audit, "check", "--json"))["unreturned"]
    assert overdue.startswith("maxclients was to revert to 10000")


def test_an_audit_log_that_cannot_be_read_is_no_word_that_all_went_back(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    audit = tmp_path / "audit.jsonl"
    _killed(valkey, audit, "maxclients", "10000", "9000")
    monkeypatch.setattr("redis_oom_tui.files.audit.open_plain", refuse)
    document = json.loads(_run(capsys, valkey, audit, "check", "--json"))
    assert document["unreturned"] is None
    assert any("audit log cannot be read" in note for note in document["notes"])
    assert "audit log cannot be read" in _run(capsys, valkey, audit, "check")
