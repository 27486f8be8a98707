"""The figures of Triage in words, for its gauges and for `--plain`: memory, counters, and where memory is going."""

from collections.abc import Sequence
from typing import NamedTuple

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import cut, safe_text
from redis_oom_tui.formatting.sizes import per_second
from redis_oom_tui.models.activity import Counters
from redis_oom_tui.models.snapshot import ClusterView, LimitSource, Memory, NodeView, Snapshot
from redis_oom_tui.models.trend import Forecast, Rates, Trend, TrendSample
from redis_oom_tui.models.verdict import Finding

SPANS = {15.0: "last 15 s", 60.0: "last minute", 300.0: "last 5 min", 900.0: "last 15 min", 3600.0: "last hour"}
"""The stretches of time that a trend is shown over, by their seconds."""
_ROLE = 24


class Fact(NamedTuple):
    """A figure with its name, and what stands beside it: a share, a rate, or ''."""

    word: str
    value: str
    more: str = ""

    @property
    def clause(self) -> str:
        """All of it in words.

        >>> Fact("peak", "2.0 KiB", "50.0% of limit").clause
        'peak 2.0 KiB (50.0% of limit)'
        """
        return f"{self.word} {self.value}{f' ({self.more})' if self.more else ''}"


def gauge_facts(memory: Memory) -> list[Fact]:
    """Pressure, used_memory, the limit, the peak, RSS and what that holds beside the data.

    >>> [fact.clause for fact in gauge_facts(Memory(1024, 2048, rss_bytes=3072, fragmentation_ratio=3.0))][-2:]
    ['rss 3.0 KiB (150.0% of limit)', 'fragmentation 3.00 (2.0K overhead)']
    """
    limit = memory.maxmemory_bytes
    frag = "?" if memory.fragmentation_ratio is None else f"{memory.fragmentation_ratio:.2f}"
    return [
        Fact("pressure", "no limit" if memory.unlimited else sizes.percent(memory.pressure, 1)),
        Fact("used", sizes.size(memory.used_bytes)),
        Fact("maxmemory", "none" if memory.unlimited else sizes.size(limit), _whose(memory)),
        Fact("peak", sizes.size(memory.peak_bytes), _of_limit(memory.peak_bytes, limit)),
        Fact("rss", sizes.size(memory.rss_bytes), _of_limit(memory.rss_bytes, limit)),
        Fact("fragmentation", frag, _outside(memory.rss_bytes, memory.used_bytes)),
    ]


def _whose(memory: Memory) -> str:
    if memory.limit_unknown:
        return "not reported"
    if memory.maxmemory_bytes is None:
        return "no limit is set"
    return "stated" if memory.limit_source is LimitSource.OPERATOR else ""


def _of_limit(size: int | None, limit: int | None) -> str:
    return "" if size is None or not limit else f"{sizes.percent(size / limit, 1)} of limit"


def _outside(rss: int | None, used: int | None) -> str:
    """A ratio alone misleads on a small server: the bytes stand beside it."""
    if rss is None or used is None:
        return ""
    return f"{sizes.short_size(rss - used)} overhead" if rss >= used else f"{sizes.short_size(used - rss)} swapped out"


def counter_facts(snapshot: Snapshot, rates: Rates) -> list[Fact]:
    """What was refused and evicted in all and per second, keys and those with a TTL, clients."""
    totals, activity = snapshot.counters, snapshot.activity
    least = ">=" if totals.refused_is_lower_bound else ""
    known = snapshot.keyspace_known or snapshot.databases
    keys, volatile = (snapshot.keys, snapshot.expires) if known else (None, None)
    return [
        Fact(
            "refused writes",
            least + sizes.count(totals.refused_writes_total),
            per_second(rates.per_second(rates.refused_writes)),
        ),
        Fact("evicted keys", sizes.count(totals.evicted_keys_total), per_second(rates.per_second(rates.evicted_keys))),
        Fact("keys", sizes.count(keys), sizes.number_of(len(snapshot.databases), "database")),
        Fact(
            "with a TTL", sizes.count(volatile), sizes.percent(volatile / keys) if keys and volatile is not None else ""
        ),
        Fact(
            "clients",
            sizes.count(activity.connected_clients),
            f"{activity.blocked_clients} blocked" if activity.blocked_clients else "",
        ),
    ]


