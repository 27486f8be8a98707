"""The part of a run on one node: its batches, its connections, its pace, and what its memory did."""

import asyncio
import time
from collections.abc import Sequence

from redis_oom_tui.actions.batch import BatchWorker
from redis_oom_tui.actions.batches import Batches, ByteBound
from redis_oom_tui.actions.context import PacedWork, SharedRun
from redis_oom_tui.actions.deployment import ActionNode, Place
from redis_oom_tui.actions.saving import CapReached, Saver
from redis_oom_tui.files.audit import AuditFailed
from redis_oom_tui.files.backup import BackupFailed
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import OtherServer, ServerUnreachable, TriageError, WritesBlocked
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules import plan_warnings
from redis_oom_tui.rules.headroom import headroom, pause_after
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.info_reader import BRIEF
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import PinnedConnections
from redis_oom_tui.server.tasks import monitored

OF_ALL_NODES = (AuditFailed, BackupFailed, CapReached)
"""What nodes share: where that fails on one, it fails on all."""
_POLL_SECONDS = 0.5
_FREEING_POLL_SECONDS = 0.1
_FREEING_PAUSE_SECONDS = 5.0
_FREEING_LONGEST_SECONDS = 30.0


class ChildBegan(TriageError):
    """The server forked since the preview: it no longer tells which keys are used, and no value would be saved."""


class TooSlow(ServerUnreachable):
    """The server answers so slowly that the action stops, so as not to add to that."""


def too_slow(throttle: CallThrottle, server: LiveServer) -> None:
    """Raise TooSlow where the server has been too slow for too long."""
    if throttle.probes.hopeless:
        slow = f"{server.address} takes {throttle.probes.waited:.0f}s to answer"
        raise TooSlow(f"{slow}: stopped, to add no load")


