"""The scan of one node's share of a cluster: its own slots only, counted together for all."""

from binascii import crc_hqx
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Annotated

from msgspec import Meta, Struct
from redis import exceptions
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from redis_oom_tui.formatting.typed import Count, Whole
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import NodeShare, ScanOptions
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.resp import checked, packed_by_key
from redis_oom_tui.server.scan.aggregates import Columns, ScanAggregates, TopKey
from redis_oom_tui.server.scan.checkpoint import Checkpoint, by_type_read, by_type_written
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from redis_oom_tui.server.scan.top_key_refiner import TopKeyRefiner
from redis_oom_tui.server.scan.view import ScanProgress
from redis_oom_tui.server.scan.workers import sorted_out
from redis_oom_tui.server.sizing import Known

# Fewer keys than this tell nothing about the order in which the server scans.
_TELLING = 16
# Names kept of the slot that the scan is in, so that another node can go on in the middle of it.
_REMEMBERED = 5000
# Keys of slots that are not the node's own; most have none.
_MOST_MIGRATING = 50_000
_SLOT_BITS = REDIS_CLUSTER_HASH_SLOTS - 1
# The replies about a key that went to another node between being listed and being asked about.
_MOVED = frozenset({exceptions.MovedError, exceptions.AskError})


Slot = Annotated[int, Meta(ge=0, lt=REDIS_CLUSTER_HASH_SLOTS)]


class NodePlace(Struct, kw_only=True):
    """Where the scan of a node stands, apart from its ranges: keys `seen` by slot, and its part of the counts of all.

    `given` are the keys that its SCAN named; `counts` are keys, bytes, those of both with a TTL, keys without a size,
    and `refused` those that may not be read. `type_bytes` are the bytes by type, `corrected` what closer looks
    changed of them. The rest is as in `NodeScan`.
    """

    seen: list[tuple[Slot, Count]]
    last_slot: Slot | None
    begun: list[bytes] | None
    by_slot: bool
    moved_keys: Count
    given: Count
    counts: tuple[Whole, Whole, Whole, Whole, Whole]
    refused: Count = 0
    type_bytes: list[tuple[str, Whole]] = []
    corrected: list[tuple[str, Whole]] = []


class NodeAggregates(ScanAggregates):
    """What one node gave, counted into `shared`, with a count of its own; `mine` says of a name whether it has it."""

    def __init__(self, shared: ScanAggregates, mine: Callable[[bytes], object]) -> None:
        super().__init__(shared.options)
        self._shared = shared
        self._mine = mine

    def page(self, db: int, names: list[bytes], columns: Columns) -> None:
        shared = self._shared
        before = shared.keys, shared.bytes, shared.volatile_keys, shared.volatile_bytes, shared.unsized, shared.refused
        by_type = dict(shared.type_bytes)
        shared.limit = self.limit
        shared.page(db, names, columns)
        self.keys += shared.keys - before[0]
        self.bytes += shared.bytes - before[1]
        self.volatile_keys += shared.volatile_keys - before[2]
        self.volatile_bytes += shared.volatile_bytes - before[3]
        self.unsized += shared.unsized - before[4]
        self.refused += shared.refused - before[5]
        for kind, held in shared.type_bytes.items():
            self.type_bytes[kind] += held - by_type.get(kind, 0)

    def to_refine(self) -> list[TopKey]:
        """Those of the largest keys of all that this node holds."""
        return [
            top for top in self._shared.largest() if not (top.asked and top.row.measured) and self._mine(top.row.id.key)
        ]

    def sampled_collections(self) -> list[tuple[int, Known]]:
        """Those of the sample of all that this node holds."""
        return [(db, known) for db, known in self._shared.sampled_collections() if self._mine(known.key)]

    def correct(self, top: TopKey, row: KeyRow) -> None:
        """A top key was read again."""
        held, volatile = self._shared.bytes, self._shared.volatile_bytes
        self._shared.correct(top, row)
        difference, kind = self._shared.bytes - held, row.type.encode("latin-1")
        self.bytes += difference
        self.type_bytes[kind] += difference
        self.corrected[kind] += difference
        self.volatile_bytes += self._shared.volatile_bytes - volatile


