"""Where a file is written to."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.parts import Field, marked, paragraph
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.words.hostile import safe_text


class PathDialog(Dialog[Path]):
    """Answers with a path at which nothing stands yet: no file is overwritten."""

    AUTO_FOCUS = "#path"

    def __init__(self, title: str, intro: str, proposed: Path, *, act: str) -> None:
        super().__init__(title, act=act)
        self.intro = intro
        self.proposed = proposed
        self.error = ""

    def body(self, width: int) -> Sequence[Line]:
        """What is written, and what was wrong."""
        lines = paragraph(safe_text(self.intro), width)
        if self.error:
            lines += marked("! ", safe_text(self.error), width, "warn", "warn")
        return lines

    def fields(self) -> Iterable[Widget]:
        """The path."""
        yield Field(str(self.proposed), id="path")

    def order(self) -> list[Widget]:
        """The path comes first: writing a new file harms nobody."""
        return [self.query_one("#path"), self.query_one("#act"), self.query_one("#cancel")]

    @on(Input.Submitted, "#path")
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.conclude()

    def answer(self) -> Path | None:
        """The path, or None with the reason shown."""
        typed = self.query_one("#path", Input).value.strip()
        path = Path(typed).expanduser()
        if not typed or path.exists():
            self.error = f"{typed} exists already: give another name" if typed else "Give a name for the file"
            self.refit()
            return None
        return path
