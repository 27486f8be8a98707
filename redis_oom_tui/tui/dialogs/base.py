"""What every dialog is: nothing happens at once, Cancel has the focus, Escape goes back, Tab and Enter act.

On a slow link a split escape sequence arrives as letters and digits, so none of them does anything here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.formatting.sanitize import cells
from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.tui.drawing import Line, clip
from redis_oom_tui.tui.glyphs import ASCII
from redis_oom_tui.tui.host import Host, host_of
from redis_oom_tui.tui.widgets.cursor_list import ScrollingText
from redis_oom_tui.tui.widgets.fields import Field, LabelledField, PushButton
from redis_oom_tui.tui.widgets.line_widget import LineWidget

T = TypeVar("T")
EXPLAIN = Binding("f1", "app.explain", "Explain what has the focus", show=False, id="explain")

NOTICE_SECONDS = 0.2
"""From a question to the server until it is said that its answer is waited for."""

_WIDEST = 78
_BORDERED_FROM = 16
_AIR = 2
# The corners of the box, and the blanks round what stands on its edge.
_EDGES = 6


def waiting(host: Host) -> str:
    """What to say while the server is asked."""
    return f"Waiting for the server: it has {duration(host.profile.read_timeout_seconds)} for each reply."


class InputGuard(ModalScreen[T | None], Generic[T]):
    """A modal screen that is deaf for `GUARD_SECONDS`: keys meant for what was on screen before do not answer it."""

    GUARD_SECONDS: ClassVar[float] = 0.3
    BINDINGS: ClassVar[list[BindingType]] = [EXPLAIN]

    def __init__(self) -> None:
        super().__init__()
        self.guarded = self.GUARD_SECONDS > 0
        self._listening: Timer | None = None

    @property
    def host(self) -> Host:
        """The app, as far as it is known here."""
        return host_of(self)

    def on_screen_suspend(self) -> None:
        """Something lies over it: a second press of the key that closes that is not for this screen."""
        self.guarded = self.GUARD_SECONDS > 0
        self._stop_listening()

    def on_screen_resume(self) -> None:
        """It is on top, for the first time or again: it begins to listen after the first moment."""
        self._stop_listening()
        if self.guarded:
            self._listening = self.set_timer(self.GUARD_SECONDS, self._listen)

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close it, and what lies over it: a time that is up does not wait for a reader."""
        while self.app.screen is not self:
            self.app.pop_screen()
        return super().dismiss(result)

    def _listen(self) -> None:
        self.guarded = False

    def _stop_listening(self) -> None:
        """No timer of before opens what is covered, or what has only just come back."""
        if self._listening is not None:
            self._listening.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is heard while it is fresh."""
        del action, parameters
        return not self.guarded


class DialogText(ScrollingText, can_focus=False):
    """The text of a dialog: the dialog's keys and the wheel move it, it never takes the focus."""


class Box(Vertical):
    """As large as the content needs and the terminal has; the title stands on its edge."""

    DEFAULT_CSS = """
    Box {
        background: $panel;
        border: solid $accent;
        height: auto;
        border-title-style: bold reverse;
        border-subtitle-color: $foreground;
        border-subtitle-style: dim;
    }
    Box.-ascii { border: ascii $accent; }
    Box.-danger { border: solid $error; }
    Box.-danger.-ascii { border: ascii $error; }
    Box.-plain { border: none; border-top: solid $accent; }
    Box.-plain.-ascii { border-top: ascii $accent; }
    Box.-danger.-plain { border: none; border-top: solid $error; }
    Box.-danger.-plain.-ascii { border-top: ascii $error; }
    Box.-airy #content, Box.-airy #fields { margin-bottom: 1; }
    """

    def __init__(self, content: LineWidget, needed: Callable[[int], int], *, title: str, danger: bool) -> None:
        super().__init__(id="box")
        self._content = content
        self._needed = needed
        self.border_title = Content(title)
        self.set_class(danger, "-danger")

    def fit(self) -> None:
        """Take the size that suits the terminal, the content and the fields as they are now."""
        columns, rows = self.app.size
        plain = rows < _BORDERED_FROM
        self.set_class(plain, "-plain")
        self.set_class(host_of(self).style.glyphs is ASCII, "-ascii")
        width = columns if plain else min(columns, _WIDEST)
        self.styles.width = width
        fields = self.query_one("#fields")
        fields.display = bool(fields.children)
        fixed = (2 if plain else 3) + len(fields.children)
        needed = self._needed(width if plain else width - 2)
        self.set_class(not plain and rows - fixed - needed >= _AIR, "-airy")
        self._content.styles.height = max(1, min(needed, rows - fixed))
        self.call_after_refresh(self._content.redraw)


