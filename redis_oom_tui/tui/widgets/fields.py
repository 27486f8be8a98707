"""Lines to type in: a field, one with words before it, and the filter of a table."""

import functools
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from redis_oom_tui.formatting.sanitize import cells, escape_glob, unescape_exact
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.key_patterns import compiled_glob
from redis_oom_tui.tui.drawing import Line
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
