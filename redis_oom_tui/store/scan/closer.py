"""A closer look at the largest keys: idle time, encoding, length, and a size that can be believed."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.store.scan.lane import Lane
from redis_oom_tui.store.scan.reins import Reins
from redis_oom_tui.store.scan.tally import Tally, Top
from redis_oom_tui.store.scan.wire import Column, Walker, packed_words

# MEMORY USAGE is exact for these: the value is one block, or counts as one.
EXACT = frozenset({"raw", "embstr", "int", "listpack", "ziplist", "intset"})
LENGTHS: dict[str, bytes] = {
    "string": b"STRLEN",
    "list": b"LLEN",
    "hash": b"HLEN",
    "set": b"SCARD",
    "zset": b"ZCARD",
    "stream": b"XLEN",
}
_BATCH = 64
_AT_ONCE = 256
# The default of MEMORY USAGE.
_DEFAULT_SAMPLES = 5
# All elements are looked at only up to so many: at 0.1 to 0.5 µs each, that blocks the server for less than 5 ms.
_FEW_ELEMENTS = 10_000
_MANY_SAMPLES = 1000
_MEASURED_ROWS = 50


class Closer:
    """Reads more of the rows that are shown, held by the `reins` of their scan. None of it leaves a trace: lengths only
    under CLIENT NO-TOUCH."""

    def __init__(
        self,
        connection: Connection,
        tally: Tally,
        *,
        evidence: Column | None,
        sized: bool,
        reins: Reins,
    ) -> None:
        self._connection = connection
        self._tally = tally
        self._evidence = evidence
        self._sized = sized
        self._reins = reins
        self._lanes: dict[int, Lane] = {}
        self._admitted: set[tuple[bytes, ...]] = set()

    async def refresh(self) -> None:
        """Look at the largest rows that were not looked at yet, a bounded number of them. Raises redis-py's errors."""
        waiting = [top for top in self._tally.to_look_at() if not top.asked]
        for batch in _batches(waiting[:_AT_ONCE]):
            await self._look(batch)

    async def finish(self) -> None:
        """Look at every row that is kept, then measure again what is large and was only estimated."""
        for batch in _batches([top for top in self._tally.to_look_at() if not top.asked]):
            await self._look(batch)
        if self._sized:
            for top in self._tally.to_look_at()[:_MEASURED_ROWS]:
                if not top.row.measured:
                    await self._measure(top)

    async def close(self) -> None:
        """Let go of the connections."""
        lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            await lane.close()

    async def _look(self, tops: Sequence[Top]) -> None:
        for db in {top.row.id.db for top in tops}:
            await self._reins.ready()
            lane = await self._lane(db)
            mine = [top for top in tops if top.row.id.db == db]
            questions = [self._questions(top.row, untouched=lane.untouched) for top in mine]
            for words in (words for asked in questions for words in asked.values()):
                if words[:-1] not in self._admitted:
                    lane.admit(words)
                    self._admitted.add(words[:-1])
            buffer = b"".join(packed_words(words) for asked in questions for words in asked.values())
            replies = sum(len(asked) for asked in questions)
            answers = iter(await lane.ask(buffer, replies))
            self._reins.sent += replies
            for top, asked in zip(mine, questions, strict=True):
                self._learn(top, {name: next(answers) for name in asked})

    def _questions(self, row: KeyRow, *, untouched: bool) -> dict[str, tuple[bytes, ...]]:
        key = row.id.key
        asked: dict[str, tuple[bytes, ...]] = {"encoding": (b"OBJECT", b"ENCODING", key)}
        if self._evidence is not None and row.idle_seconds is None and row.frequency is None:
            asked["evidence"] = (*self._evidence.value, key)
        if untouched and row.type in LENGTHS:
            asked["elements"] = (LENGTHS[row.type], key)
        return asked

    def _learn(self, top: Top, answers: dict[str, Any]) -> None:
        top.asked = True
        row = top.row
        encoding, elements = answers["encoding"], answers.get("elements")
        if isinstance(encoding, bytes):
            row = replace(row, encoding=encoding.decode("latin-1"))
        if isinstance(elements, int):
            row = replace(row, elements=elements)
        evidence = answers.get("evidence")
        if isinstance(evidence, int):
            if self._evidence is Column.FREQUENCY:
                row = replace(row, frequency=evidence)
            else:
                row = replace(row, idle_seconds=evidence)
        elif isinstance(evidence, Exception) and "LFU maxmemory policy is" in str(evidence):
            # The policy was changed meanwhile: the server now keeps the other evidence.
            self._evidence = Column.IDLE if "not selected" in str(evidence) else Column.FREQUENCY
            top.asked = False
        exact = row.encoding in EXACT or (row.elements is not None and row.elements <= _DEFAULT_SAMPLES)
        top.row = replace(row, measured=exact and row.size is not None)

    async def _measure(self, top: Top) -> None:
        row = top.row
        if row.encoding is None:
            return
        few = row.elements is not None and row.elements <= _FEW_ELEMENTS
        samples = 0 if few else _MANY_SAMPLES
        await self._reins.ready()
        lane = await self._lane(row.id.db)
        started = time.perf_counter()
        words = (b"MEMORY", b"USAGE", row.id.key, b"SAMPLES", b"%d" % samples)
        lane.admit(words)
        size = (await lane.ask(packed_words(words), 1))[0]
        self._reins.sent += 1
        if isinstance(size, int):
            limit = self._tally.limit
            suspect = limit is not None and size > limit
            self._tally.correct(top, replace(row, size=size, suspect=suspect, measured=few))
        # What blocked the server for a while must not be followed by the next such thing at once.
        rest = 0 if self._reins.braking.pace is Pace.FULL_SPEED else 2
        await asyncio.sleep(rest * (time.perf_counter() - started))

    async def _lane(self, db: int) -> Lane:
        lane = self._lanes.get(db)
        if lane is None:
            lane = Lane(self._connection, db, Walker())
            await lane.open()
            self._lanes[db] = lane
        return lane


def _batches(tops: Sequence[Top]) -> list[Sequence[Top]]:
    return [tops[start : start + _BATCH] for start in range(0, len(tops), _BATCH)]
