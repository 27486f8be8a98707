"""The filter: a line to type in, and what a typed text lets through."""

import functools
from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.key_patterns import compiled_glob


@functools.lru_cache(maxsize=8)
def matcher(text: str) -> Callable[[bytes], bool]:
    r"""What `text` lets through: with `*`, `?` or `[` a glob for the whole name, else any part of it, in any case.

    >>> [matcher(text)(b"user:1") for text in ("USER", "user:?", "user:??", r"r\x3a")]
    [True, True, False, True]
    """
    if any(special in text for special in "*?["):
        pattern = compiled_glob(text.encode("utf-8", "surrogateescape"))
        return lambda name: pattern.fullmatch(name) is not None
    try:
        part = unescape_exact(text).lower()
    except BadInput:
        part = text.encode("utf-8", "surrogateescape").lower()
    return lambda name: part in name.lower()


class FilterLine(Input):
    """A line that opens with `/`, filters as one types, and closes with Enter (keeps) or Escape (drops)."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "keep", "keep the filter", priority=True)]

    class Filtered(Message):
        """Another text stands in the line."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The line was closed; the filter stays."""

    def __init__(self) -> None:
        super().__init__(placeholder="part of a name, or a glob such as user:*", select_on_focus=False)
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
        """Close, and keep the filter."""
        self.close(drop=False)
        self.post_message(self.Closed())
