"""The scan of a whole cluster: all primaries at the same time, through failovers and slots that move."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import Brake, Interval, NodeShare, Pace, PatternRow, ScanOptions, ScanState, ScanView
from redis_oom_tui.rules import estimate
from redis_oom_tui.store.fleet.doubts import Doubts
from redis_oom_tui.store.fleet.half_moved import Handing, handings, still
from redis_oom_tui.store.fleet.node_scan import NodeScan, summed
from redis_oom_tui.store.fleet.sampling import BY_SLOT, UNEVEN, fair_sample, quotas
from redis_oom_tui.store.fleet.topology import Owners, Topology
from redis_oom_tui.store.live import LiveServer
from redis_oom_tui.store.scan.tally import Tally
from redis_oom_tui.words.sizes import count

# One client core reads what about this many gentle servers send; more would only wait for it.
_AT_ONCE = 32
# Rounds after the first are for slots that changed hands meanwhile.
_ROUNDS = 4
# How long the slots of a lost node may stay without an heir: several times a usual cluster-node-timeout.
_PATIENCE_SECONDS = 30.0
_PATTERNS_EVERY_SECONDS = 0.5


class Nodes(Protocol):
    """What the scan needs of a cluster."""

    @property
    def topology(self) -> Topology:
        """Who serves what, as last asked."""

    async def refresh(self) -> bool:
        """Ask who serves what; whether it changed."""

    def node(self, name: str) -> LiveServer:
        """The node called `name`."""

    def importer(self, name: str) -> LiveServer:
        """The node called `name`, for the keys that it has of slots that are not its own yet."""

    def replica_of(self, name: str, but: Collection[str] = ()) -> LiveServer | None:
        """A replica of it, for reading keys, that is none of `but`."""


class ClusterScan:
    """A scan of every primary of `nodes`. Implements `ports.Scan`; each node has its own brake, all share one tally.

    Every slot is counted on the one node that served it when its walk began, so no key counts twice while slots move.
    """

    def __init__(
        self,
        nodes: Nodes,
        options: ScanOptions,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._options = options
        self._patience = patience_seconds
        self._clock = clock
        self._tally = Tally(options)
        self._remaining = set(range(REDIS_CLUSTER_HASH_SLOTS))
        self._doubts = Doubts()
        self._handed: Mapping[int, Handing] = {}
        self._ahead: dict[bytes, str] = {}
        self._counted: set[bytes] = set()
        self._owners = Owners(())
        self._scans: list[NodeScan] = []
        self._past_keys = 0
        self._shares: tuple[NodeShare, ...] = ()
        self._moved_keys = 0
        self._notes: dict[str, None] = {}
        self._timed = True
        self._state = ScanState.RUNNING
        self._pace = options.pace
        self._stop_asked = False
        self._error: str | None = None
        self._started: float | None = None
        self._elapsed = 0.0
        self._used = 0
        self._failure = "no node serves them"
        self._shunned: set[str] = set()
        self._unseen_keys = 0
        self._sample: estimate.Sample | None = None
        self._patterns: tuple[PatternRow, ...] = ()
        self._patterns_at = -1.0

    # What a screen calls.

    async def run(self) -> ScanView:
        """Scan to the end, a stop or a failure, and return the last view. Never raises for a server's fault."""
        if self._state is ScanState.COMPLETE:
            return self.view()
        self._state, self._error, self._stop_asked = ScanState.RUNNING, None, False
        self._sample = None
        for words in (BY_SLOT, UNEVEN):
            self._notes.pop(words, None)
        self._started = self._clock()
        try:
            await self._nodes.refresh()
            for _ in range(_ROUNDS):
                await self._round()
                if not self._remaining or self._ending or not await self._heirs():
                    break
            if not self._filtered:
                await self._doubts.dispel(self._nodes)
            self._state = self._ended()
            self._sample = self._fair_sample()
        except TriageError as error:
            self._state, self._error = ScanState.FAILED, str(error)
        finally:
            if self._state in (ScanState.RUNNING, ScanState.PAUSED):
                self._state = ScanState.STOPPED
            self._elapsed += self._clock() - self._started
            self._started = None
        return self.view()

    def view(self) -> ScanView:
        """The scan as it stands. Estimates come at the end of a sample alone: until then the nodes are not in step."""
        tally = self._tally
        elapsed = self._elapsed + (0.0 if self._started is None else self._clock() - self._started)
        complete = self._state is ScanState.COMPLETE
        held = self._past_keys + self._unseen_keys + sum(scan.held_keys for scan in self._scans)
        total = max(tally.keys, held)
        walked = 1.0 if complete else tally.keys / total if total else None
        return ScanView(
            state=self._state,
            scanned_keys=tally.keys,
            total_keys=total,
            bytes_seen=tally.bytes,
            volatile_keys=tally.volatile_keys,
            volatile_bytes=tally.volatile_bytes,
            elapsed_seconds=elapsed,
            keys_per_second=tally.keys / elapsed if elapsed > 0 else 0.0,
            remaining_seconds=None if complete or not walked else elapsed * (1 - walked) / walked,
            top=tuple(self._placed(top.row) for top in tally.largest()),
            patterns=self._families(),
            types=tally.types(),
            vanished_keys=tally.vanished,
            refused_keys=tally.refused,
            estimated_bytes=self._whole(),
            explained_share=self._explained() if complete else None,
            brake=_together([scan.brake for scan in self._scans]),
            pace=self._pace,
            error=self._error,
            walked_share=walked,
            notes=tuple(self._notes),
            ttls_told=self._timed,
            nodes=summed([*self._shares, *(scan.share for scan in self._scans)]),
        )

    def pause(self) -> None:
        """Send nothing more until `resume`."""
        if self._state is ScanState.RUNNING:
            self._state = ScanState.PAUSED
            for scan in self._scans:
                scan.pause()

    def resume(self) -> None:
        """Go on where it paused."""
        if self._state is ScanState.PAUSED:
            self._state = ScanState.RUNNING
        for scan in self._scans:
            scan.resume()

    def stop(self) -> None:
        """End after the pages in flight; the result so far is kept."""
        self._stop_asked = True
        for scan in self._scans:
            scan.stop()

    def set_pace(self, pace: Pace) -> None:
        """Change how hard it leans on each node from the next page on."""
        self._pace = pace
        for scan in self._scans:
            scan.set_pace(pace)

    # The run itself.

    @property
    def _ending(self) -> bool:
        return self._stop_asked or self._sampled()

    @property
    def _filtered(self) -> bool:
        return self._options.match is not None or self._options.type is not None

    def _sampled(self) -> bool:
        return self._options.sample is not None and self._tally.keys >= self._options.sample

    async def _round(self) -> None:
        """One scan of each node that serves slots not yet counted, all at once; or those that a stop broke off."""
        if not self._scans:
            await self._assign()
        # A sample is of every node, or it tells nothing of the cluster.
        gate = asyncio.Semaphore(_AT_ONCE if self._options.sample is None else max(1, len(self._scans)))
        views = await asyncio.gather(*(self._one(scan, gate) for scan in self._scans))
        if self._ending and not all(view.complete for view in views):
            return
        await self._reach(dict(zip((scan.node for scan in self._scans), views, strict=True)))
        await self._nodes.refresh()
        now = self._nodes.topology.owners()
        self._timed = self._timed and all(view.ttls_told for view in views)
        for scan, view in zip(self._scans, views, strict=True):
            self._settle(scan, view, now)
        self._past_keys += sum(scan.keys for scan in self._scans)
        self._shares = summed([*self._shares, *(scan.share for scan in self._scans)])
        self._scans = []

    async def _assign(self) -> None:
        self._unseen_keys = 0
        self._owners = owners = self._nodes.topology.owners()
        shares: dict[str, list[int]] = defaultdict(list)
        for slot in self._remaining:
            owner = owners.of_slot(slot)
            if owner is not None:
                shares[owner.name].append(slot)
        self._handed = await handings(self._nodes, shares)
        for handing in self._handed.values():
            # A node that gets its first slots serves none yet, and has keys.
            if handing.target is not None:
                shares[handing.target] += []
        servers = {name: self._server(name) for name in shares}
        sample = self._options.sample
        parts = {} if sample is None else await quotas(servers, max(0, sample - self._tally.keys))
        self._scans = [
            NodeScan(
                servers[name],
                replace(self._options, sample=parts.get(name), pace=self._pace),
                slots,
                self._tally,
                name,
                self._counted,
            )
            for name, slots in shares.items()
        ]

    def _server(self, name: str) -> LiveServer:
        """Where the keys of the node called `name` are read: there, or at a replica of it that has not failed yet."""
        replica = self._nodes.replica_of(name, self._shunned) if self._options.replicas else None
        if self._options.replicas and replica is None:
            self._notes[f"{name} has no replica that answers: scanned itself"] = None
        return replica or self._nodes.node(name)

    async def _one(self, scan: NodeScan, gate: asyncio.Semaphore) -> ScanView:
        async with gate:
            if self._stop_asked:
                return scan.view()
            running = asyncio.ensure_future(scan.run())
            await asyncio.sleep(0)
            if self._state is ScanState.PAUSED:
                scan.pause()
            return await running

    async def _reach(self, views: Mapping[str, ScanView]) -> None:
        """Count what has gone ahead of slots that stood still, half moved, while all was walked; doubt the others."""
        handed = await handings(self._nodes, views)
        quiet = still(self._handed, handed)
        reached: set[int] = set()
        for scan in self._scans:
            if not views[scan.node].complete or scan.strangers is None:
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
                    self._notes[str(error)] = None
                    continue
                self._ahead.update(dict.fromkeys(ahead, scan.node))
                # A stop may have left some out.
                reached |= set() if self._stop_asked else slots
        self._doubts.slots |= (handed.keys() & self._remaining) - reached

    def _settle(self, scan: NodeScan, view: ScanView, now: Owners) -> None:
        """Which of the scan's slots are behind us, which are to be looked for elsewhere, and which nobody can tell."""
        self._notes.update(dict.fromkeys(f"{scan.asked}: {note}" for note in view.notes))
        for slot in scan.seen.keys() & scan.slots:
            self._doubts.seen[slot] += scan.seen[slot]
        self._moved_keys += scan.moved_keys
        if view.state is ScanState.COMPLETE:
            self._used += scan.used_bytes or 0
            gone = {slot for slot in scan.slots if (owner := now.of_slot(slot)) is None or owner.name != scan.node}
            self._doubts.slots |= gone & scan.seen.keys()
            self._remaining -= scan.slots - (gone - scan.seen.keys())
            return
        finished = scan.finished_slots()
        begun = (scan.seen.keys() & scan.slots) - finished
        if scan.begun is not None and begun == {scan.last_slot}:
            # Its heir goes on in the middle of that slot.
            self._counted |= scan.begun
            begun = set()
        self._doubts.slots |= begun
        self._remaining -= finished | begun
        if view.error is not None:
            self._notes[f"{view.error} (after {count(scan.keys)} keys)"] = None
            self._failure = view.error
            self._shunned.add(scan.asked)
            self._unseen_keys += max(0, scan.held_keys - scan.keys)

    async def _heirs(self) -> bool:
        """Wait until the remaining slots are served by nodes that answer; False if they are not in time."""
        deadline = self._clock() + self._patience
        while self._clock() < deadline and not self._stop_asked:
            await self._nodes.refresh()
            owners = self._nodes.topology.owners()
            found = {slot: owners.of_slot(slot) for slot in self._remaining}
            names = {owner.name for owner in found.values() if owner is not None}
            if None not in found.values() and all([await _answers(self._nodes.node(name)) for name in names]):
                return True
            await asyncio.sleep(0.2)
        return False

    def _ended(self) -> ScanState:
        if self._moved_keys:
            self._notes[f"keys that moved away while they were read, left out: {count(self._moved_keys)}"] = None
        if self._stop_asked:
            return ScanState.STOPPED
        if self._sampled() and self._remaining:
            return ScanState.SAMPLED
        if self._remaining:
            self._error = f"{count(len(self._remaining))} of 16,384 slots could not be scanned: {self._failure}"
            return ScanState.FAILED
        if self._doubts.slots:
            self._error = self._doubts.sentence()
            return ScanState.FAILED
        return ScanState.COMPLETE

    # Figures for the view.

    def _placed(self, row: KeyRow) -> KeyRow:
        owner = self._owners.of_key(row.id.key)
        node = self._ahead.get(row.id.key) or (None if owner is None else owner.name)
        return row if node is None else replace(row, id=replace(row.id, node=node))

    def _fair_sample(self) -> estimate.Sample | None:
        """What was read is a sample of, where it ended early; a note says why it is one of nothing."""
        ended_early = self._state in (ScanState.SAMPLED, ScanState.STOPPED)
        if not ended_early or self._filtered or self._past_keys or not self._tally.keys:
            return None
        found = fair_sample(self._scans, self._tally)
        if isinstance(found, str):
            self._notes[found] = None
            return None
        return found

    def _whole(self) -> Interval | None:
        if self._state is ScanState.COMPLETE:
            return estimate.counted(self._tally.bytes)
        return None if self._sample is None else self._tally.estimated_bytes(self._sample)

    def _explained(self) -> float | None:
        whole = self._used and self._tally.bytes and not self._filtered
        return self._tally.bytes / self._used if whole else None

    def _families(self) -> tuple[PatternRow, ...]:
        """The patterns, made anew at most twice a second while it runs."""
        now = self._clock()
        running = self._state in (ScanState.RUNNING, ScanState.PAUSED)
        if not running or now - self._patterns_at >= _PATTERNS_EVERY_SECONDS:
            self._patterns = self._tally.patterns(self._sample, exact=self._state is ScanState.COMPLETE)
            self._patterns_at = now
        return self._patterns


def _together(brakes: Iterable[Brake]) -> Brake:
    """The node that suffers most speaks for all."""
    return max(brakes, key=lambda brake: (brake.braking, brake.probe_ms or 0.0, brake.share or 0.0), default=Brake())


async def _answers(server: LiveServer) -> bool:
    try:
        await server.snapshot()
    except TriageError:
        return False
    return True
