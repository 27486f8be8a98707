"""Drawing without a screen: lines of (text, role), and the bars that they are made of.

A line knows roles, not colors; a theme turns them into styles where it is painted. Texts must be harmless already
(`formatting.sanitize.safe_text`): nothing here or later parses them.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct, field

from redis_oom_tui.formatting.sanitize import cells, cut, escape_exact, reads_otherwise, safe_text
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.tui.glyphs import FULL, Glyphs

Piece: TypeAlias = tuple[str, str]
Line: TypeAlias = tuple[Piece, ...]


class DrawStyle(Struct, frozen=True):
    """What a bar is drawn with. `tracks`: the theme shows the empty part by its ground color."""

    glyphs: Glyphs = field(default=FULL)
    tracks: bool = True

    @property
    def empty(self) -> str:
        """One cell of the empty part of a bar."""
        return " " if self.tracks and self.glyphs is FULL else self.glyphs.track


def width(line: Iterable[Piece]) -> int:
    """The cells that a line takes."""
    return sum(cells(text) for text, _ in line)


def clip(line: Iterable[Piece], line_width: int) -> Line:
    """The line in at most `line_width` cells: the piece that reaches over is cut with a `…`, the rest is left out."""
    kept: list[Piece] = []
    for text, role in line:
        if line_width <= 0:
            break
        fitting = cut(text, line_width)
        kept.append((fitting, role))
        line_width -= cells(text)
    return tuple(kept)


def spread(left: Sequence[Piece], right: Sequence[Piece], line_width: int, role: str = "text") -> Line:
    """`left` at the left edge and `right` at the right one; where both do not fit, `left` is clipped.

    >>> spread([("ab", "text")], [("z", "dim")], 6)
    (('ab', 'text'), ('   ', 'text'), ('z', 'dim'))
    """
    end = clip(right, line_width)
    start = clip(left, max(0, line_width - width(end) - (1 if end else 0)))
    gap = line_width - width(start) - width(end)
    return (*start, *(((" " * gap, role),) if gap > 0 else ()), *end)


def pad(text: str, line_width: int, align: str = "left") -> str:
    """`text` in exactly `line_width` cells, cut where it must be.

    >>> pad("7", 3, "right"), pad("abcdef", 4)
    ('  7', 'ab…f')
    """
    text = cut(text, line_width)
    gap = " " * (line_width - cells(text))
    return gap + text if align == "right" else text + gap


def bar(share: float, line_width: int, style: DrawStyle, role: str, ticks: Sequence[float] = ()) -> Line:
    """A horizontal bar of `line_width` cells, filled to `share` (0 to 1), with a tick at each of `ticks`.

    The last cell is filled only by a whole share, and a share above nothing shows at least the least glyph.
    """
    if line_width <= 0:
        return ()
    marks = {min(line_width - 1, int(tick * line_width)) for tick in ticks}
    whole, part = _fill(min(1.0, max(0.0, share)), line_width, len(style.glyphs.eighths))
    line: list[Piece] = []
    for cell in range(line_width):
        if cell < whole:
            piece = (style.glyphs.eighths[-1], role)
        elif cell in marks:
            piece = (style.glyphs.tick, "tick")
        elif cell == whole and part:
            piece = (style.glyphs.eighths[part - 1], role)
        else:
            piece = (style.empty, "track")
        line.append(piece)
    return merged(line)


def line_bar(share: float, line_width: int, style: DrawStyle, role: str, ticks: Sequence[float] = ()) -> Line:
    """A thin bar, for several of them one below the other: blocks would run together."""
    if line_width <= 0:
        return ()
    marks = {min(line_width - 1, int(tick * line_width)) for tick in ticks}
    filled = min(line_width, max(1 if share > 0 else 0, round(share * line_width)))
    line: list[Piece] = []
    for cell in range(line_width):
        inside = cell < filled
        glyph = style.glyphs.crossing if cell in marks else style.glyphs.line if inside else style.glyphs.line_track
        line.append((glyph, role if inside else "text" if cell in marks else "rule"))
    return merged(line)


def _fill(share: float, line_width: int, steps: int) -> tuple[int, int]:
    filled = int(share * line_width * steps)
    if share > 0:
        filled = max(1, filled)
    return divmod(filled, steps)


def stacked(shares: Sequence[tuple[float, str]], line_width: int, style: DrawStyle) -> Line:
    """One bar of several parts, each (share, role); every part that is there gets a cell of its own if it can.

    Without color the parts would run together, so every second one is drawn in another glyph.
    """
    line: list[Piece] = []
    position = 0.0
    used = 0
    for index, (share, role) in enumerate(shares):
        position += share
        end = min(line_width, max(round(position * line_width), used + (1 if share > 0 else 0)))
        glyph = style.glyphs.eighths[-1] if style.tracks or index % 2 == 0 else style.glyphs.track
        line.append((glyph * (end - used), role))
        used = end
    line.append((style.empty * (line_width - used), "track"))
    return merged(line)


def columns(
    values: Sequence[float | None], line_width: int, rows: int, style: DrawStyle, *, low: float, high: float
) -> list[str]:
    """The last `line_width` values as columns over `rows` lines from `low` to `high`; a gap where one is unknown."""
    heights = style.glyphs.heights
    span = high - low
    shown = [None] * max(0, line_width - len(values)) + list(values[-line_width:] if line_width > 0 else [])
    steps = rows * len(heights) - 1
    levels = [None if value is None else 1 + round(_share_of(value - low, span) * steps) for value in shown]
    return ["".join(_cell(level, row, heights) for level in levels) for row in reversed(range(rows))]


def _share_of(value: float, span: float) -> float:
    return min(1.0, max(0.0, value / span)) if span > 0 else 0.0


def _cell(level: int | None, row: int, heights: str) -> str:
    here = 0 if level is None else level - row * len(heights)
    return " " if here <= 0 else heights[min(here, len(heights)) - 1]


def merged(line: Iterable[Piece]) -> Line:
    """Neighbours of one role as one piece, empty ones left out: fewer pieces, fewer bytes."""
    out: list[Piece] = []
    for text, role in line:
        if not text:
            continue
        if out and out[-1][1] == role:
            out[-1] = (out[-1][0] + text, role)
        else:
            out.append((text, role))
    return tuple(out)


# What a piece of text may be beside a judgment, which a color gives.
_NEUTRAL = frozenset({"text", "dim", "title", "rule", "track", "tick"})


def faded(line: Line) -> Line:
    """The line without its judgments: the colors of old figures would speak of now."""
    return merged((text, role if role in _NEUTRAL else "dim") for text, role in line)


def shorten(text: str, line_width: int) -> str:
    """Prose in at most `line_width` cells: its end is given up, since it begins with what matters. No number is left
    without what it counts.

    >>> shorten("Refusing writes at 105%", 10), shorten("short", 10), shorten("from 8 MiB to 12 MiB", 18)
    ('Refusing…', 'short', 'from 8 MiB to…')
    """
    if cells(text) <= line_width:
        return text
    kept = wrap(text, max(1, line_width - 1))[0]
    before, _, last = kept.rpartition(" ")
    if before and last[-1:].isdigit() and text[len(kept) :].lstrip()[:1].isalpha():
        kept = before
    return f"{kept}…" if line_width > 1 else "…"[:line_width]


def wrap(text: str, line_width: int) -> list[str]:
    """`text` in lines of at most `line_width` cells, broken at spaces.

    >>> wrap("one two three", 8)
    ['one two', 'three']
    """
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(joined) <= line_width:
            lines[-1] = joined
        else:
            lines.append(cut(word, line_width))
    return [line for line in lines if line] or [""]


def moment(at: float) -> str:
    """A time of day with its date, where the tool runs."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def clock_time(at: float) -> str:
    """The time of day alone."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def paragraph(text: str, line_width: int, role: str = "text", indent: str = "") -> list[Line]:
    """`text` in lines of at most `line_width` cells, a word longer than a line broken so that nothing of it is lost."""
    width = max(1, line_width - cells(indent))
    pieces = wrap(" ".join(_breakable(word, width) for word in text.split(" ")), width)
    return [((indent, role), (piece, role)) if indent else ((piece, role),) for piece in pieces]


def quoted(raw: bytes, line_width: int, before: str = "  ", most: int | None = None) -> list[Line]:
    """A name by its exact bytes, in quotes, over as many lines as it takes, or `most` and then said to go on, or how it
    reads.

    `before` stands before the first of them, and as much is left before the others.
    """
    text = f'"{escape_exact(raw)}"'
    width = max(1, line_width - cells(before))
    pieces = [text[start : start + width] for start in range(0, len(text), width)]
    if most is not None and len(pieces) > most:
        whole = f"({count(len(raw))} bytes; Enter on its row shows all)"
        if reads_otherwise(raw):
            length = f" ({count(len(raw))} bytes)"
            whole = f"{safe_text(raw, max(8, width - len(length)))}{length}"
        pieces = [*pieces[:most], cut_end(whole, width)]
    blank = " " * cells(before)
    return [((before if n == 0 else blank, "dim"), (piece, "text")) for n, piece in enumerate(pieces)]


def cut_end(text: str, line_width: int) -> str:
    """`text` in at most `line_width` cells: its end is given up, right for sentences as the middle is for names.

    >>> cut_end("It was refused.", 8), cut_end("short", 8)
    ('It was …', 'short')
    """
    if cells(text) <= line_width:
        return text
    while text and cells(text) > line_width - 1:
        text = text[: max(0, min(len(text) - 1, line_width - 1))]
    return f"{text}…"


def _breakable(word: str, width: int) -> str:
    if cells(word) <= width:
        return word
    if not word.isascii():
        width = max(1, width // 2)
    return " ".join(word[start : start + width] for start in range(0, len(word), width))


def marked(mark: str, text: str, line_width: int, role: str, mark_role: str = "") -> list[Line]:
    """A paragraph with `mark` before its first line, and the others below its text."""
    lines = paragraph(text, line_width - cells(mark), role)
    blank = " " * cells(mark)
    return [((mark if n == 0 else blank, mark_role or role), *line) for n, line in enumerate(lines)]


def flagged(sentences: Iterable[str], line_width: int, role: str = "text") -> list[Line]:
    """Warnings, a paragraph each with its mark, made harmless."""
    return [line for text in sentences for line in marked("! ", safe_text(text), line_width, role, "warn")]
