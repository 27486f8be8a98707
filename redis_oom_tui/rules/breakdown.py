"""Where used_memory went, in parts that add up to it."""

from collections.abc import Mapping
from types import MappingProxyType

from redis_oom_tui.models.activity import Activity
from redis_oom_tui.models.breakdown import Breakdown, Part, Share
from redis_oom_tui.models.snapshot import Memory, Snapshot
from redis_oom_tui.rules.guarded import attempt


def breakdown_of(snapshot: Snapshot) -> Breakdown:
    """The parts of a server's memory as one look shows them."""
    return break_down(snapshot.memory, snapshot.keys if snapshot.keyspace_known else None, snapshot.activity)


def break_down(memory: Memory, keys: int | None = None, activity: Activity | None = None) -> Breakdown:
    """Split used_memory into parts, each clamped to what is left of it; no parts where used_memory is unknown.

    `keys` is how many the server holds: what is left over is no data where there are none. `activity` tells the numbers
    of what the server books as data though no key holds it.
    """
    return attempt(
        "the memory by use is",
        lambda: _split(memory, keys, activity),
        lambda fault: Breakdown((), not_judged=fault.words),
    )


def _split(memory: Memory, keys: int | None, activity: Activity | None) -> Breakdown:
    used = memory.used_bytes
    if used is None:
        return Breakdown(())
    estimates = {} if activity is None else {share: low for share, (low, _) in estimated_bytes(activity).items()}
    sizes, believable = _sizes(memory, estimates, keys)
    return Breakdown(
        parts=tuple(Part(share, sizes[share], share in estimates) for share in Share if sizes.get(share)),
        clients_unbelievable=None if believable else memory.clients_normal_bytes,
        data_room_bytes=room_for_data(memory, activity),
    )


def _sizes(
    memory: Memory, estimates: Mapping[Share, int] = MappingProxyType({}), keys: int | None = None
) -> tuple[dict[Share, int], bool]:
    """Each part clamped to what is left of used_memory; and whether what is booked for clients can be believed."""
    used = memory.used_bytes or 0
    wanted = _wanted(memory)
    clients = memory.clients_normal_bytes or 0
    free = max(0, used - sum(wanted.values()))
    believable = clients <= free
    if believable:
        wanted[Share.CLIENTS] = clients
    left = used
    sizes: dict[Share, int] = {}
    for share, part in (*wanted.items(), *estimates.items()):
        sizes[share] = min(part, left)
        left -= sizes[share]
    # used_memory_overhead covers all that is not data: where the server tells it, what is left is the data.
    sizes[_remainder(memory, keys)] = left
    return sizes, believable


def _remainder(memory: Memory, keys: int | None) -> Share:
    if keys == 0:
        return Share.KEYLESS
    return Share.DATA if memory.overhead_bytes is not None else Share.REST


BUFFERS = (Share.CLIENTS, Share.BACKLOG, Share.REPLICAS, Share.LINKS, Share.MIGRATION)
"""What clients, replicas and other nodes have not read or sent yet: it goes away by itself, or with them."""


def counted_parts(memory: Memory) -> dict[Share, int]:
    """The parts as far as they are compared with maxmemory: AOF and replicas' buffers are left out first."""
    sizes, _ = _sizes(memory)
    left = memory.not_counted_bytes
    for share in (Share.AOF, Share.REPLICAS, Share.BACKLOG):
        sizes[share] = sizes.get(share, 0) - (out := min(left, sizes.get(share, 0)))
        left -= out
    return sizes


def counted_buffers(memory: Memory) -> int:
    """What clients and replication hold of the memory that is compared with maxmemory; 0 where it cannot be true."""
    sizes = counted_parts(memory)
    return min(memory.counted_bytes or 0, sum(sizes.get(share, 0) for share in BUFFERS))


def reported_buffers(memory: Memory) -> int | None:
    """As `counted_buffers`, or what the server books where used_memory is unknown; None where it books none of them."""
    booked = (memory.clients_normal_bytes, memory.clients_replicas_bytes, memory.replication_backlog_bytes)
    known = [part for part in booked if part is not None]
    if not known:
        return None
    return sum(known) if memory.counted_bytes is None else counted_buffers(memory)


def room_for_data(memory: Memory, activity: Activity | None = None) -> int | None:
    """Bytes of maxmemory that keys can have: less start-up, backlog, buffers, scripts and functions as they are now.

    `activity` takes off, at the least, what is booked as data and in no key. None without a limit.
    """
    if memory.maxmemory_bytes is None:
        return None
    sizes = counted_parts(memory)
    fixed = (Share.STARTUP, Share.SCRIPTS, Share.FUNCTIONS, *BUFFERS)
    keyless = 0 if activity is None else sum(low for low, _ in estimated_bytes(activity).values())
    return max(0, memory.maxmemory_bytes - sum(sizes.get(share, 0) for share in fixed) - keyless)


# Bytes for each, low and high, beside what is booked to its client. Measured on 6.2 to 9.1 with names of 10 to 200.
_CHANNEL = (160, 400)
_WATCHED = (120, 240)


def channels_of(activity: Activity) -> int:
    """Channels and patterns that somebody subscribes to, those of shards too."""
    return sum(n or 0 for n in (activity.pubsub_channels, activity.pubsub_patterns, activity.shard_channels))


def estimated_bytes(activity: Activity) -> dict[Share, tuple[int, int]]:
    """What is in no key and booked as data, low and high, by the numbers of its items."""
    channels = channels_of(activity)
    watched = activity.watched_keys or 0
    return {
        Share.TRACKING: tracking_bytes(activity),
        Share.CHANNELS: (channels * _CHANNEL[0], channels * _CHANNEL[1]),
        Share.WATCHED: (watched * _WATCHED[0], watched * _WATCHED[1]),
    }


def tracking_bytes(activity: Activity) -> tuple[int, int]:
    """What the table of client-side caching takes, low and high: the server books it as data.

    Measured on 6.2 to 9.1: 70 to 115 bytes for a key with one client, 44 to 59 for each client more; 190 to 380 for a
    prefix (BCAST) of 8 to 40 bytes.
    """
    keys, items = activity.tracking_keys or 0, activity.tracking_items or 0
    low, high = (each * (activity.tracking_prefixes or 0) for each in (180, 400))
    return low + max(60 * keys, 44 * items), high + max(130 * keys, 70 * keys + 59 * items)


def _wanted(memory: Memory) -> dict[Share, int]:
    """All parts but the data and the clients, as the server books them."""
    parts = {
        Share.STARTUP: memory.startup_bytes or 0,
        Share.AOF: memory.aof_buffer_bytes or 0,
        Share.SCRIPTS: memory.scripts_bytes or 0,
        Share.FUNCTIONS: memory.functions_bytes or 0,
        Share.BACKLOG: memory.replication_backlog_bytes or 0,
        Share.REPLICAS: memory.clients_replicas_bytes or 0,
        Share.LINKS: memory.cluster_links_bytes or 0,
        Share.MIGRATION: memory.migration_bytes or 0,
        Share.REHASHING: memory.rehashing_bytes or 0,
    }
    if memory.overhead_bytes is not None:
        others = sum(parts.values()) + (memory.clients_normal_bytes or 0)
        parts[Share.TABLES] = max(0, memory.overhead_bytes - others)
    return parts
