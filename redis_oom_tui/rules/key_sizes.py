"""INFO keysizes: read, added up over nodes, and what of used_memory it explains."""

import re
from collections.abc import Iterable, Mapping

from redis_oom_tui.models.keys import KeySizes, Measure, SizeBucket, SizeHistogram
from redis_oom_tui.models.snapshot import Snapshot

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
