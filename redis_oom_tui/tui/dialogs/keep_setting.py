"""A setting that goes back by itself: how long is left, and a way to keep it."""

from collections.abc import Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import value_before, value_now
from redis_oom_tui.models.settings import ChangeResult
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import marked, paragraph
from redis_oom_tui.tui.drawing import Line


class KeepDialog(Dialog[bool]):
    """Answers True to keep it. Left, or when the time is up, the old value returns."""

    CANCEL = "Let it go back"

    def __init__(self, result: ChangeResult, until: float) -> None:
        super().__init__(f"Keep {safe_text(result.change.name, 40)}?", act="Keep it")
        self.result = result
        self.until = until

    def body(self, width: int) -> Sequence[Line]:
        """What it is now, what it goes back to, and when."""
        left = max(0, round(self.until - self.host.clock.monotonic()))
        lines = paragraph(f"Now: {value_now(self.result)}", width, "title")
        old = value_before(self.result)
        lines += paragraph(f"It goes back to {old} in {left} s unless you keep it.", width)
        for sentence in self.result.change.returns:
            lines += marked("! ", safe_text(sentence), width, "text", "warn")
        return lines

    def on_mount(self) -> None:
        """Count down."""
        super().on_mount()
        self.set_interval(1.0, self._count)

    def _count(self) -> None:
        if self.host.clock.monotonic() >= self.until:
            self.dismiss(None)
        else:
            self.refit()

    def answer(self) -> bool | None:
        """Keep it."""
        return True
