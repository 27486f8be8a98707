"""One connection, held for a whole action: commands in order, replies in order, and no silent second try.

redis-py reconnects by itself when a command is sent on a connection that was lost. After a failover that would be
another server, so here a lost connection stays lost, and the caller decides.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.server.client import GatedConnection
from redis_oom_tui.server.errors import as_ours, translated
from redis_oom_tui.server.live import LiveServer

Word = bytes | str | int
Command = tuple[Word, ...]


class KnownScripts:
    """The scripts that the server at the other end of a connection knows, and the ways to call them that it refused."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.refused: set[Any] = set()


class ExclusiveConnection:
    """A connection to database `db` of `server`; `changing` for a confirmed action. Close it when done."""

    def __init__(self, server: LiveServer, db: int = 0, *, changing: bool = False) -> None:
        self._server = server
        self.db = db
        self._changing = changing
        self._connection: GatedConnection | None = None
        self._pool: Any = None
        self._unread = 0
        self.scripts = KnownScripts()

    @property
    def stated_limit_bytes(self) -> int | None:
        """The operator's word for the limit of a server that tells none."""
        return self._server.connection.stated_limit_bytes

    async def open(self) -> None:
        """Take a connection of its own out of the pool. Raises one of `models.errors`."""
        if self._connection is None:
            self._pool = self._server.client(self.db, changing=self._changing).connection_pool
            with translated(self._server.address):
                self._connection = cast("GatedConnection", await self._pool.get_connection())
            self.scripts.known.clear()

    async def close(self) -> None:
        """Give the connection back; one with replies still to come is closed, or another would read them."""
        connection, self._connection = self._connection, None
        unread, self._unread = self._unread, 0
        if connection is not None:
            if unread:
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to `commands`, in order; a refusal stands in its place as an error of ours.

        Raises ServerUnreachable where the connection was lost or silent: then nobody knows which commands ran.
        """
        if not commands:
            return []
        connection = await self._at_hand()
        async with self._whole(connection):
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [await self._reply(connection, command) for command in commands]

    @contextlib.asynccontextmanager
    async def _whole(self, connection: GatedConnection) -> AsyncIterator[None]:
        """An exchange that is had whole, or the connection goes with it: replies may still be on their way, and nobody
        must read them as the answer to something else. Errors come out as ours.
        """
        try:
            with translated(self._server.address):
                yield
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _at_hand(self) -> GatedConnection:
        await self.open()
        connection = self._connection
        if connection is None or not connection.is_connected:
            raise ServerUnreachable(f"{self._server.address} closed the connection")
        return connection

    async def send(self, names: Sequence[str], buffer: bytes, replies: int) -> None:
        """Send commands that are packed already and called by one of `names`, without waiting for their `replies`.

        Raises as `call` does.
        """
        connection = await self._at_hand()
        for name in names:
            connection.gate.admit((name,), untouched=connection.untouched)
        # redis-py's own timeout would put every write into a task of its own.
        patience, connection.socket_timeout = connection.socket_timeout, None
        try:
            async with self._whole(connection), asyncio.timeout(patience):
                self._unread += replies
                await connection.send_packed_command(buffer, check_health=False)
        finally:
            connection.socket_timeout = patience

    async def replies(self, names: Sequence[str]) -> list[Any]:
        """The next replies to what was sent, commands of these `names`, as `call` returns them. Raises as it does."""
        connection = await self._at_hand()
        async with self._whole(connection):
            replies = [await self._reply(connection, (name,)) for name in names]
        self._unread -= len(names)
        return replies

    async def abandon(self) -> None:
        """Disconnect: replies may still be on their way, and nobody will read them."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def _reply(self, connection: AbstractConnection, command: Command) -> Any:
        try:
            return await connection.read_response()
        except exceptions.ResponseError as error:
            return as_ours(error, self._server.address, _named(command))

    async def one(self, *command: Word) -> Any:
        """The reply to one command; raises what it was refused with."""
        reply = (await self.call([command]))[0]
        if isinstance(reply, TriageError):
            raise reply
        return reply


def _named(command: Command) -> str:
    """The command as a sentence may name it: no keys, no values."""
    words = [word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in command[:2]]
    containers = {"CONFIG", "CLIENT", "MEMORY", "OBJECT", "ACL"}
    return " ".join(words) if words[0].upper() in containers else words[0]
