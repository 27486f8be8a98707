"""Which nodes a cluster has, which slots each serves, and which slots are on their way to another node."""

import asyncio
import bisect
import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct
from redis import exceptions
from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from redis_oom_tui.formatting.keys import slots_by_number
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.address import Address, ClusterNode, MovingSlot
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.replies import array, as_text, at_least, data, whole
from redis_oom_tui.server.tasks import together

_LARGEST_PORT = 65535
_AT_ONCE = 64
# Slots in doubt that are few enough to be asked about one by one.
_MOST_ASKED = 1000
_RANGE = re.compile(r"[0-9]{1,9}(-[0-9]{1,9})?")


class Topology(Struct, frozen=True):
    """The nodes of a cluster; primaries that serve slots come first, in the order of their slots."""

    nodes: tuple[ClusterNode, ...]

    @property
    def primaries(self) -> tuple[ClusterNode, ...]:
        """The nodes that serve slots."""
        return tuple(node for node in self.nodes if node.serves)

    @property
    def open_slots(self) -> int:
        """How many slots nobody serves."""
        return REDIS_CLUSTER_HASH_SLOTS - sum(node.slots for node in self.primaries)

    def by_name(self, name: str) -> ClusterNode | None:
        """The node called `name`."""
        return next((node for node in self.nodes if node.name == name), None)

    def node_at(self, where: str, asked: Address) -> ClusterNode | None:
        """The node at `where`, HOST:PORT as the node at `asked` told it: without a host it is on the same one."""
        host, _, port = where.rpartition(":")
        host = asked.host if host in ("", "?") else host.strip("[]")
        return next((node for node in self.nodes if (node.address.host, str(node.address.port)) == (host, port)), None)

    def owners(self) -> "Owners":
        """For finding the owner of many keys."""
        return Owners(self.primaries)


class Owners:
    """From a key to the node that serves its slot."""

    def __init__(self, primaries: Iterable[ClusterNode]) -> None:
        ranges = sorted((first, last, node) for node in primaries for first, last in node.ranges)
        self._firsts = [first for first, _, _ in ranges]
        self._ranges = ranges

    def of_slot(self, slot: int) -> ClusterNode | None:
        """The node that serves `slot`; None where nobody does."""
        place = bisect.bisect_right(self._firsts, slot) - 1
        if place < 0 or slot > self._ranges[place][1]:
            return None
        return self._ranges[place][2]

    def of_key(self, key: bytes) -> ClusterNode | None:
        """The node that serves `key`; None where nobody does."""
        return self.of_slot(key_slot(key))


class SlotMarks(Struct, frozen=True):
    """The slots that a node hands over (MIGRATING) and takes over (IMPORTING), each with the id of the other node."""

    handed: Mapping[int, str] = MappingProxyType({})
    taken: Mapping[int, str] = MappingProxyType({})


async def slot_marks(client: "Redis") -> SlotMarks:
    """Those of this node; none where it does not tell."""
    with contextlib.suppress(TriageError), translated("the node", "CLUSTER NODES"):
        return marks_in(as_text(data(await client.execute_command("CLUSTER", "NODES"))))
    return SlotMarks()


async def keys_in_slots(client: "Redis", slots: Iterable[int]) -> dict[int, int]:
    """How many keys this node has in each of `slots`; those that it does not tell are left out."""
    asked = list(slots)
    pipeline = client.pipeline(transaction=False)
    for slot in asked:
        pipeline.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
    replies: list[object] = []
    with contextlib.suppress(TriageError), translated("the node", "CLUSTER COUNTKEYSINSLOT"):
        replies = await pipeline.execute(raise_on_error=False)
    if not replies:
        return {}
    return {slot: reply for slot, reply in zip(asked, replies, strict=True) if isinstance(reply, int)}


