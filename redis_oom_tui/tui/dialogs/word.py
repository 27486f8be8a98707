"""The word that has to be typed before something large runs."""

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from redis_oom_tui.tui.dialogs.controls import Field
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.widgets.line_widget import LineWidget


class Prompt(LineWidget):
    """A fixed text before a field."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.styles.height = 1
        self.styles.width = len(text) + 1

    def lines(self, width: int, height: int) -> tuple[Line, ...]:
        """The text."""
        del width, height
        return (((self._text, "warn"),),)


class WordLine(Horizontal):
    """`Type delete to go on`, and the field for it."""

    DEFAULT_CSS = "WordLine { height: 1; }"

    class Typed(Message):
        """What stands in the field is the word (`right`), or is not; `entered` after Enter in the field."""

        def __init__(self, *, right: bool, entered: bool) -> None:
            super().__init__()
            self.right = right
            self.entered = entered

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def compose(self) -> ComposeResult:
        """The text and the field."""
        yield Prompt(f" Type {self._word} to go on:")
        yield Field(id="word", placeholder="_" * len(self._word))

    def take(self, event: events.Key) -> bool:
        """Take a letter of the word that was typed with the focus elsewhere; False for any other key.

        Only its own letters: what a split escape sequence leaves behind stays out of the field.
        """
        if not event.character or event.character not in self._word:
            return False
        field = self.query_one(Field)
        self.screen.set_focus(field, scroll_visible=False)
        field.action_end()
        field.insert_text_at_cursor(event.character)
        return True

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        self._tell(message.value, entered=False)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self._tell(message.value, entered=True)

    def _tell(self, typed: str, *, entered: bool) -> None:
        self.post_message(self.Typed(right=typed.strip() == self._word, entered=entered))
