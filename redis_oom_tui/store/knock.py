"""A knock at the door: whether a server takes the login and answers, known before the driver is loaded.

Loading redis-py takes longer than most servers take to answer. So the screen is loaded while a thread asks the one
question that `LiveServer.open` asks, in the few bytes that it takes. A yes is all that is told from here: whatever
else comes is left to the driver, which has a sentence for it.
"""

import re
import socket
import threading

from redis_oom_tui.models.address import Connection
from redis_oom_tui.store.gate import Gate

_PATIENCE_SECONDS = 1.0
_LARGEST_BYTES = 64 * 1024
_SENTINEL = re.compile(rb"^(redis|server)_mode:sentinel", re.MULTILINE)


class Knock:
    """Asks at once, in a thread of its own that ends with the process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answered = False
        self._thread = threading.Thread(target=self._ask, name="knock", daemon=True)
        self._thread.start()

    @staticmethod
    def suits(connection: Connection) -> bool:
        """Whether so few bytes can tell: over TLS, of a cluster and behind Sentinels they cannot."""
        return connection.tls is None and connection.sentinel is None and not connection.cluster

    def answered(self) -> bool:
        """Whether the server let us in and told what it is; waits for a second at most."""
        self._thread.join(_PATIENCE_SECONDS)
        return self._answered

    def _ask(self) -> None:
        try:
            self._answered = _lets_in(self._connection)
        except (OSError, ValueError):
            self._answered = False


def _lets_in(connection: Connection) -> bool:
    commands = [*_login(connection), (b"INFO", b"server")]
    gate = Gate(read_only=True)
    for command in commands:
        gate.admit(command)
    with _connected(connection) as line, line.makefile("rb") as replies:
        line.sendall(b"".join(_packed(command) for command in commands))
        if any(replies.readline(_LARGEST_BYTES) != b"+OK\r\n" for _ in commands[1:]):
            return False
        kind, size = replies.read(1), replies.readline(_LARGEST_BYTES)
        if kind != b"$" or not 0 < int(size) < _LARGEST_BYTES:
            return False
        told = replies.read(int(size))
    return b"redis_version:" in told and _SENTINEL.search(told) is None


def _connected(connection: Connection) -> socket.socket:
    where = connection.address
    if where.socket_path is None:
        return socket.create_connection((where.host, where.port), timeout=_PATIENCE_SECONDS)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(_PATIENCE_SECONDS)
    try:
        line.connect(where.socket_path)
    except OSError:
        line.close()
        raise
    return line


def _login(connection: Connection) -> list[tuple[bytes, ...]]:
    if connection.username is None and connection.password is None:
        return []
    password = b"" if connection.password is None else connection.password.reveal().encode()
    return [(b"AUTH", *(() if connection.username is None else (connection.username.encode(),)), password)]


def _packed(command: tuple[bytes, ...]) -> bytes:
    words = (b"$%d\r\n%b\r\n" % (len(word), word) for word in command)
    return b"*%d\r\n%b" % (len(command), b"".join(words))
