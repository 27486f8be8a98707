"""Which rows a live table shows, in which order and columns, and where its cursor and marks are: by identity."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from redis_oom_tui.formatting.columns import Column
from redis_oom_tui.tui.drawing import Line, Piece, pad
from redis_oom_tui.tui.glyphs import Glyphs
from redis_oom_tui.tui.widgets.cursor_list import window

R = TypeVar("R")

_GAP = 1


def fitting(columns: Sequence[Column[R]], width: int) -> list[tuple[Column[R], int]]:
    """The columns that fit into `width` cells, each with its width."""
    shown = [column for column in columns if column.title]
    while True:
        fixed = sum(column.width + _GAP for column in shown if column.width)
        rest = width - fixed
        least = max((column.least for column in shown if not column.width), default=-_GAP)
        victim = max(shown, key=lambda column: column.yields, default=None)
        if rest >= least or victim is None or not victim.yields:
            return [(column, column.width or max(1, rest)) for column in shown]
        shown.remove(victim)


def header(
    columns: Sequence[tuple[Column[R], int]], sorted_by: str, falling: bool, glyphs: Glyphs, *, orders: bool = True
) -> Line:
    """The titles, the sorted one with its direction; with a `?` where it `orders` nothing, as no row has a value."""
    line: list[Piece] = []
    for column, width in columns:
        here = column.id == sorted_by
        arrow = "?" if not orders else glyphs.down if falling else glyphs.up
        title = f"{column.title}{arrow}" if here else column.title
        line.append((pad(title, width, column.align), "head_sorted" if here else "head"))
        line.append((" " * _GAP, "head"))
    return tuple(line)


def cells_of(row: R, columns: Sequence[tuple[Column[R], int]], role: str | None) -> list[Piece]:
    """A row's cells, all in `role` where one is given."""
    line: list[Piece] = []
    for column, width in columns:
        own = role or (column.role(row) if column.role is not None else "text")
        line.append((pad(column.text(row, width), width, column.align), own))
        line.append((" " * _GAP, role or "text"))
    return line


def ordered(rows: Sequence[R], column: Column[R], falling: bool) -> list[R]:
    """The rows by that column, those of which it is unknown at the end; equals keep their order."""
    known = [row for row in rows if column.order(row) is not None]
    unknown = [row for row in rows if column.order(row) is None]
    return sorted(known, key=column.order, reverse=falling) + unknown


def column_at(columns: Sequence[tuple[Column[R], int]], x: int) -> Column[R] | None:
    """The column that stands at that cell."""
    for column, width in columns:
        if x < width + _GAP:
            return column
        x -= width + _GAP
    return None


HOLD_SECONDS = 2.0


