"""The batches of a plan, one after another: while the server works at one, the next is written down and saved."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis_oom_tui.actions.batch import BatchWorker, Ready
from redis_oom_tui.actions.context import SharedRun
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Outcome, PlannedKey
from redis_oom_tui.rules.sizing import weight
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.info_reader import BRIEF
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import PinnedConnection, PinnedConnections
from redis_oom_tui.server.tasks import end

# The first batch holds at most this share of the bound, so that sizes which are wrong show before it is too late, and
# those behind it the second share of what is left.
_FIRST_SHARE, _SHARE_OF_REST = 16, 4
# What used_memory moves by without anybody's keys: buffers of connections, tables that shrink.
_NOISE_BYTES, _NOISE_SHARE = 128 * 1024, 64
_POLL_SECONDS, _LONGEST_SECONDS = 0.02, 30.0


class ByteBound:
    """Holds a run on `server` to `limit` bytes. `used_bytes` is used_memory before it; where it is not known, only the
    plan's own figures count. What others write at the same time hides what was freed, so each batch counts with the
    plan's own figures where used_memory fell by less.
    """

    def __init__(self, server: LiveServer, limit: int, used_bytes: int | None) -> None:
        self.limit = limit
        self.charged = 0
        self.reached = False
        self._planned = 0
        self._server = server
        self._used = used_bytes

    def cut(self, keys: Sequence[PlannedKey], batch: Sequence[int]) -> list[int]:
        """The first positions of `batch` that may be acted on before used_memory is looked at again."""
        excess = self.charged - self._planned
        noise = excess <= max(_NOISE_BYTES, self.limit // _NOISE_SHARE)
        left = self.limit - (self._planned if noise else self.charged)
        batch_bytes = min(left, max(left // _SHARE_OF_REST if self._planned else 0, self.limit // _FIRST_SHARE))
        # Where more was freed than planned, the next keys are taken to hold that much more as well.
        factor = 1.0 if noise or not self._planned else self.charged / self._planned
        held = 0.0
        for number, position in enumerate(batch):
            most = keys[position].most
            held += left + 1 if most is None else weight(most) * factor
            # The first may take all that is left: a plan may hold one key that is nearly as large as the bound.
            if held > (batch_bytes if number else left):
                self.reached = self.reached or not number
                return list(batch[:number])
        return list(batch)

    async def charge(self, planned: int) -> None:
        """Count a batch of which `planned` bytes are gone by the plan's own figures. Waits until they are free."""
        used = await self._freed()
        self._planned += planned
        fell = 0 if used is None or self._used is None else self._used - used
        self.charged += max(planned, fell)
        self._used = used

    async def _freed(self) -> int | None:
        """used_memory once nothing waits to be freed in the background any more, or that takes too long."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while True:
            memory = (await self._server.snapshot(BRIEF)).memory
            if not memory.lazyfree_pending_objects or time.monotonic() >= deadline:
                return memory.used_bytes
            await asyncio.sleep(_POLL_SECONDS)


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
        self, shared: SharedRun, worker: BatchWorker, throttle: CallThrottle, connections: PinnedConnections
    ) -> None:
        self._plan = shared.plan
        self._table = shared.table
        self._worker = worker
        self._throttle = throttle
        self._record = shared.record
        self._connections = connections
        self._bound: ByteBound | None = None
        keys = shared.plan.keys
        most = worker.light_bytes
        # Nearly always there is one database, and no such key: many keys need no sorting then.
        order = list(worker.positions)
        if most is not None and any((keys[position].size or 0) > most for position in order):
            order.sort(key=lambda position: (keys[position].size or 0) > most)
        if len({keys[position].id.db for position in order}) > 1:
            order.sort(key=lambda position: keys[position].id.db)
        self._positions = order
        self._start = 0
        self._coming: Batch | None = None

    async def run(self, each: Callable[[], None], bound: ByteBound | None = None) -> None:
        """All of them, `each` called after each; raises what ends the run early. With a `bound`, a batch begins only
        when what the one before has freed is known.

        Keys that were kept because their copies had no room are tried again while others make room.
        """
        self._bound = bound
        await self._pass(each)
        while not self._throttle.stopping and (again := self._worker.again()):
            self._positions, self._start = again, 0
            await self._pass(each)

    async def _pass(self, each: Callable[[], None]) -> None:
        self._coming = self._ahead()
        try:
            while self._coming is not None and not self._throttle.stopping:
                began = time.monotonic()
                batch = self._coming
                ready = await self._ready(batch)
                connection = await self._connection(batch.positions)
                self._coming = self._ahead() if self._bound is None else None
                await self._act(connection, batch, ready)
                if self._bound is not None:
                    await self._charge(self._bound, batch.positions)
                    self._coming = self._ahead()
                self._throttle.batched(len(batch.positions), time.monotonic() - began)
                if self._worker.blocked is not None:
                    raise self._worker.blocked
                each()
                raise_if_cancelled()
        finally:
            if self._coming is not None:
                await self._unwanted(self._coming)

    def _ahead(self) -> Batch | None:
        """The next batch on its way into the audit file; None behind the last."""
        positions = self._worker.cut(self._positions, self._start, self._throttle.keys)
        if self._bound is not None and positions:
            positions = self._bound.cut(self._plan.keys, positions)
        if not positions or self._throttle.stopping:
            return None
        self._start += len(positions)
        number = self._record.next_batch()
        ids = [self._plan.keys[position].id for position in positions]
        names = [(id_.db, id_.key) for id_ in ids]
        written = asyncio.create_task(self._record.batch(number, names), name="write-ahead")
        saving = None
        # Beside others only one call at a time should be in the server's queue.
        if self._worker.saves and self._throttle.alone:
            saving = asyncio.create_task(self._saved(positions, written, ahead=True), name="save-ahead")
        return Batch(number, positions, written, saving)

    async def _charge(self, bound: ByteBound, positions: list[int]) -> None:
        deleted = [position for position in positions if self._table.outcome(position) is Outcome.DELETED]
        if freed := sum([self._plan.keys[position].size or 0 for position in deleted]):
            await bound.charge(freed)

    async def _saved(self, positions: list[int], written: "asyncio.Task[None]", *, ahead: bool) -> Ready:
        # A task that is awaited is cancelled with whoever awaits it; this one writes, and has to end first.
        await asyncio.shield(written)
        return await self._worker.ready(await self._connection(positions, ahead=ahead), positions)

    async def _ready(self, batch: Batch) -> Ready:
        return await (batch.saving or self._saved(batch.positions, batch.written, ahead=False))

    async def _connection(self, positions: list[int], *, ahead: bool = False) -> PinnedConnection:
        return await self._connections.to(self._plan.keys[positions[0]].id.db, ahead=ahead)

    async def _act(self, connection: PinnedConnection, batch: Batch, ready: Ready) -> None:
        try:
            if not self._throttle.stopping:
                await self._worker.act(connection, ready)
        finally:
            self._ended(batch)

    def _ended(self, batch: Batch) -> None:
        outcomes, details = self._table.of(batch.positions)
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


def raise_if_cancelled() -> None:
    """Raise CancelledError where the task was cancelled: asyncio.wait_for, used by redis-py, may swallow it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
