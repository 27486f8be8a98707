"""What redis-py is given for a connection: address, login, TLS, times, and a parser that reads many replies at once."""

from typing import Any

from redis.asyncio import connection as driver
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from redis_oom_tui.models import address

WHOLE_REPLY = 20
"""A reply that keeps coming may take so many times what silence may: CLIENT LIST over 10 KB/s is slow, not lost."""


class _Login(CredentialProvider):
    """The user and password, kept out of redis-py's own attributes, which its reprs and tracebacks show."""

    def __init__(self, connection: address.Connection) -> None:
        self._connection = connection

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._connection.password
        revealed = "" if password is None else password.reveal()
        if self._connection.username is None:
            return (revealed,)
        return (self._connection.username, revealed)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


def connection_options(connection: address.Connection) -> dict[str, Any]:
    """What redis-py's connection classes take, database and allowlist aside."""
    options: dict[str, Any] = {
        "socket_connect_timeout": connection.connect_timeout_seconds,
        "socket_timeout": WHOLE_REPLY * connection.read_timeout_seconds,
        "silence_seconds": connection.read_timeout_seconds,
        "replica_reads": connection.replica_reads,
        "asking": connection.asking,
        # A retry would hide a lost reply, and for a write it could act twice: the callers decide instead.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }
    if connection.username is not None or connection.password is not None:
        options["credential_provider"] = _Login(connection)
    where = connection.address
    if where.socket_path is not None:
        return options | {"path": where.socket_path}
    options |= {"host": where.host, "port": where.port}
    return options if connection.tls is None else options | _tls_options(connection.tls)


def _tls_options(tls: address.Tls) -> dict[str, Any]:
    return {
        "ssl_ca_certs": None if tls.ca_file is None else str(tls.ca_file),
        "ssl_certfile": None if tls.cert_file is None else str(tls.cert_file),
        "ssl_keyfile": None if tls.key_file is None else str(tls.key_file),
        # Without one, OpenSSL asks for the password of a key on the terminal, under the screen.
        "ssl_password": "",
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify,
        "server_name": tls.server_name,
    }


try:
    from redis._parsers import _AsyncHiredisParser
except ImportError:  # a redis-py that keeps it elsewhere: the replies are then read one by one
    _AsyncHiredisParser = None  # type: ignore[assignment,misc,unused-ignore]


def bulk_parser() -> type[Any] | None:
    """redis-py's hiredis parser, able to take the next replies for one array; None where that cannot work."""
    if _AsyncHiredisParser is None or driver.DefaultParser is not _AsyncHiredisParser:
        return None

    class BulkParser(_AsyncHiredisParser):
        """Replies are cheapest as one array that hiredis builds in C. The server sends no such array: we do.

        Where more replies may have come than are asked for, they are taken one by one, but without redis-py between.
        """

        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)  # type: ignore[no-untyped-call]
            # Where redis-py keeps its reader elsewhere, the replies are read one by one.
            known = hasattr(getattr(self, "_reader", None), "feed")
            connection.expect = self.expect if known else None
            connection.several = self.several if known else None
            # What the reader says where a reply has not come as a whole.
            reader: Any = self._reader
            self._nothing = reader.gets() if known else None

        def expect(self, replies: int) -> None:
            """Let the next `replies` replies come as one list, errors in their places."""
            reader: Any = self._reader
            reader.feed(b"*%d\r\n" % replies)

        async def several(self, replies: int) -> list[Any]:
            """The next `replies` replies, errors in their places; those behind them may have come already."""
            reader: Any = self._reader
            found: list[Any] = []
            while len(found) < replies:
                reply = reader.gets()
                if reply is self._nothing:
                    await self.read_from_socket()  # type: ignore[no-untyped-call]
                else:
                    found.append(reply)
            return found

    return BulkParser
