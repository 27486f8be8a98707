"""Connections for acting: held for a whole action, known to reach the same server, taken up again after a loss.

redis-py reconnects by itself when a command is sent on a connection that was lost. After a failover that would be
another server, so here a lost connection stays lost, and the caller decides.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Self, TypeVar, cast

from redis import exceptions

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import OtherServer, ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.server.client import GatedConnection
from redis_oom_tui.server.errors import FAILURES, as_ours, translated
from redis_oom_tui.server.exchange import Exchange
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.replies import info_in
from redis_oom_tui.server.resp import packed
from redis_oom_tui.server.tasks import SameProcess, not_busy

Word = bytes | str | int
Command = tuple[Word, ...]
_T = TypeVar("_T")


class KnownScripts:
    """The scripts that the server at the other end of a connection knows, and the ways to call them that it refused."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.refused: set[Any] = set()


class ExclusiveConnection:
    """A connection to database `db` of `server`; `changing` for a confirmed action. A context that closes it."""

    def __init__(self, server: LiveServer, db: int = 0, *, changing: bool = False) -> None:
        self._server = server
        self.db = db
        self._changing = changing
        self._connection: GatedConnection | None = None
        self._pool: Any = None
        self._exchange: Exchange | None = None
        self._admitted: set[str] = set()
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
                self._exchange = self._connection.exchange()
            self.scripts.known.clear()
            self._admitted.clear()

    async def close(self) -> None:
        """Give the connection back; one with replies still to come is closed, or another would read them."""
        connection, self._connection = self._connection, None
        unread, self._unread = self._unread, 0
        if connection is not None:
            if unread:
                await connection.disconnect(nowait=True)
            elif self._exchange is not None:
                self._exchange.end()
            await self._pool.release(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to `commands`, in order; a refusal stands in its place as an error of ours.

        Raises ServerUnreachable where the connection was lost or silent: then nobody knows which commands ran.
        """
        if not commands:
            return []
        connection, _ = await self._at_hand()
        for command in commands:
            connection.allowlist.admit(command, untouched=connection.untouched)
        await self._send(b"".join(map(packed, commands)), len(commands))
        return await self._next(len(commands), lambda place: _named(commands[place]))

    async def _at_hand(self) -> tuple[GatedConnection, Exchange]:
        await self.open()
        connection, exchange = self._connection, self._exchange
        if connection is None or exchange is None or not connection.is_connected:
            raise ServerUnreachable(f"{self._server.address} closed the connection")
        return connection, exchange

    async def send(self, names: Iterable[str], buffer: bytes, replies: int) -> None:
        """Send commands that are packed already and called by one of `names`, without waiting for their `replies`.

        Raises as `call` does.
        """
        connection, _ = await self._at_hand()
        for name in names:
            if name not in self._admitted:
                connection.allowlist.admit((name,), untouched=connection.untouched)
                self._admitted.add(name)
        await self._send(buffer, replies)

    async def replies(self, names: Sequence[str]) -> list[Any]:
        """The next replies to what was sent, commands of these `names`, as `call` returns them. Raises as it does."""
        return await self._next(len(names), names.__getitem__)

    async def next_replies(self, replies: int, name: str) -> list[Any]:
        """The next so many replies to what was sent, all commands of this `name`, as `replies` returns them."""
        return await self._next(replies, lambda _: name)

    async def _send(self, buffer: bytes, replies: int) -> None:
        _, exchange = await self._at_hand()
        self._unread += replies
        await self._whole(exchange.send(buffer))

    async def _next(self, replies: int, named: Callable[[int], str]) -> list[Any]:
        _, exchange = await self._at_hand()
        found = await self._whole(exchange.replies(replies))
        self._unread -= replies
        if any(issubclass(kind, exceptions.RedisError) for kind in set(map(type, found))):
            where = self._server.address
            return [
                as_ours(one, where, named(place)) if isinstance(one, exceptions.RedisError) else one
                for place, one in enumerate(found)
            ]
        return found

    async def _whole(self, part: Awaitable[_T]) -> _T:
        """What `part` of an exchange comes to: it is had whole, or the connection goes with it, as replies may still be
        on their way, and nobody must read them as the answer to something else. Errors come out as ours.
        """
        try:
            return await part
        except FAILURES as error:
            await self.abandon()
            raise as_ours(error, self._server.address) from None
        except BaseException:
            await self.abandon()
            raise

    async def abandon(self) -> None:
        """Disconnect: replies may still be on their way, and nobody will read them."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def one(self, *command: Word) -> Any:
        """The reply to one command; raises what it was refused with."""
        reply = (await self.call([command]))[0]
        if isinstance(reply, TriageError):
            raise reply
        return reply


class SearchConnection(ExclusiveConnection):
    """One for a search, which changes nothing: what is asked is asked again while the server is busy, and on a new
    connection where one was lost or silent, as `SameProcess` does.
    """

    def __init__(
        self,
        server: LiveServer,
        db: int,
        run_id: str | None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        changing: bool = False,
    ) -> None:
        super().__init__(server, db, changing=changing)
        self._process = SameProcess(server, run_id, stopped)
        self._stopped = stopped

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """As for `ExclusiveConnection`. Raises ServerBusy and OtherServer as well."""

        async def reopen() -> object:
            await self.close()
            return (await self._asked([("INFO", "server")]))[0]

        return await self._process.answer(lambda: self._asked(commands), reopen)

    async def _asked(self, commands: Sequence[Command]) -> list[Any]:
        asked = super().call

        async def ask() -> list[Any]:
            replies = await asked(commands)
            for reply in replies:
                if isinstance(reply, ServerBusy):
                    raise reply
            return replies

        return await not_busy(ask, self._stopped)


def _named(command: Command) -> str:
    """The command as a sentence may name it: no keys, no values."""
    words = [word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in command[:2]]
    containers = {"CONFIG", "CLIENT", "MEMORY", "OBJECT", "ACL"}
    return " ".join(words) if words[0].upper() in containers else words[0]


_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0


class PinnedConnection:
    """The changing connection to database `db`. `run_id` is the server's that it must be, None if not told."""

    def __init__(self, server: LiveServer, db: int, run_id: str | None) -> None:
        self._server = server
        self._run_id = run_id
        self._client_id: int | None = None
        self.db = db
        self.channel = ExclusiveConnection(server, db, changing=True)

    async def open(self) -> None:
        """Connect and make sure of the server. Raises OtherServer, or another of `models.errors`."""
        channel = ExclusiveConnection(self._server, self.db, changing=True)
        try:
            info, client_id = await channel.call([("INFO", "server"), ("CLIENT", "ID")])
        except TriageError:
            await channel.close()
            raise
        if isinstance(info, ServerBusy):
            # Who it is cannot be asked yet: nothing is sent to a server that may be another.
            await channel.close()
            raise info
        now = str(info_in(info).get("run_id", "")) or None if isinstance(info, bytes) else None
        if self._run_id is not None and now is not None and now != self._run_id:
            await channel.close()
            raise OtherServer.at(self._server.address)
        self._run_id = self._run_id or now
        self._client_id = client_id if isinstance(client_id, int) else None
        self.channel = channel

    async def reopen(self) -> None:
        """After a loss: connect again, patiently, and see to it that nothing sent on the old connection can still run.

        Raises OtherServer, or ServerUnreachable when the server did not come back within `timeouts.GIVE_UP`, or as soon
        as another node of its cluster serves what it served.
        """
        lost = self._client_id
        deadline, wait = time.monotonic() + timeouts.GIVE_UP, _FIRST_WAIT
        failure: TriageError | None = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._taken_up(lost)
                return
            except OtherServer:
                raise
            except TriageError as error:
                failure = error
            except TimeoutError:
                break
            if await self._superseded(deadline):
                break
            await asyncio.sleep(min(wait, max(0.0, deadline - time.monotonic())))
            wait = min(_LONGEST_WAIT, 2 * wait)
        with contextlib.suppress(TriageError):
            await self.channel.close()
        raise failure or ServerUnreachable(
            f"{self._server.address} did not answer for {timeouts.GIVE_UP:.0f}s", silent=True
        )

    async def _superseded(self, deadline: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self._server.superseded()
        return False

    async def hold(self, stopped: Callable[[], bool]) -> None:
        """Wait until the server carries out commands again, or when `stopped`. Raises as `settled` and `reopen` do."""
        try:
            await settled(self.channel, stopped)
        except ServerUnreachable:
            await self.reopen()

    async def _taken_up(self, lost: int | None) -> None:
        await self.channel.close()
        await self.open()
        # Once more from the start where this one is lost, too: only with the kill's reply is the old one gone.
        if lost is not None:
            (killed,) = await self.channel.call([("CLIENT", "KILL", "ID", lost)])
            if isinstance(killed, ServerBusy):
                raise killed

    async def close(self) -> None:
        """Let go of the connection."""
        await self.channel.close()


async def settled(channel: ExclusiveConnection, stopped: Callable[[], bool]) -> None:
    """Return once the server carries out commands again, or when `stopped`.

    Raises ServerBusy where that takes longer than `timeouts.BUSY`, ServerUnreachable where the server is lost.
    """

    async def ping() -> None:
        (reply,) = await channel.call([("PING",)])
        # Any other refusal is an answer.
        if isinstance(reply, ServerBusy) and not stopped():
            raise reply

    await not_busy(ping, stopped)


class PinnedConnections:
    """The lines of an action to `server`, made when they are first wanted: one to each database to act on its keys, and
    one to save them ahead of that.
    """

    def __init__(self, server: LiveServer, run_id: str | None) -> None:
        self._server = server
        self._run_id = run_id
        self._open: dict[tuple[int, bool], PinnedConnection] = {}

    async def to(self, db: int, *, ahead: bool = False) -> PinnedConnection:
        """The line to database `db`. Raises as `PinnedConnection.open` does."""
        line = self._open.get((db, ahead))
        if line is None:
            line = self._open[db, ahead] = PinnedConnection(self._server, db, self._run_id)
            await not_busy(line.open)
        return line

    async def close(self) -> None:
        """Disconnect them all: what the server holds for each, as much as a few hundred KB, is free at once."""
        for line in self._open.values():
            await line.channel.abandon()
            await line.close()
