"""The small client that fills the demo server."""

import pytest

from redis_oom_tui.demo.server import DemoServer
from redis_oom_tui.demo.wire import Refused, Wire, pack


def test_answers_of_every_kind() -> None:
    with DemoServer() as server:
        server.launch()
        with Wire(server.socket_path, name="probe", db=2) as wire:
            assert wire.call("SET", "k", b"\x00\r\n\xff") == b"OK"
            assert wire.call("GET", "k") == b"\x00\r\n\xff"
            assert wire.call("GET", "missing") is None
            assert wire.call("RPUSH", "l", 1, "2") == 2
            assert wire.call("LRANGE", "l", 0, -1) == [b"1", b"2"]
            assert wire.call_all([pack("PING"), pack("DBSIZE")]) == [b"PONG", 2]
            with pytest.raises(Refused, match="WRONGTYPE"):
                wire.call("GET", "l")
            assert list(wire.stream([[pack("SET", "a", 1)], [pack("SET", "b", 1), pack("SET", "c", 1)]])) == [0, 1, 2]
            with pytest.raises(Refused, match="unknown command"):
                list(wire.stream([[pack("SET", "a", 1), pack("NONSENSE")]]))


def test_a_server_that_goes_away_is_an_end_of_file() -> None:
    with DemoServer() as server:
        server.launch()
        wire = Wire(server.socket_path)
        server.stop()
        with wire, pytest.raises((EOFError, OSError)):
            wire.call("PING")
