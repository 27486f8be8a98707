"""A plain question with a yes and a no: for what needs no choices of its own."""

from collections.abc import Sequence

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import marked, paragraph
from redis_oom_tui.tui.drawing import Line


class Question(Struct, frozen=True):
    """What is asked. `lines` are sentences, `warnings` stand out; `act` says what the acting button does.

    `word`, where given, must be typed before anything can be pressed.
    """

    title: str
    lines: tuple[str, ...]
    act: str
    warnings: tuple[str, ...] = ()
    danger: bool = True
    word: str | None = None


class ConfirmDialog(Dialog[bool]):
    """Answers True, or None where it was left."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.title, act=question.act, danger=question.danger, word=question.word)
        self.question = question

    def body(self, width: int) -> Sequence[Line]:
        """The sentences, then the warnings."""
        lines: list[Line] = []
        for text in self.question.lines:
            lines += paragraph(safe_text(text), width)
        for text in self.question.warnings:
            lines += marked("! ", safe_text(text), width, "text", "warn")
        return lines

    def answer(self) -> bool | None:
        """Yes."""
        return True
