"""From criteria to a frozen plan: the first half of the circle, in which nothing is changed."""

import asyncio
import contextlib
import functools
import gc
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence

from redis_oom_tui.actions.context import PacedWork
from redis_oom_tui.actions.measuring import Measuring
from redis_oom_tui.formatting.keys import slot_of
from redis_oom_tui.models.action import PlanningState, PlanningView
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import plan_warnings, selection
from redis_oom_tui.rules.applications.losses import lost_with_plan
from redis_oom_tui.rules.expected_state import ReadSpan
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.policies import is_lfu
from redis_oom_tui.rules.sizing import most_of_all
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import key_reader
from redis_oom_tui.server.mutations.key_pages import Page
from redis_oom_tui.server.scan.preparation import counted, missing_behind

# How long the keys of a search that was stopped may be measured still: without that, none counts against a bound.
_MEASURING_SECONDS = 3.0
# So often keys are read again of which it was not known in which second they were read.
_READ_AGAIN = 3
Prepare = Callable[[Snapshot], Awaitable[tuple[bool, tuple[str, ...]]]]
"""Tells, before the scan, whether an LFU policy was on since the server started, and more flags for the plan."""


class PlanMaker(PacedWork):
    """A plan in the making. Implements `ports.Planning`.

    `only`, set before it runs, are the keys to look at; none for all. `elsewhere` takes up those that another node
    serves, with HOST:PORT of the one to be asked behind ASKING where the server told; None where nobody goes there.
    """

    def __init__(
        self,
        server: LiveServer,
        criteria: Criteria,
        *,
        operation: Operation = Operation.DELETE,
        expire_seconds: int | None = None,
        prepare: Prepare | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._server = server
        self._criteria = criteria
        self._operation = operation
        self._expire_seconds = expire_seconds
        self._prepare = prepare
        self._lfu_before = False
        self._more_flags: tuple[str, ...] = ()
        self._wall = wall
        self._chosen = selection.Selected(criteria)
        self._wanted = frozenset(criteria.keys)
        self.only: frozenset[KeyId] = self._wanted
        self.elsewhere: dict[KeyId, str | None] | None = None
        self._view = PlanningView()
        self._refused_keys = 0
        self._moved: Counter[int] = Counter()
        self._clock = ActiveClock()
        self._cut_short, self._missing = False, tuple[str, ...]()
        self._measure_until = math.inf
        self._in_use: set[KeyId] = set()
        self._last: ReadSpan | None = None
        self._limit: int | None = None
        self._unbounded = 0
        self._run_id: str | None = None

    def share(self, limit: selection.SharedLimit) -> None:
        """Hold no more keys than `limit` lets all that share it hold together; before it runs."""
        self._chosen = selection.Selected(self._criteria, shared=limit)

    def view(self) -> PlanningView:
        """How far it is."""
        return replace(self._view, elapsed_seconds=self._clock.elapsed)

    def stop(self) -> None:
        """End after the page in flight, and a little later the measuring of what was found."""
        if not self._stop:
            self._measure_until = time.monotonic() + _MEASURING_SECONDS
        super().stop()

    async def run(self) -> PlanningView:
        """Look, freeze, and return the view that holds the plan."""
        self._clock.start()
        try:
            snapshot, self._lfu_before, self._more_flags = await self._patiently(self._server, self._asked_first)
            self._run_id = snapshot.server.run_id
            self._limit = most_of_all(snapshot.memory.used_bytes, snapshot.memory.startup_bytes)
            async with self._throttled(self._server, scanning=True) as throttle:
                await self._search(snapshot, throttle)
                keys = await self._measured(await asyncio.to_thread(self._ordered), snapshot, throttle)
        except TriageError as error:
            self._show(PlanningState.FAILED, error=str(error))
        else:
            state = PlanningState.STOPPED if self._stop else PlanningState.COMPLETE
            # Hashing a hundred thousand keys takes a second, in which a screen must still answer.
            self._show(state, plan=await asyncio.to_thread(self._freeze, keys, snapshot))
        finally:
            self._clock.stop()
        return self._view

    async def _asked_first(self) -> tuple[Snapshot, bool, tuple[str, ...]]:
        """What is asked before any key is looked for; with the rest, what `Prepare` tells."""
        snapshot = await self._server.snapshot()
        plan_warnings.refuse_idle(self._criteria, snapshot)
        return snapshot, *((False, ()) if self._prepare is None else await self._prepare(snapshot))

    def _ordered(self) -> list[PlannedKey]:
        with _uncollected():
            return self._chosen.ordered()

    async def _measured(self, keys: list[PlannedKey], snapshot: Snapshot, throttle: CallThrottle) -> list[PlannedKey]:
        """`keys` with sizes that can be believed, and no more of them than the bound in bytes lets in."""
        criteria, limit = self._criteria, self._limit
        frequencies = is_lfu(snapshot.memory.policy)
        measuring = Measuring(
            lambda db: key_reader.KeyReader(
                self._server, db, criteria, throttle, frequencies=frequencies, limit=limit, run_id=self._run_id
            ),
            limit,
            lambda: time.monotonic() >= self._measure_until,
        )
        self._show(PlanningState.RUNNING, phase=throttle.words("measuring"), throttled=throttle.throttled)
        try:
            if criteria.max_bytes is not None:
                found = await measuring.within(keys, criteria.max_bytes)
            else:
                found = await measuring.all(keys)
        finally:
            await measuring.close()
        self._unbounded = measuring.unbounded
        return self._chosen.remeasured(keys, found)

    async def _search(self, snapshot: Snapshot, throttle: CallThrottle) -> None:
        snapshot = await self._patiently(
            self._server, lambda: counted(self._server.connection, snapshot, self._criteria.databases)
        )
        left = self._databases(snapshot)
        while left:
            db = left.pop(0)
            total = sum(database.keys for database in snapshot.databases if database.db == db)
            pages = contextlib.aclosing(self._pages(db, throttle, frequencies=is_lfu(snapshot.memory.policy)))
            before = self._view.scanned_keys
            async with pages as found:
                async for page in found:
                    self._take(db, page)
                    scanned = self._view.scanned_keys + page.scanned
                    self._view = replace(self._view, scanned_keys=min(scanned, before + total) if total else scanned)
                    self._show(
                        PlanningState.RUNNING, phase=throttle.words("looking for keys"), throttled=throttle.throttled
                    )
                    if self._stop and not (page.last and not left):
                        self._cut_short = True
                        return
            if not self.only:
                passed = self._view.scanned_keys - before
                filtered = key_reader.is_filtered(self._criteria)
                behind = functools.partial(missing_behind, self._server, db, passed, snapshot, throttle)
                missing = await self._patiently(self._server, functools.partial(behind, filtered=filtered))
                self._missing += () if missing is None else (missing,)
                self._view = replace(self._view, scanned_keys=before + (total if missing is None else passed))
        await self._read_again(throttle)

    def _databases(self, snapshot: Snapshot) -> list[int]:
        if self.only:
            return sorted({key.db for key in self.only})
        held = {database.db: database.keys for database in snapshot.databases if database.keys}
        asked = self._criteria.databases
        chosen = [db for db in held if asked is None or db in asked]
        self._view = replace(self._view, total_keys=sum(held[db] for db in chosen))
        return sorted(chosen)

    async def _pages(self, db: int, throttle: CallThrottle, *, frequencies: bool) -> AsyncGenerator[Page, None]:
        async with self._reader(db, throttle, frequencies=frequencies) as reader:
            if not self.only:
                async for page in reader.pages():
                    yield page
                return
            names = key_reader.by_database(self.only)[db]
            self._view = replace(self._view, total_keys=len(self.only))
            async for page in reader.marked(names):
                yield page

    @contextlib.asynccontextmanager
    async def _reader(
        self, db: int, throttle: CallThrottle, *, frequencies: bool = False
    ) -> AsyncIterator[key_reader.KeyReader]:
        reader = key_reader.KeyReader(
            *(self._server, db, self._criteria, throttle),
            frequencies=frequencies,
            limit=self._limit,
            run_id=self._run_id,
        )
        await reader.open()
        try:
            yield reader
        finally:
            self._last = reader.last or self._last
            await reader.close()

    async def _read_again(self, throttle: CallThrottle) -> None:
        """Read the keys again that were in use when they were read, in a later second.

        Idle times are whole seconds: a key that is used again within the second in which it was read looks as if it had
        not been. What is still in use then stays in the plan, and goes only with its value saved.
        """
        again = self._in_use.intersection(self._chosen.ids())
        for _ in range(_READ_AGAIN):
            since = self._last
            if not again or since is None or self._stop:
                break
            self._show(PlanningState.RUNNING, phase="waiting a second to read keys again that were in use")
            unsure: set[KeyId] = set()
            rows: dict[KeyId, PlannedKey | None] = {}
            for db, names in key_reader.by_database(again).items():
                async with self._reader(db, throttle) as reader:
                    await reader.wait_until_over(since)
                    async for page in reader.marked(names):
                        rows |= self._renewed(db, page)
                        unsure.update(KeyId(db, name) for name in page.in_use if page.unsure)
            self._chosen.renew(rows)
            again = unsure

    def _renewed(self, db: int, page: Page) -> dict[KeyId, PlannedKey | None]:
        """The keys of a page that was read again, as they are now; None for those that match no more."""
        rows: dict[KeyId, PlannedKey | None] = {}
        if not page.refused_keys:
            rows = dict.fromkeys(KeyId(db, name) for name in page.asked if name not in page.moved)
        return rows | {row.id: row for row in selection.matching(self._criteria, page.rows, self._wanted)}

    def _take(self, db: int, page: Page) -> None:
        self._refused_keys += page.refused_keys
        for name, asks in page.moved.items():
            if self.elsewhere is None or len(self.elsewhere) >= selection.MOST_KEYS:
                self._moved[slot_of(name)] += 1
            else:
                self.elsewhere[KeyId(db, name)] = asks
        matching = selection.matching(self._criteria, page.rows, self._wanted)
        self._chosen.add(*matching)
        if page.in_use and len(self._in_use) < selection.MOST_KEYS:
            self._in_use.update(row.id for row in matching if row.id.key in page.in_use)

    def _show(
        self,
        state: PlanningState,
        *,
        phase: str = "",
        throttled: bool = False,
        plan: Plan | None = None,
        error: str | None = None,
    ) -> None:
        self._view = replace(
            self._view,
            state=state,
            phase=phase,
            throttled=throttled,
            matched_keys=self._chosen.matched_keys,
            matched_bytes=self._chosen.matched_bytes,
            elapsed_seconds=self._clock.elapsed,
            plan=plan,
            error=error,
        )

    def _freeze(self, found: list[PlannedKey], snapshot: Snapshot) -> Plan:
        with _uncollected():
            return self._frozen(tuple(found), snapshot)

    def _frozen(self, keys: tuple[PlannedKey, ...], snapshot: Snapshot) -> Plan:
        flags = self._missing + plan_warnings.idle_flags(self._criteria, snapshot, keys, lfu_before=self._lfu_before)
        flags += flags_of_keys(keys, self._operation) + selection.unbounded_flags(self._unbounded)
        if keys and self._operation is Operation.DELETE:
            flags += plan_warnings.never_evicted_flags(snapshot)
        return frozen(
            Plan(
                keys=keys,
                criteria=self._criteria,
                made_at=self._wall(),
                server=str(self._server.address),
                run_id=snapshot.server.run_id,
                operation=self._operation,
                expire_seconds=self._expire_seconds,
                keyspace_keys=snapshot.keys,
                scanned_keys=self._view.scanned_keys,
                complete=not self._cut_short and not self._missing,
                flags=(*flags, *selection.left_out(self._chosen, self._refused_keys, self._moved), *self._more_flags),
                matched_keys=self._chosen.matched_keys,
                matched_bytes=self._chosen.known_bytes(keys),
                role=snapshot.server.role,
                limit_bytes=self._limit,
            )
        )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's collector of cycles, which makes up a third of the time that a large plan takes to sort: it
    goes through all its keys again and again, and finds nothing.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def flags_of_keys(keys: Sequence[PlannedKey], operation: Operation) -> tuple[str, ...]:
    """Sentences to read before confirming that follow from which keys are in the plan, and from nothing else."""
    flags = lost_with_plan(keys, operation) + plan_warnings.in_use_flags(keys)
    return (
        flags
        + (plan_warnings.freeing_flags(keys) if operation is Operation.DELETE else ())
        + selection.size_flags(keys)
    )
