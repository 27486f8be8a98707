"""Connections: redis-py's own, gated, polite, and quick to say that a server is silent."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)

from redis_oom_tui.models import address, timeouts
from redis_oom_tui.rules.clients import OWN_NAME
from redis_oom_tui.rules.flavours import no_touch_crash
from redis_oom_tui.server.command_allowlist import CommandAllowlist
from redis_oom_tui.server.connection_options import WHOLE_REPLY, connection_options
from redis_oom_tui.server.errors import waits
from redis_oom_tui.server.exchange import STUMBLES, Exchange, Patience
from redis_oom_tui.server.resp import ASKING, asking
from redis_oom_tui.server.tasks import ReusableTimeout

CLIENT_NAME = OWN_NAME.decode()

# Sent on every new connection, as the server forgets them with the old one. Without NO-EVICT, maxmemory-clients may
# drop the tool itself; without NO-TOUCH, some reads would make cold keys look hot.
_SETUP = (("CLIENT", "SETNAME", CLIENT_NAME), ("CLIENT", "NO-EVICT", "ON"))
_FAREWELL_BYTES = 200
# Longer than polls are apart mostly, and shorter than any firewall or proxy forgets a connection after.
_IDLE_SECONDS = 10.0
_TURNS = 2
_NO_TOUCH = ("CLIENT", "NO-TOUCH", "ON")


class _Patient:
    """A stream whose reads each end by `seconds`: silence is told apart from a long reply over a slow link."""

    def __init__(self, stream: asyncio.StreamReader, seconds: float) -> None:
        self._patient_stream = stream
        self._silence = ReusableTimeout(seconds)

    async def read(self, size: int = -1) -> bytes:
        with self._silence:
            return await self._patient_stream.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._patient_stream, name)


class _Gated(AbstractConnection):
    """What every connection of ours adds to redis-py's: the allowlist, the set-up commands, and what became of them.

    `silence_seconds` is how long nothing at all may come; redis-py's own timeout stands around a whole reply.
    """

    def __init__(
        self,
        *,
        allowlist: CommandAllowlist,
        silence_seconds: float = timeouts.SILENCE,
        replica_reads: bool = False,
        asking: bool = False,
        server_name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.allowlist = allowlist
        self.silence_seconds = silence_seconds
        self._setup = (*_SETUP, ("READONLY",)) if replica_reads else _SETUP
        self.server_name = server_name
        self.asking = asking
        self._introduced = False
        self.refused_setup: dict[str, str] = {}
        self.untouched = False
        self.unanswered = 0
        self.idle_since: float | None = None

    @property
    def idle_seconds(self) -> float:
        """How long ago it was given back; 0 for one that was not used yet."""
        return 0.0 if self.idle_since is None else asyncio.get_running_loop().time() - self.idle_since

    @property
    def ended(self) -> bool:
        """Whether the other side closed it, as far as that has come."""
        reader, writer = self._reader, self._writer
        return reader is not None and writer is not None and (writer.transport.is_closing() or reader.at_eof())

    async def is_answered(self) -> bool:
        """Whether a PING has an answer, whatever it is. Raises TimeoutError where nothing comes."""
        try:
            await self.send_command("PING", check_health=False)
            await self.read_response()
        except (exceptions.ResponseError, exceptions.AuthenticationError, exceptions.BusyLoadingError):
            return True
        except (exceptions.ConnectionError, OSError):
            return False
        return True

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[safe-super, no-untyped-call]
        if self._reader is not None:
            self._reader = cast("asyncio.StreamReader", _Patient(self._reader, self.silence_seconds))

    async def disconnect(self, *args: Any, **options: Any) -> None:
        """Close it; one that takes too long to end (TLS on a frozen server) is let go of, which is no error."""
        with contextlib.suppress(exceptions.TimeoutError):
            await super().disconnect(*args, **options)

    def pack_command(self, *args: Any) -> list[bytes]:
        self.allowlist.admit(args, untouched=self.untouched)
        self.unanswered += 1
        return super().pack_command(*args)

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        if self.asking and not self.is_connected:
            await self.connect_check_health(check_health=False)
        if self.asking and self._introduced:
            self.allowlist.admit((ASKING,))
            command = asking(command if isinstance(command, bytes) else b"".join(cast("Iterable[bytes]", command)))
        spare = None if self._introduced else _spare(self._writer)
        if spare is None:
            await super().send_packed_command(command, check_health=check_health)
            return
        reader = self._reader
        try:
            await super().send_packed_command(command, check_health=check_health)
        except exceptions.ConnectionError as error:
            # A full server says so, and hangs up before it was asked anything: that ends the sending first.
            raise _farewell(reader, spare) or error from None
        finally:
            spare.close()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        if self.asking and self._introduced:
            # Where ASKING is refused, so is what follows it: that reply tells.
            with contextlib.suppress(exceptions.ResponseError):
                await self._parsed(*args, **options)
        try:
            return await self._parsed(*args, **options)
        finally:
            self.unanswered = max(0, self.unanswered - 1)

    def exchange(self) -> Exchange:
        """Packed commands and their replies, without redis-py between. Raises ConnectionError without a connection."""
        if self._writer is None:
            raise exceptions.ConnectionError("Connection closed by server.")
        patience = Patience(self.silence_seconds, self.socket_timeout or WHOLE_REPLY * self.silence_seconds)
        return Exchange(self._writer, self._parser.parse_error, patience, behind_asking=self.asking)

    async def _parsed(self, *args: Any, **options: Any) -> Any:
        """The next reply; nonsense that redis-py's parser stumbles over is InvalidResponse, and ends the connection."""
        try:
            return await super().read_response(*args, **options)
        except (exceptions.InvalidResponse, *STUMBLES) as error:
            await self.disconnect(nowait=True)
            raise exceptions.InvalidResponse(f"{type(error).__name__}: {error}") from None

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        self.untouched = self._introduced = False
        self.unanswered = 0
        await super().on_connect_check_health(check_health=check_health)
        hello, *replies = await self._handshake(("HELLO",), *self._setup)
        answers = dict(zip(self._setup, replies, strict=True))
        # Only a server that says what it is is asked not to touch: a few versions would crash.
        crash = no_touch_crash(*_name_and_version(hello))
        (answers[_NO_TOUCH],) = (
            await self._handshake(_NO_TOUCH) if crash is None else (exceptions.ResponseError(crash),)
        )
        self.refused_setup = {
            " ".join(command[:2]): str(reply)
            for command, reply in answers.items()
            if isinstance(reply, exceptions.ResponseError)
        }
        self.untouched = "CLIENT NO-TOUCH" not in self.refused_setup
        self._introduced = True

    async def _handshake(self, *commands: tuple[str, ...]) -> list[Any]:
        """The replies to `commands`, all sent before the first is read; a refusal stands in its place."""
        for command in commands:
            await self.send_command(*command, check_health=False)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await self.read_response())
            except exceptions.ResponseError as error:
                if waits(error):
                    # What a busy server refuses, it may well know.
                    raise
                replies.append(error)
        return replies