class NodeScan(KeyspaceScan):
    """Scans `server`, which is `owner` or a replica of it, for the keys of `slots`.

    Keys of other slots are on their way between nodes, and not its own: `migrating_names`, None where they were too
    many to remember. `counted` are known from a node that was lost; `standing` and `place` are of an earlier process.
    Servers since Redis 7.4 and Valkey 8 scan slot by slot in a cluster: `by_slot` is what was seen, not guessed; then a
    scan that broke off knows which slots it has behind it.
    """

    def __init__(
        self,
        server: LiveServer,
        options: ScanOptions,
        slots: Iterable[int],
        shared: ScanAggregates,
        owner: str,
        counted: Collection[bytes] = (),
        standing: ScanProgress | None = None,
        place: NodePlace | None = None,
    ) -> None:
        own = bytearray(REDIS_CLUSTER_HASH_SLOTS)
        aggregates = NodeAggregates(shared, lambda name: own[key_slot(name)])
        begun = None if standing is None else Checkpoint(options, standing, aggregates, 0.0)
        super().__init__(server, options, aggregates=aggregates, begun=begun, patience_seconds=2.0)
        self.node = owner
        self.asked = str(server.address)
        self._counted = counted
        self.slots = frozenset(slots)
        self.seen: Counter[int] = Counter()
        self.last_slot: int | None = None
        self.begun: set[bytes] | None = set()
        self.by_slot = True
        self.moved_keys = 0
        self.migrating_names: set[bytes] | None = set()
        self._shared = shared
        self._own = own
        if place is not None:
            self._go_on_from(place)
        for slot in self.slots:
            own[slot] = 1

    def _go_on_from(self, place: NodePlace) -> None:
        self.seen.update(dict(place.seen))
        self.begun = None if place.begun is None else set(place.begun)
        self.last_slot, self.by_slot, self.moved_keys = place.last_slot, place.by_slot, place.moved_keys
        # Which keys of other slots it met is not known any more.
        self.migrating_names = None
        self._control.given = place.given
        aggregates = self._aggregates
        aggregates.keys, aggregates.bytes, aggregates.volatile_keys, aggregates.volatile_bytes, aggregates.unsized = (
            place.counts
        )
        aggregates.refused = place.refused
        aggregates.type_bytes.update(by_type_read(place.type_bytes))
        aggregates.corrected.update(by_type_read(place.corrected))

    @property
    def place(self) -> NodePlace:
        """Where it stands, apart from its ranges, for another process to go on from."""
        aggregates = self._aggregates
        return NodePlace(
            seen=sorted(self.seen.items()),
            last_slot=self.last_slot,
            begun=None if self.begun is None else sorted(self.begun),
            by_slot=self.by_slot,
            moved_keys=self.moved_keys,
            given=self._control.given,
            counts=(
                aggregates.keys,
                aggregates.bytes,
                aggregates.volatile_keys,
                aggregates.volatile_bytes,
                aggregates.unsized,
            ),
            refused=aggregates.refused,
            type_bytes=by_type_written(aggregates.type_bytes),
            corrected=by_type_written(aggregates.corrected),
        )

    @property
    def keys(self) -> int:
        """Keys counted so far."""
        return self._aggregates.keys

    @property
    def share(self) -> NodeShare:
        """What it has counted so far."""
        aggregates = self._aggregates
        return NodeShare(
            self.node,
            aggregates.keys,
            aggregates.bytes,
            aggregates.volatile_keys,
            aggregates.volatile_bytes,
            used_bytes=self.used_bytes,
        )

    @property
    def fair(self) -> bool:
        """Whether the node scans in the order of the hash, so that a part of its keys is a fair sample of them."""
        return self.standing.fair

    @property
    def held_keys(self) -> int:
        """Keys that the node has, as far as known."""
        snapshot = self.standing.snapshot
        return 0 if snapshot is None else snapshot.keys

    @property
    def used_bytes(self) -> int | None:
        """The node's used_memory when its scan began."""
        snapshot = self.standing.snapshot
        return None if snapshot is None else snapshot.memory.used_bytes

    def finished_slots(self) -> frozenset[int]:
        """The slots of which every key was counted, although the scan broke off; none where that cannot be known."""
        if not self.by_slot or self.last_slot is None or self.seen.total() < _TELLING:
            return frozenset()
        return frozenset(slot for slot in self.slots if slot < self.last_slot)

    def count(self, db: int, names: list[bytes], columns: Columns) -> None:
        """Take one page of replies, less the keys that are not this node's."""
        # On the way of every key, so in few steps: most names have no hash tag, most pages no stranger.
        slots = [crc_hqx(name, 0) & _SLOT_BITS if b"{" not in name else key_slot(name) for name in names]
        reached = slots if self.last_slot is None else [self.last_slot, *slots]
        if self.by_slot and reached != sorted(reached):
            self.by_slot = False
        own = list(map(self._own.__getitem__, slots))
        asked = _asked(columns)
        here = slots
        if 0 in own or self._counted or any(not _MOVED.isdisjoint(map(type, column)) for column in asked):
            self._note_migrating([name for at, name in enumerate(names) if not own[at] and _moved(asked, at)])
            kept = [at for at, mine in enumerate(own) if mine and names[at] not in self._counted]
            stayed = [at for at in kept if not _moved(asked, at)]
            self.moved_keys += len(kept) - len(stayed)
            names, columns, here = [names[at] for at in stayed], _at(columns, stayed), [slots[at] for at in stayed]
        self.seen.update(here)
        if slots:
            self._remember(names, here, slots[-1])
            self.last_slot = slots[-1]
        if names:
            super().count(db, names, columns)

    def _note_migrating(self, names: list[bytes]) -> None:
        if self.migrating_names is not None:
            self.migrating_names.update(names)
            if len(self.migrating_names) > _MOST_MIGRATING:
                self.migrating_names = None

    async def reach(self, importer: LiveServer, slots: Collection[int]) -> list[bytes]:
        """Count the migrating keys of `slots` that `importer` (this node, behind ASKING) has already; which those were.

        Raises one of `models.errors`.
        """
        names = sorted(name for name in self.migrating_names or () if key_slot(name) in slots)
        reached: list[bytes] = []
        columns = self._preparation.columns
        scan_connection = ScanConnection(importer.connection, 0, self._command)
        with translated(importer.address, "MEMORY USAGE"):
            try:
                await scan_connection.open()
                while names and not self._control.stopped:
                    await self._control.rate.ready()
                    page, names = names[: self._control.step.count], names[self._control.step.count :]
                    answers = await scan_connection.ask(packed_by_key(columns, page), len(columns) * len(page))
                    checked(columns, answers)
                    reached += self._take_in(page, sorted_out(columns, answers, len(page)))
            finally:
                await scan_connection.close()
            await self._refine_imported(importer, frozenset(reached))
        return reached

    def _take_in(self, names: list[bytes], columns: Columns) -> list[bytes]:
        asked = _asked(columns)
        kept = [at for at in range(len(names)) if not _moved(asked, at)]
        there = [names[at] for at in kept]
        self.seen.update(map(key_slot, there))
        super().count(0, there, _at(columns, kept))
        return there

    async def _refine_imported(self, importer: LiveServer, names: Collection[bytes]) -> None:
        aggregates = NodeAggregates(self._shared, names.__contains__)
        aggregates.limit = self._aggregates.limit
        refiner = TopKeyRefiner(
            importer.connection,
            aggregates,
            evidence=self._preparation.evidence,
            sized=self._standing.sized,
            control=self._control,
        )
        try:
            await refiner.finish()
        finally:
            await refiner.close()
        self._aggregates.bytes += aggregates.bytes
        self._aggregates.volatile_bytes += aggregates.volatile_bytes

    def _remember(self, names: list[bytes], slots: list[int], last: int) -> None:
        """The names counted of the slot that the scan is in: `begun`, None where they are too many or not known."""
        if not self.by_slot:
            self.begun = None
            return
        if last != self.last_slot:
            self.begun = set()
        if self.begun is not None:
            self.begun.update(name for name, slot in zip(names, slots, strict=True) if slot == last)
            if len(self.begun) > _REMEMBERED:
                self.begun = None


