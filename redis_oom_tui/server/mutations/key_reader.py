"""Keys as a plan needs them: read by SCAN or by identity, with commands that leave no trace."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, NamedTuple

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, TtlFilter
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.expected_state import ReadSpan
from redis_oom_tui.rules.selection import names_matching, server_match, server_type, ttl_matches
from redis_oom_tui.server.call_throttle import Throttle
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.key_pages import KeyFacts, Page, PageMaker
from redis_oom_tui.server.mutations.replies import ASKED, PACKED_TIME, time_of_replies
from redis_oom_tui.server.resp import KeyQuestion, ScanCommand, checked, packed_by_key
from redis_oom_tui.server.scan.connection import PatientConnection
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, PageReader
from redis_oom_tui.server.sizing import Sizer

# Keys that are all looked at, and keys that SCAN passes by for the most part: one or two milliseconds of the server.
_MOST_AT_ONCE, _MOST_FILTERED = 1000, 2000
# What passing a key costs, in keys that are looked at; and how much the last page counts in what is expected next.
_PASSING, _LAST_PAGE = 1 / 8, 0.5
# How long to wait for a second to be over, and how often at most.
_WAIT_SECONDS, _LONGEST_WAIT = 0.1, 80
_EARLY = KeyQuestion.TYPE, KeyQuestion.TTL


class _Found(NamedTuple):
    """Names that SCAN gave, how many keys it passed for them, and whether there are more."""

    names: Sequence[bytes]
    scanned: int
    more: bool

    @property
    def untold(self) -> bool:
        """Whether a page is still to come of it; one without names tells how many keys were passed."""
        return self.more or self.scanned > 0 or len(self.names) > 0


def is_filtered(criteria: Criteria) -> bool:
    """Whether the server leaves keys out of a scan, so that it is not known how many it passed."""
    return server_match(criteria) is not None or server_type(criteria) is not None


class KeyReader:
    """Reads the keys of database `db` that may meet `criteria`; what name, type and TTL settle is left out early.

    `frequencies` asks for OBJECT FREQ in place of IDLETIME, for the servers that keep those. `throttle` says when, and
    how much at once. No key can hold more than `limit` bytes. A silent server is waited for by its `run_id`.
    """

    def __init__(
        self,
        server: LiveServer,
        db: int,
        criteria: Criteria,
        throttle: Throttle,
        *,
        frequencies: bool,
        limit: int | None = None,
        run_id: str | None = None,
    ) -> None:
        kind = server_type(criteria)
        self._where = server.address
        self._db = db
        self._criteria = criteria
        self._command = ScanCommand(server_match(criteria), None if kind is None else kind.encode())
        self._cursor = CursorRange(db)
        self._connection = PatientConnection(server, db, throttle, self._command, run_id)
        self._filtered = is_filtered(criteria)
        self._late = KeyQuestion.SIZE, KeyQuestion.FREQUENCY if frequencies else KeyQuestion.IDLE
        # Sizes are dear: where type or TTL leaves many keys out, they are asked of the others alone.
        self._early = len(criteria.types) > 1 or criteria.ttl is not TtlFilter.ANY
        self._throttle = throttle
        self._limit = limit
        self._last: ReadSpan | None = None
        self._pages = PageReader(self._command)
        self._rows = PageMaker(db, limit, frequencies=frequencies)
        # Of the keys that SCAN passes, the share that is looked at.
        self._looked_at = 1.0

    async def open(self) -> None:
        """Connect. Raises one of `models.errors`."""
        await self._connection.open()
        for command in ASKED:
            self._connection.admit(tuple(str(word).encode() for word in command))

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Scan the whole database: one write asks about the keys of a page and for the names of the next.

        A scan with MATCH or TYPE does not tell how many keys it passed: `scanned` is then its COUNT, a good guess.
        """
        self._cursor = CursorRange(self._db)
        found, left = self._first_of(_Found((), 0, True))
        ahead: asyncio.Task[tuple[KeyFacts, _Found]] | None = None
        try:
            while found.untold:
                facts, following = await (ahead or self._step(found))
                ahead, scanned = None, found.scanned
                found, left = self._first_of(left or following)
                if self._throttle.window > 1 and found.untold:
                    # The server works on the next page while this one is made of what it told, and looked at.
                    ahead = asyncio.create_task(self._step(found))
                    await asyncio.sleep(0)
                if scanned or facts.names:
                    yield replace(self._rows.page(facts, scanned), last=not found.untold)
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def marked(self, names: Sequence[bytes]) -> AsyncGenerator[Page, None]:
        """Read the keys of these names."""
        at = 0
        while at < len(names):
            part = names[at : at + self._most_names]
            facts, _ = await self._step(_Found(part, len(part), False))
            at += len(part)
            yield replace(self._rows.page(facts, len(part)), last=at >= len(names), asked=part)

    @property
    def last(self) -> ReadSpan | None:
        """When it last read keys."""
        return self._last

    async def wait_until_over(self, span: ReadSpan) -> None:
        """Wait for the second in which keys were read to be over, and no longer than some seconds."""
        for _ in range(_LONGEST_WAIT):
            replies = await self._connection.exchange(PACKED_TIME, len(ASKED))
            if span.over(time_of_replies(replies)) or self._throttle.stopping:
                return
            await asyncio.sleep(_WAIT_SECONDS)

    @property
    def _most_names(self) -> int:
        """Of how many keys all is asked at once: as many as do no harm, where nobody waits or the way is long."""
        return self._throttle.per_call if self._throttle.window <= 1 else _MOST_AT_ONCE

    @property
    def _count(self) -> int:
        """How many keys SCAN is to pass, so that what it finds is about as much as is asked at once."""
        if self._throttle.window > 1:
            return _MOST_FILTERED if self._filtered else _MOST_AT_ONCE
        wanted = int(self._throttle.per_call / (self._looked_at + _PASSING))
        return max(1, min(wanted, self._throttle.per_page))

    def _first_of(self, found: _Found) -> tuple[_Found, _Found | None]:
        """As many of the names as are asked about at once, and what is left: a page may bring more than was hoped."""
        most = self._throttle.per_call
        if self._throttle.window > 1 or len(found.names) <= most:
            return found, None
        return _Found(found.names[:most], found.scanned, False), _Found(found.names[most:], 0, found.more)

    async def _step(self, found: _Found) -> tuple[KeyFacts, _Found]:
        """What the server tells of the keys that were `found`, and what it finds next."""
        await self._throttle.ready()
        names = found.names
        asked = _EARLY if self._early else (*_EARLY, *self._late)
        scan, size = self._pages.request(self._cursor, self._count) if found.more else (b"", 0)
        replies, span = await self._ask_timed(packed_by_key(asked, names), len(asked) * len(names), scan)
        following = self._found(replies.pop(), size) if scan else _Found((), 0, False)
        with translated(self._where):
            checked(asked, replies)
        columns = _columns(replies, len(asked))
        if self._early:
            names, columns, span = await self._of_wanted(names, columns)
        return KeyFacts(names, columns, span), following

    async def _ask_timed(self, buffer: bytes, replies: int, behind: bytes = b"") -> tuple[list[Any], ReadSpan | None]:
        """The replies to what is asked about keys and to what is asked `behind` that, and when the keys were read."""
        times = len(ASKED) if replies else 0
        whole = PACKED_TIME + buffer + PACKED_TIME + behind if replies else behind
        number = replies + 2 * times + bool(behind)
        if not number:
            return [], None
        received = await self._connection.exchange(whole, number)
        if not replies:
            return received, None
        before, after = received[:times], received[times + replies : 2 * times + replies]
        del received[times + replies : 2 * times + replies], received[:times]
        with translated(self._where):
            self._last = ReadSpan(time_of_replies(before), time_of_replies(after))
        return received, self._last

    def _found(self, answer: Any, size: int) -> _Found:
        with translated(self._where, "SCAN"):
            names = self._pages.take(self._cursor, answer, size)
        scanned = size if self._filtered else len(names)
        if self._command.match is None or self._criteria.key_patterns:
            names = names_matching(self._criteria, names)
        self._looked_at += _LAST_PAGE * (len(names) / size - self._looked_at)
        return _Found(names, scanned, not self._cursor.ended)

    async def _of_wanted(
        self, names: Sequence[bytes], columns: Sequence[Sequence[Any]]
    ) -> tuple[Sequence[bytes], Sequence[Sequence[Any]], ReadSpan | None]:
        """Those of `names` that type and TTL let in, all that is told of them, and when."""
        wanted = [row for row in zip(names, *columns, strict=True) if self._wants(row[1], row[2])]
        left = [name for name, _, _ in wanted]
        more, span = await self._ask_timed(packed_by_key(self._late, left), 2 * len(left))
        with translated(self._where):
            checked(self._late, more)
        return left, [[kind for _, kind, _ in wanted], [ttl for _, _, ttl in wanted], *_columns(more, 2)], span

    def _wants(self, kind: Any, ttl: Any) -> bool:
        """Whether a key of such a TYPE and PTTL is looked at further; one that is refused is, so that it is counted."""
        if not isinstance(kind, bytes) or not isinstance(ttl, int):
            return True
        types, ttl_ms = self._criteria.types, None if ttl < 0 else ttl
        return (not types or kind.decode("ascii", "replace") in types) and ttl_matches(self._criteria.ttl, ttl_ms)

    def sizer(self) -> Sizer:
        """Measures keys of this database closer."""
        return Sizer(self._connection.ask, untouched=self._connection.untouched, limit=self._limit)


def _columns(replies: Sequence[Any], asked: int) -> Sequence[Sequence[Any]]:
    """`replies` of one key after the other, so many of each, by what was asked."""
    return [replies[at::asked] for at in range(asked)]


def by_database(keys: Iterable[KeyId]) -> dict[int, list[bytes]]:
    """The names of `keys`, by database, in order."""
    found: dict[int, list[bytes]] = {}
    for key in keys:
        found.setdefault(key.db, []).append(key.key)
    return found
