"""The tool was killed between CONFIG SET and the line that tells of it: what shows the server says so afterwards.

And what does not end it: a hangup that it was told to ignore."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.cli.main import main
from tests.cli.ran import ran
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer
from tests.support.tmux import COMMAND


def _killed_after_the_change(server: RunningServer, audit: Path, *options: str) -> None:
    """Set a policy through somebody who kills the tool once the server has carried that out."""
    tool: list[subprocess.Popen[bytes]] = []
    with lied_to(server.connection, {}) as liar, server.client() as direct:

        def lie(words: tuple[bytes, ...]) -> bytes | None:
            if words[:2] == (b"CONFIG", b"SET") and words[3:] == (b"allkeys-lru",):
                direct.config_set("maxmemory-policy", "allkeys-lru")
                os.kill(tool[0].pid, signal.SIGKILL)
                raise ConnectionResetError
            return None

        liar.lie = lie
        address = liar.connection.address
        words = ["-h", address.host, "-p", str(address.port), "--audit", str(audit), "limits"]
        tool.append(subprocess.Popen([str(COMMAND), *words, "--policy", "allkeys-lru", "--yes", *options]))
        assert tool[0].wait(30) == -signal.SIGKILL
    # The proxy was in between: on the server's own address nothing was ever written down.
    audit.write_text(audit.read_text().replace(str(address), str(server.connection.address)))


def _run(capsys: pytest.CaptureFixture[str], server: RunningServer, audit: Path, *words: str) -> str:
    with pytest.raises(SystemExit):
        main(["-s", server.socket_path, "--audit", str(audit), *words])
    return capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--revert-after", "60")], ids=["to stay", "for a while"])
def test_every_command_tells_of_a_change_that_may_have_been_made(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    audit = tmp_path / "audit.jsonl"
    _killed_after_the_change(server, audit, *options)
    said = "maxmemory-policy may have been set to allkeys-lru by this tool"
    for words in (["check"], ["limits"]):
        shown = _run(capsys, server, audit, *words)
        assert said in shown
        assert ("was to be restored by itself" in shown) == bool(options)
        assert said in json.loads(_run(capsys, server, audit, *words, "--json"))["unreturned"][0]
    assert "no end recorded" in _run(capsys, server, audit, "report")
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
    assert json.loads(_run(capsys, server, audit, "limits", "--json"))["unreturned"] == []


def test_what_was_set_since_settles_it(
    valkey: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    _killed_after_the_change(valkey, audit)
    _run(capsys, valkey, audit, "limits", "--policy", "volatile-ttl", "--yes")
    _run(capsys, valkey, audit, "limits", "--policy", "allkeys-lru", "--yes")
    assert json.loads(_run(capsys, valkey, audit, "limits", "--json"))["unreturned"] == []


def test_a_hangup_that_is_ignored_stops_no_command(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = asyncio.SelectorEventLoop.add_signal_handler
    heard: list[int] = []

    def hung_up(loop: asyncio.SelectorEventLoop, number: int, *rest: Any) -> None:
        add(loop, number, *rest)
        heard.append(number)
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", hung_up)
    backup = str(tmp_path / "backup")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with valkey.client() as client:
            client.set("a", "x")
            for words in (
                ("hogs",),
                ("cleanup", "--match", "*", "--yes", "--backup", backup),
                ("restore", backup, "--yes"),
                ("limits", "--scan"),
                ("watch", "--once"),
            ):
                heard.clear()
                done = ran("-s", valkey.socket_path, *words)
                assert done.returncode == 0, (words, done)
                assert signal.SIGHUP not in heard
                assert heard or words == ("watch", "--once"), words
            assert client.get("a") == b"x"
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
