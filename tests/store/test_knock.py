"""The knock says yes where the driver would get in, and leaves everything else to it."""

import socket
import threading
from dataclasses import replace

import pytest

from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel, Tls
from redis_oom_tui.store.knock import Knock
from tests.support.servers import available, started


@pytest.mark.parametrize("flavour", available())
def test_a_server_that_lets_us_in_answers(flavour):
    with started(flavour) as server:
        assert Knock(server.connection).answered()


@pytest.mark.parametrize("flavour", available())
def test_only_the_right_login_is_let_in(flavour):
    with started(flavour, "requirepass right", "user sre on >pw +info") as server:
        alone = server.connection
        assert not Knock(alone).answered()
        assert not Knock(replace(alone, password=Secret("wrong"))).answered()
        assert Knock(replace(alone, password=Secret("right"))).answered()
        assert Knock(replace(alone, username="sre", password=Secret("pw"))).answered()


def test_a_user_who_may_not_read_info_is_left_to_the_driver():
    with started(available()[0], "user sre on >pw +ping") as server:
        assert not Knock(replace(server.connection, username="sre", password=Secret("pw"))).answered()


def test_nobody_there_is_left_to_the_driver(tmp_path):
    assert not Knock(Connection(Address(socket_path=str(tmp_path / "none")))).answered()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"$-1\r\n",
        b"$x\r\n",
        b"$999999999\r\nredis_version:7.0.0",
        b"$40\r\nredis_version:7.0.0\r\nredis_mode:sentinel\r\n",
        b"$12\r\nhello there!\r\n",
    ],
)
def test_what_is_no_server_with_data_is_left_to_the_driver(reply):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(1024)
                line.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not Knock(Connection(Address("127.0.0.1", listener.getsockname()[1]))).answered()
        thread.join()


def test_what_so_few_bytes_cannot_tell_is_not_asked():
    sentinel = Sentinel((Address(),), "m")
    assert Knock.suits(Connection())
    for other in (Connection(tls=Tls()), Connection(cluster=True), Connection(sentinel=sentinel)):
        assert not Knock.suits(other)
