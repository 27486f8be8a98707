"""Text longer than the screen: scrolled by the line, by the page, to either end, and by the wheel."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from redis_oom_tui.tui.drawing import Line, spread
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_WHEEL = 3
_END = 1_000_000
_TELLS_KEYS_FROM = 50


class ScrollingText(LineWidget, can_focus=True):
    """Shows what `text` gives for a width; where that is longer, the last line says what is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("home,g", f"scroll(-{_END})", "To the start", show=False),
        Binding("end,G", f"scroll({_END})", "To the end", show=False),
    ]

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

    def action_scroll(self, by: int) -> None:
        self._top = max(0, self._top + by)
        self.redraw()

    def action_page(self, by: int) -> None:
        self.action_scroll(by * max(1, self.size.height - 2))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_scroll(_WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_scroll(-_WHEEL)
