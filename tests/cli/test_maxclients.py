"""A server with few free connections: each command says it in a sentence, and an armed watch goes on."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from redis_oom_tui.models import timeouts
from tests.cli.ran import ran
from tests.cli.test_watch import watching
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
            # The server may still hold the connection that just counted the others.
            until(client.ping, "a free connection")
            others.append(client)
        yield server, others


def _connected(server: RunningServer) -> int:
    with server.client() as client:
        return int(client.info("clients")["connected_clients"])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up on a lost connection sooner than elsewhere."""
    monkeypatch.setattr(timeouts, "GIVE_UP", 1.0)


def refused(server: RunningServer, command: tuple[str, ...], *, needs_three: bool) -> None:
    """What the command says on such a server; one that needs three connections names what refuses them."""
    done = ran("-s", server.socket_path, *command)
    said = done.stdout + done.stderr
    assert "defect" not in said, (command, said)
    assert "Traceback" not in said
    assert done.returncode in ((3,) if needs_three else (0, 1, 2, 3)), (command, said)
    assert not needs_three or ("maxclients" in said and "needs 3 connections" in said and "--tls" not in done.stderr)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("free", [0, 1, 2, 3])
def test_each_command_says_it_in_a_sentence(free: int, command: tuple[str, ...]) -> None:
    with crowded("valkey", free) as (server, _):
        refused(server, command, needs_three=free < 3 and command[0] in ("hogs", "cleanup"))


@pytest.mark.parametrize("command", [COMMANDS[1], COMMANDS[5]], ids=" ".join)
def test_each_server_refuses_the_last_connection_alike(flavour: str, command: tuple[str, ...]) -> None:
    with crowded(flavour, 2) as (server, _):
        refused(server, command, needs_three=True)


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
