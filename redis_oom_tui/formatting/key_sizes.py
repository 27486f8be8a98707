"""What the server itself keeps of its keys (INFO keysizes, HOTKEYS), for people and as JSON."""

from datetime import datetime
from typing import TYPE_CHECKING

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.sanitize import key_fields, safe_text
from redis_oom_tui.formatting.sizes import count, duration, number_of_keys, percent, short_size, size
from redis_oom_tui.models.key_sizes import KeySizes, Measure, SizeBucket, SizeHistogram
from redis_oom_tui.models.keys import HotKeys

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.hogs import (
        HotKeyFields,
        HotKeysDocument,
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
    "No hot keys are tracked on this server. This tool starts no tracking: it costs the server CPU for each command.",
    "To track them for a minute: HOTKEYS START METRICS 2 CPU NET DURATION 60 SAMPLE 10; afterwards HOTKEYS RESET.",
)


def hot_lines(found: HotKeys | None, top: int) -> list[str]:
    """The `top` hottest keys by each of what is tracked."""
    if found is None:
        return list(NOT_TRACKED)
    since = "" if found.began_at is None else f" since {datetime.fromtimestamp(found.began_at).astimezone():%F %T}"
    lasted = "" if found.seconds is None else f" for {duration(found.seconds)}"
    sampled = f", one key of {count(found.sample_ratio)}" if found.sample_ratio > 1 else ""
    lines = [f"hot keys, {'tracked' if found.active else 'not tracked any more, but'}{since}{lasted}{sampled}"]
    if found.by_cpu is not None:
        rows = [(f"{used / 1000:,.1f} ms", used, key) for key, used in found.by_cpu[:top]]
        lines += ["", *_hot_table("CPU time", rows, found.cpu_us)]
    if found.by_net is not None:
        rows = [(size(used), used, key) for key, used in found.by_net[:top]]
        lines += ["", *_hot_table("network", rows, found.net_bytes)]
    return lines


def _hot_table(title: str, rows: list[tuple[str, int, bytes]], whole: int | None) -> list[str]:
    shares = [percent(used / whole) if whole else "?" for _, used, _ in rows]
    table = zip(rows, shares, strict=True)
    return [
        f"{title:>12} {'share':>6}  key",
        *(f"{used:>12} {share:>6}  {safe_text(key, 200)}" for (used, _, key), share in table),
    ]


def hot_document(found: HotKeys | None, top: int) -> "HotKeysDocument":
    """What `hogs --hot --json` prints."""
    known = found or HotKeys(active=False)
    return {
        "schema": SCHEMA,
        "tracked": found is not None,
        "active": None if found is None else known.active,
        "began_unix_seconds": known.began_at,
        "tracked_seconds": known.seconds,
        "sample_ratio": None if found is None else known.sample_ratio,
        "by_cpu": None if known.by_cpu is None else [_hot(each, known.cpu_us, cpu=True) for each in known.by_cpu[:top]],
        "by_network": None
        if known.by_net is None
        else [_hot(each, known.net_bytes, cpu=False) for each in known.by_net[:top]],
    }


def _hot(one: tuple[bytes, int], whole: int | None, *, cpu: bool) -> "HotKeyFields":
    name, used = one
    shown, exact = key_fields(name)
    return {
        "key": shown,
        "key_base64": exact,
        "cpu_seconds": used / 1e6 if cpu else None,
        "network_bytes": None if cpu else used,
        "share": round(min(1.0, used / whole), 4) if whole else None,
    }
