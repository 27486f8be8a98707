"""A table on screen whose rows keep their identity while they move: cursor and marks stay on their row."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from redis_oom_tui.formatting.columns import Column
from redis_oom_tui.tui.drawing import Line, Piece, merged, wrap
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from redis_oom_tui.tui.widgets.table_model import R, TableModel, cells_of, column_at, fitting, header

MARGIN = 2


class LiveTable(CursorList[R]):
    """Rows under columns, sorted by any of them. `model` holds rows, order, cursor and marks.

    `show` hands it new rows as often as one likes: it repaints the lines that changed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,greater_than_sign", "sort(1)", "sort", id="table.sort", tooltip="Sort by the next column"),
        Binding("less_than_sign", "sort(-1)", "Sort by the previous column", show=False, id="table.sort_back"),
        Binding("S", "turn", "Reverse the sort", show=False, id="table.turn"),
        Binding("enter", "choose", "open", id="table.choose", tooltip="Open what the cursor is on"),
        Binding("space", "mark", "mark", id="table.mark", tooltip="Mark/unmark and move down"),
        Binding("u", "unmark", "Unmark all", show=False, id="table.unmark"),
    ]

    class Chosen(Message):
        """Enter, or a second click, on a row."""

        def __init__(self, row: object) -> None:
            super().__init__()
            self.row = row

    class Changed(Message):
        """The cursor went to another row, the order was changed, or the marks."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        identify: Callable[[R], Hashable],
        *,
        sort: str,
        marking: bool = True,
        empty: str = "",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.model = TableModel(columns, identify, sort)
        self._marking = marking
        # Figures of long ago lose their color; whoever draws the table says so in words.
        self.stale = False
        self._empty = empty

    def topics(self) -> Sequence[str]:
        columns = [f"{self.id}.{column.id}" for column in self.model.columns if column.title]
        return ["table.stale", *columns] if self.stale else columns

    def show(self, rows: Sequence[R], empty: str | None = None, *, moving: bool = True) -> None:
        """Show these rows in place of the last ones; `empty` is said where there are none."""
        if empty is not None:
            self._empty = empty
        self.model.update(rows, self._now(), moving=moving)
        self.redraw()

    def sort_by(self, column: str, *, falling: bool | None = None) -> None:
        """Sort by that column now."""
        self.model.sort_by(column, falling)
        if not self.model.orders:
            self.host.tell(f"No row has a value in {self.model.column(column).title}: the order stays")
        self._changed()

    @property
    def items(self) -> Sequence[R]:
        return self.model.rows

    @property
    def index(self) -> int:
        return self.model.place

    def go_to(self, index: int) -> None:
        self.model.move_to(index, self._now())
        self._changed()

    def above(self, width: int, height: int) -> Sequence[Line]:
        """The titles; where there are no rows, why."""
        del height
        model = self.model
        shown = fitting(model.columns, width - MARGIN)
        titles = header(shown, model.sort, model.falling, self.style.glyphs, orders=model.orders)
        head: Line = merged(((" " * MARGIN, "head"), *titles))
        if model.rows:
            return [head]
        return [head, (), *(((f"  {text}", "dim"),) for text in _wrapped(self._empty, max(8, width - 4)))]

    def rows_in_view(self, width: int, height: int, first_line: int) -> list[Line]:
        """Those round the cursor, which stays on its line of the screen while the order changes."""
        self.model.height = height
        self.model.into_view()
        self.top = self.model.top
        return super().rows_in_view(width, height, first_line)

    def row(self, item: R, width: int, *, here: bool) -> Sequence[Line]:
        role = ("cursor" if self.has_focus else "cursor_away") if here else None
        sign, own_role = self.sign(item)
        edge: Piece = (f"{self.edge(here=here)}{sign}", role or own_role)
        own = "marked" if self.model.is_marked(item) else "dim" if self.stale else None
        cells = cells_of(item, fitting(self.model.columns, width - MARGIN), role or own)
        return [merged((edge, *cells))]

    def sign(self, item: R) -> Piece:
        """The cell before a row, behind the cursor's: whether it is marked."""
        return (self.style.glyphs.marked if self.model.is_marked(item) else " "), "marked"

    def _now(self) -> float:
        return self.host.clock.monotonic()

    def _changed(self) -> None:
        self.redraw()
        self.post_message(self.Changed())

    def action_sort(self, by: int) -> None:
        ids = [column.id for column, _ in fitting(self.model.columns, self.size.width - MARGIN)]
        here = ids.index(self.model.sort) if self.model.sort in ids else -1
        self.sort_by(ids[(here + by) % len(ids)])

    def action_turn(self) -> None:
        self.sort_by(self.model.sort, falling=not self.model.falling)

    def action_choose(self) -> None:
        row = self.model.current
        if row is not None:
            self.post_message(self.Chosen(row))

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go one down."""
        row = self.model.current
        if row is not None:
            self.model.toggle(row)
            self.action_move(1)

    def action_unmark(self) -> None:
        self.model.unmark()
        self._changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A table without marks has no keys for them."""
        del parameters
        return self._marking or action not in ("mark", "unmark")

    def on_click(self, event: events.Click) -> None:
        model = self.model
        if event.y == 0:
            column = column_at(fitting(model.columns, self.size.width - MARGIN), event.x - MARGIN)
            if column is not None:
                self.sort_by(column.id, falling=not model.falling if column.id == model.sort else None)


def _wrapped(text: str, line_width: int) -> list[str]:
    return [piece for line in text.split("\n") for piece in wrap(line, line_width)]
