"""A server with few free connections: each command says it in a sentence, and an armed watch goes on."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.cli.ran import ran
from tests.cli.test_watch import watching
from tests.cli.test_watch_emergency import ARMED, arguments, full
from tests.support.servers import RunningServer, started
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("gives_up_soon")

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
            # The server may still hold the connection that just counted the others.
            until(client.ping, "a free connection")
            others.append(client)
        yield server, others


def _connected(server: RunningServer) -> int:
    with server.client() as client:
        return int(client.info("clients")["connected_clients"])


def refused(server: RunningServer, command: tuple[str, ...]) -> bool:
    """Whether there were too few connections for the command, which then names what refuses them."""
    done = ran("-s", server.socket_path, *command)
    text = done.stdout + done.stderr
    assert "defect" not in text, (command, text)
    assert "Traceback" not in text
    assert done.returncode in (0, 1, 2, 3), (command, text)
    if command[0] in ("hogs", "cleanup") and done.returncode == 3:
        assert "maxclients" in text
        assert "needs 3 connections" in text
        assert "--tls" not in done.stderr
    return done.returncode == 3


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("free", [0, 1, 2, 3])
def test_each_command_says_it_in_a_sentence(free: int, command: tuple[str, ...]) -> None:
    with crowded("valkey", free) as (server, _):
        # With two, the scan may be there before the connection that watches the server, and ends without it.
        assert refused(server, command) or free >= 2 or command[0] not in ("hogs", "cleanup")


@pytest.mark.parametrize("command", [COMMANDS[1], COMMANDS[5]], ids=" ".join)
def test_each_server_refuses_the_second_connection_alike(flavour: str, command: tuple[str, ...]) -> None:
    with crowded(flavour, 1) as (server, _):
        assert refused(server, command)


# Each server refuses alike, as the test above shows: here one of them will do.
@pytest.mark.parametrize("free", [1, 2])
def test_an_armed_watch_goes_on_and_acts_when_there_is_room(free: int, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(ARMED.format(armed="true").replace('cooldown = "1h"', 'cooldown = "1s"'))
    config.chmod(0o600)
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with (
        crowded("valkey", free) as (server, others),
        watching(*arguments(server, config, "--on-critical", "cache"), **state) as running,
    ):
        for _ in range(2):
            running.until(lambda line: "not started" in line)
        for other in others[:8]:
            other.close()
        assert "deleted" in running.event("cleanup")["reason"]
        code, _, errors = running.end(signal.SIGTERM)
    assert code == 0
    assert "defect" not in errors
