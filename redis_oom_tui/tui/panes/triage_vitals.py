"""The figures of pane 1: gauges on one scale, counters with their rates, where the memory is, and its trend."""

from abc import abstractmethod
from collections.abc import Sequence

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import per_second
from redis_oom_tui.models.breakdown import Breakdown, Share
from redis_oom_tui.models.snapshot import LimitSource, Memory, Snapshot
from redis_oom_tui.models.trend import Forecast, Trend, TrendSample
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, clip, columns, line_bar, merged, pad, spread, stacked
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.header_model import pressure_role
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_LABEL = 15
_WORD = 14
_TAIL = 12
_SIDE_BY_SIDE = 70
_SPANS = {15.0: "last 15 s", 60.0: "last minute", 300.0: "last 5 min", 900.0: "last 15 min", 3600.0: "last hour"}
_PARTS = {
    Share.DATA: "part0",
    Share.TABLES: "part1",
    Share.CLIENTS: "part2",
    Share.BACKLOG: "part3",
    Share.REPLICAS: "part3",
    Share.LINKS: "part3",
    Share.MIGRATION: "part3",
    Share.SCRIPTS: "part4",
    Share.FUNCTIONS: "part4",
}


class _Figures(LineWidget):
    """Draws a reading, once that has figures."""

    reading: ServerState | None = None

    def show(self, reading: ServerState) -> None:
        """Draw these figures."""
        self.reading = reading
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What is drawn of the figures; nothing before there are any."""
        reading = self.reading
        if reading is None or reading.snapshot is None:
            return ()
        return self.figures(reading, reading.snapshot, width, height)

    @abstractmethod
    def figures(self, reading: ServerState, snapshot: Snapshot, width: int, height: int) -> Sequence[Line]:
        """What to draw of them in `width` by `height` cells."""


class Vitals(_Figures):
    """Gauges at the left, counters at the right; one below the other where there is no room for both."""

    def figures(self, reading: ServerState, snapshot: Snapshot, width: int, height: int) -> Sequence[Line]:
        """Six lines, or as many as there are."""
        beside = width >= _SIDE_BY_SIDE
        right_room = min(44, max(35, width // 3)) if beside else width - 1
        left = gauges(snapshot, width - right_room - 3 if beside else width, self.pen, self.host.thresholds)
        right = counters(reading, snapshot, right_room)
        if not beside:
            # What is at stake before what explains it: where there are few lines, these are the first.
            policy, refused, evicted, *others = (((" ", "text"), *line) for line in right)
            return [*left[:3], refused, policy, evicted, *left[3:], *others][:height]
        across = width - right_room - 1
        return [merged((*spread(one, (), across), *other)) for one, other in zip(left, right, strict=True)]


def gauges(snapshot: Snapshot, width: int, pen: DrawStyle, thresholds: Thresholds) -> list[Line]:
    """Used, peak and RSS on one scale with the limit marked on it; pressure on its own, with the thresholds."""
    memory = snapshot.memory
    limit = memory.maxmemory_bytes
    scale = max(memory.used_bytes or 0, memory.peak_bytes or 0, memory.rss_bytes or 0, limit or 0, 1)
    role = pressure_role(memory, thresholds).removeprefix("bar_")
    ticks = (limit / scale,) if limit is not None and limit < scale else ()
    gauge_room = max(0, width - _LABEL - 12)

    def gauge(word: str, size: int | None, line_role: str) -> Line:
        share = 0.0 if size is None else size / scale
        return _row(word, sizes.size(size), line_bar(share, gauge_room, pen, line_role, ticks), width)

    marks = (thresholds.warn, thresholds.crit)
    pressure: Line = () if memory.pressure is None else line_bar(memory.pressure, gauge_room, pen, role, marks)
    frag = "?" if memory.fragmentation_ratio is None else f"{memory.fragmentation_ratio:.2f}"
    limit_words = _limit(memory, scale, gauge_room, pen)
    return [
        _row("pressure", "no limit" if memory.unlimited else sizes.percent(memory.pressure, 1), pressure, width),
        gauge("used", memory.used_bytes, role),
        _row("maxmemory", "none" if memory.unlimited else sizes.size(limit), limit_words, width),
        gauge("peak", memory.peak_bytes, "ok"),
        gauge("rss", memory.rss_bytes, "ok"),
        _row("fragmentation", frag, _outside(memory.rss_bytes, memory.used_bytes), width),
    ]


def _limit(memory: Memory, scale: int, width: int, pen: DrawStyle) -> Line:
    if memory.limit_unknown:
        return (("not reported", "warn"),)
    if memory.maxmemory_bytes is None:
        return (("no limit is set", "dim"),)
    stated: Line = (("stated ", "dim"),) if memory.limit_source is LimitSource.OPERATOR else ()
    return (*stated, *line_bar(memory.maxmemory_bytes / scale, max(0, width - 7 * len(stated)), pen, "dim"))


def _row(word: str, value: str, rest: Line, width: int) -> Line:
    return clip(merged(((f" {pad(word, _LABEL - 1)}", "dim"), (f"{pad(value, 10, 'right')}  ", "title"), *rest)), width)


def _outside(rss: int | None, used: int | None) -> Line:
    """A ratio alone misleads on a small server: the bytes stand beside it."""
    if rss is None or used is None:
        return ()
    words = f"{sizes.short_size(rss - used)} overhead" if rss >= used else f"{sizes.short_size(used - rss)} swapped out"
    return ((words, "dim"),)


def counters(reading: ServerState, snapshot: Snapshot, width: int) -> list[Line]:
    """Policy, what was refused and evicted in all and per second, keys and TTLs, clients."""
    totals, rates, activity = snapshot.counters, reading.rates, snapshot.activity
    refused, evicted = rates.per_second(rates.refused_writes), rates.per_second(rates.evicted_keys)
    refusals = (">" if totals.refused_is_lower_bound else "") + sizes.count(totals.refused_writes_total)
    evictions = sizes.count(totals.evicted_keys_total)
    keys, volatile = snapshot.keys, snapshot.expires
    blocked = f"{activity.blocked_clients} blocked" if activity.blocked_clients else ""
    policy = f"{safe_text(snapshot.memory.policy, 20)}{' ' * _TAIL}"
    return [
        spread((("policy", "dim"),), ((policy, "title"),), width),
        _pair("refused writes", refusals, per_second(refused), width, "crit" if refused else ""),
        _pair("evicted keys", evictions, per_second(evicted), width, "warn" if evicted else ""),
        _pair("keys", sizes.count(keys), sizes.number_of(len(snapshot.databases), "database"), width),
        _pair("with a TTL", sizes.count(volatile), sizes.percent(volatile / keys) if keys else "", width),
        _pair("clients", sizes.count(activity.connected_clients), blocked, width),
    ]


def _pair(word: str, value: str, more: str, width: int, role: str = "") -> Line:
    """A word, a number under the numbers above, and a smaller one; `role` makes both stand out."""
    number = pad(value, max(6, width - _WORD - _TAIL), "right")
    tail = pad(more, _TAIL - 1, "right")
    return clip(((pad(word, _WORD), "dim"), (number, role or "title"), (f" {tail}", role or "dim")), width)


class BreakdownView(_Figures):
    """Where used_memory is, as one bar with its legend, and how it went in the last minutes."""

    def figures(self, reading: ServerState, snapshot: Snapshot, width: int, height: int) -> Sequence[Line]:
        """The bar, its legend, the trend; with a blank line between where there is room."""
        return [
            (),
            *breakdown(breakdown_of(snapshot), width, self.pen),
            *(((),) if height > 6 else ()),
            *trend(reading.samples, reading.forecast, width, self.pen, max(1, height - (4 if height > 6 else 3))),
        ]


def breakdown(split: Breakdown, width: int, pen: DrawStyle) -> list[Line]:
    """The parts as a bar of one line, and a legend that names each with its bytes."""
    if split.not_judged:
        return [clip(((f" {pad('memory by use', _LABEL - 1)}", "dim"), (split.not_judged, "warn")), width), ()]
    if not split.parts:
        return [
            clip(((f" {pad('memory by use', _LABEL - 1)}", "dim"), ("unknown, as used_memory is", "dim")), width),
            (),
        ]
    whole = sum(part.size for part in split.parts) or 1
    across = max(0, width - _LABEL - 1)
    # What is less than a quarter of a cell would look larger than it is: the legend has it.
    seen = [part for part in split.parts if part.size * across * 4 >= whole]
    line = stacked([(part.size / whole, _PARTS.get(part.share, "part5")) for part in seen], across, pen)
    legend: list[Piece] = [(" " * (_LABEL), "text")]
    for part in sorted(split.parts, key=lambda part: -part.size):
        legend += [
            (pen.glyphs.square, _PARTS.get(part.share, "part5").replace("part", "dot")),
            (f" {part.share.value} ", "dim"),
            (f"{sizes.short_size(part.size)}  ", "text"),
        ]
    return [merged(((f" {pad('memory by use', _LABEL - 1)}", "dim"), *line)), _whole_pieces(legend, width)]


def _whole_pieces(legend: Sequence[Piece], width: int) -> Line:
    """As many entries of three pieces as fit: half a name helps nobody."""
    kept = list(legend[:1])
    for start in range(1, len(legend), 3):
        if cells_of([*kept, *legend[start : start + 3]]) > width + 2:
            break
        kept += legend[start : start + 3]
    return clip(kept, width)


def trend(samples: Sequence[TrendSample], forecast: Forecast, width: int, pen: DrawStyle, rows: int) -> list[Line]:
    """used_memory over the shortest of a few spans that holds what was watched, with its ends named."""
    if not samples:
        return []
    watched = samples[-1].monotonic - samples[0].monotonic
    span = next((span for span in _SPANS if watched <= span), max(_SPANS))
    right_room = 24 if width >= _SIDE_BY_SIDE else 0
    across = max(1, width - _LABEL - right_room - 11)
    values = bucketed(samples, span, across)
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    # A flat line in the middle rather than noise blown up to the whole height.
    margin = max((high - low) * 0.1, high * 0.005)
    drawn = columns(values, across, rows, pen, low=low - margin, high=high + margin)
    top, bottom = sizes.short_size(round(high)), sizes.short_size(round(low))
    limit = samples[-1].maxmemory_bytes
    outlook = _outlook(forecast, full=limit is not None and samples[-1].counted_bytes >= limit)
    out: list[Line] = []
    for row, text in enumerate(drawn):
        word = _SPANS[span] if row == 0 else ""
        scale = top if row == 0 else bottom if row == rows - 1 and bottom != top else ""
        side = outlook[row] if right_room and row < 2 else ""
        out.append(
            spread(
                ((f" {pad(word, _LABEL - 1)}", "dim"), (text, "spark"), (f" {pad(scale, 9)}", "dim")),
                ((f"{side} ", "text"),) if side else (),
                width,
            )
        )
    return out


def bucketed(samples: Sequence[TrendSample], span: float, count: int) -> list[float | None]:
    """The largest used_memory in each of `count` equal stretches of the last `span` seconds; None before the first."""
    out: list[float | None] = [None] * count
    newest = samples[-1].monotonic
    for sample in samples:
        place = count - 1 - int((newest - sample.monotonic) / span * count)
        if place >= 0:
            out[place] = max(out[place] or 0.0, float(sample.used_bytes))
    # Fewer samples than stretches leave gaps that are no news.
    last: float | None = None
    for place, value in enumerate(out):
        last = value if value is not None else last
        out[place] = last
    return out


def _outlook(forecast: Forecast, *, full: bool) -> tuple[str, str]:
    """Which way it goes, and when it is full."""
    if full:
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