class Dialog(InputGuard[T], Generic[T]):
    """A question with its answer, or None where it was left.

    A subclass gives a title, `body` and the label of what acts; `fields` are widgets between the text and the buttons,
    and `answer` is what pressing the acting button returns.
    """

    CANCEL: ClassVar[str] = "Cancel"
    hint = "Tab: next   Enter: select   F1: help   Esc: cancel"
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background; }
    Dialog #buttons { height: 1; padding: 0 0 0 1; }
    Dialog #fields { height: auto; }
    """
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back, changing nothing", show=False),
        Binding("tab,right", "step(1)", "Next", show=False),
        Binding("shift+tab,left", "step(-1)", "Previous", show=False),
        Binding("down", "go_down(1)", "Down", show=False),
        Binding("up", "go_down(-1)", "Up", show=False),
        Binding("pagedown", "go_page(1)", "Page down", show=False),
        Binding("pageup", "go_page(-1)", "Page up", show=False),
    ]

    def __init__(self, title: str, *, act: str | None, danger: bool = False) -> None:
        super().__init__()
        self.act = act
        self.danger = danger
        self.title_text = title
        self.word: str | None = None
        self.text = DialogText(self._indented)
        self.content: LineWidget = self.text

    def _indented(self, width: int) -> list[Line]:
        return [clip(((" ", "text"), *line), width) for line in self.body(max(1, width - 2))]

    def body(self, width: int) -> Sequence[Line]:
        """The text of the question in lines of at most `width` cells."""
        del width
        return ()

    def needed(self, width: int) -> int:
        """The lines that all of the content takes."""
        return len(self._indented(width))

    def fields(self) -> Iterable[Widget]:
        """Widgets of one line each between the text and the buttons."""
        return ()

    def answer(self) -> T | None:
        """What the acting button returns; None refuses, and the dialog stays."""
        return None

    def compose(self) -> ComposeResult:
        self.content.id = "content"
        with Box(self.content, self.needed, title=self.title_text, danger=self.danger):
            yield self.content
            with Vertical(id="fields"):
                yield from self.fields()
                if self.word is not None:
                    yield WordLine(self.word)
            with Horizontal(id="buttons"):
                yield PushButton(self.CANCEL, id="cancel")
                if self.act is not None:
                    yield PushButton(self.act, id="act", danger=self.danger, disabled=self.word is not None)

    def on_mount(self) -> None:
        """Fit the box to the terminal."""
        self.refit()

    def on_resize(self) -> None:
        """Another terminal, another box."""
        self.refit()

    def refit(self) -> None:
        """The text, the fields or the terminal have changed."""
        box = self.query_one(Box)
        box.fit()
        hint = self.hint
        if cells(hint) > min(self.app.size.width, _WIDEST) - _EDGES:
            # What leads out of here is more than what explains it.
            hint = hint.replace("F1: help   ", "")
        box.border_subtitle = Content(hint)

    def action_leave(self) -> None:
        """Back, changing nothing."""
        self.dismiss(None)

    def action_step(self, by: int) -> None:
        """Move the focus to what stands next on the screen."""
        order = self.focus_chain
        index = order.index(self.focused) if self.focused in order else -1
        # At once, unlike Widget.focus: an Enter right behind a Tab must find the focus where the Tab has put it.
        self.set_focus(order[(index + by) % len(order)], scroll_visible=False)

    def action_go_down(self, lines: int) -> None:
        """Move the text by a line; where all of it is seen, go through the choices and Cancel, never to what acts."""
        if self.text.scrolls:
            self.text.action_move(lines)
            return
        harmless = [widget for widget in self.query("#fields *, #cancel").results(Widget) if widget.can_focus]
        index = harmless.index(self.focused) if self.focused in harmless else len(harmless) - 1
        self.set_focus(harmless[(index + lines) % len(harmless)], scroll_visible=False)

    def action_go_page(self, pages: int) -> None:
        """Move the text by what is shown of it."""
        self.text.action_page(pages)

    @on(PushButton.Pressed)
    def _pressed(self, message: PushButton.Pressed) -> None:
        message.stop()
        if message.button.id == "act":
            self.conclude()
        else:
            self.action_leave()

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.conclude()

    def conclude(self) -> None:
        """Give the answer, if there is one."""
        answer = self.answer()
        if answer is not None:
            self.dismiss(answer)


class WordLine(LabelledField):
    """The field for the word that has to be typed before something large runs."""

    class Typed(Message):
        """What stands in the field is the word (`right`), or is not; `entered` after Enter in the field."""

        def __init__(self, *, right: bool, entered: bool) -> None:
            super().__init__()
            self.right = right
            self.entered = entered

    def __init__(self, word: str) -> None:
        field = Field(id="word", placeholder="_" * len(word))
        super().__init__(f" Type {word} to confirm:", field, role="warn")
        self._word = word

    def take(self, event: events.Key) -> bool:
        """Take a letter of the word that was typed with the focus elsewhere; False for any other key.

        Only its own letters: what a split escape sequence leaves behind stays out of the field.
        """
        if not event.character or event.character not in self._word:
            return False
        self.screen.set_focus(self.field, scroll_visible=False)
        self.field.action_end()
        self.field.insert_text_at_cursor(event.character)
        return True

    @on(Input.Changed)
    @on(Input.Submitted)
    def _typed(self, message: Input.Changed | Input.Submitted) -> None:
        message.stop()
        right = message.value.strip() == self._word
        self.post_message(self.Typed(right=right, entered=isinstance(message, Input.Submitted)))


def _hint(word: str | None) -> str:
    return Dialog.hint if word is None else f'Type "{word}" and press Enter   F1: help   Esc: cancel'


class WordDialog(Dialog[T], Generic[T]):
    """A dialog whose acting button is dead until `word`, where there is one, was typed."""

    def __init__(self, title: str, *, act: str, danger: bool = False, word: str | None = None) -> None:
        super().__init__(title, act=act, danger=danger)
        self.word = word
        self.hint = _hint(word)

    async def want(self, word: str | None) -> None:
        """From now on what acts is dead until `word` was typed, or, without one, alive."""
        if word == self.word:
            return
        self.word = word
        self.hint = _hint(word)
        self.query_one("#act", PushButton).disabled = word is not None
        await self.query(WordLine).remove()
        if word is not None:
            await self.query_one("#fields", Vertical).mount(WordLine(word))
        self.refit()

    def on_key(self, event: events.Key) -> None:
        """The word may be typed wherever the focus is."""
        if not self.guarded and any(line.take(event) for line in self.query(WordLine)):
            event.stop()

    def on_word_line_typed(self, message: WordLine.Typed) -> None:
        """What acts comes alive with the word; Enter behind the word presses it."""
        message.stop()
        self.query_one("#act", PushButton).disabled = not message.right
        if message.right and message.entered:
            self.conclude()