def _spare(writer: asyncio.StreamWriter | None) -> socket.socket | None:
    """The writer's socket once more, to read from after the first was closed; None over TLS, where only ciphertext
    could be read, and where the connection is lost already.
    """
    if writer is None or writer.get_extra_info("ssl_object") is not None:
        return None
    connected = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        return None if connected is None else cast("socket.socket", connected.dup())
    return None


def _farewell(reader: Any, spare: socket.socket) -> exceptions.ConnectionError | None:
    """What the server said before it closed a connection, read or still in `spare`; None where that was no error."""
    left = bytes(getattr(reader, "_buffer", b""))
    with contextlib.suppress(OSError):
        spare.setblocking(False)
        left += spare.recv(_FAREWELL_BYTES)
    line = left.partition(b"\r\n")[0]
    return exceptions.ConnectionError(line[1:].decode("utf-8", "replace")) if line.startswith(b"-") else None


def _name_and_version(hello: Any) -> tuple[str, str]:
    """The server's name and version in its reply to HELLO, both empty where it does not tell.

    >>> _name_and_version([b"server", b"redis", b"version", b"8.2.3", b"modules", []])
    ('redis', '8.2.3')
    """
    if not isinstance(hello, list):
        return "", ""
    found = {name: value for name, value in zip(hello[::2], hello[1::2], strict=False) if isinstance(name, bytes)}
    name, version = found.get(b"server"), found.get(b"version")
    if not isinstance(name, bytes) or not isinstance(version, bytes):
        return "", ""
    return name.decode("ascii", "replace").lower(), version.decode("ascii", "replace")


