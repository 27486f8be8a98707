"""One connection of the scan: a page of commands goes out in one write, its replies come back in one list."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol

from redis import exceptions

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.server.call_throttle import Throttle
from redis_oom_tui.server.client import connection_class
from redis_oom_tui.server.command_allowlist import CommandAllowlist
from redis_oom_tui.server.connection_options import connection_options
from redis_oom_tui.server.errors import translated, waits
from redis_oom_tui.server.exchange import Exchange
from redis_oom_tui.server.resp import ScanCommand, admit_all, packed
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, PageReader
from redis_oom_tui.server.sizing import Words, command_of
from redis_oom_tui.server.tasks import LosableServer, SameProcess, is_silent, not_busy, until_lost


class ScanConnection:
    """A gated connection of one database."""

    def __init__(self, connection: Connection, db: int, command: ScanCommand) -> None:
        allowlist = CommandAllowlist(read_only=connection.read_only)
        admit_all(allowlist, command)
        options = connection_options(connection)
        self._connection = connection_class(connection)(allowlist=allowlist, db=db, **options)
        self._exchange: Exchange | None = None

    @property
    def untouched(self) -> bool:
        """Whether CLIENT NO-TOUCH holds here."""
        return self._connection.untouched

    def admit(self, words: Sequence[bytes]) -> None:
        """Pass a command that is packed by hand through the allowlist; raises NotAllowed where it may not be sent."""
        self._connection.allowlist.admit(words, untouched=self.untouched)

    async def open(self) -> None:
        """Connect; cancelled or refused on the way, nothing stays open."""
        await self._opened()

    async def _opened(self) -> Exchange:
        exchange = None
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            exchange = self._exchange = self._connection.exchange()
        finally:
            if exchange is None:
                await self.close()
        return exchange

    async def close(self) -> None:
        """Disconnect; never raises for a connection that is already gone."""
        self._exchange = None
        try:
            await self._connection.disconnect(nowait=True)
        except (exceptions.RedisError, OSError):
            return

    async def ask(self, buffer: bytes, replies: int) -> list[Any]:
        """Send `buffer`, return its `replies`; a refusal of one command stands in its place as an exception.

        Raises redis-py's errors; a timeout, or a cancellation half-way, ends the connection: the next page has another.
        Where the server was busy for some of it, that is raised: nothing of the page is to be believed, and all of it
        can be asked again.
        """
        exchange = self._exchange or await self._opened()
        answers: list[Any] | None = None
        try:
            answers = await exchange.page(buffer, replies)
        except TimeoutError:
            raise exceptions.TimeoutError("Timeout reading a page") from None
        except OSError as error:
            raise exceptions.ConnectionError(f"Error while reading a page: {error}") from None
        finally:
            if answers is None:
                # Replies may still be on their way: the next page must not be answered by them.
                await self.close()
        return _settled(answers)


def _settled(answers: list[Any]) -> list[Any]:
    """`answers`; raises the first of them that says that the server carries out nothing just now."""
    kinds = set(map(type, answers))
    if any(issubclass(kind, exceptions.RedisError) for kind in kinds):
        for answer in answers:
            if isinstance(answer, exceptions.RedisError) and waits(answer):
                raise answer
    return answers


_PLAIN = ScanCommand()


class MonitoredServer(Protocol):
    """What is asked of a server here."""

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    @property
    def connection(self) -> Connection:
        """How to reach it now."""


class SearchedServer(MonitoredServer, LosableServer, Protocol):
    """What the search for a plan's keys asks of a server as well."""


class ScanServer(MonitoredServer, Protocol):
    """What a scan and a sample ask of a server as well."""

    async def snapshot(self) -> Snapshot:
        """One INFO, parsed."""

    async def capabilities(self) -> Capabilities:
        """What may be read here."""


class ThrottledConnection:
    """A connection to database `db` of `server`, to scan it as `command` says. Raises `models.errors` alone."""

    def __init__(self, server: MonitoredServer, db: int, throttle: Throttle, command: ScanCommand = _PLAIN) -> None:
        self.where = server.address
        self._db = db
        self._throttle = throttle
        self._pages = PageReader(command)
        self._connection = ScanConnection(server.connection, db, command)
        self._admitted: set[Words] = set()

    async def open(self) -> None:
        """Connect; a busy or silent server is waited for."""

        def stopped() -> bool:
            return self._throttle.stopping

        await until_lost(lambda: not_busy(self._open, stopped), stopped, worth=is_silent)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    @property
    def untouched(self) -> bool:
        """Whether CLIENT NO-TOUCH holds here."""
        return self._connection.untouched

    def admit(self, words: Words) -> None:
        """Pass a command through the allowlist once for all keys; raises NotAllowed where it may not be sent."""
        if (command := command_of(words)) not in self._admitted:
            self._connection.admit(words)
            self._admitted.add(command)

    async def ask(self, commands: Sequence[Words]) -> list[Any]:
        """The replies to `commands`, as soon as they may be sent; refusals stand in their places."""
        if not commands:
            return []
        await self._throttle.ready()
        for words in commands:
            self.admit(words)
        return await self.exchange(b"".join(map(packed, commands)), len(commands))

    async def exchange(self, buffer: bytes, replies: int) -> list[Any]:
        """The `replies` to commands that are packed already, as often as it takes until the server carries them out."""
        return await not_busy(lambda: self._exchange(buffer, replies), lambda: self._throttle.stopping)

    async def pages(self, wanted: Callable[[], int]) -> AsyncGenerator[list[bytes], None]:
        """The names of all keys, `wanted` at a time at most, until the throttle is stopping."""
        cursor_range = CursorRange(self._db)
        while not cursor_range.ended and not self._throttle.stopping:
            await self._throttle.ready()
            request, size = self._pages.request(cursor_range, wanted())
            (reply,) = await self.exchange(request, 1)
            with translated(self.where, "SCAN"):
                names = self._pages.take(cursor_range, reply, size)
            yield names

    async def _open(self) -> None:
        with translated(self.where):
            await self._connection.open()

    async def _exchange(self, buffer: bytes, replies: int) -> list[Any]:
        answers: list[Any] = []
        self._throttle.begun()
        began = self._throttle.now()
        try:
            with translated(self.where):
                answers = await self._connection.ask(buffer, replies)
                return answers
        finally:
            self._throttle.took(len(answers), *began.until(self._throttle.now()))


_INFO = b"INFO", b"server"
_PACKED_INFO = packed(_INFO)


class PatientConnection(ThrottledConnection):
    """One that asks again where it was lost or the server fell silent, as `SameProcess` does."""

    def __init__(
        self, server: SearchedServer, db: int, throttle: Throttle, command: ScanCommand, run_id: str | None
    ) -> None:
        super().__init__(server, db, throttle, command)
        self._process = SameProcess(server, run_id, lambda: throttle.stopping)

    async def exchange(self, buffer: bytes, replies: int) -> list[Any]:
        """As for `ThrottledConnection`. Raises OtherServer where the server was restarted meanwhile."""
        asked = super().exchange

        async def reopen() -> object:
            await self.close()
            await self._open()
            self.admit(_INFO)
            return (await asked(_PACKED_INFO, 1))[0]

        return await self._process.answer(lambda: asked(buffer, replies), reopen)