class NodeWorker(PacedWork):
    """Carries out the keys at `positions` of the plan on the node at `place`, at most `bound` bytes of them.

    `failure` is why it ended early; nothing but a defect is raised.
    """

    def __init__(
        self, shared: SharedRun, place: Place, node: ActionNode, positions: list[int], bound: int | None = None
    ) -> None:
        super().__init__()
        self.place = place
        self.positions = positions
        self.failure: TriageError | None = None
        self.snapshot: Snapshot | None = None
        self.phase, self.throttled = "starting", False
        self.restarted = False
        self.used_before_bytes: int | None = None
        self.used_now_bytes: int | None = None
        self.lazyfree_pending_objects: int | None = None
        self.ended = False
        self._shared = shared
        self._server = node.server
        self._learn = node.rights.learn
        self._known = Capabilities()
        self._connections = PinnedConnections(node.server, shared.plan.run_id)
        self._bound_bytes = bound
        self._bound: ByteBound | None = None
        self._seconds = 0.0

    @property
    def knows_uses(self) -> bool:
        """Whether the server tells a use by others from one by this tool."""
        return self._known.has(Feature.NO_TOUCH)

    @property
    def charged_bytes(self) -> int:
        """What its bound was charged with."""
        return 0 if self._bound is None else self._bound.charged

    @property
    def bound_reached(self) -> bool:
        """Whether its bound ended it."""
        return self._bound is not None and self._bound.reached

    @property
    def may_have_successor(self) -> bool:
        """Whether another node may take its place, as after a failover."""
        lost = isinstance(self.failure, ServerUnreachable | OtherServer | WritesBlocked)
        return lost and not isinstance(self.failure, TooSlow)

    async def first_poll(self) -> None:
        """See the server as it stands; asked twice, as a connection that lay idle may have been closed meanwhile."""
        try:
            self.snapshot = await self._first_snapshot()
        except TriageError as error:
            self._failed(error)
        else:
            self.used_before_bytes = self.snapshot.memory.used_bytes
            self._notice(self.snapshot)

    async def _first_snapshot(self) -> Snapshot:
        try:
            return await self._server.snapshot()
        except ServerUnreachable:
            return await self._server.snapshot()

    async def prepare(self) -> None:
        """Find out what may be used there, before anything is written down."""
        if self.snapshot is None:
            return
        plan, used = self._shared.plan, self.snapshot.memory.used_bytes
        if plan.operation is Operation.DELETE and self._bound_bytes is not None:
            self._bound = ByteBound(self._server, self._bound_bytes, used)
        unsaved = plan.operation is Operation.DELETE and not self._shared.choice.wanted
        try:
            if unsaved and self.snapshot.activity.has_child and plan_warnings.CHILD_RUNS not in plan.flags:
                raise ChildBegan(plan_warnings.CHILD_BEGAN)
            self._known = await self._learn()
        except TriageError as error:
            self._failed(error)

    async def run(self) -> None:
        """Carry out its part, and wait until what was freed is free."""
        try:
            if self.failure is None and self.snapshot is not None:
                await self._carry_out(self.snapshot)
                await self._freeing()
        except TriageError as error:
            self._failed(error)
        finally:
            self.ended = True
            await self._connections.close()

    def _failed(self, error: TriageError) -> None:
        """What the memory came to was not read where the server was lost, or is another one now."""
        self.failure = error
        if isinstance(error, OF_ALL_NODES):
            self._shared.stop_all()
        if isinstance(error, OtherServer):
            self.restarted, self.used_before_bytes = True, None
        elif isinstance(error, ServerUnreachable):
            self.used_now_bytes = None

    async def _carry_out(self, snapshot: Snapshot) -> None:
        async with self._throttled(self._server) as throttle:
            worker = self._worker(throttle, snapshot)
            batches = Batches(self._shared, worker, throttle, self._connections)
            async with monitored(self._poll_memory(), throttle.stop, "read the memory figures"):
                await batches.run(lambda: self._show(throttle), self._bound)

    def _worker(self, throttle: CallThrottle, snapshot: Snapshot) -> BatchWorker:
        saver = None
        if self._shared.writer is not None:
            # Only in a cluster a record has to tell where its key was.
            node = self.place.node if snapshot.server.mode == "cluster" else ""
            saver = Saver(
                self._shared, self._shared.writer, untouched=self.knows_uses, free_bytes=headroom(snapshot), node=node
            )
        return BatchWorker(
            self._shared,
            self.positions,
            saver,
            throttle,
            scripted=self._known.has(Feature.SCRIPT),
            alone=snapshot.server.mode == "cluster",
            copies={} if self.knows_uses else self._shared.copies,
        )

    def _show(self, throttle: CallThrottle) -> None:
        deletes = self._shared.plan.operation is Operation.DELETE
        self.phase, self.throttled = throttle.words("deleting" if deletes else "setting expiries"), throttle.throttled
        too_slow(throttle, self._server)

    async def _poll_memory(self) -> None:
        while True:
            await asyncio.sleep(max(_POLL_SECONDS, pause_after(self._seconds)))
            await self._poll()

    async def _poll(self) -> None:
        """Look at the memory; a look that fails leaves it unknown, and the next batch will tell why."""
        began = time.monotonic()
        try:
            self._notice(await self._server.snapshot(BRIEF))
        except TriageError:
            self.used_now_bytes = self.lazyfree_pending_objects = None
        self._seconds = time.monotonic() - began

    def _notice(self, snapshot: Snapshot) -> None:
        before = None if self.snapshot is None else self.snapshot.server.run_id
        run_id = snapshot.server.run_id
        if None not in (run_id, before) and run_id != before:
            # Another process: what the first one used says nothing about what this one uses.
            self.restarted, self.used_before_bytes = True, None
        self.used_now_bytes = snapshot.memory.used_bytes
        self.lazyfree_pending_objects = snapshot.memory.lazyfree_pending_objects

    async def _freeing(self) -> None:
        """Wait for the background freeing: before it is done, used_memory says little about what was deleted."""
        self.phase, self.throttled = "freeing in the background", False
        deadline = time.monotonic() + _FREEING_LONGEST_SECONDS
        while True:
            await self._poll()
            if not self.lazyfree_pending_objects or time.monotonic() >= deadline or self._stop:
                return
            # Who waits for the end is not kept for as long as a screen that goes on looking.
            await asyncio.sleep(min(_FREEING_PAUSE_SECONDS, max(_FREEING_POLL_SECONDS, pause_after(self._seconds))))


def known_sum(figures: Sequence[int | None]) -> int | None:
    """The sum, unknown where one of them is."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if figures and len(known) == len(figures) else None
