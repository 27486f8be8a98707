"""Questions answered by one of a few, by a number or an age, or by the path of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.formatting.sanitize import cut, safe_text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.drawing import Line, flagged, marked, merged, paragraph, spread
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from redis_oom_tui.tui.widgets.fields import Field, Toggle

# So many lines of the option under the cursor are seen, whatever is written above it.
_MOST_FOR_ONE = 3


class Option(Struct, frozen=True):
    """What may be picked: `value` is what the dialog answers with; `badge` stands out, drawn in `badge_role`, and so do
    the sentences of `warnings` below it.
    """

    value: str
    label: str
    note: str = ""
    badge: str = ""
    badge_role: str = "warn"
    warnings: tuple[str, ...] = ()


class PickList(CursorList[Option]):
    """The options under what they are for, each with its note below it. Textual's own list has another name: its style
    would be taken for this one too.
    """

    one_line = False

    def __init__(self, intro: str, options: Sequence[Option]) -> None:
        super().__init__()
        self._intro = intro
        self._options = tuple(options)

    @property
    def items(self) -> Sequence[Option]:
        return self._options

    def above(self, width: int, height: int) -> Sequence[Line]:
        """What the options are for; where it is low, as much as leaves room for the one under the cursor."""
        option = self.current
        lines = 0 if option is None else len(self.row(option, width, here=True))
        return self._about(width)[: max(0, height - min(lines, _MOST_FOR_ONE))]

    def _about(self, width: int) -> Sequence[Line]:
        return paragraph(safe_text(self._intro), width - 2, "text", " ")

    def row(self, item: Option, width: int, *, here: bool) -> Sequence[Line]:
        """Its label and badge, its note and warnings."""
        mark, role = (self.style.glyphs.cursor, "cursor") if here else (" ", "text")
        badge = ((" ", role), (f" {item.badge} ", item.badge_role)) if item.badge else ()
        # Of a sentence that is cut in its middle, a "not" may be lost.
        label = safe_text(item.label)
        # A figure stands right-aligned in front: wrapping would take the blanks before it away.
        indent = " " * (len(label) - len(label.lstrip()))
        (first, *more) = paragraph(label.lstrip(), max(8, width - 4 - cells_of(badge)), role, indent)
        lines = [merged(spread(((f" {mark} ", role), *first, (" ", role), *badge), (), width, role))]
        lines += [spread((("   ", role), *line), (), width, role) for line in more]
        lines += paragraph(safe_text(item.note), width - 2, "dim", "     ") if item.note else ()
        for text in item.warnings:
            lines += marked("     ! ", safe_text(text), width - 2, "text", "warn")
        return lines

    def needed(self, width: int) -> int:
        rows = sum(len(self.row(option, width, here=False)) for option in self._options)
        return rows + len(self._about(width))


class PickDialog(Dialog[str]):
    """Up and Down choose, Enter picks (`enter` says what that is); nothing happens yet, a confirmation follows."""

    CANCEL = "Back"
    AUTO_FOCUS = "PickList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "pick", show=False)]

    def __init__(
        self, title: str, intro: str, options: Sequence[Option], *, at: int = 0, enter: str = "choose"
    ) -> None:
        super().__init__(title, act=None)
        self.hint = f"Up/Down: select   Enter: {enter}   F1: help   Esc: cancel"
        self.options = PickList(intro, options)
        self.options.go_to(at)
        self.content = self.options

    def needed(self, width: int) -> int:
        return self.options.needed(width)

    def action_pick(self) -> None:
        option = self.options.current
        if option is not None:
            self.dismiss(option.value)


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
