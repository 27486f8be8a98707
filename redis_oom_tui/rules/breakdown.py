"""Where used_memory went, in parts that add up to it; and which clients hold buffers, and why."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import duration, size
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.snapshot import NOT_REPORTED, Activity, Doubt, Memory, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.guarded import attempt


class Share(StrEnum):
    """A part of used_memory, in the order in which the bar shows them."""

    DATA = "data"
    TABLES = "keys and tables"
    CLIENTS = "clients"
    REPLICATION = "replication"
    LINKS = "cluster links"
    AOF = "AOF"
    SCRIPTS = "scripts and functions"
    STARTUP = "start-up"
    KEYLESS = "no key"
    REST = "the rest"


class Part(Struct, frozen=True):
    """One part and its bytes."""

    share: Share
    size: int


class Breakdown(Struct, frozen=True):
    """The parts, which sum to used_memory, and beside them what the process takes from its host.

    `clients_unbelievable` is what the server books for clients where that is more than there is room for: Valkey 9
    counts replies that refer to a value as copies (seen: 160 MB of buffers in 2.6 MB of used_memory).
    `not_judged` says why there are no parts, where the rule failed on these figures.
    `outside_bytes` is RSS beyond used_memory: fragmentation, the allocator's reserves, Lua's own memory.
    """

    parts: tuple[Part, ...]
    clients_unbelievable: int | None = None
    outside_bytes: int | None = None
    not_judged: str = ""

    def size(self, share: Share) -> int:
        """The bytes of one part; 0 where nothing of it is known."""
        return sum(part.size for part in self.parts if part.share is share)


def break_down(memory: Memory, keys: int | None = None) -> Breakdown:
    """Split used_memory into parts, each clamped to what is left of it; no parts where used_memory is unknown.

    `keys` is how many the server holds: what is left over is no data where there are none.
    """
    return attempt(
        "where the memory is, is", lambda: _split(memory, keys), lambda fault: Breakdown((), not_judged=fault.words)
    )


def _split(memory: Memory, keys: int | None = None) -> Breakdown:
    used = memory.used_bytes
    if used is None:
        return Breakdown(())
    wanted = _wanted(memory)
    clients = memory.clients_normal_bytes or 0
    free = max(0, used - sum(wanted.values()))
    believable = clients <= free
    if believable:
        wanted[Share.CLIENTS] = clients
    left = used
    sizes: dict[Share, int] = {}
    for share, part in wanted.items():
        sizes[share] = min(part, left)
        left -= sizes[share]
    # used_memory_overhead covers all that is not data: where the server tells it, what is left is the data.
    sizes[_remainder(memory, keys)] = left
    return Breakdown(
        parts=tuple(Part(share, sizes[share]) for share in Share if sizes.get(share)),
        clients_unbelievable=None if believable else clients,
        outside_bytes=None if memory.rss_bytes is None else max(0, memory.rss_bytes - used),
    )


def _remainder(memory: Memory, keys: int | None) -> Share:
    if keys == 0:
        return Share.KEYLESS
    return Share.DATA if memory.overhead_bytes is not None else Share.REST


def replication_bytes(memory: Memory) -> int:
    """The backlog and the replicas' output buffers."""
    return (memory.replication_backlog_bytes or 0) + (memory.clients_replicas_bytes or 0)


def counted_buffers(memory: Memory) -> int:
    """What clients and replication hold of the memory that is compared with maxmemory; 0 where it cannot be true."""
    replication = max(0, replication_bytes(memory) - memory.not_counted_bytes)
    split = _split(memory)
    return min(memory.counted_bytes or 0, split.size(Share.CLIENTS) + split.size(Share.LINKS) + replication)


def reported_buffers(memory: Memory) -> int | None:
    """As `counted_buffers`, or what the server books where used_memory is unknown; None where it books none of them."""
    booked = (memory.clients_normal_bytes, memory.clients_replicas_bytes, memory.replication_backlog_bytes)
    known = [part for part in booked if part is not None]
    if not known:
        return None
    return sum(known) if memory.counted_bytes is None else counted_buffers(memory)


def tracking_bytes(activity: Activity) -> tuple[int, int]:
    """What the table of client-side caching takes, low and high: the server books it as data.

    Measured on 6.2 to 9.1: 70 to 115 bytes for a key with one client, 44 to 59 for each client more.
    """
    keys, items = activity.tracking_keys or 0, activity.tracking_items or 0
    return max(60 * keys, 44 * items), max(130 * keys, 70 * keys + 59 * items)


