"""What redis-py is given for a connection, and whether a server that stays silent answers the other way: TLS or not.

A server without TLS waits in silence for the end of a line that a greeting over TLS has not; one with TLS hangs up on
plain words. Neither says what is the matter, so it is tried: with a PING, or with a greeting, and never with a login.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Any, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from redis_oom_tui.models import address
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import NotRedis, ServerUnreachable
from redis_oom_tui.server.command_allowlist import CommandAllowlist

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


_Answer = TypeVar("_Answer")

# A server that speaks TLS has answered by then, on all but the slowest links.
_PATIENCE_SECONDS = 1.0
# How long the other way may take, connecting included.
_TRIAL_SECONDS = 1.0
_PING = (b"PING",)


async def with_tls_hint(connection: Connection, asking: Coroutine[None, None, _Answer]) -> _Answer:
    """What `asking` comes to, on a server that has never answered yet.

    Raises what it raises; ServerUnreachable with the reason where the server answers the other way: over TLS that is
    tried as soon as it keeps one waiting, without TLS only where it hangs up or is not understood. A server that is
    merely busy is not greeted over TLS: it could take parts of that for commands, and count them as errors.
    """
    asked = asyncio.ensure_future(asking)
    tried = False
    try:
        if connection.tls is not None:
            await asyncio.wait({asked}, timeout=_PATIENCE_SECONDS)
            if tried := not asked.done():
                await _meanwhile(asked, connection)
        return await asked
    except (ServerUnreachable, NotRedis) as error:
        silent = connection.tls is None and isinstance(error, ServerUnreachable) and error.silent
        found = None if tried or silent else await _found(connection)
        raise (error if found is None else ServerUnreachable(found)) from None
    finally:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def _meanwhile(asked: "asyncio.Future[_Answer]", connection: Connection) -> None:
    """Try the other way until `asked` is over; raises ServerUnreachable where that is answered first."""
    other = asyncio.ensure_future(_found(connection))
    try:
        either: tuple[asyncio.Future[Any], ...] = (asked, other)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if other.done() and not asked.done() and (found := other.result()) is not None:
            raise ServerUnreachable(found)
    finally:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def _found(connection: Connection) -> str | None:
    """What was found to be the matter, in a sentence; None where the other way leads nowhere either."""
    where = connection.address
    if where.socket_path is not None:
        return None
    with contextlib.suppress(OSError, EOFError):
        async with asyncio.timeout(_TRIAL_SECONDS):
            if connection.tls is not None and await _plainly(where.host, where.port):
                return f"{where} answers, but without TLS: check the port, or try without --tls"
            if connection.tls is None and await _over_tls(where.host, where.port):
                return f"{where} speaks TLS: try --tls, and --cacert where its CA is not a public one"
    return None


async def _plainly(host: str, port: int) -> bool:
    """Whether a plain PING is answered in Redis's way, be it by a refusal."""
    CommandAllowlist(read_only=True).admit(_PING)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        return (await reader.readexactly(1)) in (b"+", b"-")
    finally:
        writer.close()


async def _over_tls(host: str, port: int) -> bool:
    """Whether a greeting over TLS is answered, be it by a refusal; whose certificate it is matters to nobody here."""
    # No authorities are loaded for that, which takes longer than the greeting itself.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as refusal:
        return "ALERT" in (refusal.reason or "")
    # No farewell: one over TLS is answered, which nobody waits for here.
    writer.transport.abort()
    return True
