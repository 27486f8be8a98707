"""What redis-py's connection classes are given: address, login, TLS and times."""

from typing import Any

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
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify,
        "server_name": tls.server_name,
    }
