"""What dialogs are made of: scrolling text, buttons, toggles and fields, all drawn in lines."""

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from redis_oom_tui.formatting.sanitize import cells, escape_exact
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.tui.drawing import Line, clip, spread, wrap
from redis_oom_tui.tui.widgets.line_widget import LineWidget

Text: TypeAlias = Callable[[int], Sequence[Line]]

# What a terminal might be sent by a paste, and what no field of ours needs.
_NO_CONTROLS = r"[^\x00-\x1f\x7f-\x9f]*"


def paragraph(text: str, room: int, role: str = "text", indent: str = "") -> list[Line]:
    """`text` in lines of at most `room` cells, a word longer than a line broken so that nothing of it is lost."""
    width = max(1, room - cells(indent))
    pieces = wrap(" ".join(_breakable(word, width) for word in text.split(" ")), width)
    return [((indent, role), (piece, role)) if indent else ((piece, role),) for piece in pieces]


def quoted(raw: bytes, room: int, before: str = "  ", most: int | None = None) -> list[Line]:
    """A name by its exact bytes, in quotes, over as many lines as it takes, or `most` and then said to go on.

    `before` stands before the first of them, and as much room is left before the others.
    """
    text = f'"{escape_exact(raw)}"'
    width = max(1, room - cells(before))
    pieces = [text[start : start + width] for start in range(0, len(text), width)]
    if most is not None and len(pieces) > most:
        pieces = [*pieces[:most], cut_end(f"({count(len(raw))} bytes; Enter on its row shows all)", width)]
    blank = " " * cells(before)
    return [((before if n == 0 else blank, "dim"), (piece, "text")) for n, piece in enumerate(pieces)]


def cut_end(text: str, room: int) -> str:
    """`text` in at most `room` cells, its end given up for a `~`: right for sentences, as the middle is for names.

    >>> cut_end("It was refused.", 8), cut_end("short", 8)
    ('It was ~', 'short')
    """
    if cells(text) <= room:
        return text
    while text and cells(text) > room - 1:
        text = text[: max(0, min(len(text) - 1, room - 1))]
    return f"{text}~"


