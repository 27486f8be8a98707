"""What is moved through by keys and the mouse: a list with a cursor, and text longer than the screen."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType

from redis_oom_tui.tui.drawing import Line, spread
from redis_oom_tui.tui.widgets.line_widget import LineWidget

R = TypeVar("R")

_WHEEL = 3
_END = 1_000_000
_TELLS_KEYS_FROM = 50


def window(count: int, cursor: int, top: int, height: int, height_of: Callable[[int], int] = lambda _: 1) -> range:
    """Which of `count` rows are in view in `height` lines: from `top` on, but for what brings the cursor's into view.

    `height_of` gives the lines of the row at an index.

    >>> window(100, 0, 0, 5), window(100, 7, 0, 5), window(100, 50, 60, 5), window(3, 2, 2, 5)
    (range(0, 5), range(3, 8), range(50, 55), range(0, 3))
    >>> window(4, 2, 0, 5, lambda _: 2)
    range(1, 3)
    """
    cursor = max(0, min(cursor, count - 1))
    top = max(0, cursor - height + 1, min(top, cursor))
    while top < cursor and _lines(range(top, cursor + 1), height_of, height) > height:
        top += 1
    while top > 0 and _lines(range(top - 1, count), height_of, height) <= height:
        top -= 1
    end = top
    used = 0
    while end < count and (used + height_of(end) <= height or end == top):
        used += height_of(end)
        end += 1
    return range(top, end)


def _lines(rows: range, height_of: Callable[[int], int], enough: int) -> int:
    """The lines that these rows take, counted no further than to more than `enough`."""
    total = 0
    for index in rows:
        total += height_of(index)
        if total > enough:
            break
    return total


class Navigable(LineWidget, can_focus=True):
    """What keys and the wheel move through: by a line, by what is in view, to either end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("home,g", f"move(-{_END})", "To the start", show=False),
        Binding("end,G", f"move({_END})", "To the end", show=False),
    ]

    @property
    def in_view(self) -> int:
        """How many lines a page goes on by."""
        raise NotImplementedError

    def action_move(self, by: int) -> None:
        """Go on by so many lines."""
        raise NotImplementedError

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.in_view))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-_WHEEL)


class CursorList(Navigable, Generic[R]):
    """Rows under a cursor that stays on its row while others come and go. Enter is for whoever holds the list to bind;
    a second click presses it.

    A subclass gives `items` and `row`, perhaps `above` and `below`, and `identify` where rows move. Where all rows take
    one line each, `one_line` spares drawing those out of view. `follows_first`: a cursor on the first row stays first.
    """

    one_line: ClassVar[bool] = True
    follows_first: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._index = 0
        self._identity: Hashable = None
        self.top = 0
        self._room = 1
        self._rows_at: dict[int, int] = {}

    @property
    def items(self) -> Sequence[R]:
        """What is listed."""
        return ()

    def identify(self, item: R) -> Hashable:
        """What an item is, whatever its figures are now; None where only its place counts."""
        del item
        return None

    def row(self, item: R, width: int, *, here: bool) -> Sequence[Line]:
        """The lines of an item; `here` is the cursor on it."""
        raise NotImplementedError

    def edge(self, *, here: bool) -> str:
        """The first cell of a row: where keys go to the row, that is seen without color too."""
        return self.style.glyphs.cursor if here and self.has_focus else " "

    def topics(self) -> Sequence[str]:
        """The names of what F1 explains of it, beside the list itself: its columns, or what the cursor is on."""
        return ()

    def above(self, width: int, height: int) -> Sequence[Line]:
        """What stands above the rows."""
        del width, height
        return ()

    def below(self, width: int, height: int) -> Sequence[Line]:
        """What stands below the rows."""
        del width, height
        return ()

    @property
    def index(self) -> int:
        """The place of the cursor's row; where that row is gone, the place where it was."""
        items = self.items
        if self._identity is not None:
            found = next((n for n, item in enumerate(items) if self.identify(item) == self._identity), None)
            if found is not None:
                return found
        return max(0, min(self._index, len(items) - 1))

    @property
    def current(self) -> R | None:
        """The item under the cursor."""
        items = self.items
        return items[self.index] if items else None

    def go_to(self, index: int) -> None:
        """Put the cursor on the row at that index, or the nearest there is."""
        items = self.items
        self._index = max(0, min(index, len(items) - 1))
        first = self.follows_first and self._index == 0
        self._identity = self.identify(items[self._index]) if items and not first else None
        self.redraw()
        if self.is_attached:
            self.refresh_bindings()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What stands above, the rows in view, what stands below."""
        above, below = self.above(width, height), self.below(width, height)
        rows = self.rows_in_view(width, max(1, height - len(above) - len(below)), len(above))
        return [*above, *rows, *below]

    def rows_in_view(self, width: int, height: int, first_line: int) -> list[Line]:
        """The rows that fit into `height` lines round the cursor; the first of them stands on `first_line`."""
        items, cursor = self.items, self.index

        def row(index: int) -> Sequence[Line]:
            return self.row(items[index], width, here=index == cursor)

        shown = window(len(items), cursor, self.top, height, *(() if self.one_line else (lambda n: len(row(n)),)))
        self.top, self._room, self._rows_at = shown.start, height, {}
        lines: list[Line] = []
        for index in shown:
            drawn = row(index)
            self._rows_at |= {first_line + len(lines) + n: index for n in range(len(drawn))}
            lines += drawn
        return lines[:height]

    @property
    def in_view(self) -> int:
        return self._room - 1

    def action_move(self, by: int) -> None:
        self.go_to(self.index + by)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor to the row, a second one does what Enter does."""
        index = self._rows_at.get(event.y)
        if index is None:
            return
        self.go_to(index)
        self.clicked(event.chain)

    def clicked(self, times: int) -> None:
        """The cursor's row was clicked so many times in a row."""
        if times == 2:
            self.app.simulate_key("enter")


class ScrollingText(Navigable):
    """Shows what `text` gives for a width; where that is longer, the last line says what is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "page(1)", "Page down", show=False)]

    def __init__(self, text: Callable[[int], Sequence[Line]]) -> None:
        super().__init__()
        self._text = text
        self._top = 0

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What fits, from where it is scrolled to."""
        text = self._text(width)
        if len(text) <= height:
            self._top = 0
            return text
        space = max(1, height - 1)
        self._top = max(0, min(self._top, len(text) - space))
        shown = text[self._top : self._top + space]
        where = f" lines {self._top + 1} to {self._top + len(shown)} of {len(text)}"
        where += "; up and down show the rest " if width >= _TELLS_KEYS_FROM else ""
        return [*shown, spread(((where, "dim"),), (), width)] if height > 1 else shown

    @property
    def scrolls(self) -> bool:
        """Whether there is more than is shown."""
        return len(self._text(self.size.width)) > self.size.height

    @property
    def in_view(self) -> int:
        return self.size.height - 2

    def action_move(self, by: int) -> None:
        self._top = max(0, self._top + by)
        self.redraw()
