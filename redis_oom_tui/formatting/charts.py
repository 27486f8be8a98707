"""Pictures of an incident as SVG: memory over time, the verdicts, the keyspace. Colors are the page's classes.

Each has its content in words as its label, for those who do not see it.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import NamedTuple

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, duration, number_of_keys, percent, size
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.models.trend import Episode, TrendSample


class Tile(NamedTuple):
    """A rectangle; (0, 0) is the upper left corner."""

    x: float
    y: float
    width: float
    height: float


def tiles(sizes: Sequence[float], tile: Tile) -> list[Tile]:
    """A tile for each size, in the same order; together they fill `tile`. Sizes are above 0, the largest first.

    Rows are laid along the shorter side, and a row takes one more tile for as long as that makes its worst tile
    squarer: the "squarified" layout of Bruls, Huizing and van Wijk (2000).

    >>> [tuple(map(round, tile)) for tile in tiles([3, 1], Tile(0, 0, 8, 4))]
    [(0, 0, 6, 4), (6, 0, 2, 4)]
    """
    found: list[Tile] = []
    scale = tile.width * tile.height / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    while len(found) < len(areas):
        row = _row(areas[len(found) :], min(tile.width, tile.height))
        laid, tile = _lay(row, tile)
        found += laid
    return found


def _row(areas: Sequence[float], side: float) -> Sequence[float]:
    number = 1
    while number < len(areas) and _worst(areas[: number + 1], side) <= _worst(areas[:number], side):
        number += 1
    return areas[:number]


def _worst(row: Sequence[float], side: float) -> float:
    """The ratio of the sides of the least square tile of a row along `side`."""
    total = sum(row)
    if not total or not side:
        return 1.0
    return max(max(side * side * area / total**2, total**2 / (side * side * area)) for area in row if area)


def _lay(row: Sequence[float], tile: Tile) -> tuple[list[Tile], Tile]:
    """The tiles of a row, and the room that is left beside it."""
    total, found = sum(row), list[Tile]()
    x, y, width, height = tile
    if width >= height:
        thick = total / height if height else 0.0
        for area in row:
            long = area / thick if thick else 0.0
            found.append(Tile(x, y, thick, long))
            y += long
        return found, Tile(x + thick, tile.y, max(0.0, width - thick), height)
    thick = total / width if width else 0.0
    for area in row:
        long = area / thick if thick else 0.0
        found.append(Tile(x, y, long, thick))
        x += long
    return found, Tile(tile.x, y + thick, width, max(0.0, height - thick))


_Text = Callable[[PatternRow], str]
_WIDTH = 960
_LEFT, _PLOT = 84, 860
# Shorter than this, a line of memory over time shows nothing.
_SHORTEST_SECONDS = 60.0
_MOST_POINTS = 480
# A tile smaller than this holds no name that could be read, and patterns below this share get no tile of their own.
_NAME_CELL, _NAME_LINE = 7.2, 30
_LEAST_SHARE = 0.002
_MOST_TILES = 120


def memory_chart(samples: Sequence[TrendSample], *, refused_known: bool = True, evicted_known: bool = True) -> str:
    """used_memory and its limit over time, and under it refused writes and evicted keys; '' where it is too short.

    What the server does not count is unknown, not 0.
    """
    if len(samples) < 3 or samples[-1].at - samples[0].at < _SHORTEST_SECONDS:
        return ""
    shown = [*samples[:: max(1, len(samples) // _MOST_POINTS)], samples[-1]]
    top = 1.05 * max(max(point.used_bytes, point.maxmemory_bytes or 0) for point in shown) or 1.0
    used = _line(shown, 20, 200, top, lambda point: point.used_bytes)
    limits = [point for point in shown if point.maxmemory_bytes]
    limit = _line(limits, 20, 200, top, lambda point: point.maxmemory_bytes or 0, span=shown) if limits else ""
    parts = [
        *_axis(20, 200, ((top / 1.05, size(int(top / 1.05))), (0.0, "0"))),
        f'<path class="area" d="{used} V220 H{_LEFT} Z"/><path class="used" d="{used}"/>',
        f'<path class="limit" d="{limit}"/>' if limit else "",
        _word(_LEFT + 6, 36, "used_memory, and maxmemory dashed" if limit else "used_memory"),
        *_gains(shown, 240, "refused writes", lambda point: point.refused_writes, known=refused_known),
        *_gains(shown, 320, "evicted keys", lambda point: point.evicted_keys, known=evicted_known),
        _word(_LEFT, 404, _clock(shown[0].at)),
        _word(_LEFT + _PLOT, 404, _clock(shown[-1].at), "end"),
    ]
    first, last = shown[0], shown[-1]
    refused = count(last.refused_writes - first.refused_writes if refused_known else None)
    evicted = count(last.evicted_keys - first.evicted_keys if evicted_known else None)
    description = (
        f"Used memory went from {size(first.used_bytes)} to {size(last.used_bytes)} in"
        f" {duration(last.at - first.at)}, at most {size(max(point.used_bytes for point in samples))};"
        f" {refused} writes were refused and {evicted} keys evicted."
    )
    return _picture(412, description, parts)


def _line(
    points: Sequence[TrendSample],
    y: float,
    height: float,
    top: float,
    value: Callable[[TrendSample], float],
    *,
    span: Sequence[TrendSample] | None = None,
) -> str:
    whole = points if span is None else span
    begin, seconds = whole[0].at, (whole[-1].at - whole[0].at) or 1.0
    places = (
        f"{_LEFT + _PLOT * (point.at - begin) / seconds:.1f} {y + height * (1 - value(point) / top):.1f}"
        for point in points
    )
    return "M" + " L".join(places)


def _gains(
    points: Sequence[TrendSample], y: float, title: str, total: Callable[[TrendSample], int], *, known: bool
) -> list[str]:
    """Bars of what a counter gained from point to point."""
    gains = [max(0, total(after) - total(before)) for before, after in pairwise(points)]
    most = max(gains)
    begin, seconds = points[0].at, (points[-1].at - points[0].at) or 1.0
    bars = []
    for (before, after), gain in zip(pairwise(points), gains, strict=True):
        if gain:
            x = _LEFT + _PLOT * (before.at - begin) / seconds
            wide = max(1.0, _PLOT * (after.at - before.at) / seconds)
            tall = max(1.0, 48 * gain / most)
            bars.append(
                f'<rect class="bar" x="{x:.1f}" y="{y + 60 - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
            )
    whole = total(points[-1]) - total(points[0]) if known else None
    marks = ((1.0, count(most)),) if most else ()
    return [*_axis(y + 12, 48, (*marks, (0.0, "0"))), *bars, _word(_LEFT + 6, y + 8, f"{title}: {count(whole)}")]


def _axis(y: float, height: float, marks: Sequence[tuple[float, str]]) -> list[str]:
    top = max(value for value, _ in marks) or 1.0
    found = []
    for value, label in marks:
        at = y + height * (1 - value / top)
        found.append(f'<line class="rule" x1="{_LEFT}" y1="{at:.1f}" x2="{_LEFT + _PLOT}" y2="{at:.1f}"/>')
        found.append(_word(_LEFT - 8, at + 4, label, "end"))
    return found


def verdict_chart(episodes: Sequence[Episode]) -> str:
    """A band of the verdicts over time; '' where there was but one."""
    if len(episodes) < 2 or episodes[-1].ended <= episodes[0].began:
        return ""
    begin, seconds = episodes[0].began, episodes[-1].ended - episodes[0].began
    parts = []
    for episode in episodes:
        x = _LEFT + _PLOT * (episode.began - begin) / seconds
        wide = max(2.0, _PLOT * (episode.ended - episode.began) / seconds)
        level = episode.level.value
        parts.append(f'<rect class="{level}" x="{x:.1f}" y="4" width="{wide:.1f}" height="26"/>')
        if wide > 10 + 8 * len(level):
            parts.append(_word(x + 6, 22, level, style="on"))
    parts += [_word(_LEFT, 48, _clock(begin)), _word(_LEFT + _PLOT, 48, _clock(episodes[-1].ended), "end")]
    description = ", then ".join(f"{e.level.value} for {duration(e.ended - e.began)}" for e in episodes)
    return _picture(56, f"Verdicts: {description}.", parts)


def keyspace_chart(
    rows: Sequence[PatternRow], label: _Text, *, ttls_known: bool = True, whole: int | None = None
) -> str:
    """Patterns as tiles as large as their bytes, and within each what it is made of; '' without any.

    Shares are of `whole`, where that is given, else of all that `rows` hold. Where `ttls_known` is False, nothing is
    known of TTLs.
    """
    kind_of = ttl_kind if ttls_known else _ttl_unknown
    known = [row for row in rows if row.size > 0]
    total = sum(row.size for row in known if row.level == 1)
    top = sorted(
        (row for row in known if row.level == 1 and row.size >= _LEAST_SHARE * total), key=lambda row: -row.size
    )
    top = top[:_MOST_TILES]
    if not top:
        return ""
    total = whole or total
    parts = []
    for row, tile in zip(top, tiles([row.size for row in top], Tile(0, 0, _WIDTH, 420)), strict=True):
        parts += _tile(row, tile, label, kind_of, share=row.size / total, outer=True)
        parts += _inside(row, tile, known, label, kind_of, total)
    description = "The keyspace by bytes: " + ", ".join(
        f"{safe_text(label(row), 60)} {percent(row.size / total)}" for row in top[:8]
    )
    return _picture(424, description + ".", parts)


def _inside(
    row: PatternRow, tile: Tile, known: Sequence[PatternRow], label: _Text, kind_of: _Text, total: int
) -> list[str]:
    """The patterns that a pattern is made of, under its name."""
    inside = Tile(tile.x + 3, tile.y + 20, tile.width - 6, tile.height - 23)
    children = [child for child in known if child.parent == row.pattern and child.db == row.db]
    children = sorted((child for child in children if child.size >= 0.01 * row.size), key=lambda child: -child.size)
    if inside.width < 60 or inside.height < 40 or len(children) < 2:
        return []
    # What is no pattern of its own keeps its part of the room empty.
    rest = max(0, row.size - sum(child.size for child in children))
    laid = tiles(sorted([*(child.size for child in children), *([rest] if rest else [])], reverse=True), inside)
    by_size = sorted([*children, *([None] if rest else [])], key=lambda child: -(rest if child is None else child.size))
    parts: list[str] = []
    for child, place in zip(by_size, laid, strict=True):
        if child is not None:
            parts += _tile(child, place, label, kind_of, share=child.size / total, outer=False)
    return parts


def _tile(row: PatternRow, tile: Tile, label: _Text, kind_of: _Text, *, share: float, outer: bool) -> list[str]:
    kind = kind_of(row)
    x, y, wide, tall = tile.x + 0.5, tile.y + 0.5, max(0.0, tile.width - 1), max(0.0, tile.height - 1)
    name = safe_text(label(row), 80)
    hint = escape(f"{name}: {size(row.size)}, {percent(share)}, {number_of_keys(row.keys)}, {kind_words(kind)}")
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    parts = [f'<rect class="{kind}{" outer" if outer else ""}" {place}><title>{hint}</title></rect>']
    cells = int((wide - 8) / _NAME_CELL)
    if tall >= 16 and cells >= 3:
        worth = f" {percent(share)}"
        text = safe_text(label(row), cells - len(worth)) + worth if cells > len(worth) + 3 else safe_text(name, cells)
        parts.append(_word(x + 4, y + 13, text, style="tile"))
    return parts


def ttl_kind(row: PatternRow) -> str:
    """Whether its keys go by themselves: `lasting`, `mixed` or `expiring`."""
    lasting = row.no_ttl_keys / row.keys if row.keys else 0.0
    return "lasting" if lasting > 0.9 else "mixed" if lasting > 0.1 else "expiring"


def _ttl_unknown(_row: PatternRow) -> str:
    return "untold"


def kind_words(kind: str) -> str:
    """What a tile's class says of its keys."""
    words = {"lasting": "without TTL", "mixed": "partly with TTL", "expiring": "with TTL", "untold": "TTL unknown"}
    return words[kind]


def _picture(height: int, description: str, parts: Sequence[str]) -> str:
    label = escape(description, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _word(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
