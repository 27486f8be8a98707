"""Where used_memory went: parts that add up to it, and what sizes of keys (INFO keysizes) explain of it."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from redis_oom_tui.models.activity import Activity
from redis_oom_tui.models.breakdown import Breakdown, Part, Share
from redis_oom_tui.models.keys import KeySizes, Measure, SizeBucket, SizeHistogram
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


_LINE = re.compile(r"db(\d{1,7})_distrib_(strings|lists|sets|zsets|hashes)_(sizes|items)")
_TYPES = {"strings": "string", "lists": "list", "sets": "set", "zsets": "zset", "hashes": "hash"}
# A label is the lower edge of a bucket; its units are powers of 1024.
_EDGE = re.compile(r"(\d{1,15})([KMGTPE]?)")
_COUNT = re.compile(r"\d{1,15}")
_UNITS = " KMGTPE"


def size_histograms(info: Mapping[str, object]) -> tuple[SizeHistogram, ...]:
    """What one INFO tells (Redis 8.0 and later); empty where it tells nothing.

    >>> size_histograms({"db0_distrib_strings_sizes": {"0": "1", "1K": "3"}})[0].buckets
    (SizeBucket(low=0, high=0, keys=1), SizeBucket(low=1024, high=2047, keys=3))
    """
    found = []
    for name, value in info.items():
        match = _LINE.fullmatch(name)
        if match is not None and isinstance(value, Mapping):
            buckets = tuple(sorted(_buckets(value), key=lambda bucket: bucket.low))
            measure = Measure.ELEMENTS if match[3] == "items" else Measure.MEMORY
            # Of strings the length is counted, of other types what the allocator gave.
            measure = Measure.VALUE if match[2] == "strings" else measure
            found.append(SizeHistogram(int(match[1]), _TYPES[match[2]], measure, buckets))
    return tuple(histogram for histogram in found if histogram.buckets)


def _buckets(pairs: Mapping[object, object]) -> Iterable[SizeBucket]:
    for label, value in pairs.items():
        edge, keys = _EDGE.fullmatch(str(label)), str(value)
        if edge is not None and _COUNT.fullmatch(keys) and int(keys):
            low = int(edge[1]) * 1024 ** _UNITS.index(edge[2] or " ")
            yield SizeBucket(low, max(low, 2 * low - 1), int(keys))


def key_sizes(snapshot: Snapshot, db: int | None = None) -> KeySizes | None:
    """What is told without a scan, of all primaries in a cluster, of database `db` alone where one is given.

    None where the server has keys and tells nothing of their sizes.
    """
    cluster = snapshot.cluster
    nodes = (
        (snapshot,) if cluster is None else [view.snapshot for view in cluster.primaries if view.snapshot is not None]
    )
    each = [one for node in nodes for one in node.size_histograms if db in (None, one.db)]
    databases = [one for node in nodes for one in node.databases if db in (None, one.db)]
    keys = sum(database.keys for database in databases)
    if keys and not each:
        return None
    histograms = _added(each)
    # The same keys may be counted by elements and by bytes.
    counted: dict[tuple[int, str], int] = {}
    for one in histograms:
        counted[one.db, one.type] = max(one.keys, counted.get((one.db, one.type), 0))
    buckets = [bucket for one in histograms if one.in_bytes for bucket in one.buckets]
    in_bytes = {one.type for one in histograms if one.in_bytes}
    used = snapshot.memory.used_bytes if cluster is None else cluster.used_bytes
    most = sum(bucket.high * bucket.keys for bucket in buckets)
    return KeySizes(
        histograms=histograms,
        total_keys=None if cluster is not None and cluster.lost else keys,
        counted_keys=sum(counted.values()),
        used_bytes=used,
        low_bytes=sum(bucket.low * bucket.keys for bucket in buckets) if buckets else None,
        high_bytes=(most if used is None else min(most, used)) if buckets else None,
        elements_only=tuple(dict.fromkeys(one.type for one in histograms if one.type not in in_bytes)),
    )


def _added(each: Iterable[SizeHistogram]) -> tuple[SizeHistogram, ...]:
    """Those of the same keys as one."""
    sums: dict[tuple[int, str, Measure], dict[int, SizeBucket]] = {}
    for one in each:
        buckets = sums.setdefault((one.db, one.type, one.measure), {})
        for bucket in one.buckets:
            before = buckets.get(bucket.low)
            buckets[bucket.low] = SizeBucket(bucket.low, bucket.high, bucket.keys + (before.keys if before else 0))
    return tuple(
        SizeHistogram(*place, tuple(buckets[low] for low in sorted(buckets))) for place, buckets in sums.items()
    )
