"""Only what changed goes down the line: a frame is compared with what the terminal shows, cell by cell.

Textual sends each changed widget whole, with a full set of attributes per segment; over a slow link that is seconds.
This leans on the compositor (`textual>=8.2.8,<9`); `--no-diff` does without.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, TypeAlias

from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from redis_oom_tui.formatting.sanitize import cells
from redis_oom_tui.tui.glyphs import ASCII, CP437, FULL

Row: TypeAlias = tuple[tuple[str, str], ...]
Cell: TypeAlias = tuple[str, str]

SYSTEMS = {
    None: None,
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}
# A gap of unchanged cells as short as this costs no more than the sequence that would jump it.
_BRIDGE = 3
_OURS = frozenset(
    "".join(str(getattr(kind, name)) for kind in (FULL, CP437, ASCII) for name in kind.__struct_fields__)
    + "".join(map(chr, range(0x2500, 0x25A0)))
)
_MARK = "\0"
UNKNOWN = "?"
_LONG_FLAGS = frozenset({"21", "51", "52", "53"})
# So many blanks are erased at once, with the ground that is set: to erase and to go on takes ten bytes.
_ERASED = 12
# Bold, dim and italic: a blank shows none of them. What is underlined or reversed shows.
_UNSEEN_ON_BLANKS = frozenset("123")


class _Attributes(NamedTuple):
    flags: frozenset[str]
    front: str
    back: str


def _is_sure(text: str) -> bool:
    """Whether every terminal draws it in the cells that were counted: ASCII, and the glyphs that we draw with."""
    return text.isascii() or all(char.isascii() or char in _OURS for char in text)


@lru_cache(maxsize=1024)
def sgr(style: Style | None, system: ColorSystem | None) -> str:
    """The parameters that set `style` on a terminal that has been reset; '' for none. Links are not sent."""
    if style is None or system is None:
        return ""
    rendered = style.update_link(None).render(_MARK, color_system=system)
    before = rendered.split(_MARK)[0]
    return before[2:-1] if before.startswith("\x1b[") else ""


class FrameDiff:
    """Knows what the terminal shows, and says what to send to make it show something else.

    `erases` says that the terminal erases cells (ECH) in the ground that is set, not in its own.
    """

    def __init__(self, system: ColorSystem | None, *, erases: bool = False) -> None:
        self._system = system
        self._erases = erases
        self._shown: list[Row] = []
        self._current = UNKNOWN

    def forget(self) -> None:
        """Something else may have written to the terminal: the next frame is sent whole."""
        self._shown = []
        self._current = UNKNOWN

    def encode(self, strips: Sequence[Iterable[Segment]]) -> str:
        """What turns the screen shown last into these rows; '' where it shows them already."""
        rows = [self._row(strip) for strip in strips]
        before = self._shown if len(self._shown) == len(rows) else [()] * len(rows)
        self._shown = rows
        runs = (
            run
            for y, (old, new) in enumerate(zip(before, rows, strict=True))
            if old != new
            for run in _runs(y, old, new)
        )
        sent, self._current = _sent(runs, self._current, erases=self._erases)
        return sent

    def _row(self, segments: Iterable[Segment]) -> Row:
        row: list[tuple[str, str]] = []
        for segment in segments:
            if segment.control or not segment.text:
                continue
            codes = sgr(segment.style, self._system)
            if row and row[-1][1] == codes:
                row[-1] = (row[-1][0] + segment.text, codes)
            else:
                row.append((segment.text, codes))
        return tuple(row)


def _runs(y: int, old: Row, new: Row) -> list[tuple[int, int, list[Cell]]]:
    """The changed stretches of a row as (y, x, cells). A row of which the width is in doubt is sent whole."""
    if not old or not all(_is_sure(text) for text, _ in (*old, *new)):
        return [(y, 0, _cells(new))]
    was, now = _cells(old), _cells(new)
    if len(was) != len(now):
        return [(y, 0, now)]
    runs: list[tuple[int, int, list[Cell]]] = []
    start = end = -1
    for x, (a, b) in enumerate(zip(was, now, strict=True)):
        if a == b:
            continue
        if start >= 0 and x - end <= _BRIDGE:
            end = x + 1
            continue
        if start >= 0:
            runs.append((y, start, now[start:end]))
        start, end = x, x + 1
    if start >= 0:
        runs.append((y, start, now[start:end]))
    return runs


def _cells(row: Row) -> list[Cell]:
    return [(char, codes) for text, codes in row for char in text]


def _sent(runs: Iterable[tuple[int, int, list[Cell]]], current: str, *, erases: bool) -> tuple[str, str]:
    """The runs as bytes to send, and the attributes that the terminal is left with."""
    out: list[str] = []
    at_y, at_x = -1, 0
    for y, start, run in runs:
        x = start
        for text, codes in _alike(run):
            if y == at_y and x > at_x:
                out.append(f"\x1b[{x - at_x}C")
            elif (y, x) != (at_y, at_x):
                out.append(f"\x1b[{y + 1};{x + 1}H")
            if codes != current:
                out.append(turn(current, codes))
                current = codes
            at_y, at_x = y, x
            x += cells(text)
            if (
                erases
                and len(text) >= _ERASED
                and not text.strip(" ")
                and _attributes(codes).flags <= _UNSEEN_ON_BLANKS
            ):
                # The cursor stays where it is.
                out.append(f"\x1b[{len(text)}X")
            else:
                out.append(text)
                at_x = x
    return "".join(out), current


def _alike(run: Iterable[Cell]) -> Iterable[Cell]:
    """The cells of a run put together: words, and the blanks between them, of one style."""
    for (codes, _), part in groupby(run, key=lambda cell: (cell[1], cell[0] == " ")):
        yield "".join(char for char, _ in part), codes


@lru_cache(maxsize=4096)
def turn(current: str, codes: str) -> str:
    r"""The shortest sequence from one set of attributes to another.

    >>> turn("1;38;5;2;48;5;9", "1;38;5;3;48;5;9"), turn("1;31", "31"), turn("31", "")
    ('\x1b[38;5;3m', '\x1b[0;31m', '\x1b[m')
    """
    if not codes:
        return "\x1b[m"
    old, new = _attributes(current), _attributes(codes)
    lost = (old.front and not new.front) or (old.back and not new.back) or old.flags - new.flags
    if current == UNKNOWN or lost:
        return f"\x1b[0;{codes}m"
    changed = sorted(new.flags - old.flags)
    changed += [now for was, now in ((old.front, new.front), (old.back, new.back)) if now != was]
    return f"\x1b[{';'.join(changed)}m"


@lru_cache(maxsize=1024)
def _attributes(codes: str) -> _Attributes:
    """The parameters of a style, apart: flags such as bold, foreground, background."""
    flags: set[str] = set()
    colors = {"3": "", "4": ""}
    words = iter(codes.split(";")) if codes and codes != UNKNOWN else iter(())
    for word in words:
        if word in ("38", "48"):
            kind = next(words)
            more = [next(words) for _ in range(3 if kind == "2" else 1)]
            colors[word[0]] = ";".join((word, kind, *more))
        elif len(word) == 1 or word in _LONG_FLAGS:
            flags.add(word)
        else:
            colors["3" if word[0] in "39" else "4"] = word
    return _Attributes(frozenset(flags), colors["3"], colors["4"])
