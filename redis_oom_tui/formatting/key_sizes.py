"""What INFO keysizes tells, for people and as JSON."""

from typing import TYPE_CHECKING

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.sizes import count, number_of_keys, percent, short_size, size
from redis_oom_tui.models.key_sizes import KeySizes, Measure, SizeBucket, SizeHistogram

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.hogs import KeySizesDocument, SizeHistogramFields

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
