"""What is typed in, pressed or turned: fields, the filter of a table, buttons, checkboxes, each of one line."""

import functools
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input

from redis_oom_tui.formatting.sanitize import cells, escape_glob, unescape_exact
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.key_patterns import compiled_glob
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.host import host_of
from redis_oom_tui.tui.widgets.line_widget import LineWidget

# What a terminal might be sent by a paste, and what no field of ours needs.
_NO_CONTROLS = r"[^\x00-\x1f\x7f-\x9f]*"


class Field(Input):
    """A line to type in: its cursor does not blink (that is 2 KB/s), and it takes no control characters."""

    DEFAULT_CSS = "Field { height: 1; border: none; padding: 0 1; }"

    def __init__(self, value: str = "", *, id: str, placeholder: str = "") -> None:  # noqa: A002
        super().__init__(value, placeholder=placeholder, id=id, restrict=_NO_CONTROLS, select_on_focus=False)
        self.cursor_blink = False


class FieldLabel(LineWidget):
    """A few words before a field."""

    def __init__(self, text: str, role: str) -> None:
        super().__init__()
        self._role = role
        self.styles.height = 1
        self.put(text)

    def put(self, text: str) -> None:
        """Say this from now on."""
        self._text = text
        self.styles.width = cells(text) + 1
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        del width, height
        return (((self._text, self._role),),)


class LabelledField(Horizontal):
    """A line of words and a field behind them."""

    DEFAULT_CSS = "LabelledField { height: 1; }"

    def __init__(self, label: str, field: Field, *, role: str) -> None:
        super().__init__()
        self.label = FieldLabel(label, role)
        self.field = field

    def compose(self) -> ComposeResult:
        yield self.label
        yield self.field


@functools.lru_cache(maxsize=8)
def matcher(text: str) -> Callable[[bytes], bool]:
    r"""What `text` lets through: with `*`, `?` or `[` a glob for the whole name, else any part of it, in any case.

    >>> [matcher(text)(b"user:1") for text in ("USER", "user:?", "user:??", r"r\x3a")]
    [True, True, False, True]
    """
    if _is_glob(text):
        pattern = compiled_glob(text.encode("utf-8", "surrogateescape"))
        return lambda name: pattern.fullmatch(name) is not None
    part = _part(text)
    return lambda name: part in name.lower()


def _is_glob(text: str) -> bool:
    return any(special in text for special in "*?[")


def _part(text: str) -> bytes:
    try:
        return unescape_exact(text).lower()
    except BadInput:
        return text.encode("utf-8", "surrogateescape").lower()


def filter_glob(text: str) -> bytes:
    r"""A glob of the server's for what `matcher` lets through.

    >>> filter_glob("Ab1"), filter_glob("user:?")
    (b'*[aA][bB]1*', b'user:?')
    """
    if _is_glob(text):
        return text.encode("utf-8", "surrogateescape")
    letters = (bytes([byte]) for byte in _part(text))
    return (
        b"*"
        + b"".join(
            b"[%b%b]" % (letter, letter.upper()) if letter.isalpha() else escape_glob(letter) for letter in letters
        )
        + b"*"
    )


class FilterLine(Input):
    """A line that opens with `/`, filters as one types, and closes with Enter (keeps) or Escape (drops)."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "keep", "apply", priority=True)]

    class Filtered(Message):
        """Another text stands in the line, or it was `closed` with the filter kept."""

        def __init__(self, text: str, *, closed: bool = False) -> None:
            super().__init__()
            self.text = text
            self.closed = closed

    def __init__(
        self,
        placeholder: str = "part of a name, or a glob such as user:*",
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(placeholder=placeholder, select_on_focus=False, id=id)
        self.cursor_blink = False

    def open(self) -> None:
        """Show the line and type into it."""
        self.add_class("-open")
        self.screen.set_focus(self, scroll_visible=False)

    def close(self, *, drop: bool) -> None:
        """Hide the line; `drop` empties it."""
        if drop:
            self.value = ""
        self.remove_class("-open")

    @property
    def is_open(self) -> bool:
        """Whether it is on screen."""
        return self.has_class("-open")

    def watch_value(self, value: str) -> None:
        """Filter as one types."""
        self.post_message(self.Filtered(value))

    def action_keep(self) -> None:
        self.close(drop=False)
        self.post_message(self.Filtered(self.value, closed=True))


class Guarded(Widget):
    """What answers a dialog: deaf, to the mouse as well, while the dialog is too fresh to have been read."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is done before the dialog listens."""
        del action, parameters
        return not getattr(self.screen, "guarded", False)

    def focus_on_click(self) -> bool:
        """Not before it listens."""
        return self.check_action("", ()) is True

    def on_click(self, event: events.Click) -> None:
        if not self.check_action("", ()):
            event.stop()
            event.prevent_default()


class PushButton(Guarded, Button, can_focus=True):
    """Textual's button in one line: only Enter and a click press it, no letter, no digit, no space.

    In a dialog of 80x24 it costs what one drawn in lines does: 4.3 KB to open, 160 to 220 bytes for a Tab.
    """

    def __init__(self, label: str, *, id: str, danger: bool = False, disabled: bool = False) -> None:  # noqa: A002
        super().__init__(variant="error" if danger else "default", id=id, disabled=disabled, compact=True)
        self.active_effect_duration = 0
        self.styles.line_pad = 0
        self.relabel(label)

    def relabel(self, label: str) -> None:
        """Say something else from now on."""
        self.label = Content(label)
        self.styles.width = cells(label) + 4

    def render(self) -> Content:
        """The label, in brackets where it has the focus: color alone tells nobody."""
        label = Content(str(self.label))
        return Content("[ ") + label + Content(" ]") if self.has_focus else Content("  ") + label + Content("  ")


class Toggle(Guarded, Checkbox, can_focus=True):
    """Textual's checkbox in one line: Enter, Space or a click turns it."""

    def __init__(self, label: str, *, on: bool, id: str, disabled: bool = False) -> None:  # noqa: A002
        super().__init__(Content(label), on, id=id, disabled=disabled, compact=True)

    def render(self) -> Content:
        """A box with a cross in it, or none; marked where it has the focus, as color alone tells nobody."""
        edge = host_of(self).style.glyphs.cursor if self.has_focus else " "
        return Content(f"{edge}[{'x' if self.value else ' '}] ") + Content(str(self.label))

    def turn_off(self) -> None:
        """Off, because something else that excludes it was turned on."""
        with self.prevent(self.Changed):
            self.value = False
