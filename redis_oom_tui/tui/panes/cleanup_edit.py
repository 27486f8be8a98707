"""The line at the bottom of the form in which a value is typed."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from redis_oom_tui.tui.dialogs.controls import Field
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.panes.cleanup_form import Entry
from redis_oom_tui.tui.widgets.line_widget import LineWidget


class Label(LineWidget):
    """What is being typed."""

    text = ""

    def __init__(self) -> None:
        super().__init__()
        self.styles.height = 1
        self.styles.width = 17

    def lines(self, width: int, height: int) -> tuple[Line, ...]:
        """The text."""
        del width, height
        return (((f" {self.text}:", "key"),),)


class EditLine(Horizontal):
    """Open while a line of the form is typed; Enter and Tab keep, Escape drops."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "keep", "Keep it", show=False)]
    DEFAULT_CSS = """
    EditLine { height: 1; display: none; }
    EditLine.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.label = Label()
        self.field = Field(id="edit")
        self.entry: Entry | None = None

    def compose(self) -> ComposeResult:
        """What, and where it is typed."""
        yield self.label
        yield self.field

    def open(self, entry: Entry, text: str) -> None:
        """Type into that line."""
        self.entry = entry
        self.label.text = entry.label
        self.field.value = text
        self.field.cursor_position = len(text)
        self.field.placeholder = entry.hint
        self.add_class("-open")
        self.label.redraw()
        self.field.focus()

    def action_keep(self) -> None:
        """As Enter does: the focus never leaves a line that is still open."""
        self.field.post_message(Field.Submitted(self.field, self.field.value))

    def close(self) -> None:
        """Hide it."""
        self.entry = None
        self.remove_class("-open")

    @property
    def is_open(self) -> bool:
        """Whether something is being typed."""
        return self.entry is not None
