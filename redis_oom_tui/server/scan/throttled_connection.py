"""A connection for reading keys whose exchanges keep to a throttle, and are had again where the server was busy."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from redis_oom_tui.server.busy import not_busy
from redis_oom_tui.server.call_throttle import Throttle
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.latency_monitor import MonitoredServer
from redis_oom_tui.server.resp import packed
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, PageReader
from redis_oom_tui.server.scan.packing import Walker
from redis_oom_tui.server.sizing import Words, command_of

_PLAIN = Walker()


class ThrottledConnection:
    """A connection to database `db` of `server`, to walk it as `walker` says. Raises `models.errors` alone."""

    def __init__(self, server: MonitoredServer, db: int, throttle: Throttle, walker: Walker = _PLAIN) -> None:
        self.where = server.address
        self._db = db
        self._throttle = throttle
        self._pages = PageReader(walker)
        self._connection = ScanConnection(server.connection, db, walker)
        self._admitted: set[Words] = set()

    async def open(self) -> None:
        """Connect; a busy server is waited for."""
        await not_busy(self._open, lambda: self._throttle.stopping)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    @property
    def untouched(self) -> bool:
        """Whether CLIENT NO-TOUCH holds here."""
        return self._connection.untouched

    def admit(self, words: Words) -> None:
        """Pass a command through the gate once for all keys; raises NotAllowed where it may not be sent."""
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
        walk = CursorRange(self._db)
        while not walk.ended and not self._throttle.stopping:
            await self._throttle.ready()
            request, size = self._pages.request(walk, wanted())
            (reply,) = await self.exchange(request, 1)
            with translated(self.where, "SCAN"):
                names = self._pages.take(walk, reply, size)
            yield names

    async def _open(self) -> None:
        with translated(self.where):
            await self._connection.open()

    async def _exchange(self, buffer: bytes, replies: int) -> list[Any]:
        seconds = 0.0
        self._throttle.begun()
        try:
            with translated(self.where):
                began = time.monotonic()
                answers = await self._connection.ask(buffer, replies)
                seconds = time.monotonic() - began
                return answers
        finally:
            self._throttle.took(replies if seconds else 0, seconds)
