"""Slots that one node is handing to another, and slots that a scan may have counted only in part for that."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from redis_oom_tui.formatting.keys import slots_by_number
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.server.cluster.topology import Topology, keys_in_slots, slots_on_their_way
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.tasks import together

_AT_ONCE = 64


class SlotNodes(Protocol):
    """What is asked of a cluster."""

    @property
    def topology(self) -> Topology:
        """Who serves what, as last asked."""

    def node(self, name: str) -> LiveServer:
        """The node called `name`."""


class SlotMigration(Struct, frozen=True):
    """A slot on its way from the node called `source` to the one called `target`, and how many keys the first has left.

    None for what was not told.
    """

    source: str
    target: str | None
    left_keys: int | None


async def slot_migrations(nodes: SlotNodes, names: Iterable[str]) -> dict[int, SlotMigration]:
    """The slots that the nodes called `names` are handing over, by their own word: none of one that is silent."""
    gate = asyncio.Semaphore(_AT_ONCE)
    found: dict[int, SlotMigration] = {}
    for handed in await together(_handed_by(nodes, name, gate) for name in names):
        found.update(handed)
    return found


async def newcomers(nodes: SlotNodes) -> tuple[str, ...]:
    """The nodes that serve no slot yet and take over their first: they have keys."""
    primaries = {node.name for node in nodes.topology.primaries}
    targets = {handing.target for handing in (await slot_migrations(nodes, primaries)).values()}
    return tuple(sorted(name for name in targets - primaries if name is not None))


def still(before: Mapping[int, SlotMigration], after: Mapping[int, SlotMigration]) -> dict[int, SlotMigration]:
    """Those of `after` of which no key has gone since `before`.

    A node gets no new keys in a slot that it hands over, so as many keys as before are the same keys as before.
    """
    return {
        slot: handing
        for slot, handing in after.items()
        if handing == before.get(slot) and handing.target is not None and handing.left_keys is not None
    }


async def _handed_by(nodes: SlotNodes, name: str, gate: asyncio.Semaphore) -> dict[int, SlotMigration]:
    async with gate:
        try:
            client = nodes.node(name).client()
        except ServerUnreachable:
            return {}
        heirs = await slots_on_their_way(client)
        left = await keys_in_slots(client, heirs) if heirs else {}
    names = {node.id: node.name for node in nodes.topology.nodes}
    return {slot: SlotMigration(name, names.get(heir), left.get(slot)) for slot, heir in heirs.items()}


# Slots in doubt that are few enough to be asked about one by one.
_MOST_ASKED = 1000


class PartialSlots:
    """`slots` are those in doubt; `seen` is how many keys of each slot were counted, in doubt or not."""

    def __init__(self) -> None:
        self.slots: set[int] = set()
        self.seen: Counter[int] = Counter()
        self._half_moved: set[int] = set()

    async def dispel(self, nodes: SlotNodes) -> None:
        """Take the doubt off slots of which as many keys were counted as their owner has now."""
        if not 0 < len(self.slots) <= _MOST_ASKED:
            return
        self._half_moved = set()
        owners = nodes.topology.owners()
        by_owner: dict[str, list[int]] = defaultdict(list)
        for slot in self.slots:
            if (owner := owners.of_slot(slot)) is not None:
                by_owner[owner.name].append(slot)
        for name, slots in by_owner.items():
            client = nodes.node(name).client()
            held = await keys_in_slots(client, slots)
            # Of a slot that is still on its way, some keys are on the other node: the owner's count tells nothing.
            half = await slots_on_their_way(client)
            self._half_moved |= half.keys() & self.slots
            self.slots -= {slot for slot, keys in held.items() if keys == self.seen[slot]} - half.keys()

    def sentence(self) -> str:
        """What is to be said of the slots that are still in doubt."""
        told = f"{count(len(self.slots))} of 16,384 slots moved and were counted only in part: scan again"
        if self._half_moved:
            told += f", once the resharding has ended: {slots_by_number(self._half_moved)} on the way"
        return told