def span_of(samples: Sequence[TrendSample]) -> float:
    """The shortest of `SPANS` that holds what was watched, in seconds."""
    watched = samples[-1].monotonic - samples[0].monotonic
    return next((span for span in SPANS if watched <= span), max(SPANS))


def outlook_words(forecast: Forecast, newest: TrendSample) -> tuple[str, str]:
    """Which way used_memory goes, and when it is full; '' where there is no more to say."""
    if newest.maxmemory_bytes is not None and newest.counted_bytes >= newest.maxmemory_bytes:
        return ("at the limit", "")
    if forecast.not_judged:
        return ("trend not judged", "(a defect of this tool)")
    if forecast.trend is Trend.UNKNOWN or forecast.slope is None:
        return ("measuring trend", "")
    if forecast.trend is Trend.NONE:
        return ("steady", "")
    sign = "+" if forecast.slope >= 0 else "-"
    slope = f"{sign}{sizes.short_size(abs(round(forecast.slope * 60)))}/min"
    if forecast.seconds_to_limit is None:
        return (slope, "")
    return (slope, sizes.full_in(*forecast.seconds_to_limit))


def trend_words(samples: Sequence[TrendSample], forecast: Forecast, counters: Counters) -> str:
    """How used_memory went in the last minutes, where it leads, and what was lost meanwhile; '' without a sample.

    `counters` are the server's own by now: what it does not report is unknown.
    """
    if not samples:
        return ""
    span = span_of(samples)
    seen = [sample for sample in samples if samples[-1].monotonic - sample.monotonic <= span]
    used = [sample.used_bytes for sample in seen]
    low, high = sizes.short_size(min(used)), sizes.short_size(max(used))
    lost = [
        f"{word} {'?' if total is None else sizes.count(gain) if gain > 0 else 'none'}"
        for word, total, gain in (
            ("refused writes", counters.refused_writes_total, seen[-1].refused_writes - seen[0].refused_writes),
            ("evicted keys", counters.evicted_keys_total, seen[-1].evicted_keys - seen[0].evicted_keys),
        )
    ]
    outlook = ", ".join(word for word in outlook_words(forecast, samples[-1]) if word)
    return f"{SPANS[span]}: {outlook}; used_memory {low if low == high else f'{low} to {high}'}; {', '.join(lost)}"


def saving(finding: Finding, *, short: bool = True) -> str:
    """What a finding saves, as a range, or as about one figure where both ends are written alike; '' where unknown.

    `short` is for columns, in at most 13 cells.
    """
    if finding.saves_bytes is None:
        return ""
    low, high = map(sizes.short_size if short else sizes.size, finding.saves_bytes)
    if low == high:
        return f"about {high}"
    return f"{low}-{high}" if short else f"{low} to {high}"


def cluster_sums(cluster: ClusterView) -> str:
    """What the primaries hold together, and their limits."""
    used, limit = cluster.used_bytes, cluster.maxmemory_bytes
    whole = f"{sizes.short_size(used)} of {sizes.short_size(limit)}"
    if limit is None:
        free = sum(view.snapshot is not None and view.snapshot.memory.unlimited for view in cluster.primaries)
        unknown = sum(view.snapshot is not None and view.snapshot.memory.limit_unknown for view in cluster.primaries)
        without = "no limit" if free == len(cluster.primaries) else f"{free} without a limit"
        without = f"limit of {unknown} unknown" if unknown else without
        whole = f"{sizes.short_size(used)}, {without}"
    primaries = "1 primary" if len(cluster.primaries) == 1 else f"{len(cluster.primaries)} primaries"
    return f"{primaries}: {whole if used is not None else '?'}, {sizes.number_of_keys(cluster.keys)}"


def limit_of_node(memory: Memory) -> str:
    """What stands behind the used memory of a node: its limit; '' where it has none."""
    return "" if memory.maxmemory_bytes is None else f" of {sizes.short_size(memory.maxmemory_bytes)}"


def role_of_node(view: NodeView, *, wide: bool) -> str:
    """How many slots a node serves, or that it is a replica, and where there is room, whose."""
    if not view.node.is_primary:
        return cut(f"replica of {safe_text(view.node.primary, 60)}", _ROLE) if wide else "replica"
    return f"{sizes.count(view.node.slots)} slots" if view.node.serves else "no slots"
