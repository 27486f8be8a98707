"""What grew between a saved scan and the one on screen."""

from collections.abc import Sequence

from redis_oom_tui.formatting.hogs import changes
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.scan import Comparison
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import cut_end, marked
from redis_oom_tui.tui.drawing import Line

_SHOWN = 50


class GrowthDialog(Dialog[bool]):
    """A row a family, the largest change first, under what makes the two scans hard to compare."""

    CANCEL = "Close"

    def __init__(self, comparison: Comparison) -> None:
        super().__init__("What grew", act=None)
        self.comparison = comparison

    def body(self, width: int) -> Sequence[Line]:
        """Notes, then rows in their columns."""
        since, *rest = changes(self.comparison, _SHOWN)
        rows = rest[len(self.comparison.notes) :]
        lines: list[Line] = [((cut_end(since, width), "text"),)]
        for note in self.comparison.notes:
            lines += marked("! ", safe_text(note), width, "warn", "warn")
        head, *families = rows
        if not self.comparison.patterns:
            lines.append((("No family of keys has grown or shrunk.", "text"),))
        return [*lines, ((cut_end(head, width), "dim"),), *(((cut_end(row, width), "text"),) for row in families)]
