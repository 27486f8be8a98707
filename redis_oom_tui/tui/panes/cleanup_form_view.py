"""The form of a cleanup on the screen: a cursor, a line to type in, choices to turn, and the search to begin."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.panes import cleanup_form
from redis_oom_tui.tui.panes.cleanup_draw import form_lines
from redis_oom_tui.tui.panes.cleanup_form import Entry, Form
from redis_oom_tui.tui.widgets.line_widget import LineWidget


class FormView(LineWidget, can_focus=True):
    """Draws the form and moves in it; what is typed comes from the pane's line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "unmark", "forget marks", id="cleanup.unmark", tooltip="Look at all keys, not only marked ones"),
        Binding("delete,backspace", "clear", "Empty the line", show=False, id="cleanup.clear"),
        Binding("right,space,l", "turn(1)", "Next choice", show=False),
        Binding("left,h", "turn(-1)", "Previous choice", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("home,pageup", "move(-99)", "First line", show=False),
        Binding("end,pagedown", "move(99)", "Last line", show=False),
    ]

    class Look(Message):
        """Look for what the form means."""

    class Edit(Message):
        """Type into that line."""

        def __init__(self, entry: Entry, text: str) -> None:
            super().__init__()
            self.entry = entry
            self.text = text

    def __init__(self) -> None:
        super().__init__()
        self.form = Form()
        self.at = 0
        self.error = ""
        self.unseen: str | None = None

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """As `cleanup_draw` has it."""
        deeds = self.host.actions
        self.at = max(0, min(self.at, len(cleanup_form.entries(self.form))))
        # While the server is still being reached nothing is known to be refused.
        refused = deeds.why_not(Action.DELETE) if deeds.acts or self.host.startup.over else None
        error = self.error or deeds.cleanup.error
        return form_lines(self.form, self.at, width, height, self.pen, error=error, refused=refused, unseen=self.unseen)

    def fill(self, form: Form) -> None:
        """Another form."""
        self.form, self.at, self.error = form, 0, ""
        self.redraw()

    def wrong(self, sentence: str) -> None:
        """Say what is wrong with the form; '' where nothing is."""
        self.error = sentence
        self.redraw()

    def take(self, entry: Entry, text: str) -> bool:
        """Put `text` into that line; False, with the reason shown, where it means nothing there."""
        try:
            self.form = cleanup_form.with_value(self.form, entry, text)
        except BadInput as error:
            self.wrong(str(error))
            return False
        self.wrong("")
        return True

    @property
    def entry(self) -> Entry | None:
        """The line under the cursor; None on the last one, which begins the search."""
        lines = cleanup_form.entries(self.form)
        return lines[self.at] if self.at < len(lines) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Marks are forgotten where there are some."""
        del parameters
        return action != "unmark" or bool(self.form.marks)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.at = max(0, min(len(cleanup_form.entries(self.form)), self.at + by))
        self.redraw()

    def begin(self) -> None:
        """Type, turn, or begin the search: whatever the line is for."""
        entry = self.entry
        if entry is None:
            self.post_message(self.Look())
        elif entry.choices:
            self.action_turn(1)
        else:
            self.post_message(self.Edit(entry, cleanup_form.value(self.form, entry)))

    def action_turn(self, by: int) -> None:
        """The next choice of a line that has some."""
        entry = self.entry
        if entry is not None and entry.choices:
            self.form = cleanup_form.turned(self.form, entry, by)
            self.redraw()

    def action_clear(self) -> None:
        """Empty the line."""
        entry = self.entry
        if entry is not None and not entry.choices:
            self.take(entry, "")

    def action_unmark(self) -> None:
        """Look at all keys, not only at marked ones."""
        self.fill(Form())
        self.screen.refresh_bindings()

    def on_click(self, event: events.Click) -> None:
        """A click on a line moves there; on the last one it begins the search."""
        text = "".join(piece for piece, _ in self._drawn[event.y]) if event.y < len(self._drawn) else ""
        for n, entry in enumerate(cleanup_form.entries(self.form)):
            if text[2:].startswith(entry.label):
                self.at = n
                self.redraw()
        if "Look for these keys" in text:
            self.post_message(self.Look())
