"""A server that is busy in somebody's script, or silent, when a command begins: waited for, and named."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.cli.ran import ran
from tests.cli.test_watch import COMMAND
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer, started
from tests.support.waiting import until

_LOOP = "while true do end"
_WAITING = "is busy running a script: wait for it, or SCRIPT KILL ends one that has not written"


@contextlib.contextmanager
def busy(flavour: str) -> Iterator[RunningServer]:
    """A server that answers nothing but -BUSY until somebody kills its script."""
    with started(flavour, "lua-time-limit 100") as server, server.client() as client, server.client() as other:
        client.set("cache:1", "x")

        def loop() -> None:
            with contextlib.suppress(redis.RedisError):
                other.eval(_LOOP, 0)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            until(lambda: _says_busy(client), "the script runs")
            yield server
        finally:
            with contextlib.suppress(redis.ResponseError):
                client.script_kill()
            thread.join()


def _says_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


def _begun(server: RunningServer, folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "-s", server.socket_path, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"XDG_STATE_HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )


@pytest.mark.parametrize(
    "command",
    [("hogs",), ("report",), ("cleanup", "--match", "cache:*", "--yes", "--no-backup")],
    ids=lambda one: one[0],
)
def test_a_command_waits_for_a_server_that_is_busy_when_it_starts(command: tuple[str, ...], tmp_path: Path) -> None:
    with busy("valkey") as server, _begun(server, tmp_path, *command) as tool:
        assert tool.stderr is not None
        first = tool.stderr.readline()
        assert _WAITING in first
        assert "waiting up to 30s" in first
        with server.client() as client:
            client.script_kill()
        output, errors = tool.communicate(timeout=60)
        assert tool.returncode == 0, (output, errors)


def test_check_says_at_once_that_a_script_runs(flavour: str, tmp_path: Path) -> None:
    with busy(flavour) as server, _begun(server, tmp_path, "check") as tool:
        output, _ = tool.communicate(timeout=20)
        assert tool.returncode == 3
        assert _WAITING in output
        assert "cannot be reached" not in output


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("hogs",), b"INFO server"),
        (("hogs",), b"INFO all"),
        (("hogs",), b"MEMORY STATS"),
        (("hogs",), b"PING"),
        (("cleanup", "--match", "cache:*", "--yes", "--no-backup"), b"ACL WHOAMI"),
        (("cleanup", "--match", "cache:*"), b"INFO all"),
    ],
    ids=str,
)
def test_a_server_that_falls_silent_at_a_first_question_is_asked_again(
    valkey: RunningServer, tmp_path: Path, words: tuple[str, ...], first: bytes
) -> None:
    silent = threading.Event()

    def lie(asked: tuple[bytes, ...]) -> None:
        if not silent.is_set() and b" ".join(asked[:2]).startswith(first):
            silent.set()
            os.kill(valkey.pid, signal.SIGSTOP)
            threading.Timer(1.0, os.kill, (valkey.pid, signal.SIGCONT)).start()

    with valkey.client() as client, lied_to(valkey.connection, {}) as liar:
        client.set("cache:1", "x")
        liar.lie = lie
        address = liar.connection.address
        config = tmp_path / "config.toml"
        config.write_text(f'[profiles.p]\nhost = "{address.host}"\nport = {address.port}\nread_timeout = 0.4\n')
        done = ran("--config", str(config), "--profile", "p", *words)
        assert silent.is_set()
        assert done.returncode == 0, done
        assert client.dbsize() == ("--yes" not in words)
