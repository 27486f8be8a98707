"""The frame of every dialog: nothing happens at once, Cancel has the focus, Escape goes back, Tab and Enter act.

On a slow link a split escape sequence arrives as letters and digits, so none of them does anything here.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from redis_oom_tui.tui.dialogs.box import Box
from redis_oom_tui.tui.dialogs.controls import FootLine, PushButton, ScrollText, TitleLine
from redis_oom_tui.tui.dialogs.input_guard import InputGuard
from redis_oom_tui.tui.dialogs.word import WordLine
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.host import Host

T = TypeVar("T")


def _typed_hint(word: str) -> str:
    return f"Type {word}, then Enter; Esc goes back"


class Dialog(InputGuard[T], Generic[T]):
    """A question with its answer, or None where it was left.

    A subclass gives a title, `body` and the label of what acts; `fields` are widgets between the text and the buttons,
    and `answer` is what pressing the acting button returns. What acts is dead until `word`, where given, was typed.
    """

    CANCEL: ClassVar[str] = "Cancel"
    hint = "Tab moves, Enter presses, Esc goes back"
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

    def __init__(self, title: str, *, act: str | None, danger: bool = False, word: str | None = None) -> None:
        super().__init__()
        self.title_text = title
        self.act = act
        self.danger = danger
        self.word = word
        self.box = Box(danger=danger)
        if word is not None:
            self.hint = _typed_hint(word)

    @property
    def host(self) -> Host:
        """The app, as far as it is known here."""
        return cast("Host", self.app)

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
        with self.box:
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
        self.box.fit()
        self.listen_soon()

    def on_resize(self) -> None:
        """Another terminal, another box."""
        self.box.fit()

    def refit(self) -> None:
        """The text has changed, perhaps in length."""
        self.box.fit()
        self.box.show_rest()

    async def want(self, word: str | None) -> None:
        """From now on what acts is dead until `word` was typed, or, without one, alive."""
        if word == self.word:
            return
        self.word = word
        self.hint = type(self).hint if word is None else _typed_hint(word)
        self.query_one(FootLine).say(self.hint, always=word is not None)
        self.query_one("#act", PushButton).disabled = word is not None
        await self.query(WordLine).remove()
        if word is not None:
            await self.query_one("#fields", Vertical).mount(WordLine(word))

    def action_leave(self) -> None:
        """Back, changing nothing."""
        self.dismiss(None)

    def action_step(self, by: int) -> None:
        """Move the focus."""
        order = [widget for widget in self.order() if not widget.disabled]
        at = order.index(self.focused) if self.focused in order else -1
        # At once, unlike Widget.focus: an Enter right behind a Tab must find the focus where the Tab has put it.
        self.set_focus(order[(at + by) % len(order)], scroll_visible=False)

    def action_go_down(self, lines: int) -> None:
        """Move the text by a line; where all of it is seen, go through the choices and Cancel, never to what acts."""
        if self.box.scrolls:
            self.box.scroll_lines(lines)
            return
        harmless = [widget for widget in self.query("#fields *, #cancel").results(Widget) if widget.can_focus]
        at = harmless.index(self.focused) if self.focused in harmless else len(harmless) - 1
        self.set_focus(harmless[(at + lines) % len(harmless)], scroll_visible=False)

    def action_go_page(self, pages: int) -> None:
        """Move the text by what is shown of it."""
        self.box.scroll_pages(pages)

    @on(ScrollText.Wheel)
    def _wheeled(self, message: ScrollText.Wheel) -> None:
        message.stop()
        self.turn(message.by)

    def turn(self, lines: int) -> None:
        """The mouse wheel moves the text."""
        self.box.scroll_lines(lines)

    @on(PushButton.Pressed)
    def _pressed(self, message: PushButton.Pressed) -> None:
        message.stop()
        if message.button.id == "act":
            self.conclude()
        else:
            self.action_leave()

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

    def conclude(self) -> None:
        """Give the answer, if there is one."""
        answer = self.answer()
        if answer is not None:
            self.dismiss(answer)
