"""`demo`: what stands before the subcommand holds for its server as well."""

import contextlib

import pytest

from redis_oom_tui.cli import demo, main, screen
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.tui.terminal import environment


class StandIn:
    """A demo server that is none."""

    connection = Connection(address=Address(socket_path="/nowhere.sock"))

    def start(self, **_: object) -> None:
        """Nothing to fill."""


@pytest.mark.parametrize(("options", "read_only"), [(["--read-only"], True), ([], False)])
def test_read_only_reaches_the_demo_server(monkeypatch, options, read_only):
    shown = []
    monkeypatch.setattr(demo, "DemoServer", lambda: contextlib.nullcontext(StandIn()))
    monkeypatch.setattr(screen, "show", lambda invocation, connection: shown.append(connection) or 0)
    monkeypatch.setattr(environment, "refusal", lambda *_: None)  # As if on a terminal.
    with pytest.raises(SystemExit) as left:
        main.main([*options, "demo"])
    assert left.value.code == 0
    assert [connection.read_only for connection in shown] == [read_only]
    assert shown[0].address.socket_path == "/nowhere.sock"
