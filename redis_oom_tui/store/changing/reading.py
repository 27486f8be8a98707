"""Keys as a plan needs them: read by SCAN or by identity, with commands that leave no trace."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis import exceptions
from redis.crc import key_slot

from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.rules.selection import name_matches, server_match, server_type, ttl_matches
from redis_oom_tui.store.errors import as_ours, translated
from redis_oom_tui.store.live import LiveServer
from redis_oom_tui.store.scan.lane import Lane
from redis_oom_tui.store.scan.wire import Column, Walker, packed

_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """What one step of a walk found: keys walked, the rows that may match, and when they were read (Unix seconds).

    `refused_keys` are those that this user may not look at; `moved` the slots of those that another node serves.
    """

    walked: int
    rows: list[KeyRow] = field(default_factory=list)
    read_at: float = 0.0
    refused_keys: int = 0
    moved: tuple[int, ...] = ()


class Reader:
    """Reads the keys of database `db` that may meet `criteria`; what name, type and TTL settle is left out early.

    `frequencies` asks for OBJECT FREQ in place of IDLETIME, for the servers that keep those.
    """

    def __init__(
        self,
        server: LiveServer,
        db: int,
        criteria: Criteria,
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
        ahead = asyncio.create_task(self._page(0))
        try:
            while cursor is not None:
                page, cursor = await ahead
                if cursor is not None:
                    # The server works on the next page while whoever asked looks at this one.
                    ahead = asyncio.create_task(self._page(cursor))
                    await asyncio.sleep(0)
                yield page
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    async def _page(self, cursor: int) -> tuple[Page, int | None]:
        """One step of SCAN, read, and the cursor of the next, None at the end."""
        answer = (await self._ask(self._walker.packed(cursor, _COUNT), 1))[0]
        if isinstance(answer, exceptions.ResponseError):
            raise as_ours(answer, self._where, "SCAN")
        names = answer[1]
        page = await self.rows([name for name in names if name_matches(self._criteria, name)])
        filtered = self._walker.match is not None or self._walker.type is not None
        return replace(page, walked=_COUNT if filtered else len(names)), int(answer[0]) or None

    async def rows(self, names: Sequence[bytes]) -> Page:
        """The keys of `names` that are there and of a wanted type and TTL, read in two round trips."""
        if not names:
            return Page(0, read_at=self._wall())
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
        return Page(len(names), await self._sized(kinds), self._wall(), refused, tuple(moved))

    def _wants(self, kind: str, ttl_ms: int | None) -> bool:
        return (not self._criteria.types or kind in self._criteria.types) and ttl_matches(self._criteria.ttl, ttl_ms)

    async def _sized(self, kinds: dict[bytes, tuple[str, int | None]]) -> list[KeyRow]:
        if not kinds:
            return []
        replies = await self._ask(packed((Column.SIZE, self._used), list(kinds)), 2 * len(kinds))
        found = []
        for (name, (kind, ttl_ms)), size, used in zip(
            kinds.items(), replies[: len(kinds)], replies[len(kinds) :], strict=True
        ):
            if size is None:
                continue
            known = used if isinstance(used, int) else None
            found.append(
                KeyRow(
                    id=KeyId(self._db, name),
                    type=kind,
                    size=size if isinstance(size, int) else None,
                    ttl_ms=ttl_ms,
                    idle_seconds=known if self._used is Column.IDLE else None,
                    frequency=known if self._used is Column.FREQUENCY else None,
                )
            )
        return found

    async def _ask(self, buffer: bytes, replies: int) -> list[Any]:
        with translated(self._where):
            return await self._lane.ask(buffer, replies)


def by_database(keys: Iterable[KeyId]) -> dict[int, list[bytes]]:
    """The names of `keys`, by database, in order."""
    found: dict[int, list[bytes]] = {}
    for key in keys:
        found.setdefault(key.db, []).append(key.key)
    return found
