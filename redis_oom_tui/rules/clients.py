"""Which clients hold buffers, and what they do that fills them."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import duration, size
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.snapshot import NOT_REPORTED, Doubt, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.breakdown import break_down

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
    STALLED = "a client sending an incomplete command"
    SENDER = "a client sending a large value or an incomplete command"
    LARGE_VALUE = "a client sending a large value"
    QUEUER = "a client with a long MULTI"
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
        queued = f", MULTI {size(client.queued_bytes)}" if client.queued_bytes else ""
        return (
            f"{size(client.total_bytes)} (output {size(client.output_bytes)}, query {size(client.query_bytes)}"
            f"{queued}), idle {duration(client.idle_seconds)}"
        )


def rank(clients: Iterable[ClientBuffer]) -> tuple[Hog, ...]:
    """All clients, those that hold most first; a forgotten MONITOR comes before others of its size."""
    hogs = [Hog(client, kind_of(client)) for client in clients]
    return tuple(sorted(hogs, key=lambda hog: (-hog.client.total_bytes, hog.kind is not ClientKind.MONITOR)))


def others(clients: Iterable[ClientBuffer]) -> tuple[Hog, ...]:
    """As `rank`, without what seems to be this tool itself: one by its name that holds little."""
    return tuple(hog for hog in rank(clients) if hog.client.name != OWN_NAME or hog.client.total_bytes >= HOG_BYTES)


def only_own(number: int) -> str:
    """What to say where none of `number` clients is another's.

    >>> only_own(1), only_own(5)
    ('No client but redis-oom-tui is connected', 'No client but redis-oom-tui (5 connections) is connected')
    """
    own = f"{OWN_NAME.decode()} ({number} connections)" if number > 1 else OWN_NAME.decode()
    return f"No client but {own} is connected"


def on_shown_node(clients: tuple[ClientBuffer, ...], snapshot: Snapshot) -> tuple[ClientBuffer, ...]:
    """Those of the node whose figures `snapshot` shows, where the clients are of a whole cluster."""
    if snapshot.cluster is None:
        return clients
    return tuple(client for client in clients if client.node in ("", snapshot.server.node))


def with_clients(snapshot: Snapshot, clients: Iterable[ClientBuffer], *, fresh: bool = True) -> Snapshot:
    """`snapshot` with what CLIENT LIST sums up to, where mem_clients_normal lags behind it, or is not reported.

    The server books a client's buffers when its cron comes round to it, within a second (and not at all before 5.0).
    Valkey 9 tells more in CLIENT LIST than there is: a sum for which used_memory has no room is not believed. A list
    that is not `fresh`, of the snapshot's own moment, stands in only where nothing else tells: else figures of two
    moments would be mixed.
    """
    memory = snapshot.memory
    if snapshot.cluster is not None or memory.used_bytes is None:
        return snapshot
    held = sum(client.total_bytes for client in clients if not {"S", "M"} & set(client.flags))
    booked = memory.clients_normal_bytes
    if held < HOG_BYTES + (booked or 0):
        return snapshot
    if booked is None:
        shows = "shows" if fresh else "last showed"
        doubt = Doubt("mem_clients_normal", f"{NOT_REPORTED}: the {size(held)} that CLIENT LIST {shows} stand for it")
        return replace(snapshot, memory=replace(memory, clients_normal_bytes=held), doubts=(*snapshot.doubts, doubt))
    if not fresh or held - booked > break_down(memory).size(Share.DATA, Share.REST):
        return snapshot
    overhead = None if memory.overhead_bytes is None else memory.overhead_bytes + held - booked
    return replace(snapshot, memory=replace(memory, clients_normal_bytes=held, overhead_bytes=overhead))


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
    if client.queued_bytes > max(client.query_bytes, client.output_bytes):
        return ClientKind.QUEUER
    return _sender(client) if client.query_bytes > client.output_bytes else ClientKind.READER


SENDERS = frozenset({ClientKind.STALLED, ClientKind.SENDER, ClientKind.LARGE_VALUE})
"""Those whose query buffers are full."""
# A command of which nothing came for so long is taken for one that never ends.
_STALLED_SECONDS = 5
# One that still comes so long after its client connected is no leftover of its first moment.
_SENDING_SECONDS = 3


def _sender(client: ClientBuffer) -> ClientKind:
    """By when the last of it came, and by what the client sent before: one that wrote is at work."""
    if client.idle_seconds >= _STALLED_SECONDS:
        return ClientKind.STALLED
    wrote = client.command not in (b"", b"NULL") and takes_memory(client.command.decode("ascii", "replace"))
    at_work = wrote or client.age_seconds >= _SENDING_SECONDS
    still_comes = client.idle_seconds == 0 or (wrote and client.idle_seconds == 1)
    return ClientKind.LARGE_VALUE if at_work and still_comes else ClientKind.SENDER


# None of these can be refused for lack of memory.
_HARMLESS = (
    "auth client config command cluster acl info ping hello select memory object latency slowlog debug role module"
    " monitor scan keys dbsize randomkey type ttl pttl exists touch get mget getrange strlen hget hmget hgetall hkeys"
    " hvals hlen hscan lrange llen lindex smembers sismember scard sscan zrange zscore zcard zscan xrange xlen xinfo"
    " dump del unlink expire pexpire expireat pexpireat persist flushall flushdb save bgsave bgrewriteaof shutdown"
    " subscribe psubscribe publish watch multi discard replicaof slaveof psync replconf"
)
_NEED_NO_MEMORY = frozenset(_HARMLESS.split())


def takes_memory(command: str) -> bool:
    """Whether a full server may refuse it.

    >>> takes_memory("set"), takes_memory("CLIENT|LIST")
    (True, False)
    """
    return command.lower().partition("|")[0] not in _NEED_NO_MEMORY
