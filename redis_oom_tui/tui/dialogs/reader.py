"""Something to read in full in a box: a long name, an entry of the log, what a policy means, what grew."""

from collections.abc import Callable, Sequence

from redis_oom_tui.formatting.hogs import changes
from redis_oom_tui.formatting.sanitize import reads_otherwise, safe_text
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.scan import Comparison
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.drawing import Line, Piece, cut_end, flagged, paragraph, quoted

_MOST_PATTERNS = 50


class ReadDialog(Dialog[bool]):
    """Text that scrolls: what `text` gives for a width, made harmless by whoever gives it."""

    CANCEL = "Close"

    def __init__(self, title: str, text: Callable[[int], Sequence[Line]]) -> None:
        super().__init__(title, act=None)
        self._lines = text

    def body(self, width: int) -> Sequence[Line]:
        return self._lines(width)


def paragraphs(pieces: Sequence[Piece], width: int) -> list[Line]:
    """Each piece as a paragraph."""
    return [line for text, role in pieces for line in paragraph(safe_text(text), width, role)]


def name_lines(key: KeyId, facts: Sequence[str], width: int) -> list[Line]:
    """A key's whole name, however long, by its exact bytes; `facts` are sentences about the key."""
    lines = paragraphs([(fact, "text") for fact in facts], width)
    where = f"Database {key.db}" + (f", node {safe_text(key.node)}" if key.node else "")
    lines += paragraph(f"{where}; the name is {count(len(key.key))} bytes long:", width, "dim")
    if reads_otherwise(key.key):
        lines.append((("  reads as ", "dim"), (safe_text(key.key, max(8, width - 11)), "text")))
    return [*lines, *quoted(key.key, width)]


def growth_lines(comparison: Comparison, width: int) -> list[Line]:
    """What grew: a row a pattern, the largest change first, under what makes the two scans hard to compare."""
    since, *rest = changes(comparison, _MOST_PATTERNS)
    head, *rows = rest[len(comparison.notes) :]
    lines: list[Line] = [((cut_end(since, width), "text"),)]
    lines += flagged(comparison.notes, width, "warn")
    if not comparison.patterns:
        lines.append((("No pattern has grown or shrunk.", "text"),))
    return [*lines, ((cut_end(head, width), "dim"),), *(((cut_end(row, width), "text"),) for row in rows)]