class TableModel(Generic[R]):
    """Rows, order, cursor and marks of a table of which `height` lines are in view from `top` on.

    `identify` gives what a row is, whatever its figures are now. For two seconds after the cursor was moved the order
    holds still, so that nothing moves away under the finger; `now` is monotonic seconds. `within` gives the rows that
    stand below one of the others, in whatever place that is.
    """

    def __init__(self, columns: Sequence[Column[R]], identify: Callable[[R], Hashable], sort: str) -> None:
        self._columns = tuple(columns)
        self._usual = self.sort = sort
        self.falling = self.column(sort).falling
        # What was sorted by before, the latest last: it orders the rows that the column sorted by leaves equal.
        self._earlier: dict[str, bool] = {}
        self.rows: list[R] = []
        self.outer_rows: list[R] = []
        self.within: Callable[[R], Sequence[R]] = lambda _: ()
        self.top = 0
        self.height = 1
        self._identify = identify
        self._places: dict[Hashable, int] = {}
        self._cursor: Hashable | None = None
        self._moved = False
        self._moving = True
        self._held_until = 0.0
        self._marks: dict[Hashable, R] = {}

    @property
    def columns(self) -> tuple[Column[R], ...]:
        """What each row tells."""
        return self._columns

    @columns.setter
    def columns(self, columns: Sequence[Column[R]]) -> None:
        """Other ones; where what was sorted by is not among them, the usual order comes back."""
        self._columns = tuple(columns)
        if all(column.id != self.sort for column in self._columns):
            self.sort, self.falling = self._usual, self.column(self._usual).falling

    def column(self, name: str) -> Column[R]:
        """The column of that id; the first where there is none."""
        return next((column for column in self._columns if column.id == name), self._columns[0])

    def update(self, rows: Sequence[R], now: float, *, moving: bool = True) -> None:
        """New rows in place of the old ones, sorted unless the order holds; `moving` while more of them may come."""
        self._moving = moving
        for row in rows:
            identity = self._identify(row)
            if identity in self._marks:
                self._marks[identity] = row
        self._take(rows, self._as_they_stand if now < self._held_until else self._sorted)

    def sort_by(self, name: str, falling: bool | None = None) -> None:
        """Sort by that column now, whatever holds the order."""
        self._earlier.pop(self.sort, None)
        self._earlier[self.sort] = self.falling
        self.sort = name
        self.falling = self.column(name).falling if falling is None else falling
        self._held_until = 0.0
        self._take(self.outer_rows, self._sorted)

    @property
    def orders(self) -> bool:
        """Whether the column that is sorted by has a value for any of the rows."""
        order = self.column(self.sort).order
        return not self.outer_rows or any(order(row) is not None for row in self.outer_rows)

    def _sorted(self, rows: Sequence[R]) -> list[R]:
        known = {column.id: column for column in self._columns}
        for name, falling in self._earlier.items():
            if name in known and name != self.sort:
                rows = ordered(rows, known[name], falling)
        return ordered(rows, self.column(self.sort), self.falling)

    def _as_they_stand(self, rows: Sequence[R]) -> list[R]:
        unseen = len(self._places)
        return sorted(rows, key=lambda row: self._places.get(self._identify(row), unseen))

    def _take(self, outer: Sequence[R], order: Callable[[Sequence[R]], list[R]]) -> None:
        """The cursor stays on its row, and that row on its line of the screen."""
        before = self.place
        line = before - self.top
        begins = not self.rows
        self.outer_rows = order(outer)
        self.rows = rows = [row for each in self.outer_rows for row in (each, *order(self.within(each)))]
        self._places = {self._identify(row): place for place, row in enumerate(rows)}
        if rows and self._cursor not in self._places:
            # Its row is gone: the cursor stays where it was on the screen. In a list that begins anew nobody moved it.
            self._moved = self._moved and not begins
            self._cursor = self._identify(rows[min(before, len(rows) - 1)])
        if self._moved:
            self.top = self.place - line
        else:
            self._show_top()
        self.into_view()

    def _show_top(self) -> None:
        """Until somebody moves the cursor, what leads the order is what is looked for.

        It stays in view. Once the rows stand still the cursor goes there: no key then acts on another row than meant.
        """
        self.top = 0
        if self.rows and (self.place >= self.height or not self._moving):
            self._cursor = self._identify(self.rows[0])

    @property
    def place(self) -> int:
        """The index of the cursor's row; 0 where there is none."""
        return self._places.get(self._cursor, 0)

    @property
    def current(self) -> R | None:
        """The row under the cursor."""
        return self.rows[self.place] if self.rows else None

    def move_to(self, place: int, now: float) -> None:
        """Put the cursor on the row at that index, or the nearest there is, and hold the order."""
        self._moved = True
        self._held_until = now + HOLD_SECONDS
        if self.rows:
            self._cursor = self._identify(self.rows[max(0, min(place, len(self.rows) - 1))])
            self.into_view()

    def go_to(self, identity: Hashable, now: float) -> bool:
        """Put the cursor on that row; False where it is not among the rows."""
        if identity not in self._places:
            return False
        self.move_to(self._places[identity], now)
        return True

    def into_view(self) -> None:
        """Scroll as little as brings the cursor into view, and never past the end."""
        self.top = window(len(self.rows), self.place, self.top, self.height).start

    @property
    def marked(self) -> Mapping[Hashable, R]:
        """The marked rows in the order of marking, with their last figures, whether among the rows now or not."""
        return self._marks

    def is_marked(self, row: R) -> bool:
        """Whether that row is marked."""
        return self._identify(row) in self._marks

    def toggle(self, row: R) -> None:
        """Mark that row, or take its mark away."""
        identity = self._identify(row)
        if self._marks.pop(identity, None) is None:
            self._marks[identity] = row

    def unmark(self) -> None:
        """Take all marks away."""
        self._marks.clear()
