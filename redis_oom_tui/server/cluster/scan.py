"""The scan of a whole cluster: all primaries at the same time, through failovers and slots that move."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import sampling
from redis_oom_tui.server.cluster.node_scan import NodeScan, summed
from redis_oom_tui.server.cluster.nodes import Nodes
from redis_oom_tui.server.cluster.scan_state import (
    BY_SLOT,
    UNEVEN,
    ClusterCheckpoint,
    ClusterScanProgress,
    ClusterScanView,
    cluster_checkpoint_values,
    fair_sample,
    quotas,
)
from redis_oom_tui.server.cluster.topology import Owners, PartialSlots, SlotMigration, slot_migrations, still
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.tasks import end, together

# One client core reads what about this many gentle servers send; more would only wait for it.
_AT_ONCE = 32
# Rounds after the first are for slots that changed hands meanwhile.
_ROUNDS = 4


class ClusterScan:
    """A scan of every primary of `nodes`. Implements `ports.Scan` and `ports.KeepsItsPlace`.

    Each node is throttled by itself, all share the same sums. `begun` is what an earlier process had come to. Every
    slot is counted on the one node that served it when its scan began, so no key counts twice while slots move.
    """

    def __init__(
        self,
        nodes: Nodes,
        options: ScanOptions,
        *,
        begun: ClusterCheckpoint | None = None,
        patience_seconds: float = timeouts.FAILOVER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._options = options
        self._patience = patience_seconds
        self._clock = clock
        self._begun = begun
        self._aggregates = ScanAggregates(options) if begun is None else begun.aggregates
        self._standing = ClusterScanProgress(options.pace) if begun is None else begun.standing()
        elapsed = 0.0 if begun is None else begun.elapsed
        self._view_builder = ClusterScanView(options, self._aggregates, self._standing, clock, elapsed)
        self._remaining = set(range(REDIS_CLUSTER_HASH_SLOTS))
        self._doubts = PartialSlots()
        self._handed: Mapping[int, SlotMigration] = {}
        self._counted: set[bytes] = set()
        self._moved_keys = 0
        self._stop_asked = False
        self._failure = "no node serves them"
        self._shunned: set[str] = set()
        self._missing: list[str] = []
        self._lost: set[str] = set()
        self._lost_at = 0.0

    # What a screen calls.

    async def run(self) -> ScanView:
        """Scan to the end, a stop or a failure, and return the last view. Never raises for a server's fault."""
        standing = self._standing
        if standing.state is ScanState.COMPLETE:
            return self.view()
        standing.state, standing.error, self._stop_asked = ScanState.RUNNING, None, False
        standing.sample = None
        for words in (BY_SLOT, UNEVEN):
            standing.notes.pop(words, None)
        self._view_builder.watch.start()
        try:
            await self._nodes.refresh()
            for _ in range(_ROUNDS):
                await self._round()
                if not self._remaining or self._ending or not await self._successors():
                    break
            if not self._options.filtered:
                await self._doubts.recheck(self._nodes)
            standing.state = self._ended()
            standing.sample = self._fair_sample()
        except TriageError as error:
            standing.state, standing.error = ScanState.FAILED, str(error)
        finally:
            if standing.state in (ScanState.RUNNING, ScanState.PAUSED):
                standing.state = ScanState.STOPPED
            self._view_builder.watch.stop()
        return self.view()

    def view(self) -> ScanView:
        """The scan as it stands."""
        return self._view_builder.view()

    def pause(self) -> None:
        if self._standing.state is ScanState.RUNNING:
            self._standing.state = ScanState.PAUSED
            self._view_builder.watch.stop()
            for scan in self._standing.scans:
                scan.pause()

    def resume(self) -> None:
        if self._standing.state is ScanState.PAUSED:
            self._standing.state = ScanState.RUNNING
            self._view_builder.watch.start()
        for scan in self._standing.scans:
            scan.resume()

    def stop(self) -> None:
        self._stop_asked = True
        for scan in self._standing.scans:
            scan.stop()

    def set_pace(self, pace: Pace) -> None:
        self._standing.pace = pace
        for scan in self._standing.scans:
            scan.set_pace(pace)

    def progress(self) -> Mapping[str, Any] | None:
        """Where it broke off, in plain values, for `ClusterCheckpoint`; None after the first round of all nodes."""
        standing = self._standing
        if self._begun is not None:
            return self._begun.values
        if standing.state is ScanState.COMPLETE or standing.past_keys or not standing.scans:
            return None
        return cluster_checkpoint_values(
            self._options, self._aggregates, standing.scans, self._view_builder.watch.elapsed
        )

    # The run itself.

    @property
    def _ending(self) -> bool:
        sample = self._options.sample
        return self._stop_asked or (sample is not None and self._aggregates.keys >= sample)

    async def _round(self) -> None:
        """One scan of each node that serves slots not yet counted, all at once; or those that a stop broke off."""
        standing = self._standing
        if self._begun is not None:
            # What moved or was lost between the two processes is settled as if it had happened during this one.
            standing.owners = self._nodes.topology.owners()
            standing.scans, self._begun = self._begun.scans(self._server), None
        if not standing.scans:
            await self._assign()
        # A sample is of every node, or it tells nothing of the cluster.
        limit = asyncio.Semaphore(_AT_ONCE if self._options.sample is None else max(1, len(standing.scans)))
        views = await together(self._one(scan, limit) for scan in standing.scans)
        if self._ending and not all(view.complete for view in views):
            return
        await self._reach(dict(zip((scan.node for scan in standing.scans), views, strict=True)))
        await self._nodes.refresh()
        now = self._nodes.topology.owners()
        standing.timed = standing.timed and all(view.ttls_known for view in views)
        for scan, view in zip(standing.scans, views, strict=True):
            self._settle(scan, view, now)
        standing.past_keys += sum(scan.keys for scan in standing.scans)
        standing.shares = summed([*standing.shares, *(scan.share for scan in standing.scans)])
        lost = [scan for scan, view in zip(standing.scans, views, strict=True) if view.state is ScanState.FAILED]
        self._lost = {scan.node for scan in lost}
        self._lost_at = min(
            (scan.standing.lost_at for scan in lost if scan.standing.lost_at is not None), default=self._clock()
        )
        standing.scans = []

    async def _assign(self) -> None:
        self._standing.unseen_keys = 0
        self._standing.owners = owners = self._nodes.topology.owners()
        shares: dict[str, list[int]] = defaultdict(list)
        for slot in self._remaining:
            owner = owners.of_slot(slot)
            if owner is not None:
                shares[owner.name].append(slot)
        self._handed = await slot_migrations(self._nodes, shares)
        for handing in self._handed.values():
            # A node that gets its first slots serves none yet, and has keys.
            if handing.target is not None:
                shares[handing.target] += []
        servers = {name: self._server(name) for name in shares}
        sample = self._options.sample
        parts = {} if sample is None else await quotas(servers, max(0, sample - self._aggregates.keys))
        self._standing.scans = [
            NodeScan(
                servers[name],
                replace(self._options, sample=parts.get(name), pace=self._standing.pace),
                slots,
                self._aggregates,
                name,
                self._counted,
            )
            for name, slots in shares.items()
        ]

    def _server(self, name: str) -> LiveServer:
        """Where the keys of the node called `name` are read: there, or at a replica of it that has not failed yet."""
        replica = self._nodes.replica_of(name, self._shunned) if self._options.replicas else None
        if self._options.replicas and replica is None:
            self._standing.notes[f"{name} has no replica that answers: scanned itself"] = None
        return replica or self._nodes.node(name)

    async def _one(self, scan: NodeScan, limit: asyncio.Semaphore) -> ScanView:
        async with limit:
            if self._stop_asked:
                return scan.view()
            running = asyncio.create_task(scan.run(), name=f"scan of {scan.node}")
            try:
                await asyncio.sleep(0)
                if self._standing.state is ScanState.PAUSED:
                    scan.pause()
                return await running
            finally:
                await end([running])

    async def _reach(self, views: Mapping[str, ScanView]) -> None:
        """Count what has gone ahead of slots that stood still, half moved, while all was scanned; doubt the others."""
        handed = await slot_migrations(self._nodes, [name for name, view in views.items() if view.error is None])
        quiet = still(self._handed, handed)
        reached: set[int] = set()
        for scan in self._standing.scans:
            if not views[scan.node].complete or scan.migrating_names is None:
                continue
            slots = {
                slot
                for slot, handing in quiet.items()
                if handing.target == scan.node and views[handing.source].complete and slot in self._remaining
            }
            if slots:
                try:
                    ahead = await scan.reach(self._nodes.importer(scan.node), slots)
                except TriageError as error:
                    self._standing.notes[str(error)] = None
                    continue
                self._standing.ahead.update(dict.fromkeys(ahead, scan.node))
                # A stop may have left some out.
                reached |= set() if self._stop_asked else slots
        self._doubts.slots |= (handed.keys() & self._remaining) - reached

    def _settle(self, scan: NodeScan, view: ScanView, now: Owners) -> None:
        """Which of the scan's slots are behind us, which are to be looked for elsewhere, and which nobody can tell."""
        standing = self._standing
        standing.notes.update(dict.fromkeys(f"{scan.asked}: {note}" for note in view.notes))
        for slot in scan.seen.keys() & scan.slots:
            self._doubts.seen[slot] += scan.seen[slot]
        self._moved_keys += scan.moved_keys
        if view.state is ScanState.COMPLETE:
            if scan.missing is not None:
                self._missing.append(f"{scan.asked}: {scan.missing}")
            standing.used_bytes += scan.used_bytes or 0
            if view.contradiction is not None:
                standing.contradictions.append(f"{scan.asked}: {view.contradiction}")
            standing.used_known = standing.used_known and scan.used_bytes is not None
            gone = {slot for slot in scan.slots if (owner := now.of_slot(slot)) is None or owner.name != scan.node}
            self._doubts.slots |= gone & scan.seen.keys()
            self._remaining -= scan.slots - (gone - scan.seen.keys())
            return
        finished = scan.finished_slots()
        begun = (scan.seen.keys() & scan.slots) - finished
        if scan.begun is not None and begun == {scan.last_slot}:
            # Its successor goes on in the middle of that slot.
            self._counted |= scan.begun
            begun = set()
        self._doubts.slots |= begun
        self._remaining -= finished | begun
        if view.error is not None:
            standing.notes[f"{view.error} (after {number_of_keys(scan.keys)})"] = None
            self._failure = view.error
            self._shunned.add(scan.asked)
            standing.unseen_keys += max(0, scan.held_keys - scan.keys)

    async def _successors(self) -> bool:
        """Wait until the remaining slots are served by nodes that answer; False if they are not in time."""
        deadline = self._lost_at + self._patience_now()
        # redis-py may swallow the end of its time, so the clock is asked as well.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, deadline - self._clock())):
                while not self._stop_asked and self._clock() < deadline:
                    await self._nodes.refresh()
                    if await self._all_served():
                        return True
                    await asyncio.sleep(0.2)
        return False

    def _patience_now(self) -> float:
        """Seconds from the first sign of a lost node: fewer where it has no replica that could take over."""
        successors = {
            node.primary for node in self._nodes.topology.nodes if node.primary != node.name and not node.failed
        }
        return self._patience if successors >= self._lost else min(self._patience, timeouts.GIVE_UP)

    async def _all_served(self) -> bool:
        owners = self._nodes.topology.owners()
        found = {slot: owners.of_slot(slot) for slot in self._remaining}
        names = {owner.name for owner in found.values() if owner is not None}
        return None not in found.values() and all([await _answers(self._nodes.node(name)) for name in names])

    def _ended(self) -> ScanState:
        standing = self._standing
        if self._moved_keys:
            sentence = f"keys that moved away while they were read, left out: {count(self._moved_keys)}"
            standing.notes[sentence] = None
        if self._stop_asked:
            return ScanState.STOPPED
        if self._ending and self._remaining:
            return ScanState.SAMPLED
        if self._remaining:
            standing.error = f"{count(len(self._remaining))} of 16,384 slots could not be scanned: {self._failure}"
            return ScanState.FAILED
        if self._doubts.slots or self._missing:
            standing.error = self._doubts.sentence() if self._doubts.slots else self._missing[0]
            return ScanState.FAILED
        return ScanState.COMPLETE

    def _fair_sample(self) -> sampling.SampledShare | None:
        """What was read is a sample of, where it ended early; a note says why it is one of nothing."""
        standing = self._standing
        ended_early = standing.state in (ScanState.SAMPLED, ScanState.STOPPED)
        if not ended_early or self._options.filtered or standing.past_keys or not self._aggregates.keys:
            return None
        found = fair_sample(standing.scans, self._aggregates)
        if isinstance(found, str):
            standing.notes[found] = None
            return None
        return found


async def _answers(server: LiveServer) -> bool:
    try:
        await server.snapshot()
    except TriageError:
        return False
    return True