class GatedConnection(_Gated, Connection):
    """Over TCP."""


class GatedUnixConnection(_Gated, UnixDomainSocketConnection):
    """Over a unix socket."""

    async def on_connect(self) -> None:
        """Nothing: redis-py does here, over unix sockets alone, what it then does once more for each connection."""


class GatedTlsConnection(_Gated, SSLConnection):
    """Over TLS; `server_name` is what the certificate is checked for, where it is not the host."""

    def _connection_arguments(self) -> Any:
        arguments = dict(super()._connection_arguments())
        if self.server_name is not None:
            arguments["server_hostname"] = self.server_name
        return arguments


class _Pool(ConnectionPool):
    """Gives no connection to anybody else while a reply to the last one may still be on its way.

    Once `closed` it keeps none: a command that was under way, or comes late, closes its connection when it ends.
    """

    closed = False

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connect it, again where the other side closed it while nobody used it: nothing was asked on it by then.

        After a longer rest a PING tells: what stands between may have forgotten the connection without a word.
        """
        gated = cast("_Gated", connection)
        for _ in range(_TURNS):
            # What has come is read by the event loop's next turns.
            await asyncio.sleep(0)
        if gated.ended:
            await gated.disconnect(nowait=True)
        await super().ensure_connection(connection)
        if gated.idle_seconds >= _IDLE_SECONDS and not await gated.is_answered():
            await gated.disconnect(nowait=True)
            await gated.connect()  # type: ignore[no-untyped-call]

    def doubt_idle(self) -> None:
        """Let a PING tell of each that rests whether it is there still, however short it has rested."""
        for connection in self._available_connections:
            cast("_Gated", connection).idle_since = -math.inf

    async def release(self, connection: AbstractConnection) -> None:
        if self.closed or cast("_Gated", connection).unanswered:
            await connection.disconnect(nowait=True)
        cast("_Gated", connection).idle_since = asyncio.get_running_loop().time()
        await super().release(connection)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close all. Where this is cancelled, each is closed all the same: those in use when they are released."""
        self.closed = self.closed or inuse_connections
        try:
            await super().disconnect(inuse_connections)
        finally:
            for connection in self._available_connections:
                await connection.disconnect(nowait=True)


def make_client(
    connection: address.Connection, *, db: int = 0, allowlist: CommandAllowlist | None = None, closed: bool = False
) -> "Redis":
    """A client of database `db`: RESP2, bytes in and out, no retries, the connection's own timeouts.

    Nothing connects yet. `allowlist` is a reader's by default. With `closed` no connection outlives its command.
    """
    pool = _Pool(
        connection_class=connection_class(connection),
        max_connections=8,
        db=db,
        allowlist=allowlist or CommandAllowlist(read_only=connection.read_only),
        **connection_options(connection),
    )
    pool.closed = closed
    client = Redis.from_pool(pool)
    # Replies come as they are: redis-py's own readers believe whatever is sent, `decode` does not.
    client.response_callbacks = {}
    return client


def doubt_idle(client: "Redis") -> None:
    """Trust no connection that rests in the client's pool: one to the same server was found closed."""
    cast("_Pool", client.connection_pool).doubt_idle()


@contextlib.asynccontextmanager
async def borrowed(client: "Redis") -> AsyncIterator[_Gated]:
    """A connection out of the client's pool, for an exchange that is had whole: where it breaks off, for whatever
    reason, the connection is closed, as replies may still be on their way and nobody must read them as others.
    """
    pool = client.connection_pool
    connection = cast("_Gated", await pool.get_connection())
    try:
        yield connection
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    finally:
        await pool.release(connection)


def connection_class(connection: address.Connection) -> type[_Gated]:
    """The class of connection that `connection` asks for."""
    if connection.address.socket_path is not None:
        return GatedUnixConnection
    return GatedConnection if connection.tls is None else GatedTlsConnection
