"""Keys as a plan needs them: read by SCAN or by identity, with commands that leave no trace."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis import exceptions
from redis.crc import key_slot

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, PlannedKey
from redis_oom_tui.rules.selection import name_matches, server_match, server_type, ttl_matches
from redis_oom_tui.store.changing.acting import Throttle
from redis_oom_tui.store.errors import as_ours, translated
from redis_oom_tui.store.live import LiveServer
from redis_oom_tui.store.scan.lane import Lane
from redis_oom_tui.store.scan.wire import Column, Walker, packed

_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """What one step of a walk found: keys walked, and those of them that may match.

    `refused_keys` are those that this user may not look at; `moved` the slots of those that another node serves.
    """

    walked: int
    rows: list[PlannedKey] = field(default_factory=list)
    refused_keys: int = 0
    moved: tuple[int, ...] = ()


class Reader:
    """Reads the keys of database `db` that may meet `criteria`; what name, type and TTL settle is left out early.

    `frequencies` asks for OBJECT FREQ in place of IDLETIME, for the servers that keep those. `throttle` says when, and
    how much at once.
    """

    def __init__(
        self,
        server: LiveServer,
        db: int,
        criteria: Criteria,
        throttle: Throttle,
        *,
        frequencies: bool,
        wall: Callable[[], float] = time.time,
    ) -> None:
        kind = server_type(criteria)
        self._where = server.address
        self._db = db
        self._criteria = criteria
        self._walker = Walker(server_match(criteria), None if kind is None else kind.encode())
        self._lane = Lane(server.connection, db, self._walker)
        self._used = Column.FREQUENCY if frequencies else Column.IDLE
        self._throttle = throttle
        self._wall = wall

    async def open(self) -> None:
        """Connect. Raises one of `models.errors`."""
        with translated(self._where):
            await self._lane.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._lane.close()

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Walk the whole database by SCAN.

        A walk with MATCH or TYPE does not tell how many keys it passed: `walked` is then its COUNT, a good guess.
        """
        cursor: int | None = 0
        ahead: asyncio.Task[tuple[Page, int | None]] | None = None
        try:
            while cursor is not None:
                page, cursor = await (ahead or self._page(cursor))
                ahead = None
                if cursor is not None and self._throttle.window > 1:
                    # The server works on the next page while whoever asked looks at this one.
                    ahead = asyncio.create_task(self._page(cursor))
                    await asyncio.sleep(0)
                yield page
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def marked(self, names: Sequence[bytes]) -> AsyncGenerator[Page, None]:
        """Read the keys of these names."""
        at = 0
        while at < len(names):
            part = names[at : at + self._at_once]
            await self._throttle.ready()
            yield await self.rows(part)
            at += len(part)

    @property
    def _at_once(self) -> int:
        """How many keys a page: as many as do no harm, where nobody waits behind it or the way is long."""
        return _MOST_AT_ONCE if self._throttle.window > 1 else self._throttle.per_call

    async def _page(self, cursor: int) -> tuple[Page, int | None]:
        """One step of SCAN, read, and the cursor of the next, None at the end."""
        await self._throttle.ready()
        size = self._at_once
        answer = (await self._ask(self._walker.packed(cursor, size), 1))[0]
        if isinstance(answer, exceptions.ResponseError):
            raise as_ours(answer, self._where, "SCAN")
        names, found = answer[1], len(answer[1])
        if self._walker.match is None:
            names = [name for name in names if name_matches(self._criteria, name)]
        page = await self.rows(names)
        filtered = self._walker.match is not None or self._walker.type is not None
        walked = size if filtered else found
        return replace(page, walked=walked), int(answer[0]) or None

    async def rows(self, names: Sequence[bytes]) -> Page:
        """The keys of `names` that are there and of a wanted type and TTL, read in two round trips."""
        if not names:
            return Page(0)
        replies = await self._ask(packed((Column.TYPE, Column.TTL), names), 2 * len(names))
        kinds: dict[bytes, tuple[str, int | None]] = {}
        refused, moved = 0, []
        for name, kind, ttl in zip(names, replies[: len(names)], replies[len(names) :], strict=True):
            if isinstance(kind, exceptions.AskError):
                moved.append(key_slot(name))
            elif not isinstance(kind, bytes) or not isinstance(ttl, int):
                refused += 1
            elif kind != b"none" and ttl != -2:
                text, ttl_ms = kind.decode("ascii", "replace"), None if ttl < 0 else ttl
                if self._wants(text, ttl_ms):
                    kinds[name] = text, ttl_ms
        return Page(len(names), await self._sized(kinds), refused, tuple(moved))

    def _wants(self, kind: str, ttl_ms: int | None) -> bool:
        return (not self._criteria.types or kind in self._criteria.types) and ttl_matches(self._criteria.ttl, ttl_ms)

    async def _sized(self, kinds: dict[bytes, tuple[str, int | None]]) -> list[PlannedKey]:
        if not kinds:
            return []
        replies = await self._ask(packed((Column.SIZE, self._used), list(kinds)), 2 * len(kinds))
        read_at, db, idle = self._wall(), self._db, self._used is Column.IDLE
        found = []
        for (name, (kind, ttl_ms)), size, used in zip(
            kinds.items(), replies[: len(kinds)], replies[len(kinds) :], strict=True
        ):
            if size is None:
                continue
            known = used if isinstance(used, int) else None
            told = size if isinstance(size, int) else None
            idle_seconds, frequency = (known, None) if idle else (None, known)
            found.append(PlannedKey(KeyId(db, name), kind, told, ttl_ms, idle_seconds, frequency, read_at))
        return found

    async def _ask(self, buffer: bytes, replies: int) -> list[Any]:
        took = 0.0
        self._throttle.begun()
        try:
            with translated(self._where):
                began = time.monotonic()
                answers = await self._lane.ask(buffer, replies)
                took = time.monotonic() - began
                return answers
        finally:
            self._throttle.took(replies if took else 0, took)


def by_database(keys: Iterable[KeyId]) -> dict[int, list[bytes]]:
    """The names of `keys`, by database, in order."""
    found: dict[int, list[bytes]] = {}
    for key in keys:
        found.setdefault(key.db, []).append(key.key)
    return found
