"""Where the incident report is written to, and whether it holds names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.parts import Field, Toggle, marked, paragraph
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.words.hostile import safe_text

_INTRO = (
    "What the verdicts were since this screen was opened, figures before and after, findings, what the last scan found,"
    " and what was done. Markdown, or JSON for a name that ends in .json. It holds no secret."
)


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """The new file, and whether names of keys and clients go into it."""

    path: Path
    names: bool = True


class ExportDialog(Dialog[ExportChoice]):
    """Answers with a path at which nothing stands yet: no file is overwritten."""

    AUTO_FOCUS = "#path"

    def __init__(self, proposed: Path) -> None:
        super().__init__("Write the incident report", act="Write it")
        self.proposed = proposed
        self.error = ""

    def body(self, width: int) -> Sequence[Line]:
        """What is written, and what was wrong."""
        lines = paragraph(_INTRO, width)
        if self.error:
            lines += marked("! ", safe_text(self.error), width, "warn", "warn")
        return lines

    def fields(self) -> Iterable[Widget]:
        """The path, and the names."""
        yield Field(str(self.proposed), id="path")
        yield Toggle("with names of keys and clients", on=True, id="names")

    def order(self) -> list[Widget]:
        """The path comes first: writing a new file harms nobody."""
        return [self.query_one(name) for name in ("#path", "#names", "#act", "#cancel")]

    @on(Input.Submitted, "#path")
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.conclude()

    def answer(self) -> ExportChoice | None:
        """The choice, or None with the reason shown."""
        typed = self.query_one("#path", Input).value.strip()
        path = Path(typed).expanduser()
        if not typed or path.exists():
            self.error = f"{typed} exists already: give another name" if typed else "Give a name for the file"
            self.refit()
            return None
        return ExportChoice(path, self.query_one("#names", Toggle).on)
