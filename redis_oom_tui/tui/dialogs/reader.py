"""Something to read in full: a long name, an entry of the log, what an action came to."""

from collections.abc import Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import paragraph
from redis_oom_tui.tui.drawing import Line, Piece


class ReadDialog(Dialog[bool]):
    """Text that scrolls. `pieces` are (text, role); what they say is made harmless here."""

    CANCEL = "Close"

    def __init__(self, title: str, pieces: Sequence[Piece], *, act: str | None = None) -> None:
        super().__init__(title, act=act)
        self.pieces = tuple(pieces)

    def body(self, width: int) -> Sequence[Line]:
        """Each piece as a paragraph."""
        lines: list[Line] = []
        for text, role in self.pieces:
            lines += paragraph(safe_text(text), width, role)
        return lines

    def answer(self) -> bool | None:
        """What the second button offers."""
        return True
