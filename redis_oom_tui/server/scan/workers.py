"""The connections at work on one database, and what they ask: the rate, a pause, a stop, a sample that is enough."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.pace_steps import PROFILES, PaceStep
from redis_oom_tui.server.rate_controller import RateController
from redis_oom_tui.server.resp import KeyQuestion, ScanCommand, checked, packed_by_key
from redis_oom_tui.server.scan.aggregates import Columns, ScanAggregates
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, PageReader
from redis_oom_tui.server.tasks import end

Counted = Callable[[int, list[bytes], Columns], None]

_MOST = 256
# A part of a scan is a sample by how its pages differ from each other: so early on there must be enough of them.
_FEWEST_PAGES = 32


class PageBatch:
    """Pages of one scan that `counted` has not been given yet: few keys at first, up to 256 later."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._db = 0
        self._names: list[bytes] = []
        self._asked: tuple[KeyQuestion, ...] = ()
        self._answers: list[Any] = []
        self._handed_over = 0

    @property
    def keys(self) -> int:
        """How many keys wait to be counted."""
        return len(self._names)

    def add(self, db: int, names: list[bytes], asked: tuple[KeyQuestion, ...], answers: list[Any]) -> None:
        """One page: of each of `names` one after the other the answers to what was `asked`."""
        if self._names and (db, asked) != (self._db, self._asked):
            self.hand_over()
        if self._names:
            self._names += names
            self._answers += answers
        else:
            self._db, self._names, self._asked, self._answers = db, list(names), asked, answers
        if len(self._names) >= min(_MOST, self._handed_over // _FEWEST_PAGES):
            self.hand_over()

    def hand_over(self) -> None:
        """Whatever waits is counted now."""
        names, answers = self._names, self._answers
        if not names:
            return
        self._names, self._answers = [], []
        self._handed_over += len(names)
        self._counted(self._db, names, sorted_out(self._asked, answers, len(names)))


def sorted_out(asked: Sequence[KeyQuestion], answers: list[Any], size: int) -> Columns:
    """The answers about `size` keys, of each key one after the other what was `asked`, by what they are."""
    each = len(asked)
    found = {column: answers[index : each * size : each] for index, column in enumerate(asked)}
    frequency = KeyQuestion.FREQUENCY in found
    return Columns(
        sizes=found.get(KeyQuestion.SIZE),
        types=found.get(KeyQuestion.TYPE),
        ttls=found.get(KeyQuestion.TTL),
        idles=found.get(KeyQuestion.FREQUENCY if frequency else KeyQuestion.IDLE),
        frequencies=frequency,
    )


class ScanControl:
    """What the workers of a scan at `pace` ask, which counts pages by `counted` into `aggregates`; `sample` keys do.

    `sent` is how many commands went out, `given` how many keys SCAN gave, `stopped` that it ends after the page in
    flight.
    """

    def __init__(self, pace: Pace, aggregates: ScanAggregates, sample: int | None, counted: Counted) -> None:
        self.pace = pace
        self.rate = RateController(PROFILES[pace])
        self.sent = 0
        self.given = 0
        self._aggregates = aggregates
        self._sample = self._due = sample
        self.batch = PageBatch(counted)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self.rate.stopping

    def stop(self) -> None:
        """End after the page in flight, whatever holds it."""
        self.rate.stop()

    def set_pace(self, pace: Pace) -> None:
        """Lean harder, or less, from the next page on."""
        self.pace = pace
        self.rate.use(PROFILES[pace])

    @property
    def enough(self) -> bool:
        """Whether the sample that was asked for has been seen, or the part of it that is due by now."""
        return self._due is not None and self._aggregates.keys + self.batch.keys >= self._due

    def share_out(self, databases: int) -> None:
        """Of what is left of the sample, let each of so many databases have the same number of keys, and one begin."""
        if self._sample is not None:
            seen = self._aggregates.keys + self.batch.keys
            self._due = seen + -(-max(0, self._sample - seen) // databases)

    @property
    def step(self) -> PaceStep:
        """How many connections, and how large a page, right now."""
        return self.rate.step

    @property
    def stopping(self) -> bool:
        """Whether to end after the page in flight."""
        return self.stopped or self.enough

    def count(self, db: int, names: list[bytes], asked: tuple[KeyQuestion, ...], answers: list[Any]) -> None:
        """Take one page: the answers about `names`, which came with those of a SCAN."""
        self.sent += len(answers) + 1
        self.given += len(names)
        self.batch.add(db, names, asked, answers)


class ScanWorkers:
    """Scans `cursor_ranges`, all of one database of about `keys`, to their ends. `keep` says which names count."""

    def __init__(
        self,
        connection: Connection,
        cursor_ranges: list[CursorRange],
        control: ScanControl,
        *,
        command: ScanCommand,
        columns: tuple[KeyQuestion, ...],
        keys: int = 0,
        keep: Callable[[list[bytes]], list[bytes]] | None = None,
    ) -> None:
        self._connection = connection
        self._control = control
        self._command = command
        self._pages = PageReader(command)
        self._columns = columns
        self._keys = keys
        self._keep = keep
        self._all = cursor_ranges
        self._waiting = deque(cursor_range for cursor_range in cursor_ranges if not cursor_range.done)
        self._tasks: dict[asyncio.Task[None], int] = {}

    async def work(self) -> None:
        """Until every range is done, or the control stops it. Raises one of `models.errors` when a connection breaks.

        Whatever ends it, no range loses its place: other workers may go on with the same ranges.
        """
        try:
            while True:
                self._start_tasks()
                if not self._tasks:
                    return
                done, _ = await asyncio.wait(self._tasks, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del self._tasks[task]
                    task.result()
        finally:
            await end(self._tasks)
            self._tasks.clear()

    def _start_tasks(self) -> None:
        if self._control.stopping:
            return
        places = set(range(self._control.step.connections)) - set(self._tasks.values())
        for place in sorted(places)[: len(self._waiting)]:
            self._tasks[asyncio.create_task(self._run_connection(place), name=f"scan connection {place}")] = place

    async def _run_connection(self, place: int) -> None:
        if not self._waiting:
            return
        scan_connection = ScanConnection(self._connection, self._all[0].db, self._command)
        try:
            with translated(self._connection.address, "SCAN"):
                await scan_connection.open()
                while self._waiting and self._wanted(place):
                    await self._follow(scan_connection, self._waiting.popleft(), place)
        finally:
            await scan_connection.close()

    def _wanted(self, place: int) -> bool:
        return not self._control.stopping and place < self._control.step.connections

    async def _follow(self, scan_connection: ScanConnection, cursor_range: CursorRange, place: int) -> None:
        turns = 0
        try:
            while not cursor_range.done:
                await self._control.rate.ready()
                if not self._wanted(place):
                    break
                await self._turn(scan_connection, cursor_range)
                turns += 1
                step = self._control.step
                # Without a rest the event loop gets its turn as well: every page waits for its replies.
                if step.rest and turns % step.pages == 0:
                    await asyncio.sleep(step.rest)
        finally:
            if not cursor_range.done:
                self._waiting.appendleft(cursor_range)

    async def _turn(self, scan_connection: ScanConnection, cursor_range: CursorRange) -> None:
        """Ask about the keys at hand and, in the same write, for the next ones."""
        names, size = cursor_range.page, 0
        buffer = packed_by_key(self._columns, names)
        replies = len(self._columns) * len(names)
        if not cursor_range.ended:
            request, size = self._pages.request(cursor_range, self._control.step.count, self._keys)
            buffer += request
            replies += 1
        self._control.rate.begun()
        try:
            answers = await scan_connection.ask(buffer, replies)
        finally:
            self._control.rate.ended()
        # A SCAN that was refused leaves the range as it is, with the page in hand: both are asked for again.
        following = answers.pop() if size else None
        checked(self._columns, answers)
        if size:
            self._pages.take(cursor_range, following, size, self._keep)
            self._cross(cursor_range)
        else:
            cursor_range.page = []
        if names:
            self._control.count(cursor_range.db, names, self._columns, answers)

    def _cross(self, cursor_range: CursorRange) -> None:
        """A range that has ended may have reached into the one behind it."""
        following = (
            next((other for other in self._all if other.before is cursor_range), None) if cursor_range.ended else None
        )
        if following is not None:
            cursor_range.cross(following)
