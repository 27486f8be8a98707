"""The batches of a plan, one after another: while the server works at one, the next is written down and saved."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from redis_oom_tui.actions.batch import BatchWorker, Ready
from redis_oom_tui.actions.bound import ByteBound
from redis_oom_tui.actions.context import SharedRun
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.mutations.connections import PinnedConnection, PinnedConnections
from redis_oom_tui.server.scan.tasks import end


class Batch(NamedTuple):
    """Positions in the plan, all of one database, that are in the audit file under this number once it is `written`;
    `saving` is under way only where that goes on beside the batch before.
    """

    number: int
    positions: list[int]
    written: "asyncio.Task[None]"
    saving: "asyncio.Task[Ready] | None"


class Batches:
    """Carries out the batches of a run on one node by `worker`. Each batch is in the audit file, on disk, before
    anything happens to its keys; what became of them is written right after. So at most two batches of a node are there
    without an end after a crash: the one under way, and the one to come, of which the keys may be saved, but nothing
    else was done to them.

    `lines` are the connections; `pacer` says when to stop.
    """

    def __init__(
        self,
        shared: SharedRun,
        worker: BatchWorker,
        pacer: CallThrottle,
        lines: PinnedConnections,
    ) -> None:
        self._plan = shared.plan
        self._tally = shared.tally
        self._worker = worker
        self._pacer = pacer
        self._record = shared.record
        self._lines = lines
        self._bound: ByteBound | None = None
        keys = shared.plan.keys
        self._positions = sorted(worker.positions, key=lambda at: (keys[at].id.db, worker.heavy(at)))
        self._start = 0
        self._coming: Batch | None = None

    async def run(self, each: Callable[[], None], bound: ByteBound | None = None) -> None:
        """All of them, `each` called after each; raises what ends the run early. With a `bound`, a batch begins only
        when what the one before has freed is known.

        Keys that were kept because their copies had no room are tried again while others make room.
        """
        self._bound = bound
        await self._pass(each)
        while not self._pacer.stopping and (again := self._worker.again()):
            self._positions, self._start = again, 0
            await self._pass(each)

    async def _pass(self, each: Callable[[], None]) -> None:
        self._coming = self._ahead()
        try:
            while self._coming is not None and not self._pacer.stopping:
                began = time.monotonic()
                batch = self._coming
                ready = await self._ready(batch)
                line = await self._line(batch.positions)
                self._coming = self._ahead() if self._bound is None else None
                await self._act(line, batch, ready)
                if self._bound is not None:
                    await self._charge(self._bound, batch.positions)
                    self._coming = self._ahead()
                self._pacer.batched(len(batch.positions), time.monotonic() - began)
                if self._worker.blocked is not None:
                    raise self._worker.blocked
                each()
                heed_cancellation()
        finally:
            if self._coming is not None:
                await self._unwanted(self._coming)

    def _ahead(self) -> Batch | None:
        """The next batch on its way into the audit file; None behind the last."""
        positions = self._worker.cut(self._positions, self._start, self._pacer.keys)
        if self._bound is not None and positions:
            positions = self._bound.cut(self._plan.keys, positions)
        if not positions or self._pacer.stopping:
            return None
        self._start += len(positions)
        number = self._record.next_batch()
        ids = [self._plan.keys[at].id for at in positions]
        written = asyncio.create_task(self._record.batch(number, ids), name="write-ahead")
        saving = None
        # Beside others only one call at a time should be in the server's queue.
        if self._worker.saves and self._pacer.alone:
            saving = asyncio.create_task(self._saved(positions, written, ahead=True), name="save-ahead")
        return Batch(number, positions, written, saving)

    async def _charge(self, bound: ByteBound, positions: list[int]) -> None:
        deleted = [at for at in positions if self._tally.outcome(at) is Outcome.DELETED]
        if freed := sum([self._plan.keys[at].size or 0 for at in deleted]):
            await bound.charge(freed)

    async def _saved(self, positions: list[int], written: "asyncio.Task[None]", *, ahead: bool) -> Ready:
        # A task that is awaited is cancelled with whoever awaits it; this one writes, and has to end first.
        await asyncio.shield(written)
        return await self._worker.ready(await self._line(positions, ahead=ahead), positions)

    async def _ready(self, batch: Batch) -> Ready:
        return await (batch.saving or self._saved(batch.positions, batch.written, ahead=False))

    async def _line(self, positions: list[int], *, ahead: bool = False) -> PinnedConnection:
        return await self._lines.to(self._plan.keys[positions[0]].id.db, ahead=ahead)

    async def _act(self, line: PinnedConnection, batch: Batch, ready: Ready) -> None:
        try:
            if not self._pacer.stopping:
                await self._worker.act(line, ready)
        finally:
            self._ended(batch)

    def _ended(self, batch: Batch) -> None:
        outcomes, details = self._tally.told(batch.positions)
        self._record.done(batch.number, outcomes, details)

    async def _unwanted(self, batch: Batch) -> None:
        """Write down that the batch to come was not begun; what keeps that from being written is met elsewhere."""
        if batch.saving is not None:
            await end([batch.saving])
        try:
            await batch.written
            self._ended(batch)
        except TriageError:
            return


def heed_cancellation() -> None:
    """Raise CancelledError where the task was cancelled: asyncio.wait_for, used by redis-py, may swallow it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
