"""The frame of every dialog: nothing happens at once, Cancel has the focus, Escape goes back, Tab and Enter act.

On a slow link a split escape sequence arrives as letters and digits, so none of them does anything here; and keys that
were meant for what was on screen before are ignored for the first moment.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.tui.dialogs.parts import FootLine, PushButton, ScrollText, TitleLine
from redis_oom_tui.tui.dialogs.word import WordLine
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.tui.glyphs import ASCII

if TYPE_CHECKING:
    from redis_oom_tui.tui.app import TriageApp

T = TypeVar("T")

_WIDEST = 78
_BORDERED_FROM = 16
_AIR = 2


class Dialog(ModalScreen[T | None], Generic[T]):
    """A question with its answer, or None where it was left.

    A subclass gives a title, `body` and the label of what acts; `fields` are widgets between the text and the buttons,
    and `answer` is what pressing the acting button returns. What acts is dead until `word`, where given, was typed.
    """

    GUARD_SECONDS: ClassVar[float] = 0.3
    CANCEL: ClassVar[str] = "Cancel"
    hint = "Tab moves, Enter presses, Esc goes back"
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background; }
    Dialog #box { background: $panel; border: solid $accent; height: auto; padding: 0; }
    Dialog #box.-plain { border: none; }
    Dialog #box.-ascii { border: ascii $accent; }
    Dialog #box.-danger { border: solid $error; }
    Dialog #box.-danger.-ascii { border: ascii $error; }
    Dialog #box.-danger.-plain { border: none; }
    Dialog #buttons { height: 1; padding: 0 0 0 1; }
    Dialog #fields { height: auto; }
    Dialog #box.-airy TitleLine, Dialog #box.-airy #fields { margin-bottom: 1; }
    """
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back, changing nothing", show=False),
        Binding("tab,right", "step(1)", "Next", show=False),
        Binding("shift+tab,left", "step(-1)", "Previous", show=False),
        Binding("down", "scroll_text(1)", "Down", show=False),
        Binding("up", "scroll_text(-1)", "Up", show=False),
        Binding("pagedown", "scroll_page(1)", "Page down", show=False),
        Binding("pageup", "scroll_page(-1)", "Page up", show=False),
    ]

    def __init__(self, title: str, *, act: str | None, danger: bool = False, word: str | None = None) -> None:
        super().__init__()
        self.title_text = title
        self.act = act
        self.danger = danger
        self.word = word
        self.guarded = self.GUARD_SECONDS > 0

    @property
    def triage(self) -> "TriageApp":
        """The app, with its own type."""
        return cast("TriageApp", self.app)

    def body(self, width: int) -> Sequence[Line]:
        """The text of the question in lines of at most `width` cells."""
        del width
        return ()

    def fields(self) -> Iterable[Widget]:
        """Widgets of one line each between the text and the buttons."""
        return ()

    def answer(self) -> T | None:
        """What the acting button returns; None refuses, and the dialog stays."""
        return None

    def order(self) -> list[Widget]:
        """What Tab goes through: Cancel, the word to type, what acts, and the choices."""
        cancel, *act = self.query(PushButton).results(PushButton)
        fields = [widget for widget in self.query("#fields > *").results(Widget) if widget.can_focus]
        return [cancel, *self.query("#word").results(Widget), *act, *fields]

    def compose(self) -> ComposeResult:
        """Title, text, fields, buttons."""
        with Vertical(id="box"):
            yield TitleLine(self.title_text, danger=self.danger)
            yield ScrollText(self.body)
            yield FootLine(self.hint, always=self.hint != Dialog.hint)
            with Vertical(id="fields"):
                yield from self.fields()
                if self.word is not None:
                    yield WordLine(self.word)
            with Horizontal(id="buttons"):
                yield PushButton(self.CANCEL, id="cancel")
                if self.act is not None:
                    yield PushButton(self.act, id="act", danger=self.danger, disabled=self.word is not None)

    def on_mount(self) -> None:
        """Fit the box to the terminal, and begin to listen after a moment."""
        self._fit()
        if self.guarded:
            self.set_timer(self.GUARD_SECONDS, self._listen)

    def _listen(self) -> None:
        self.guarded = False

    def on_resize(self) -> None:
        """Another terminal, another box."""
        self._fit()

    def refit(self) -> None:
        """The text has changed, perhaps in length."""
        self._fit()
        self.query_one(ScrollText).redraw()
        self._show_rest()

    def _fit(self) -> None:
        columns, rows = self.app.size
        plain = rows < _BORDERED_FROM
        box = self.query_one("#box")
        box.set_class(plain, "-plain")
        box.set_class(self.danger, "-danger")
        box.set_class(self.triage.pen.glyphs is ASCII, "-ascii")
        edge = 0 if plain else 2
        width = columns if plain else min(columns, _WIDEST)
        box.styles.width = width
        text = self.query_one(ScrollText)
        fixed = edge + 3 + sum(1 for _ in self.query("#fields > *"))
        needed = text.needed(width - edge - 2)
        box.set_class(not plain and rows - fixed - needed >= _AIR, "-airy")
        text.styles.height = max(1, min(needed, rows - fixed))
        self.call_after_refresh(self._show_rest)

    def _show_rest(self) -> None:
        text = self.query_one(ScrollText)
        text.redraw()
        self.query_one(FootLine).show(text.below)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is heard while the dialog is too fresh to have been read."""
        del action, parameters
        return not self.guarded

    def action_leave(self) -> None:
        """Back, changing nothing."""
        self.dismiss(None)

    def action_step(self, by: int) -> None:
        """Move the focus."""
        order = [widget for widget in self.order() if not widget.disabled]
        at = order.index(self.focused) if self.focused in order else -1
        # At once, unlike Widget.focus: an Enter right behind a Tab must find the focus where the Tab has put it.
        self.set_focus(order[(at + by) % len(order)], scroll_visible=False)

    def action_scroll_text(self, lines: int) -> None:
        """Move the text by a line."""
        self.query_one(ScrollText).scroll_by(lines)
        self._show_rest()

    def action_scroll_page(self, pages: int) -> None:
        """Move the text by what is shown of it."""
        text = self.query_one(ScrollText)
        text.scroll_by(pages * max(1, text.size.height - 1))
        self._show_rest()

    @on(ScrollText.Wheel)
    def _wheeled(self, message: ScrollText.Wheel) -> None:
        message.stop()
        self.action_scroll_text(message.by)

    @on(PushButton.Pressed)
    def _pressed(self, message: PushButton.Pressed) -> None:
        message.stop()
        if message.button.id == "act":
            self.conclude()
        else:
            self.action_leave()

    @on(Input.Changed, "#word")
    def _typed(self, message: Input.Changed) -> None:
        self.query_one("#act", PushButton).disabled = message.value.strip() != self.word

    @on(Input.Submitted, "#word")
    def _submitted(self) -> None:
        if not self.query_one("#act", PushButton).disabled:
            self.conclude()

    def conclude(self) -> None:
        """Give the answer, if there is one."""
        answer = self.answer()
        if answer is not None:
            self.dismiss(answer)