def _breakable(word: str, width: int) -> str:
    if cells(word) <= width:
        return word
    if not word.isascii():
        width = max(1, width // 2)
    return " ".join(word[start : start + width] for start in range(0, len(word), width))


def marked(mark: str, text: str, room: int, role: str, mark_role: str = "") -> list[Line]:
    """A paragraph with `mark` before its first line, and the others below its text."""
    lines = paragraph(text, room - cells(mark), role)
    blank = " " * cells(mark)
    return [((mark if n == 0 else blank, mark_role or role), *line) for n, line in enumerate(lines)]


class TitleLine(LineWidget):
    """The first line of a dialog."""

    def __init__(self, title: str, *, danger: bool) -> None:
        super().__init__()
        self.styles.height = 1
        self._title = title
        self._role = "crit_block" if danger else "tab_active"

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """The title on a ground of its own."""
        del height
        return (spread(((f" {self._title}", self._role),), (), width, self._role),)


class WheelScroll(LineWidget):
    """Hears the mouse wheel, three lines a notch."""

    def wheel(self, by: int) -> None:
        """Move by so many lines."""

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Down."""
        event.stop()
        self.wheel(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Up."""
        event.stop()
        self.wheel(-3)


class ScrollText(WheelScroll):
    """Text that scrolls by the line and by the page; it never takes the focus, the dialog's keys move it."""

    class Wheel(Message):
        """The wheel was turned over the text."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text
        self.top = 0
        self.below = 0

    def needed(self, width: int) -> int:
        """The lines that the whole text takes."""
        return len(self._text(width))

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What fits, from where it is scrolled to."""
        text = self._text(max(1, width - 2))
        self.top = max(0, min(self.top, len(text) - height))
        self.below = max(0, len(text) - height - self.top)
        return [clip(((" ", "text"), *line), width) for line in text[self.top : self.top + height]]

    def wheel(self, by: int) -> None:
        """The dialog knows what that moves."""
        self.post_message(self.Wheel(by))

    def scroll_by(self, lines: int) -> None:
        """Move by so many lines."""
        self.top += lines
        self.redraw()


class FootLine(LineWidget):
    """A rule, and on it how to answer, or how much text lies below what is shown, or both where `hint` must be seen."""

    def __init__(self, hint: str, *, always: bool = False) -> None:
        super().__init__()
        self.styles.height = 1
        self._hint = f" {hint} "
        self._always = always
        self.below = 0

    def say(self, hint: str, *, always: bool) -> None:
        """Another way to answer."""
        self._hint, self._always = f" {hint} ", always
        self.redraw()

    def show(self, below: int) -> None:
        """`below` lines are out of sight."""
        self.below = below
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """The rule and the words on it."""
        del height
        glyphs = self.pen.glyphs
        more = f" {glyphs.down} {self.below} more, PgDn " if self.below else ""
        hint = self._hint if self._always or not more else ""
        if cells(more) + cells(hint) + 2 > width:
            hint = ""
        if cells(more) + 2 > width:
            more = ""
        rule = glyphs.rule * (width - cells(more) - cells(hint))
        return (((rule, "rule"), (more, "key"), (hint, "dim")),)


class Guarded(LineWidget, can_focus=True):
    """What answers a dialog: deaf, to the mouse as well, while the dialog is too fresh to have been read."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is done before the dialog listens."""
        del action, parameters
        return not getattr(self.screen, "guarded", False)

    def focus_on_click(self) -> bool:
        """Not before it listens."""
        return self.check_action("", ()) is True


class PushButton(Guarded):
    """A button of one line. Only Enter and a click press it: no letter, no digit, no space."""

    DEFAULT_CSS = "PushButton { margin: 0 1 0 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "press", "press", show=False)]

    class Pressed(Message):
        """It was pressed."""

        def __init__(self, button: "PushButton") -> None:
            super().__init__()
            self.button = button

    def __init__(self, label: str, *, id: str, danger: bool = False, disabled: bool = False) -> None:  # noqa: A002
        super().__init__(id=id, disabled=disabled)
        self.label = label
        self._danger = danger
        self.styles.height = 1
        self.styles.width = cells(label) + 4

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """The label, in brackets where it has the focus: colour alone tells nobody."""
        del height
        if self.disabled:
            return (clip(((f"  {self.label}  ", "dim"),), width),)
        if not self.has_focus:
            return (clip(((f"  {self.label}  ", "cursor_away"),), width),)
        return (clip(((f"[ {self.label} ]", "crit_block" if self._danger else "tab_active"),), width),)

    def relabel(self, label: str) -> None:
        """Say something else from now on."""
        self.label = label
        self.styles.width = cells(label) + 4
        self.redraw()

    def action_press(self) -> None:
        """Press it."""
        self.post_message(self.Pressed(self))

    def on_click(self, event: events.Click) -> None:
        """As Enter does."""
        event.stop()
        if self.check_action("press", ()):
            self.action_press()

    def watch_disabled(self, disabled: bool) -> None:
        """Show it."""
        super().watch_disabled(disabled)
        self.redraw()


class Toggle(Guarded):
    """A choice of two, of one line: Enter, Space or a click turns it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "turn", "turn", show=False)]

    class Turned(Message):
        """It was turned."""

        def __init__(self, toggle: "Toggle") -> None:
            super().__init__()
            self.toggle = toggle

    def __init__(self, label: str, *, on: bool, id: str, disabled: bool = False) -> None:  # noqa: A002
        super().__init__(id=id, disabled=disabled)
        self.styles.height = 1
        self._label = label
        self.on = on

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """A box with a cross in it, or none; marked where it has the focus, as colour alone tells nobody."""
        del height
        role = "dim" if self.disabled else "cursor" if self.has_focus else "text"
        edge = self.pen.glyphs.cursor if self.has_focus else " "
        box = "[x]" if self.on else "[ ]"
        return (spread(((f"{edge}{box} {self._label}", role),), (), width, role),)

    def turn_off(self) -> None:
        """Off, because something else that excludes it was turned on."""
        if self.on:
            self.on = False
            self.redraw()

    def action_turn(self) -> None:
        """The other way."""
        self.on = not self.on
        self.redraw()
        self.post_message(self.Turned(self))

    def on_click(self, event: events.Click) -> None:
        """As Enter does."""
        event.stop()
        if self.check_action("turn", ()):
            self.action_turn()


class Field(Input):
    """A line to type in: its cursor does not blink (that is 2 KB/s), and it takes no control characters."""

    DEFAULT_CSS = "Field { height: 1; border: none; padding: 0 1; }"

    def __init__(self, value: str = "", *, id: str, placeholder: str = "") -> None:  # noqa: A002
        super().__init__(value, placeholder=placeholder, id=id, restrict=_NO_CONTROLS, select_on_focus=False)
        self.cursor_blink = False
