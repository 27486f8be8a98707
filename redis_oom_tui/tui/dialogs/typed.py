"""Questions answered by a line of text: a number or an age, and a path of a file that is new or there already."""

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct
from textual import on
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.formatting.sanitize import cut, safe_text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.drawing import Line, flagged, paragraph
from redis_oom_tui.tui.widgets.fields import Field, Toggle

T = TypeVar("T")

_LABEL = "Full path  "
_REPORT = (
    "Verdicts since this screen was opened, figures before and after, findings, the last scan, and actions."
    " Markdown, HTML for a name that ends in .html, JSON for .json. It holds no secret."
)


class TypedDialog(Dialog[T], Generic[T]):
    """Asks for one line of text, and shows what is wrong with it until something else is typed."""

    def __init__(self, title: str, *, act: str) -> None:
        super().__init__(title, act=act)
        self.wrong = ""

    def intro(self, width: int) -> Sequence[Line]:
        """What is asked."""
        raise NotImplementedError

    def read(self, typed: str) -> T:
        """The answer that was typed. Raises BadInput."""
        raise NotImplementedError

    def body(self, width: int) -> Sequence[Line]:
        return [*self.intro(width), *flagged([self.wrong] if self.wrong else (), width, "warn")]

    def answer(self) -> T | None:
        try:
            return self.read(self.query_one(Input).value.strip())
        except BadInput as error:
            self.wrong = str(error)
            self.refit()
            return None

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        if self.wrong:
            self.wrong = ""
            self.refit()


class AsksPath(Dialog[T]):
    """Takes a path. With `new`, one at which nothing stands yet: no file is overwritten."""

    AUTO_FOCUS = "#path"

    def __init__(self, title: str, intro: str, proposed: Path | None, *, act: str, new: bool) -> None:
        super().__init__(title, act=act)
        self.intro = intro
        self.typed = "" if proposed is None else str(proposed)
        self.new = new
        self.missed = False

    def body(self, width: int) -> Sequence[Line]:
        """What the file is for, where it lies, and what is wrong with the path."""
        lines = paragraph(self.intro, width)
        if self.typed:
            full = cut(safe_text(str(Path.cwd() / self._path)), max(1, width - len(_LABEL)))
            lines.append(((_LABEL, "dim"), (full, "title")))
        wrong = self._wrong()
        if wrong and (self.typed or self.missed):
            lines += flagged([wrong], width, "warn")
        return lines

    @property
    def _path(self) -> Path:
        try:
            return Path(self.typed).expanduser()
        except RuntimeError:
            return Path(self.typed)

    def _wrong(self) -> str:
        """Why the path will not do, '' where it will."""
        if not self.typed:
            return "Give a name for the file" if self.new else "Give the name of a file"
        path = self._path
        try:
            if not self.new:
                return "" if path.exists() else "This file does not exist"
            if path.exists() or path.is_symlink():
                return "This file exists already, and is not overwritten: give another name"
            return "" if path.parent.is_dir() else "This folder does not exist: give another"
        except (OSError, ValueError) as error:
            return f"This cannot be the name of a file: {getattr(error, 'strerror', None) or error}"

    def fields(self) -> Sequence[Widget]:
        return [Field(self.typed, id="path")]

    @on(Input.Changed, "#path")
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        typed = message.value.strip()
        if typed != self.typed:
            self.typed, self.missed = typed, False
            self.refit()

    def path(self) -> Path | None:
        """What was typed, or None with the reason shown."""
        self.typed = self.query_one("#path", Input).value.strip()
        if not self._wrong():
            return self._path
        self.missed = True
        self.refit()
        return None


class PathDialog(AsksPath[Path]):
    """Answers with the path alone."""

    def answer(self) -> Path | None:
        return self.path()


class ExportChoice(Struct, frozen=True):
    """The new file, and whether names of keys and clients go into it."""

    path: Path
    names: bool = True


class ExportDialog(AsksPath[ExportChoice]):
    """Answers with a new path, and the choice of names."""

    def __init__(self, proposed: Path) -> None:
        super().__init__("Write the incident report", _REPORT, proposed, act="Write", new=True)

    def fields(self) -> Sequence[Widget]:
        return [*super().fields(), Toggle("include key and client names", on=True, id="names")]

    def answer(self) -> ExportChoice | None:
        path = self.path()
        return None if path is None else ExportChoice(path, self.query_one("#names", Toggle).value)
