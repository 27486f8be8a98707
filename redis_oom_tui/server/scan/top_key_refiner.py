"""A closer look at the largest keys: idle time, encoding, length, and a size that can be believed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.sizing import SAMPLES, Size, SizeAnswer, judged
from redis_oom_tui.server.resp import KeyQuestion, ScanCommand, packed
from redis_oom_tui.server.scan.aggregates import ScanAggregates, TopKey, with_size
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.workers import ScanControl
from redis_oom_tui.server.sizing import LENGTHS, Known, Sizer, Words, command_of, worth_asking

_BATCH = 64
_AT_ONCE = 256
# So many rows at most are measured as well as it goes, one by one; the others together, by fewer elements.
_MEASURED_ROWS, _MOST_MEASURED_ROWS = 50, 500


class TopKeyRefiner:
    """Reads more of the rows that are shown, held by the `control` of their scan. None of it leaves a trace: lengths
    are read only under CLIENT NO-TOUCH."""

    def __init__(
        self,
        connection: Connection,
        aggregates: ScanAggregates,
        *,
        evidence: KeyQuestion | None,
        sized: bool,
        control: ScanControl,
    ) -> None:
        self._connection = connection
        self._aggregates = aggregates
        self._evidence = evidence
        self._sized = sized
        self._control = control
        self._connections: dict[int, ScanConnection] = {}
        self._admitted: set[tuple[bytes, ...]] = set()

    async def refresh(self) -> None:
        """Look at the largest rows that were not looked at yet, a bounded number of them. Raises redis-py's errors."""
        waiting = [top for top in self._aggregates.to_refine() if not top.asked]
        for batch in _batches(waiting[:_AT_ONCE]):
            await self._ask(batch)
            # What may hold more than all that is used is what people wait for.
            await self._measure_alone([top for top in batch if top.row.suspect])

    async def finish(self) -> None:
        """Look at every row that is kept, and measure again what was only estimated: together, the largest alone."""
        for batch in _batches([top for top in self._aggregates.to_refine() if not top.asked]):
            await self._ask(batch)
        if not self._sized:
            return
        await self._measure_together([top for top in self._aggregates.to_refine() if self._waits(top)])
        await self._measure_alone([top for top in self._aggregates.to_refine()[:_MEASURED_ROWS] if self._waits(top)])
        self._clamp([top for top in self._aggregates.to_refine() if top.row.suspect])

    async def finish_all(self) -> None:
        """Measure all rows that are kept as well as it goes: the sum of the sizes cannot be true."""
        await self._measure_alone(
            [top for top in self._aggregates.to_refine() if self._waits(top)][:_MOST_MEASURED_ROWS]
        )

    async def measured_sample(self) -> dict[str, tuple[int, int, int]]:
        """Of the sampled collections that could be measured as a whole, by type: how many, what they really hold, and
        what their first few elements told. Raises redis-py's errors.
        """
        found: dict[str, tuple[int, int, int]] = {}
        sampled = self._aggregates.sampled_collections()
        for db in {db for db, _ in sampled}:
            mine = [known for where, known in sampled if where == db]
            sizes = await (await self._sizer(db)).together(mine)
            for known, size in zip(mine, sizes, strict=True):
                if size.whole and size.size is not None:
                    keys, held, answered = found.get(known.type, (0, 0, 0))
                    found[known.type] = (keys + 1, held + size.size, answered + known.answered)
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        connections, self._connections = list(self._connections.values()), {}
        for scan_connection in connections:
            await scan_connection.close()

    async def _ask(self, tops: Sequence[TopKey]) -> None:
        for db in {top.row.id.db for top in tops}:
            await self._control.rate.ready()
            scan_connection = await self._connection_to(db)
            mine = [top for top in tops if top.row.id.db == db]
            questions = [self._questions(top.row, untouched=scan_connection.untouched) for top in mine]
            for words in (words for asked in questions for words in asked.values()):
                if words[:-1] not in self._admitted:
                    scan_connection.admit(words)
                    self._admitted.add(words[:-1])
            buffer = b"".join(packed(words) for asked in questions for words in asked.values())
            replies = sum(len(asked) for asked in questions)
            answers = iter(await scan_connection.ask(buffer, replies))
            self._control.sent += replies
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

    def _learn(self, top: TopKey, answers: dict[str, Any]) -> None:
        top.asked = True
        row = top.row
        encoding, elements = answers["encoding"], answers.get("elements")
        if isinstance(encoding, bytes):
            row = replace(row, encoding=encoding.decode("latin-1"))
        if isinstance(elements, int):
            row = replace(row, elements=elements)
        evidence = answers.get("evidence")
        if isinstance(evidence, int):
            if self._evidence is KeyQuestion.FREQUENCY:
                row = replace(row, frequency=evidence)
            else:
                row = replace(row, idle_seconds=evidence)
        elif isinstance(evidence, Exception) and "LFU maxmemory policy is" in str(evidence):
            # The policy was changed meanwhile: the server now keeps the other evidence.
            self._evidence = KeyQuestion.IDLE if "not selected" in str(evidence) else KeyQuestion.FREQUENCY
            top.asked = False
        top.row = row
        if not row.measured and row.size is not None:
            first = SizeAnswer(SAMPLES, top.answered)
            size = judged(
                row.type,
                (first,),
                encoding=row.encoding,
                elements=row.elements,
                name_bytes=len(row.id.key),
                limit=self._aggregates.limit,
            )
            self._correct(top, size)

    def _correct(self, top: TopKey, size: Size) -> None:
        """Take a size; one that cannot be true is in no sum before it is clear what the other keys leave for it."""
        if size.suspect:
            top.row = with_size(top.row, size)
        else:
            self._aggregates.correct(top, with_size(top.row, size))

    def _waits(self, top: TopKey) -> bool:
        """Whether a closer look can tell more of its size than is known."""
        return not top.row.measured and top.row.size is not None and worth_asking(_known(top))

    async def _measure_together(self, tops: Sequence[TopKey]) -> None:
        for batch in _batches(tops):
            for db in {top.row.id.db for top in batch}:
                mine = [top for top in batch if top.row.id.db == db]
                sizes = await (await self._sizer(db)).together([_known(top) for top in mine])
                for top, size in zip(mine, sizes, strict=True):
                    self._correct(top, size)

    async def _measure_alone(self, tops: Sequence[TopKey]) -> None:
        for top in tops:
            started = time.perf_counter()
            size = await (await self._sizer(top.row.id.db)).alone(_known(top))
            self._correct(top, size)
            # What blocked the server for a while must not be followed by the next such thing at once.
            # What the way takes does not block it.
            busy = max(0.0, time.perf_counter() - started - self._control.rate.probes.round_trip)
            rest = 0 if self._control.pace is Pace.FULL_SPEED else 2
            await asyncio.sleep(rest * busy)

    def _clamp(self, suspects: Sequence[TopKey]) -> None:
        """What a key that cannot hold what was answered holds at most: all that the other keys leave."""
        limit = self._aggregates.limit
        if limit is None or not suspects:
            return
        rest = max(0, limit - self._aggregates.floor - (self._aggregates.bytes - sum(top.size for top in suspects)))
        for top in suspects:
            row = top.row
            held = rest // len(suspects)
            low = min(row.size_low or 0, held)
            self._aggregates.correct(
                top, replace(row, size=held, size_low=low, size_high=max(held, row.size_high or 0))
            )

    async def _sizer(self, db: int) -> Sizer:
        scan_connection = await self._connection_to(db)

        async def ask(commands: Sequence[Words]) -> list[Any]:
            await self._control.rate.ready()
            for words in {command_of(words): words for words in commands}.values():
                scan_connection.admit(words)
            self._control.sent += len(commands)
            return await scan_connection.ask(b"".join(map(packed, commands)), len(commands))

        return Sizer(ask, untouched=scan_connection.untouched, limit=self._aggregates.limit)

    async def _connection_to(self, db: int) -> ScanConnection:
        scan_connection = self._connections.get(db)
        if scan_connection is None:
            scan_connection = ScanConnection(self._connection, db, ScanCommand())
            await scan_connection.open()
            self._connections[db] = scan_connection
        return scan_connection


def _known(top: TopKey) -> Known:
    row = top.row
    return Known(row.id.key, row.type, top.answered, row.encoding, row.elements)


def _batches(tops: Sequence[TopKey]) -> list[Sequence[TopKey]]:
    return [tops[start : start + _BATCH] for start in range(0, len(tops), _BATCH)]
