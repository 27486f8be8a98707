"""A server with few free connections: each command says it in a sentence, and an armed watch goes on."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.cli.test_watch import COMMAND, watching
from tests.cli.test_watch_emergency import ARMED, arguments, full
from tests.support.servers import RunningServer, started
from tests.support.waiting import until

COMMANDS = (
    ("check",),
    ("hogs",),
    ("limits",),
    ("report",),
    ("cleanup", "--match", "cache:*"),
    ("cleanup", "--match", "cache:*", "--yes", "--no-backup"),
)


@contextlib.contextmanager
def crowded(flavour: str, free: int) -> Iterator[tuple[RunningServer, list[redis.Redis]]]:
    """A full server on which so many more clients may connect, and the others there."""
    with started(flavour, "maxclients 20", "maxmemory 8mb") as server, contextlib.ExitStack() as stack:
        full(server)
        until(lambda: _connected(server) <= 1, "the clients that filled it are gone")
        others = []
        for _ in range(20 - free):
            client = stack.enter_context(server.client())
            client.ping()
            others.append(client)
        yield server, others


def _connected(server: RunningServer) -> int:
    with server.client() as client:
        return int(client.info("clients")["connected_clients"])


@pytest.mark.parametrize("free", [0, 1, 2, 3])
def test_each_command_says_it_in_a_sentence(free: int, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with crowded("valkey", free) as (server, _):
        for command in COMMANDS:
            words = [*COMMAND, "-s", server.socket_path, *command]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=state)
            said = done.stdout + done.stderr
            assert "defect" not in said, (command, said)
            assert "Traceback" not in said
            assert done.returncode in (0, 1, 2, 3), (command, said)


@pytest.mark.parametrize("free", [0, 1, 2])
def test_a_scan_or_a_cleanup_names_maxclients_whichever_connection_is_refused(
    flavour: str, free: int, tmp_path: Path
) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with crowded(flavour, free) as (server, _):
        for command in (COMMANDS[1], *COMMANDS[4:]):
            words = [*COMMAND, "-s", server.socket_path, *command]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=state)
            assert done.returncode == 3, (command, done)
            assert "maxclients" in done.stdout + done.stderr
            assert "needs 3 connections" in done.stdout + done.stderr
            assert "--tls" not in done.stderr


@pytest.mark.parametrize("free", [1, 2])
def test_an_armed_watch_goes_on_and_acts_when_there_is_room(flavour: str, free: int, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(ARMED.format(armed="true").replace('cooldown = "1h"', 'cooldown = "1s"'))
    config.chmod(0o600)
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with (
        crowded(flavour, free) as (server, others),
        watching(*arguments(server, config, "--on-critical", "cache"), **state) as running,
    ):
        for _ in range(3):
            running.until(lambda line: "not started" in line)
        for other in others[:8]:
            other.close()
        assert "deleted" in running.event("cleanup")["reason"]
        code, _, errors = running.end(signal.SIGTERM)
    assert code == 0
    assert "defect" not in errors
