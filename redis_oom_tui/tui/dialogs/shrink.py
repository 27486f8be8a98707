"""Making a key smaller: which of its elements go, and the confirmation of what was found."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from textual.widget import Widget

from redis_oom_tui.formatting.sanitize import escape_exact, from_glob, safe_text
from redis_oom_tui.formatting.sizes import parse_duration, plain_number
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.stepped import ShrinkRequest
from redis_oom_tui.rules import shrinking
from redis_oom_tui.tui.dialogs.base import WordDialog
from redis_oom_tui.tui.dialogs.typed import TypedDialog
from redis_oom_tui.tui.drawing import Line, marked, paragraph
from redis_oom_tui.tui.widgets.fields import Field, LabelledField, PushButton, Toggle

_ASKED = {
    "list": ("How many of the newest elements are to stay? The rest is counted and shown first.", "Keep the newest:"),
    "hash": ("Which fields go? A glob such as session:* matches whole names.", "Fields:"),
    "set": ("Which members go? A glob such as session:* matches whole names.", "Members:"),
}
_ORDERED = (
    "How many of the newest are to stay (such as 10000), or from which age on do they go (such as 7d)? What goes is"
    " counted and shown first."
)


class ShrinkChoiceDialog(TypedDialog[ShrinkRequest]):
    """Answers with what is to go of a key of type `kind`; nothing happens yet."""

    AUTO_FOCUS = "#wanted"

    def __init__(self, key: KeyId, kind: str) -> None:
        super().__init__("Shrink this key", act="Preview")
        self.key = key
        self.kind = kind

    def intro(self, width: int) -> Sequence[Line]:
        intro, _ = _ASKED.get(self.kind, (_ORDERED, ""))
        name = escape_exact(self.key.key[:200])
        return [*paragraph(f"{self.kind} {name}", width, "title"), *paragraph(intro, width)]

    def fields(self) -> Iterable[Widget]:
        _, label = _ASKED.get(self.kind, ("", "Number or age:"))
        yield LabelledField(f" {label}", Field(id="wanted"), role="text")

    def read(self, typed: str) -> ShrinkRequest:
        request = self._request(typed)
        shrinking.check(request)
        return request

    def _request(self, typed: str) -> ShrinkRequest:
        if self.kind in shrinking.BY_NAME:
            return ShrinkRequest(self.key, matching=from_glob(typed))
        number = plain_number(typed.replace(",", ""))
        if number is not None:
            return ShrinkRequest(self.key, keep_last=number)
        if self.kind == "list":
            raise BadInput("The elements of a list carry no time: type a number")
        return ShrinkRequest(self.key, older_than_seconds=parse_duration(typed))


class StepQuestion(Struct, frozen=True):
    """What is asked before a frozen plan runs: what has to be read, and the word to type, for a choice of backup."""

    title: str
    act: str
    consent: Callable[[BackupChoice], tuple[str, ...]]
    word: Callable[[BackupChoice], str | None]
    flags: tuple[str, ...] = ()


class StepDialog(WordDialog[BackupChoice]):
    """Answers with the choice of a backup. The plan is frozen: nothing that happens behind the dialog changes it."""

    def __init__(self, question: StepQuestion) -> None:
        self.question = question
        self.choice = BackupChoice()
        self._act = question.act
        super().__init__(question.title, act=self._act, danger=True, word=self._word())

    def body(self, width: int) -> Sequence[Line]:
        first, *others = self.question.consent(self.choice)
        lines = list(paragraph(safe_text(first), width, "title"))
        for sentence in others:
            lines += marked("! " if sentence in self.question.flags else "", safe_text(sentence), width, "text", "warn")
        return lines

    def fields(self) -> Iterable[Widget]:
        yield Toggle("write each of them to a backup first", on=True, id="backup")

    async def on_checkbox_changed(self) -> None:
        """Without a backup there is no way back: the text says so, and the word has to be typed."""
        self.choice = BackupChoice(wanted=self.query_one("#backup", Toggle).value)
        self.query_one("#act", PushButton).relabel(self._act if self.choice.wanted else f"{self._act}, no backup")
        await self.want(self._word())
        self.refit()

    def _word(self) -> str | None:
        return self.question.word(self.choice)

    def answer(self) -> BackupChoice:
        return self.choice
