"""What the server itself keeps of its keys (INFO keysizes, HOTKEYS), for people and as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.sanitize import key_fields, key_text, safe_text
from redis_oom_tui.formatting.sizes import count, lasting, number_of_keys, percent, short_size, size
from redis_oom_tui.models.keys import HotKeys, KeySizes, Measure, SizeBucket, SizeHistogram

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.hogs import (
        HotKeyFields,
        HotKeysDocument,
        HotNodeFields,
        KeySizesDocument,
        SizeHistogramFields,
    )

NOT_REPORTED = "this server does not tell the sizes of its keys without a scan (INFO keysizes: Redis 8.0 and later)"
_UNITS = {Measure.VALUE: "value", Measure.MEMORY: "memory", Measure.ELEMENTS: "elements"}
_Row = tuple[SizeHistogram, SizeBucket]


def summary(sizes: KeySizes) -> list[str]:
    """How many keys are counted, and how much of used_memory that explains."""
    lines = [f"{number_of_keys(sizes.counted_keys)} counted by the server (INFO keysizes)"]
    if sizes.uncounted_keys:
        lines.append(f"{number_of_keys(sizes.uncounted_keys)} not counted: streams, or of a module's type")
    if sizes.total_keys is None:
        lines.append("a primary did not answer: its keys are missing here")
    if sizes.low_bytes is not None:
        low, high = explained(sizes)
        share = "" if low is None else f" ({percent(low)} to {percent(high)} of used_memory)"
        lines.append(f"in bytes: {size(sizes.low_bytes)} to {size(sizes.high_bytes)}{share}")
    if sizes.elements_only:
        lines.append(f"only elements are known of: {', '.join(sizes.elements_only)}")
    return lines


def explained(sizes: KeySizes) -> tuple[float | None, float | None]:
    """The least and the most of used_memory that is told in bytes, as shares; None where that is not known."""
    if sizes.low_bytes is None or sizes.high_bytes is None or not sizes.used_bytes:
        return None, None
    return min(1.0, sizes.low_bytes / sizes.used_bytes), sizes.high_bytes / sizes.used_bytes


def table(sizes: KeySizes, top: int) -> list[str]:
    """The `top` buckets that may hold most: those in bytes first, then those in elements."""
    rows = [(histogram, bucket) for histogram in sizes.histograms for bucket in histogram.buckets]
    rows.sort(key=_heaviest)
    if not rows:
        return []
    databases = {histogram.db for histogram, _ in rows} != {0}
    cells = [("type", "size of one", "", "keys", "together"), *(_cells(row, databases=databases) for row in rows[:top])]
    widths = [max(len(line[place]) for line in cells) for place in range(5)]
    lines = [
        f"{kind:<{widths[0]}}  {one:>{widths[1]}} {unit:<{widths[2]}}  {keys:>{widths[3]}}  {total:>{widths[4]}}"
        for kind, one, unit, keys, total in cells
    ]
    return lines if len(rows) <= top else [*lines, f"… and {len(rows) - top:,} smaller groups"]


def _heaviest(row: _Row) -> tuple[bool, int]:
    histogram, bucket = row
    return not histogram.in_bytes, -bucket.high * bucket.keys


def _cells(row: _Row, *, databases: bool) -> tuple[str, str, str, str, str]:
    histogram, bucket = row
    figure = short_size if histogram.in_bytes else count
    return (
        histogram.type + (f" db {histogram.db}" if databases else ""),
        _span(figure(bucket.low), figure(bucket.high)),
        _UNITS[histogram.measure],
        count(bucket.keys),
        _span(figure(bucket.low * bucket.keys), figure(bucket.high * bucket.keys)),
    )


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def screen_text(sizes: KeySizes, rows: int) -> str:
    """For the pane before a scan, a line of it in each line."""
    return "\n".join((*summary(sizes), *table(sizes, rows)))


def instant_document(sizes: KeySizes) -> "KeySizesDocument":
    """What `hogs --instant --json` prints."""
    low, high = explained(sizes)
    return {
        "schema": SCHEMA,
        "total_keys": sizes.total_keys,
        "counted_keys": sizes.counted_keys,
        "used_memory_bytes": sizes.used_bytes,
        "bytes_low": sizes.low_bytes,
        "bytes_high": sizes.high_bytes,
        "explained_share_low": None if low is None else round(low, 4),
        "explained_share_high": None if high is None else round(high, 4),
        "elements_only": list(sizes.elements_only),
        "key_sizes": [_histogram(histogram) for histogram in sizes.histograms],
    }


def _histogram(histogram: SizeHistogram) -> "SizeHistogramFields":
    return {
        "db": histogram.db,
        "type": histogram.type,
        "measure": histogram.measure.value,
        "keys": histogram.keys,
        "buckets": [{"low": one.low, "high": one.high, "keys": one.keys} for one in histogram.buckets],
    }


NOT_TRACKED = (
    "No hot keys are tracked here. This tool starts no tracking: it costs the server CPU for each command.",
    "To track them for a minute: HOTKEYS START METRICS 2 CPU NET DURATION 60 SAMPLE 10; afterwards HOTKEYS RESET.",
)


def hot_lines(found: Sequence[HotKeys], top: int) -> list[str]:
    """The `top` hottest keys by each of what is tracked, with their nodes in a cluster."""
    if not any(one.tracked for one in found):
        return [*NOT_TRACKED, *(_tracking(one) for one in found if one.error)]
    lines = [_tracking(one) for one in found]
    cpu, network = hottest(found, "by_cpu", "cpu_us"), hottest(found, "by_net", "net_bytes")
    if cpu is not None:
        lines += ["", *_hot_table("CPU time", [(f"{one.used / 1000:,.1f} ms", one) for one in cpu[:top]])]
    if network is not None:
        lines += ["", *_hot_table("network", [(size(one.used), one) for one in network[:top]])]
    return lines


def _tracking(found: HotKeys) -> str:
    """What a server tracks, in a line."""
    node = f"{safe_text(found.node, 60)}: " if found.node else ""
    if found.error is not None:
        return f"{node}not known: {found.error}"
    if not found.tracked:
        return f"{node}no hot keys are tracked"
    since = "" if found.began_at is None else f" since {datetime.fromtimestamp(found.began_at).astimezone():%F %T}"
    sampled = f", one key of {count(found.sample_ratio)}" if found.sample_ratio > 1 else ""
    tracked = "tracked" if found.active else "not tracked any more, but"
    return f"{node}hot keys, {tracked}{since}{lasting(found.seconds)}{sampled}"


class HotKey(NamedTuple):
    """A hot key: what it took, its share of what all commands of its node took, its name and its node."""

    used: int
    share: float | None
    key: bytes
    node: str


def hottest(
    found: Sequence[HotKeys], keys: Literal["by_cpu", "by_net"], whole: Literal["cpu_us", "net_bytes"]
) -> list[HotKey] | None:
    """The hottest keys of all nodes, the hottest first; None where no node tracks that."""
    tracked = [one for one in found if getattr(one, keys) is not None]
    every = [
        HotKey(used, min(1.0, used / of_all) if (of_all := getattr(one, whole)) else None, key, one.node)
        for one in tracked
        for key, used in getattr(one, keys)
    ]
    return sorted(every, key=lambda one: -one.used) if tracked else None


def _hot_table(title: str, rows: Sequence[tuple[str, HotKey]]) -> list[str]:
    if not rows:
        return [f"By {title}: no key yet."]
    nodes = max(4, *(len(one.node) for _, one in rows)) if any(one.node for _, one in rows) else 0
    heading = f"{title:>12} {'share':>6}  {'node':<{nodes}}  key" if nodes else f"{title:>12} {'share':>6}  key"
    lines = [heading]
    for used, one in rows:
        share = "?" if one.share is None else percent(one.share)
        node = f"{safe_text(one.node, 80):<{nodes}}  " if nodes else ""
        lines.append(f"{used:>12} {share:>6}  {node}{key_text(one.key, 200)}")
    return lines


def hot_document(found: Sequence[HotKeys], top: int) -> "HotKeysDocument":
    """What `hogs --hot --json` prints."""
    tracked = [one for one in found if one.tracked]
    alone = tracked[0] if tracked and not tracked[0].node else HotKeys()
    cpu, network = hottest(found, "by_cpu", "cpu_us"), hottest(found, "by_net", "net_bytes")
    return {
        "schema": SCHEMA,
        "tracked": bool(tracked),
        "active": any(one.active for one in tracked) if tracked else None,
        "began_unix_seconds": alone.began_at,
        "tracked_seconds": alone.seconds,
        "sample_ratio": alone.sample_ratio if alone in tracked else None,
        "by_cpu": None if cpu is None else [_hot(one, cpu=True) for one in cpu[:top]],
        "by_network": None if network is None else [_hot(one, cpu=False) for one in network[:top]],
        "nodes": [_hot_node(one) for one in found] if any(one.node for one in found) else None,
    }


def _hot(one: HotKey, *, cpu: bool) -> "HotKeyFields":
    shown, exact = key_fields(one.key)
    return {
        "key": shown,
        "key_base64": exact,
        "node": one.node or None,
        "cpu_seconds": one.used / 1e6 if cpu else None,
        "network_bytes": None if cpu else one.used,
        "share": None if one.share is None else round(one.share, 4),
    }


def _hot_node(one: HotKeys) -> "HotNodeFields":
    return {
        "node": one.node,
        "tracked": None if one.error else one.tracked,
        "active": one.active if one.tracked else None,
        "began_unix_seconds": one.began_at,
        "tracked_seconds": one.seconds,
        "sample_ratio": one.sample_ratio if one.tracked else None,
        "error": one.error,
    }
