"""Where the incident report is written to, and whether it holds names."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from textual.widget import Widget

from redis_oom_tui.tui.dialogs.controls import Toggle
from redis_oom_tui.tui.dialogs.path import AsksPath

_INTRO = (
    "What the verdicts were since this screen was opened, figures before and after, findings, what the last scan found,"
    " and what was done. Markdown, or JSON for a name that ends in .json. It holds no secret."
)


class ExportChoice(Struct, frozen=True):
    """The new file, and whether names of keys and clients go into it."""

    path: Path
    names: bool = True


class ExportDialog(AsksPath[ExportChoice]):
    """Answers with a new path, and the choice of names."""

    def __init__(self, proposed: Path) -> None:
        super().__init__("Write the incident report", _INTRO, proposed, act="Write it", new=True)

    def fields(self) -> Sequence[Widget]:
        """The path, and the names."""
        return [*super().fields(), Toggle("with names of keys and clients", on=True, id="names")]

    def answer(self) -> ExportChoice | None:
        """The choice, or None with the reason shown."""
        path = self.path()
        return None if path is None else ExportChoice(path, self.query_one("#names", Toggle).on)
