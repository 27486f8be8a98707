"""One of a few: a value of a setting, a backup."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from textual.binding import Binding, BindingType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import ScrollText, paragraph
from redis_oom_tui.tui.drawing import Line, spread


class Option(Struct, frozen=True):
    """What may be picked: `value` is what the dialog answers with; `badge` stands out, drawn in `badge_role`."""

    value: str
    label: str
    note: str = ""
    badge: str = ""
    badge_role: str = "warn"


class PickDialog(Dialog[str]):
    """Up and Down choose, Enter picks (`enter` says what that is); nothing happens yet, a confirmation follows."""

    CANCEL = "Back"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "pick", show=False)]

    def __init__(self, title: str, intro: str, options: Sequence[Option], *, at: int = 0, enter: str = "picks") -> None:
        super().__init__(title, act=None)
        self.hint = f"Up and Down choose, Enter {enter}, Esc goes back"
        self.intro = intro
        self.options = tuple(options)
        self.at = max(0, min(at, len(options) - 1))

    def body(self, width: int) -> Sequence[Line]:
        """The options, the chosen one marked."""
        lines: list[Line] = list(paragraph(safe_text(self.intro), width))
        cursor = self.host.pen.glyphs.cursor
        for n, option in enumerate(self.options):
            mark, role = (cursor, "cursor") if n == self.at else (" ", "text")
            badge = ((" ", role), (f" {option.badge} ", option.badge_role)) if option.badge else ()
            lines.append(spread(((f"{mark} {safe_text(option.label)} ", role), *badge), (), width, role))
            if option.note:
                lines += paragraph(safe_text(option.note), width, "dim", "    ")
        return lines

    def action_go_down(self, lines: int) -> None:
        """Choose the next one."""
        self.at = max(0, min(len(self.options) - 1, self.at + lines))
        self._follow()

    def action_go_page(self, pages: int) -> None:
        """Choose one further away."""
        self.action_go_down(pages * 5)

    def turn(self, lines: int) -> None:
        """The mouse wheel chooses, too."""
        self.action_go_down(lines)

    def _follow(self) -> None:
        text = self.query_one(ScrollText)
        width = max(1, text.size.width - 2)
        rows = self.body(width)
        cursor = next((n for n, line in enumerate(rows) if line and line[0][1] == "cursor"), 0)
        text.top = max(0, min(cursor - 1, text.top), cursor + 2 - text.size.height)
        text.redraw()
        self.box.show_rest()

    def action_pick(self) -> None:
        """Answer with the one that is marked; with Back in focus, go back."""
        if self.focused is not None and self.focused.id == "cancel":
            self.action_leave()
        elif self.options:
            self.dismiss(self.options[self.at].value)