async def discover(client: "Redis", asked: Address) -> Topology:
    """The cluster as the node at `asked` sees it. Raises redis-py's errors; one that is no cluster refuses.

    CLUSTER SLOTS tells which address clients shall use (a host name under TLS, the TLS port); CLUSTER NODES, where it
    may be read, adds who is failing and the nodes without slots.
    """
    # Two words, so that redis-py leaves the replies as they are: its parser of NODES merges nodes by address.
    serving = from_slots(await client.execute_command("CLUSTER", "SLOTS"), asked)
    try:
        lines = data(await client.execute_command("CLUSTER", "NODES"))
    except exceptions.ResponseError:
        return Topology(tuple(serving))
    return Topology(tuple(_merged(serving, from_nodes(as_text(lines), asked))))


def from_slots(reply: object, asked: Address) -> list[ClusterNode]:
    """The nodes in a reply of CLUSTER SLOTS; one without a host is where the question went. Raises InvalidResponse."""
    primaries: dict[str, ClusterNode] = {}
    replicas: dict[str, ClusterNode] = {}
    entries = [at_least(entry, 3) for entry in array(reply)]
    for first, last, primary, *others in sorted(entries, key=lambda entry: whole(entry[0])):
        node = _endpoint(primary, asked)
        known = primaries.setdefault(node.name, node)
        primaries[node.name] = replace(known, ranges=(*known.ranges, (whole(first), whole(last))))
        for other in others:
            replica = _endpoint(other, asked)
            replicas[replica.name] = replace(replica, primary=node.name)
    return [*primaries.values(), *replicas.values()]


def _endpoint(reply: object, asked: Address) -> ClusterNode:
    entry = at_least(reply, 2)
    host = as_text(data(entry[0])) if entry[0] else asked.host
    address = Address(asked.host if host == "?" else host, whole(entry[1]))
    # Before Redis 4 an entry had no id; the address does as well.
    return ClusterNode(str(address), as_text(entry[2]) if len(entry) > 2 else str(address), address, str(address))


def from_nodes(text: str, asked: Address) -> list[ClusterNode]:
    """The nodes in a reply of CLUSTER NODES; those still in handshake or without an address are left out."""
    rows = [line.split(" ") for line in text.splitlines() if line.count(" ") >= 7]
    rows = [row for row in rows if not {"handshake", "noaddr"} & set(row[2].split(","))]
    addresses = {row[0]: _listed(row[1], asked) for row in rows}
    nodes = []
    for row in rows:
        name = str(addresses[row[0]])
        flags = set(row[2].split(","))
        copied = addresses.get(row[3])
        ranges = tuple(_range(word) for word in row[8:] if _RANGE.fullmatch(word))
        nodes.append(
            ClusterNode(
                name=name,
                id=row[0],
                address=addresses[row[0]],
                primary=name if "slave" not in flags or copied is None else str(copied),
                ranges=ranges,
                failed="fail" in flags,
            )
        )
    return nodes


def marks_in(text: str) -> SlotMarks:
    """The marks of the node whose CLUSTER NODES this is.

    >>> marks_in("e7d1 :1@2 myself,master - 0 0 1 connected 0-99 [7->-67ed] [8-<-67ed]")
    SlotMarks(handed={7: '67ed'}, taken={8: '67ed'})
    """
    own = next((line for line in text.splitlines() if "myself" in line), "")
    words = [word.strip("[]") for word in own.split(" ") if word.startswith("[")]
    handed, taken = ([word.partition(arrow) for word in words if arrow in word] for arrow in ("->-", "-<-"))
    return SlotMarks(_by_slot(handed), _by_slot(taken))


def _by_slot(marks: Iterable[tuple[str, str, str]]) -> dict[int, str]:
    return {int(slot): other for slot, _, other in marks if _RANGE.fullmatch(slot) and "-" not in slot}


def _listed(word: str, asked: Address) -> Address:
    """From `10.0.0.5:6379@16379,cache-1`; the node that was asked may not know its own address."""
    host, _, port = word.split(",", maxsplit=1)[0].split("@", maxsplit=1)[0].rpartition(":")
    number = int(port) if _RANGE.fullmatch(port) and "-" not in port and int(port) <= _LARGEST_PORT else asked.port
    return Address(host.strip("[]") or asked.host, number)


