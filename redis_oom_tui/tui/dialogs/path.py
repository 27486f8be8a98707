"""A question whose answer is a path: of a new file, or of one that is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.parts import Field, marked, paragraph
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.words.hostile import safe_text

T = TypeVar("T")


class AsksPath(Dialog[T]):
    """Takes a path. With `new`, one at which nothing stands yet: no file is overwritten."""

    AUTO_FOCUS = "#path"

    def __init__(self, title: str, intro: str, proposed: Path | None, *, act: str, new: bool) -> None:
        super().__init__(title, act=act)
        self.intro = intro
        self.proposed = "" if proposed is None else str(proposed)
        self.new = new
        self.error = ""

    def body(self, width: int) -> Sequence[Line]:
        """What the file is for, and what was wrong with the path."""
        lines = paragraph(self.intro, width)
        if self.error:
            lines += marked("! ", safe_text(self.error), width, "warn", "warn")
        return lines

    def fields(self) -> Sequence[Widget]:
        """The path."""
        return [Field(self.proposed, id="path")]

    def order(self) -> list[Widget]:
        """The path comes first: a new file, or a look at one, harms nobody."""
        choices = [widget for widget in self.query("#fields > *").results(Widget) if widget.can_focus]
        return [*choices, self.query_one("#act"), self.query_one("#cancel")]

    @on(Input.Submitted, "#path")
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.conclude()

    def path(self) -> Path | None:
        """What was typed, or None with the reason shown."""
        typed = self.query_one("#path", Input).value.strip()
        path = Path(typed).expanduser()
        if typed and path.exists() is not self.new:
            return path
        if not typed:
            self.error = "Give a name for the file" if self.new else "Give the name of a file"
        else:
            self.error = f"{typed} exists already: give another name" if self.new else f"{typed} does not exist"
        self.refit()
        return None


class PathDialog(AsksPath[Path]):
    """Answers with the path alone."""

    def answer(self) -> Path | None:
        """The path."""
        return self.path()
