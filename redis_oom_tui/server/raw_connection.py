"""One plain connection without the driver, for the first looks: loading redis-py takes longer than they do.

It passes the same gate and minds the same manners. It has no sentences: whatever goes wrong is left to the driver.
"""

import socket
from collections.abc import Sequence
from typing import Any

import hiredis

from redis_oom_tui.models.address import Connection
from redis_oom_tui.server.command_allowlist import CommandAllowlist
from redis_oom_tui.server.resp import packed

Words = tuple[bytes, ...]

# As on the driver's connections (`client.py`), but for NO-TOUCH: no key is looked at here. A server that does not know
# one of them refuses it, and that is all.
_MANNERS: tuple[Words, ...] = (
    (b"CLIENT", b"SETNAME", b"redis-oom-tui"),
    (b"CLIENT", b"NO-EVICT", b"ON"),
)
_READ_BYTES = 65_536
_MOST_BYTES = 64 * 2**20


class LeftToTheDriver(Exception):
    """The server answered something that only redis-py has words for."""


class RawConnection:
    """Connects at once; raises OSError where that fails, TimeoutError for silence, both for `ask` too."""

    @staticmethod
    def suits(connection: Connection) -> bool:
        """Whether it can get there: over TLS, to a cluster and through Sentinels it cannot."""
        return connection.tls is None and connection.sentinel is None and not connection.cluster

    def __init__(self, connection: Connection) -> None:
        self._gate = CommandAllowlist(read_only=True)
        self._reader = hiredis.Reader()
        self._login = _login(connection)
        self._introduced = False
        self._socket = _connected(connection)
        self._socket.settimeout(connection.read_timeout_seconds)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, *commands: Words) -> list[Any]:
        """The replies, all in one round trip, with the login and the manners before the first.

        A refusal is a `hiredis.ReplyError` among them. Raises LeftToTheDriver where the login is refused.
        """
        before = () if self._introduced else (*self._login, *_MANNERS)
        self._introduced = True
        replies = self._exchange((*before, *commands))
        if any(reply != b"OK" for reply in replies[: len(before) and len(self._login)]):
            raise LeftToTheDriver
        return replies[len(before) :]

    def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        for command in commands:
            self._gate.admit(command)
        self._socket.sendall(b"".join(map(packed, commands)))
        replies: list[Any] = []
        taken = 0
        while len(replies) < len(commands):
            data = self._socket.recv(_READ_BYTES)
            taken += len(data)
            if not data or taken > _MOST_BYTES:
                raise LeftToTheDriver
            replies += self._complete(data)
        return replies

    def _complete(self, data: bytes) -> list[Any]:
        """The replies that `data` brings to their end."""
        self._reader.feed(data)
        replies: list[Any] = []
        try:
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        except hiredis.ProtocolError:
            raise LeftToTheDriver from None
        return replies


def _connected(connection: Connection) -> socket.socket:
    where, patience = connection.address, connection.connect_timeout_seconds
    if where.socket_path is None:
        line = socket.create_connection((where.host, where.port), timeout=patience)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(patience)
    try:
        line.connect(where.socket_path)
    except OSError:
        line.close()
        raise
    return line


def _login(connection: Connection) -> tuple[Words, ...]:
    if connection.username is None and connection.password is None:
        return ()
    password = b"" if connection.password is None else connection.password.reveal().encode()
    return ((b"AUTH", *(() if connection.username is None else (connection.username.encode(),)), password),)