def _range(word: str) -> tuple[int, int]:
    first, _, last = word.partition("-")
    return int(first), int(last or first)


def _merged(serving: list[ClusterNode], listed: list[ClusterNode]) -> list[ClusterNode]:
    """`serving` with the opinion of `listed`, and the nodes that only the latter has; matched by id."""
    by_id = {node.id: node for node in listed}
    known = {node.id: node for node in serving}
    nodes = [replace(node, failed=by_id[node.id].failed) if node.id in by_id else node for node in serving]
    names = {by_id[node_id].name: node.name for node_id, node in known.items() if node_id in by_id}
    for node in listed:
        if node.id not in known:
            primary = node.name if node.is_primary else names.get(node.primary, node.primary)
            nodes.append(replace(node, primary=primary))
    return nodes


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
    limit = asyncio.Semaphore(_AT_ONCE)
    found: dict[int, SlotMigration] = {}
    for handed in await together(_handed_by(nodes, name, limit) for name in names):
        found.update(handed)
    return found


async def new_nodes(nodes: SlotNodes) -> tuple[str, ...]:
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


async def _handed_by(nodes: SlotNodes, name: str, limit: asyncio.Semaphore) -> dict[int, SlotMigration]:
    async with limit:
        try:
            client = nodes.node(name).client()
        except ServerUnreachable:
            return {}
        successors = (await slot_marks(client)).handed
        left = await keys_in_slots(client, successors) if successors else {}
    names = {node.id: node.name for node in nodes.topology.nodes}
    return {slot: SlotMigration(name, names.get(successor), left.get(slot)) for slot, successor in successors.items()}


async def moving_slots(nodes: SlotNodes, marks: Mapping[str, SlotMarks]) -> tuple[MovingSlot, ...]:
    """Each slot that a node, by name, marks as on its way, with the keys of it that both have; by number."""
    ids = {node.name: node.id for node in nodes.topology.nodes}
    names = {node_id: name for name, node_id in ids.items()}
    # Valkey's replicas mark what their primary marks.
    primaries = {node.name for node in nodes.topology.nodes if node.is_primary}
    known = [(name, own) for name, own in marks.items() if name in primaries]
    taken = {slot: (names.get(other), name) for name, own in known for slot, other in own.taken.items()}
    handed = {slot: (name, names.get(other)) for name, own in known for slot, other in own.handed.items()}
    slots_on: dict[str, list[int]] = defaultdict(list)
    # The word of the node that still serves the slot counts for more.
    for slot, ends in (ways := taken | handed).items():
        for name in filter(None, ends):
            slots_on[name].append(slot)
    counts = await together(keys_in_slots(nodes.node(name).client(), slots) for name, slots in slots_on.items())
    keys = dict(zip(slots_on, counts, strict=True))

    def held(name: str | None, slot: int) -> int | None:
        return keys.get(name or "", {}).get(slot)

    return tuple(
        MovingSlot(slot, source, target, ids.get(target or ""), held(source, slot), held(target, slot))
        for slot, (source, target) in sorted(ways.items())
    )


class PartialSlots:
    """`slots` are those in doubt; `seen` is how many keys of each slot were counted, in doubt or not."""

    def __init__(self) -> None:
        self.slots: set[int] = set()
        self.seen: Counter[int] = Counter()
        self._half_moved: set[int] = set()

    async def recheck(self, nodes: SlotNodes) -> None:
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
            half = (await slot_marks(client)).handed
            self._half_moved |= half.keys() & self.slots
            self.slots -= {slot for slot, keys in held.items() if keys == self.seen[slot]} - half.keys()

    def sentence(self) -> str:
        """What is to be said of the slots that are still in doubt."""
        sentence = f"{count(len(self.slots))} of 16,384 slots moved and were counted only in part: scan again"
        if self._half_moved:
            sentence += f", once the resharding has ended: {slots_by_number(self._half_moved)} on the way"
        return sentence
