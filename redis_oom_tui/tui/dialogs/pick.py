"""One of a few: a value of a setting, a backup."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from textual.binding import Binding, BindingType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.drawing import Line, marked, merged, paragraph, spread
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.widgets.cursor_list import CursorList

# So many lines of the option under the cursor are seen, whatever is written above it.
_MOST_FOR_ONE = 3


class Option(Struct, frozen=True):
    """What may be picked: `value` is what the dialog answers with; `badge` stands out, drawn in `badge_role`, and so do
    the sentences of `warnings` below it.
    """

    value: str
    label: str
    note: str = ""
    badge: str = ""
    badge_role: str = "warn"
    warnings: tuple[str, ...] = ()


class PickList(CursorList[Option]):
    """The options under what they are for, each with its note below it. Textual's own list has another name: its style
    would be taken for this one too.
    """

    one_line = False

    def __init__(self, intro: str, options: Sequence[Option]) -> None:
        super().__init__()
        self._intro = intro
        self._options = tuple(options)

    @property
    def items(self) -> Sequence[Option]:
        return self._options

    def above(self, width: int, height: int) -> Sequence[Line]:
        """What the options are for; where it is low, as much as leaves room for the one under the cursor."""
        option = self.current
        lines = 0 if option is None else len(self.row(option, width, here=True))
        return self._about(width)[: max(0, height - min(lines, _MOST_FOR_ONE))]

    def _about(self, width: int) -> Sequence[Line]:
        return paragraph(safe_text(self._intro), width - 2, "text", " ")

    def row(self, item: Option, width: int, *, here: bool) -> Sequence[Line]:
        """Its label and badge, its note and warnings."""
        mark, role = (self.style.glyphs.cursor, "cursor") if here else (" ", "text")
        badge = ((" ", role), (f" {item.badge} ", item.badge_role)) if item.badge else ()
        # Of a sentence that is cut in its middle, a "not" may be lost.
        (first, *more) = paragraph(safe_text(item.label), max(8, width - 4 - cells_of(badge)), role)
        lines = [merged(spread(((f" {mark} ", role), *first, (" ", role), *badge), (), width, role))]
        lines += [spread((("   ", role), *line), (), width, role) for line in more]
        lines += paragraph(safe_text(item.note), width - 2, "dim", "     ") if item.note else ()
        for text in item.warnings:
            lines += marked("     ! ", safe_text(text), width - 2, "text", "warn")
        return lines

    def needed(self, width: int) -> int:
        rows = sum(len(self.row(option, width, here=False)) for option in self._options)
        return rows + len(self._about(width))


class PickDialog(Dialog[str]):
    """Up and Down choose, Enter picks (`enter` says what that is); nothing happens yet, a confirmation follows."""

    CANCEL = "Back"
    AUTO_FOCUS = "PickList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "pick", show=False)]

    def __init__(
        self, title: str, intro: str, options: Sequence[Option], *, at: int = 0, enter: str = "choose"
    ) -> None:
        super().__init__(title, act=None)
        self.hint = f"Up/Down: select   Enter: {enter}   F1: help   Esc: cancel"
        self.options = PickList(intro, options)
        self.options.go_to(at)
        self.content = self.options

    def needed(self, width: int) -> int:
        return self.options.needed(width)

    def action_pick(self) -> None:
        option = self.options.current
        if option is not None:
            self.dismiss(option.value)
