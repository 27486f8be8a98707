"""The word that has to be typed before something large runs."""

from textual.app import ComposeResult
from textual.containers import Horizontal

from redis_oom_tui.tui.dialogs.parts import Field
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.tui.widgets.canvas import Canvas


class Prompt(Canvas):
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

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def compose(self) -> ComposeResult:
        """The text and the field."""
        yield Prompt(f" Type {self._word}:")
        yield Field(id="word")
