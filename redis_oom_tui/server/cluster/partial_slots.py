"""Slots that a scan may have counted only in part, as they changed hands meanwhile."""

from collections import Counter, defaultdict

from redis_oom_tui.formatting.keys import slots_by_number
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.server.cluster.migrating_slots import SlotNodes
from redis_oom_tui.server.cluster.topology import keys_in_slots, slots_on_their_way

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
        told = f"{count(len(self.slots))} of 16,384 slots changed hands and were counted only in part: scan again"
        if self._half_moved:
            told += f", once the resharding has ended: {slots_by_number(self._half_moved)} on the way"
        return told
