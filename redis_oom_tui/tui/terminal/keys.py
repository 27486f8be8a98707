"""What is typed, made into keys: Escape and a key that come in one packet are both meant."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from textual._xterm_parser import XTermParser
from textual.events import Key

if TYPE_CHECKING:
    from textual.app import App

_ESCAPE = "\x1b"
# Alt+Tab and Alt+Backspace as some terminals send them: Shift+Tab, and the word before the cursor.
_KEPT = frozenset({"\t", "\x7f", _ESCAPE})


class KeyParser(XTermParser):
    """Textual's, but Escape and a key in one packet, as over a slow link, are Escape and that key.

    Textual makes Alt and the key of it, and nothing here is bound to Alt. Where a line is typed (`typing`), the few
    that move in it stay as they are.
    """

    def __init__(self, debug: bool = False, *, typing: Callable[[], bool] = lambda: False) -> None:
        super().__init__(debug)
        self._typing = typing

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        pair = len(sequence) == 2 and sequence[0] == _ESCAPE and sequence[1] not in _KEPT
        if alt or (pair and sequence[1].isprintable() and self._stands_alone(sequence)):
            yield Key("escape", _ESCAPE)
            yield from super()._sequence_to_key_events(sequence[-1])
        else:
            yield from super()._sequence_to_key_events(sequence)

    def _stands_alone(self, sequence: str) -> bool:
        """Whether Textual has a meaning of its own for these two, which no line that is typed needs."""
        return not self._typing() and any(True for _ in super()._sequence_to_key_events(sequence))


def is_typing(app: "App[object]") -> bool:
    """Whether a line of text has the focus."""
    from textual.widgets import Input  # noqa: PLC0415 - not before the first frame

    return isinstance(app.focused, Input)
