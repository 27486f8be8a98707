"""The batches of a plan, one after another: while the server works at one, the next is written down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis_oom_tui.actions.batch import Worker
from redis_oom_tui.actions.pacing import Pacer
from redis_oom_tui.actions.tally import Tally
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.store.changing.line import Line


class Batch(NamedTuple):
    """Positions in the plan, all of one database, that are in the audit file under this number."""

    number: int
    positions: list[int]


class Batches:
    """Carries out `plan` by `worker`. Each batch is in the audit file, on disk, before anything happens to its keys;
    what became of them is written right after. So at most two batches are there without an end after a crash: the one
    under way, and the one to come.

    `line` gives the connection to a database; `pacer` says when to stop.
    """

    def __init__(
        self,
        plan: Plan,
        tally: Tally,
        worker: Worker,
        pacer: Pacer,
        audit: AuditFile,
        action_id: str,
        line: Callable[[int], Awaitable[Line]],
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._worker = worker
        self._pacer = pacer
        self._audit = audit
        self._action_id = action_id
        self._line = line
        self._positions = sorted(range(len(plan.keys)), key=lambda at: plan.keys[at].id.db)
        self._start = 0
        self._number = 0

    async def run(self, each: Callable[[], None]) -> None:
        """All of them, `each` called after each; raises what ends the run early."""
        following = self._ahead()
        try:
            while following is not None and not self._pacer.stopping:
                # A task that is awaited is cancelled with whoever awaits it; this one writes, and has to end first.
                batch = await asyncio.shield(following)
                line = await self._line(self._plan.keys[batch.positions[0]].id.db)
                following = self._ahead()
                began = time.monotonic()
                await self._one(line, batch)
                self._pacer.batched(len(batch.positions), time.monotonic() - began)
                if self._worker.blocked is not None:
                    raise self._worker.blocked
                each()
                heed_cancellation()
        finally:
            if following is not None:
                await self._unwanted(following)

    def _ahead(self) -> "asyncio.Task[Batch] | None":
        """The next batch on its way into the audit file; None behind the last."""
        positions = self._worker.cut(self._positions, self._start, self._pacer.keys)
        if not positions or self._pacer.stopping:
            return None
        self._start += len(positions)
        self._number += 1
        return asyncio.create_task(self._written(Batch(self._number, positions)), name="write-ahead")

    async def _written(self, batch: Batch) -> Batch:
        ids = [self._plan.keys[at].id for at in batch.positions]
        await asyncio.to_thread(self._audit.batch, self._action_id, batch.number, [(id_.db, id_.key) for id_ in ids])
        return batch

    async def _one(self, line: Line, batch: Batch) -> None:
        try:
            if not self._pacer.stopping:
                await self._worker.work(line, batch.positions)
        finally:
            self._ended(batch)

    def _ended(self, batch: Batch) -> None:
        outcomes, details = self._tally.told(batch.positions)
        self._audit.done(self._action_id, batch.number, outcomes, details)

    async def _unwanted(self, following: "asyncio.Task[Batch]") -> None:
        """Write down that the batch to come was not begun; what keeps that from being written is met elsewhere."""
        try:
            self._ended(await following)
        except TriageError:
            return


def heed_cancellation() -> None:
    """Raise CancelledError where the task was cancelled: asyncio.wait_for, used by redis-py, may swallow it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
