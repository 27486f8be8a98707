"""The figures of pane 1: one gauge with its marks, counters with their rates, where the memory is, and its trend."""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.vitals import SPANS, counter_facts, gauge_facts, outlook_words, span_of
from redis_oom_tui.models.activity import Counters
from redis_oom_tui.models.breakdown import Breakdown, Share
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.trend import TrendSample
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.tui.drawing import (
    DrawStyle,
    Line,
    Piece,
    clip,
    columns,
    faded,
    line_bar,
    merged,
    pad,
    spread,
    stacked,
)
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.header_model import pressure_role
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_LABEL = 15
_WORD = 14
_TAIL = 12
_SIDE_BY_SIDE = 70
# Beside the columns of a trend, their scale; above them, in so many lines, what they say; below them, in so many more,
# what was lost meanwhile.
_SCALE = 11
_HEADED, _WITH_LOSSES, _LOSS_ROWS = 4, 12, 2
# A chart of many lines moves this often.
_STEP_SECONDS = 5.0
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
    """Draws the state of the server, once that has figures."""

    state: ServerState | None = None

    def show(self, state: ServerState) -> None:
        """Draw these figures."""
        self.state = state
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What is drawn of the figures; nothing before there are any."""
        state = self.state
        if state is None or state.snapshot is None:
            return ()
        figures = self.figures(state, state.snapshot, width, height)
        return [faded(line) for line in figures] if state.link is Link.LOST else figures

    @abstractmethod
    def figures(self, state: ServerState, snapshot: Snapshot, width: int, height: int) -> Sequence[Line]:
        """What to draw of them in `width` by `height` cells."""


class Vitals(_Figures):
    """The gauge at the left, counters at the right; one below the other where there is no room for both."""

    def figures(self, state: ServerState, snapshot: Snapshot, width: int, height: int) -> Sequence[Line]:
        """Six lines, or as many as there are."""
        beside = width >= _SIDE_BY_SIDE
        right_room = min(44, max(35, width // 3)) if beside else width - 1
        left = gauges(snapshot, width - right_room - 3 if beside else width, self.style, self.host.thresholds)
        right = counters(state, snapshot, right_room)
        if not beside:
            # What is at stake before what explains it: where there are few lines, these are the first.
            policy, refused, evicted, *others = (((" ", "text"), *line) for line in right)
            return [*left[:3], refused, policy, evicted, *left[3:], *others][:height]
        across = width - right_room - 1
        return [merged((*spread(one, (), across), *other)) for one, other in zip(left, right, strict=True)]


def gauges(snapshot: Snapshot, width: int, style: DrawStyle, thresholds: Thresholds) -> list[Line]:
    """One gauge of used memory, on which the limit, the peak and RSS are marked, and the figures of all of them."""
    memory = snapshot.memory
    limit = memory.maxmemory_bytes
    known = [("limit", limit), ("rss", memory.rss_bytes), ("peak", memory.peak_bytes)]
    scale = max(memory.used_bytes or 0, *(size or 0 for _, size in known), 1)
    marks = [(word, size / scale) for word, size in known if size]
    line_width = max(0, width - _LABEL - 12)
    role = pressure_role(memory, thresholds).removeprefix("bar_")
    used = line_bar((memory.used_bytes or 0) / scale, line_width, style, role, [share for _, share in marks])
    aside: dict[str, Line] = {"pressure": ((_above(marks, line_width), "dim"),), "used": used}
    doubtful = "warn" if memory.limit_unknown else "dim"
    for fact in gauge_facts(memory):
        aside.setdefault(fact.word, ((fact.more, doubtful if fact.word == "maxmemory" else "dim"),))
    return [_row(fact.word, fact.value, aside[fact.word], width) for fact in gauge_facts(memory)]


def _above(marks: Sequence[tuple[str, float]], line_width: int) -> str:
    """The names of the marks of a bar, each above its own; the first of them where two would overlap."""
    line = " " * line_width
    for word, share in marks:
        at = max(0, min(int(share * line_width) - len(word) // 2, line_width - len(word)))
        if not line[max(0, at - 1) : at + len(word) + 1].strip() and len(word) <= line_width:
            line = line[:at] + word + line[at + len(word) :]
    return line


def _row(word: str, value: str, rest: Line, width: int) -> Line:
    return clip(merged(((f" {pad(word, _LABEL - 1)}", "dim"), (f"{pad(value, 10, 'right')}  ", "title"), *rest)), width)


def counters(state: ServerState, snapshot: Snapshot, width: int) -> list[Line]:
    """Policy, what was refused and evicted in all and per second, keys and TTLs, clients."""
    rates = state.rates
    roles = {"refused writes": "crit" * bool(rates.refused_writes), "evicted keys": "warn" * bool(rates.evicted_keys)}
    policy = f"{safe_text(snapshot.memory.policy, 20)}{' ' * _TAIL}"
    return [
        spread((("policy", "dim"),), ((policy, "title"),), width),
        *(
            _pair(fact.word, fact.value, fact.more, width, roles.get(fact.word, ""))
            for fact in counter_facts(snapshot, rates)
        ),
    ]


def _pair(word: str, value: str, more: str, width: int, role: str = "") -> Line:
    """A word, a number under the numbers above, and a smaller one; `role` makes both stand out."""
    number = pad(value, max(6, width - _WORD - _TAIL), "right")
    tail = pad(more, _TAIL - 1, "right")
    return clip(((pad(word, _WORD), "dim"), (number, role or "title"), (f" {tail}", role or "dim")), width)


class BreakdownView(_Figures):
    """Where used_memory is, as one bar with its legend, and how it went in the last minutes."""

    def figures(self, state: ServerState, snapshot: Snapshot, width: int, height: int) -> Sequence[Line]:
        """The bar, its legend, the trend; with a blank line between where there is room."""
        return [
            (),
            *breakdown(breakdown_of(snapshot), width, self.style),
            *(((),) if height > 6 else ()),
            *trend(state, snapshot.counters, width, self.style, max(1, height - (4 if height > 6 else 3))),
        ]


def breakdown(split: Breakdown, width: int, style: DrawStyle) -> list[Line]:
    """The parts as a bar of one line, and a legend that names each with its bytes."""
    label: Piece = (f" {pad('memory by use', _LABEL - 1)}", "dim")
    if split.not_judged or not split.parts:
        why: Piece = (split.not_judged, "warn") if split.not_judged else ("unknown, as used_memory is", "dim")
        return [clip((label, why), width), ()]
    whole = sum(part.size for part in split.parts) or 1
    across = max(0, width - _LABEL - 1)
    # What is less than a quarter of a cell would look larger than it is: the legend has it.
    seen = [part for part in split.parts if part.size * across * 4 >= whole]
    line = stacked([(part.size / whole, _PARTS.get(part.share, "part5")) for part in seen], across, style)
    legend: list[Piece] = [(" " * (_LABEL), "text")]
    for part in sorted(split.parts, key=lambda part: -part.size):
        legend += [
            (style.glyphs.square, _PARTS.get(part.share, "part5").replace("part", "dot")),
            (f" {part.share.value} ", "dim"),
            (f"{sizes.short_size(part.size)}  ", "text"),
        ]
    return [merged((label, *line)), _whole_pieces(legend, width)]


def _whole_pieces(legend: Sequence[Piece], width: int) -> Line:
    """As many entries of three pieces as fit: half a name helps nobody."""
    kept = list(legend[:1])
    for start in range(1, len(legend), 3):
        entry = legend[start : start + 3]
        # Behind the last of them no space is needed.
        if cells_of([*kept, *entry]) - 2 > width:
            break
        kept += entry
    *others, (size, role) = kept
    return clip((*others, (size.rstrip(), role)) if len(kept) > 1 else kept, width)


def trend(state: ServerState, counters: Counters, width: int, style: DrawStyle, rows: int) -> list[Line]:
    """used_memory over the shortest of a few spans that holds what was watched, with its ends named.

    In many lines, refused writes and evicted keys stand under it, on the same scale of time.
    """
    samples, forecast = state.samples, state.forecast
    if not samples:
        return []
    span = span_of(samples)
    outlook = outlook_words(forecast, samples[-1])
    if rows < _HEADED:
        side = outlook if width >= _SIDE_BY_SIDE else ()
        return _used(samples, span, width, style, rows, SPANS[span], side)
    settled = _settled(samples)
    losses = _LOSS_ROWS if rows >= _WITH_LOSSES else 0
    words = ", ".join(word for word in outlook if word)
    head = clip(((f" {pad('used_memory', _LABEL - 1)}", "dim"), (f"{SPANS[span]}: {words}", "text")), width)
    lines = [head, *_used(settled, span, width, style, rows - 1 - 2 * losses)]
    refused = [(sample.monotonic, sample.refused_writes) for sample in samples]
    evicted = [(sample.monotonic, sample.evicted_keys) for sample in samples]
    for word, total, seen in (
        ("refused writes", counters.refused_writes_total, refused),
        ("evicted keys", counters.evicted_keys_total, evicted),
    ):
        totals = () if total is None else seen
        lines += _gains(word, totals, len(settled), span, width, style, losses)
    return lines


def _settled(samples: Sequence[TrendSample]) -> Sequence[TrendSample]:
    """Those up to the last full step of time: a tall chart that moved with each poll would cost a kilobyte a second."""
    until = samples[-1].monotonic // _STEP_SECONDS * _STEP_SECONDS
    return [sample for sample in samples if sample.monotonic <= until] or samples


def _used(
    samples: Sequence[TrendSample],
    span: float,
    width: int,
    style: DrawStyle,
    rows: int,
    word: str = "",
    side: Sequence[str] = (),
) -> list[Line]:
    """used_memory as columns with its scale at their right, and beside it what `side` says."""
    across = max(1, width - _LABEL - (24 if side else 0) - _SCALE)
    values = bucketed(samples, span, across)
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    # A flat line in the middle rather than noise blown up to the whole height.
    margin = max((high - low) * 0.1, high * 0.005)
    drawn = columns(values, across, rows, style, low=low - margin, high=high + margin)
    top, bottom = sizes.short_size(round(high)), sizes.short_size(round(low))
    out: list[Line] = []
    for row, text in enumerate(drawn):
        scale = top if row == 0 else bottom if row == rows - 1 and bottom != top else ""
        beside = side[row] if row < len(side) else ""
        label = word if row == 0 else ""
        left = ((f" {pad(label, _LABEL - 1)}", "dim"), (text, "spark"), (f" {pad(scale, 9)}", "dim"))
        out.append(spread(left, ((f"{beside} ", "text"),) if beside else (), width))
    return out


def _gains(
    word: str, totals: Sequence[tuple[float, int]], drawn: int, span: float, width: int, style: DrawStyle, rows: int
) -> list[Line]:
    """What a counter gained over time as columns, of the first `drawn` totals, and in all: unknown without totals."""
    across = max(1, width - _LABEL - _SCALE)
    gained = gains(totals[:drawn], span, across)
    known = [gain for gain in gained if gain]
    whole = round(sum(gain or 0.0 for gain in gains(totals, span, across)))
    shown = "?" if not totals else sizes.count(whole) if whole else "none"
    out: list[Line] = []
    for row, text in enumerate(columns(gained, across, rows, style, low=0.0, high=max(known, default=1.0))):
        label, total = (word, f" {pad(shown, 9)}") if row == rows - 1 else ("", "")
        out.append(clip(merged(((f" {pad(label, _LABEL - 1)}", "dim"), (text, "warn"), (total, "dim"))), width))
    return out


def gains(totals: Sequence[tuple[float, int]], span: float, count: int) -> list[float | None]:
    """What a counter gained in each of `count` equal stretches of the last `span` seconds; None where nothing.

    >>> gains([(0, 1), (10, 4), (20, 4)], 20, 4)
    [None, 3.0, None, None]
    """
    out: list[float | None] = [None] * count
    if not totals:
        return out
    newest = totals[-1][0]
    for (_, before), (at, after) in pairwise(totals):
        place = count - 1 - int((newest - at) / span * count)
        if place >= 0 and after > before:
            out[place] = (out[place] or 0.0) + after - before
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
