"""Whether a server that does not answer as it was asked answers the other way: with TLS, or without.

A server without TLS waits in silence for the end of a line that a greeting over TLS has not; one with TLS hangs up on
plain words. Neither says what is the matter, so it is tried: with a PING, or with a greeting, and never with a login.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Any, TypeVar

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import NotRedis, ServerUnreachable
from redis_oom_tui.server.command_allowlist import CommandAllowlist

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
