"""The preflight says yes where the driver would get in, and leaves everything else to it."""

import socket
import threading

import pytest
import redis
from redis._parsers import helpers

from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel, Tls
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.preflight import Preflight, RawConnection
from redis_oom_tui.server.replies import clients_in, info_in
from tests.support.servers import available, started


@pytest.mark.parametrize("flavour", available())
def test_a_server_that_lets_us_in_answers(flavour):
    with started(flavour) as server:
        assert Preflight(server.connection).first()


@pytest.mark.parametrize("flavour", available())
async def test_it_sees_what_the_driver_sees(flavour):
    """Everything of the server that does not move by itself, and every client, field by field."""
    with started(flavour) as server, server.client() as client:
        client.set("k", "v", ex=1000)
        client.config_set("maxmemory", "100mb")
        with pytest.raises(redis.ResponseError):
            client.execute_command("NONSENSE")
        preflight = Preflight(server.connection, again_after=0.0)
        second_sample = preflight.closer()
        driven = LiveServer(server.connection)
        try:
            now, settings, clients, known = await driven.read_closely()
        finally:
            await driven.close()
    seen = second_sample.snapshot()
    assert replace(seen.server, uptime_seconds=None) == replace(now.server, uptime_seconds=None)
    for part in ("databases", "notes", "cluster"):
        assert getattr(seen, part) == getattr(now, part)
    for whole, other in ((seen.memory, now.memory), (seen.counters, now.counters), (seen.activity, now.activity)):
        for name in type(whole).__struct_fields__:
            assert type(getattr(whole, name)) is type(getattr(other, name)), name
    # An old server books each manner that it does not know as an error of its own.
    assert seen.counters.errors_by_kind.keys() == now.counters.errors_by_kind.keys()
    assert seen.memory.maxmemory_bytes == now.memory.maxmemory_bytes
    assert second_sample.settings() == settings
    assert second_sample.capabilities() == known == Capabilities()
    assert settings["maxmemory"] == "104857600"
    ours = [client for client in second_sample.clients() if client.name == b"redis-oom-tui"]
    assert len(ours) == 1
    assert {
        (each.id, each.address, each.user, each.library) for each in second_sample.clients() if each not in ours
    } == {(each.id, each.address, each.user, each.library) for each in clients if each.name != b"redis-oom-tui"}


@pytest.mark.parametrize("flavour", available())
def test_it_takes_texts_apart_as_the_driver_does(flavour):
    with started(flavour) as server, server.client() as client:
        client.set("k", "v", ex=1000)
        line = RawConnection(server.connection)
        info, clients = line.ask((b"INFO", b"all"), (b"CLIENT", b"LIST"))
        line.close()
    ours, drivers = (
        snapshot_from_info(parse(info), address=Address(), monotonic=0.0, wall=0.0)
        for parse in (info_in, helpers.parse_info)
    )
    # A version of two numbers, or a run id of digits, is a float to redis-py.
    assert replace(ours, server=drivers.server) == drivers
    assert clients_in(clients) == helpers.parse_client_list(clients)


def test_what_a_client_calls_itself_is_kept_whole():
    line = b"id=3 addr=/a b/c:0 name=x=y lib-name= cmd=client|list tot-mem=22272\n"
    assert clients_in(line) == helpers.parse_client_list(line)


def test_the_second_look_comes_after_the_pause():
    with started(available()[0]) as server:
        preflight = Preflight(server.connection, again_after=0.05)
        first, closer = preflight.first(), preflight.closer()
        assert closer.monotonic - closer.took - first.monotonic >= 0.05
        assert not preflight.silent
        assert first.more == ()


def test_who_may_only_read_info_is_told_of_nothing_else():
    with started(available()[0], "user sre on >pw +info") as server:
        closer = Preflight(replace(server.connection, username="sre", password=Secret("pw")), again_after=0.0).closer()
    assert closer.snapshot().memory.used_bytes > 0
    assert dict(closer.settings()) == {}
    assert closer.clients() == ()


@pytest.mark.parametrize("flavour", available())
def test_only_the_right_login_is_let_in(flavour):
    with started(flavour, "requirepass right", "user sre on >pw +info") as server:
        alone = server.connection
        assert not Preflight(alone).first()
        assert not Preflight(replace(alone, password=Secret("wrong"))).first()
        assert Preflight(replace(alone, password=Secret("right"))).first()
        assert Preflight(replace(alone, username="sre", password=Secret("pw"))).first()


def test_a_user_who_may_not_read_info_is_left_to_the_driver():
    with started(available()[0], "user sre on >pw +ping") as server:
        assert not Preflight(replace(server.connection, username="sre", password=Secret("pw"))).first()


def test_nobody_there_is_left_to_the_driver(tmp_path):
    assert not Preflight(Connection(Address(socket_path=str(tmp_path / "none")))).first()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"$-1\r\n",
        b"$x\r\n",
        b"$999999999\r\nredis_version:7.0.0",
        b"$12\r\nhello there!\r\n",
        b":1\r\n",
        b"*-7\r\n",
    ],
)
def test_what_is_no_server_with_data_is_left_to_the_driver(reply):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(1024)
                line.sendall(b"+OK\r\n" * 3 + reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not Preflight(Connection(Address("127.0.0.1", listener.getsockname()[1]))).first()
        thread.join()


def test_what_so_few_bytes_cannot_tell_is_not_asked():
    sentinel = Sentinel((Address(),), "m")
    assert Preflight.suits(Connection())
    for other in (Connection(tls=Tls()), Connection(cluster=True), Connection(sentinel=sentinel)):
        assert not Preflight.suits(other)
