"""Options that take a file, given what is none: one sentence, at once, whatever the command."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.cli.ran import Ran, ran
from tests.support.servers import RunningServer

READ = {
    "--config": ("--config", "{}", "check"),
    "--pass-file": ("--pass-file", "{}", "check"),
    "--cacert": ("--tls", "--cacert", "{}", "check"),
    "--sentinel-cacert": ("--sentinel-cacert", "{}", "--sentinel", "a:1", "--master", "m", "check"),
    "config check": ("config", "check", "{}"),
    "restore": ("restore", "{}", "--yes"),
    "restore --damaged-ok": ("restore", "{}", "--yes", "--damaged-ok"),
    "--plan": ("cleanup", "--plan", "{}"),
    "--plan --yes": ("cleanup", "--plan", "{}", "--yes"),
    "--compare": ("hogs", "--compare", "{}"),
    "--resume": ("hogs", "--resume", "{}"),
    "replay": ("replay", "{}"),
    "report --from": ("report", "--from", "{}"),
    "--on-critical": ("watch", "--once", "--dry-run", "--on-critical", "{}"),
}
WRITTEN = {
    "--audit": ("--audit", "{}", "cleanup", "--match", "a*", "--yes"),
    "--record": ("--record", "{}", "--plain"),
    "--backup": ("cleanup", "--match", "a*", "--yes", "--backup", "{}"),
    "--save-plan": ("cleanup", "--match", "a*", "--save-plan", "{}"),
    "--save": ("hogs", "--save", "{}"),
    "--output": ("report", "--no-scan", "--output", "{}"),
    "--prometheus-file": ("watch", "--prometheus-file", "{}"),
}


def one_sentence(server: RunningServer, path: Path, words: tuple[str, ...]) -> None:
    """Run it; it must fail, in one line that holds no traceback."""
    asks_none = words[0] in ("config", "replay") or "--from" in words
    given = [*([] if asks_none else ["-s", server.socket_path]), *(word.format(path) for word in words)]
    code, out, err = ran(*given)
    said = err.strip() or out.strip()
    assert code, said
    assert "defect" not in said
    assert "Traceback" not in said
    assert str(path).rstrip("/") in out + err


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("option", READ)
@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "/dev/null", "folder"])
def test_what_is_read_must_be_a_plain_file(
    valkey: RunningServer, pipe: Path, tmp_path: Path, option: str, place: str
) -> None:
    path = {"pipe": pipe, "folder": tmp_path}.get(place, Path(place))
    one_sentence(valkey, path, READ[option])


@pytest.mark.parametrize("option", WRITTEN)
@pytest.mark.parametrize("place", ["pipe", "/dev/null"])
def test_what_is_written_is_a_new_or_a_plain_file(valkey: RunningServer, pipe: Path, option: str, place: str) -> None:
    path = pipe if place == "pipe" else Path(place)
    before = path.stat()
    with valkey.client() as client:
        client.set("a", 1)
    one_sentence(valkey, path, WRITTEN[option])
    with valkey.client() as client:
        assert client.exists("a")
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)


def test_a_report_lists_all_actions_of_its_hours(valkey: RunningServer, tmp_path: Path) -> None:
    """However many others were written since, here and on other servers."""
    audit, begun = tmp_path / "audit.jsonl", int(time.time()) - 3600
    line = '{"v":1,"at":%d,"phase":"intent","id":"%012x","action":"set","server":"%s","who":"me","what":"x"}\n'
    mine = str(valkey.connection.address)
    servers = (mine, *["b:1"] * 600)
    audit.write_text("".join(line % (begun + number, number, server) for number, server in enumerate(servers)))
    document = json.loads(ran("-s", valkey.socket_path, "--audit", str(audit), "report", "--json", "--no-scan").stdout)
    assert [action["at_unix_seconds"] for action in document["actions"]] == [begun]
    assert document["actions_unread_before_unix_seconds"] is None


def test_one_odd_line_in_the_audit_log_breaks_nothing_and_is_counted(valkey: RunningServer, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    audit.write_bytes(b'{"v":1,"at":1000,"phase":"intent","id":' + b"[" * 60000 + b"\n" + b"\0" * 100 + b"\n")

    def run(*words: str) -> Ran:
        return ran("-s", valkey.socket_path, "--audit", str(audit), *words)

    with valkey.client() as client:
        client.set("a", 1)
        code, out, err = run("cleanup", "--match", "a*")
        assert (code, err) == (0, "redis-oom-tui: scanning the keys ...\n")
        assert "2 lines of the audit log cannot be read and were skipped" in out
        assert run("cleanup", "--match", "a*", "--yes")[0] == 0
        assert client.dbsize() == 0
        code, out, err = run("report")
        assert code == 0
        assert "2 lines of the audit log cannot be read and were skipped" in err
        assert "2 lines of the audit log cannot be read and were skipped" in out
        assert "Deleted 1 of 1 key" in out
        code, out, _ = run("report", "--json", "--no-scan")
        assert (code, json.loads(out)["actions_skipped"]) == (0, 2)
        assert run("limits")[0] == 0
