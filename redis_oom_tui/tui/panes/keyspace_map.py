"""A picture of the keyspace: patterns as tiles as large as their bytes, colored by what their keys are."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.charts import Tile, kind_words, tiles, ttl_kind
from redis_oom_tui.formatting.sanitize import cells as cells_of
from redis_oom_tui.formatting.sanitize import cut, safe_text
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.tui.drawing import Line, Piece, clip, merged, pad, paragraph, shorten, spread
from redis_oom_tui.tui.drawing import width as width_of
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from redis_oom_tui.tui.widgets.table_model import TableModel

# Below this width tiles hold no names: bands do, each with what it is made of at its right.
_NARROW = 70
# A terminal's cell is about twice as high as it is wide.
_CELL_RATIO = 2
# A tile of fewer cells is one of the others.
_LEAST_CELLS = 14
_OTHER = 5
_DAY, _HOUR = 86_400, 3_600


class Kind(NamedTuple):
    """What the color of a tile says: its number among the colors, and the words for it."""

    color: int
    words: str


class PatternFacts(NamedTuple):
    """What is known of the patterns beside their rows."""

    recognition: Recognition = Recognition()
    ttls_known: bool = True


def by_ttl(row: PatternRow, known: PatternFacts) -> Kind:
    """Whether its keys will go by themselves, as in the report."""
    if not known.ttls_known:
        return Kind(_OTHER, "TTL unknown")
    kind = ttl_kind(row)
    return Kind(("expiring", "mixed", "lasting").index(kind), kind_words(kind))


def by_idle(row: PatternRow, _: PatternFacts) -> Kind:
    """How long half of its keys have not been used."""
    if row.idle_quantiles is None:
        return Kind(_OTHER, "idle time unknown")
    median = row.idle_quantiles[1]
    if median >= _DAY:
        return Kind(2, "unused for a day")
    return Kind(1, "unused for an hour") if median >= _HOUR else Kind(0, "in use")


def by_application(row: PatternRow, known: PatternFacts) -> Kind:
    """Whose its keys are."""
    labels = known.recognition.of(row)
    if not labels:
        return Kind(_OTHER, "not recognized")
    name = labels[0].application.name
    names = list(dict.fromkeys(one.application.name for one in known.recognition.found))
    return Kind(names.index(name) % _OTHER if name in names else _OTHER, name)


_COLORINGS: tuple[tuple[str, Callable[[PatternRow, PatternFacts], Kind]], ...] = (
    ("TTL", by_ttl),
    ("idle time", by_idle),
    ("application", by_application),
)


class _Place(NamedTuple):
    """A tile in whole cells; `row` is None for the others together."""

    left: int
    top: int
    right: int
    bottom: int
    row: PatternRow | None


class KeyspaceMap(CursorList[PatternRow]):
    """Draws the patterns of a table, on whose row its cursor is.

    `path` names the patterns that were entered, `inside` gives those that a pattern is made of.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "enter", "open", id="map.open", tooltip="Drill down into the pattern, or list its keys"),
        Binding("T", "recolor", "color", id="map.color", tooltip="Color by TTL, idle time or application"),
    ]

    class Entered(Message):
        """Enter, or a second click, on a tile."""

        def __init__(self, row: PatternRow) -> None:
            super().__init__()
            self.row = row

    def __init__(
        self,
        model: TableModel[PatternRow],
        inside: Callable[[PatternRow], Sequence[PatternRow]],
        *,
        id: str,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.model = model
        self._inside = inside
        self._coloring = 0
        self._path: tuple[PatternRow, ...] = ()
        self._empty = ""
        self._known = PatternFacts()
        self._places: list[_Place] = []

    def show(self, path: tuple[PatternRow, ...], empty: str, known: PatternFacts) -> None:
        """Draw the model's rows; `empty` is said where there are none."""
        self._path, self._empty, self._known = path, empty, known
        self.redraw()

    @property
    def items(self) -> Sequence[PatternRow]:
        return self.model.rows

    @property
    def index(self) -> int:
        return self.model.place

    def go_to(self, index: int) -> None:
        """Put the cursor of the table, too, on that row."""
        self.model.move_to(index, self.host.clock.monotonic())
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Where one is and what the cursor is on; the picture; what its colors say."""
        shown = sorted((row for row in self.items if row.size > 0), key=lambda row: -row.size)
        head = self._head(width)
        if not shown or height < 3:
            return [head, *paragraph(self._empty, width - 2, "dim", "  ")]
        layout = _icicle if width < _NARROW else _treemap
        self._places = layout(shown, width, height - 2, self._inside)
        grid: list[list[Piece]] = [[(" ", "text")] * width for _ in range(height - 2)]
        for place in self._places:
            self._draw(grid, place)
        return [head, *map(merged, grid), self._legend(shown, width)]

    def _head(self, width: int) -> Line:
        crumbs = " › ".join(("patterns", *(safe_text(row.pattern, 30) for row in self._path)))
        row = self.current
        if row is None:
            return clip(((f" {crumbs}", "key"),), width)
        kind = self._kind(row).words
        name = shorten(safe_text(row.pattern, 60) or '""', max(12, width // 3))
        label = f"{name}  {self._held(row)}  {sizes.number_of_keys(row.keys)}, {kind} "
        return spread(((f" {crumbs}", "key"),), ((label, "text"),), width)

    def _legend(self, shown: Iterable[PatternRow], width: int) -> Line:
        kinds = sorted({self._kind(row) for row in shown})
        line: list[Piece] = [(f" by {_COLORINGS[self._coloring][0]} (T):", "dim")]
        for kind in kinds:
            words = f" {safe_text(kind.words, 20)}"
            if width_of(line) + cells_of(words) + 3 <= width:
                line += [("  ", "text"), (self.style.glyphs.square, f"dot{kind.color}"), (words, "text")]
        return merged(line)

    def _held(self, row: PatternRow) -> str:
        """As the table has it: marked where it is an estimate."""
        return self._cell("size", row)

    def _cell(self, name: str, row: PatternRow) -> str:
        column = self.model.column(name)
        return column.text(row, column.width)

    def _kind(self, row: PatternRow) -> Kind:
        return _COLORINGS[self._coloring][1](row, self._known)

    def _draw(self, grid: list[list[Piece]], place: _Place) -> None:
        """A title, then its figures where there is room; the last column stays open between two tiles.

        The cursor is on the lines that have words: to color a whole tile costs kilobytes at each step.
        """
        row = place.row
        kind = Kind(_OTHER, "") if row is None else self._kind(row)
        title, body = f"tile{kind.color}", f"tint{kind.color}"
        here = row is not None and row is self.current
        cursor = "cursor" if self.has_focus else "cursor_away"
        width = place.right - place.left
        gap = 1 if width > 3 and place.right < len(grid[0]) else 0
        texts = ["others" if width - gap > len("others") else "+"]
        if row is not None:
            texts = _texts(row, self._held(row), self._cell("share", row), kind, width - gap - 1)
        for line in range(place.top, place.bottom):
            text = texts[line - place.top] if line - place.top < len(texts) else ""
            edge = " " if self.style.tracks else self.style.glyphs.column
            edge = self.edge(here=True) if here and self.has_focus and text else edge
            behind = [("", "text")] * (width - gap - 1)
            role = cursor if here and (text or line == place.top) else title if line == place.top else body
            drawn = (pad(f"{edge}{text}", width - gap), role)
            grid[line][place.left : place.right] = [drawn, *behind, *[(" ", "text")] * gap]

    def action_enter(self) -> None:
        if self.current is not None:
            self.post_message(self.Entered(self.current))

    def action_recolor(self) -> None:
        """Let the colors say the next thing."""
        self._coloring = (self._coloring + 1) % len(_COLORINGS)
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        rows = list(self.items)
        for place in self._places:
            inside = place.left <= event.x < place.right and place.top <= event.y - 1 < place.bottom
            if inside and place.row in rows:
                self.go_to(rows.index(place.row))
                self.clicked(event.chain)


def _texts(row: PatternRow, size: str, share: str, kind: Kind, line_width: int) -> list[str]:
    """A tile's lines in `line_width` cells: no figure is cut, and a name only where nothing else is left to go."""
    name, share = safe_text(row.pattern, 60) or '""', "" if share == "?" else f" {share}%"
    room_beside = line_width - len(share)
    first = (
        f"{safe_text(name, room_beside)}{share}" if room_beside >= min(10, cells_of(name)) else cut(name, line_width)
    )
    lines = (f"{size}  {sizes.number_of_keys(row.keys)}", kind.words)
    below = [lines[0] if len(lines[0]) <= line_width else size, lines[1]]
    return [first, *(line if cells_of(line) <= line_width else "" for line in below)]


def _treemap(
    shown: Sequence[PatternRow], width: int, height: int, inside: Callable[[PatternRow], Sequence[PatternRow]]
) -> list[_Place]:
    del inside
    parts = _parts(shown, _LEAST_CELLS / (width * height))
    laid = tiles([size for size, _ in parts], Tile(0, 0, width, height * _CELL_RATIO))
    return _whole(
        (Tile(t.x, t.y / _CELL_RATIO, t.width, t.height / _CELL_RATIO), row)
        for t, (_, row) in zip(laid, parts, strict=True)
    )


def _icicle(
    shown: Sequence[PatternRow], width: int, height: int, inside: Callable[[PatternRow], Sequence[PatternRow]]
) -> list[_Place]:
    """Bands below each other; at the right of each, those that it is made of."""
    places: list[_Place] = []
    for band in _bands(shown, Tile(0, 0, width, height)):
        within = () if band.row is None else sorted(inside(band.row), key=lambda row: -row.size)
        within = [row for row in within if row.size > 0]
        half = width // 2 if within else width
        places.append(band._replace(right=half))
        places += _bands(within, Tile(half, band.top, width - half, band.bottom - band.top)) if within else []
    return places


def _bands(rows: Sequence[PatternRow], area: Tile) -> list[_Place]:
    parts = _parts(rows, 0.7 / area.height)
    whole, y, found = sum(size for size, _ in parts), area.y, []
    for size, row in parts:
        high = area.height * size / whole
        found.append((Tile(area.x, y, area.width, high), row))
        y += high
    return _whole(found)


def _parts(rows: Sequence[PatternRow], least: float) -> list[tuple[int, PatternRow | None]]:
    """The rows with their sizes, largest first; those with less than the share `least` as one."""
    total = sum(row.size for row in rows)
    parts: list[tuple[int, PatternRow | None]] = [(row.size, row) for row in rows if row.size >= least * total]
    rest = total - sum(size for size, _ in parts)
    if rest:
        parts.append((max(rest, round(least * total)), None))
    return sorted(parts, key=lambda part: -part[0])


def _whole(laid: Iterable[tuple[Tile, PatternRow | None]]) -> list[_Place]:
    """In whole cells; what comes to less than one is left out."""
    places = [_Place(round(t.x), round(t.y), round(t.x + t.width), round(t.y + t.height), row) for t, row in laid]
    return [place for place in places if place.right > place.left and place.bottom > place.top]