def _wanted(memory: Memory) -> dict[Share, int]:
    """All parts but the data and the clients, as the server books them."""
    parts = {
        Share.STARTUP: memory.startup_bytes or 0,
        Share.AOF: memory.aof_buffer_bytes or 0,
        Share.SCRIPTS: (memory.scripts_bytes or 0) + (memory.functions_bytes or 0),
        Share.REPLICATION: replication_bytes(memory),
        Share.LINKS: memory.cluster_links_bytes or 0,
    }
    if memory.overhead_bytes is not None:
        others = sum(parts.values()) + (memory.clients_normal_bytes or 0)
        parts[Share.TABLES] = max(0, memory.overhead_bytes - others)
    return parts


# Every connection takes some KB of buffers; what holds less than this is nobody's hog.
HOG_BYTES = 2**20
# What this tool calls its own connections.
OWN_NAME = b"redis-oom-tui"
_LEAST_BYTES = 2**16
_LEAST_SHARE = 0.001


class ClientKind(StrEnum):
    """What a client does that fills its buffers."""

    MONITOR = "a MONITOR client"
    REPLICA = "a replica"
    SUBSCRIBER = "a subscriber"
    SENDER = "a client sending an incomplete command"
    READER = "a client that does not read its replies"
    ORDINARY = "a client"


class Hog(Struct, frozen=True):
    """A client with what it holds and what it is."""

    client: ClientBuffer
    kind: ClientKind

    @property
    def words(self) -> str:
        """Who it is, as far as it said: `a subscriber named feed from 10.0.0.7:4431 (lib jedis, last SUBSCRIBE)`."""
        client = self.client
        name = f" named {safe_text(client.name, 32)}" if client.name else ""
        details = [
            f"lib {safe_text(client.library, 24)}" if client.library else "",
            f"last {safe_text(client.command.upper(), 24)}" if client.command not in (b"", b"NULL") else "",
            f"user {safe_text(client.user, 24)}" if client.user not in (b"", b"default") else "",
        ]
        more = ", ".join(text for text in details if text)
        # Over a unix socket, the server tells the socket's own path for everybody.
        origin = "" if "/" in client.address else f" from {safe_text(client.address, 40)}"
        return f"{self.kind}{name}{origin}{f' ({more})' if more else ''}"

    @property
    def holding(self) -> str:
        """What it holds, as one clause."""
        client = self.client
        return (
            f"{size(client.total_bytes)} (output {size(client.output_bytes)}, query {size(client.query_bytes)}),"
            f" idle {duration(client.idle_seconds)}"
        )


def rank(clients: Iterable[ClientBuffer]) -> tuple[Hog, ...]:
    """All clients, those that hold most first; a forgotten MONITOR comes before others of its size."""
    hogs = [Hog(client, kind_of(client)) for client in clients]
    return tuple(sorted(hogs, key=lambda hog: (-hog.client.total_bytes, hog.kind is not ClientKind.MONITOR)))


def others(clients: Iterable[ClientBuffer]) -> tuple[Hog, ...]:
    """As `rank`, without what seems to be this tool itself: one by its name that holds little."""
    return tuple(hog for hog in rank(clients) if hog.client.name != OWN_NAME or hog.client.total_bytes >= HOG_BYTES)


def with_clients(snapshot: Snapshot, clients: Iterable[ClientBuffer]) -> Snapshot:
    """`snapshot` with what CLIENT LIST sums up to, where the server (before 5.0) reports no mem_clients_normal."""
    if snapshot.memory.clients_normal_bytes is not None or snapshot.fleet is not None:
        return snapshot
    held = sum(client.total_bytes for client in clients if not {"S", "M", "O"} & set(client.flags))
    if held < HOG_BYTES:
        return snapshot
    doubt = Doubt("mem_clients_normal", f"{NOT_REPORTED}: the {size(held)} that CLIENT LIST shows stand for it")
    memory = replace(snapshot.memory, clients_normal_bytes=held)
    return replace(snapshot, memory=memory, doubts=(*snapshot.doubts, doubt))


def noteworthy_bytes(used_bytes: int) -> int:
    """What a client must hold to be worth a line beside `used_bytes` of memory.

    >>> noteworthy_bytes(2**20), noteworthy_bytes(2**30), noteworthy_bytes(2**40)
    (65536, 1048576, 1048576)
    """
    return min(HOG_BYTES, max(_LEAST_BYTES, round(used_bytes * _LEAST_SHARE)))


def kind_of(client: ClientBuffer) -> ClientKind:
    """By its flags (networking.c, catClientInfoString: O is MONITOR, S a replica, P a subscriber) and its buffers."""
    if "O" in client.flags:
        return ClientKind.MONITOR
    if "S" in client.flags:
        return ClientKind.REPLICA
    if "P" in client.flags or client.subscriptions:
        return ClientKind.SUBSCRIBER
    if client.total_bytes < HOG_BYTES:
        return ClientKind.ORDINARY
    return ClientKind.SENDER if client.query_bytes > client.output_bytes else ClientKind.READER