def summed(shares: Iterable[NodeShare]) -> tuple[NodeShare, ...]:
    """One share for each node, of all that was counted on it."""
    found: dict[str, NodeShare] = {}
    for share in shares:
        known = found.get(share.node, NodeShare(share.node))
        found[share.node] = NodeShare(
            share.node,
            known.keys + share.keys,
            known.bytes + share.bytes,
            known.volatile_keys + share.volatile_keys,
            known.volatile_bytes + share.volatile_bytes,
            used_bytes=known.used_bytes if share.used_bytes is None else share.used_bytes,
        )
    return tuple(found.values())


def _asked(columns: Columns) -> list[list[object]]:
    return [column for column in (columns.sizes, columns.types, columns.ttls) if column is not None]


def _moved(asked: Sequence[list[object]], at: int) -> bool:
    """Whether the node said of the key at `at` that another serves it."""
    return any(type(column[at]) in _MOVED for column in asked)


def _at(columns: Columns, kept: list[int]) -> Columns:
    def these(column: list[object] | None) -> list[object] | None:
        return None if column is None else [column[index] for index in kept]

    return Columns(
        sizes=these(columns.sizes),
        types=these(columns.types),
        ttls=these(columns.ttls),
        idles=these(columns.idles),
        frequencies=columns.frequencies,
    )
