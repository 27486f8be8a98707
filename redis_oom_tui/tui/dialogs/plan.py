"""The confirmation of a plan: what is done to which keys, whether they are written down; elements of a key likewise."""

import math
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from textual.widget import Widget

from redis_oom_tui.formatting.keys import mark
from redis_oom_tui.formatting.sanitize import escape_exact, from_glob, safe_text
from redis_oom_tui.formatting.sizes import (
    count,
    duration,
    number_of_keys,
    parse_duration,
    percent,
    plain_number,
    short_size,
)
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation, Plan, PlannedKey
from redis_oom_tui.models.stepped import ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import shrinking
from redis_oom_tui.rules.budget import beyond, confirm_word, without_copy
from redis_oom_tui.rules.proposals import target_of
from redis_oom_tui.tui.dialogs.answers import TypedDialog
from redis_oom_tui.tui.dialogs.base import WordDialog
from redis_oom_tui.tui.drawing import Line, flagged, marked, paragraph, quoted
from redis_oom_tui.tui.host import is_live
from redis_oom_tui.tui.widgets.fields import Field, LabelledField, PushButton, Toggle

_SAMPLES, _LEAST_SAMPLES = 5, 2
# The edge, the choice of a backup, the word, the buttons.
_AROUND = 5
_ONE_LINE_FROM = 56


class PlanDialog(WordDialog[BackupChoice]):
    """Answers with the choice of a backup. The plan is frozen: nothing that happens behind the dialog changes it.

    `consent` says what has to be read, for a choice of backup; `budget` what the plan does for the memory; `hidden`
    how many of the keys were marked rows that a filter hides. `word` is to be typed for a large plan; one of which
    something cannot come back wants it in any case. `room_bytes` are free below maxmemory, None where nothing bounds a
    reply, as at OOM until `over_bytes` have gone.
    """

    def __init__(
        self,
        plan: Plan,
        consent: Callable[[BackupChoice], Sequence[str]],
        *,
        budget: str = "",
        hidden: int = 0,
        word: str | None = None,
        room_bytes: int | None = None,
        over_bytes: int = 0,
    ) -> None:
        keys = number_of_keys(len(plan.keys))
        verb = "Delete" if plan.operation is Operation.DELETE else "Expire"
        self.plan = plan
        self.choice = BackupChoice(room_bytes=room_bytes, over_bytes=over_bytes)
        self._lost = without_copy(plan, self.choice)
        self._large = word
        self._act = f"{verb} {keys}"
        super().__init__(f"{verb} {keys}?", act=self._label(), danger=True, word=self._word())
        self.consent = consent
        self.budget = budget
        self.hidden = hidden
        self._consent: tuple[BackupChoice, tuple[str, ...]] | None = None
        self._several = len({key.id.db for key in plan.keys}) > 1

    def body(self, width: int) -> Sequence[Line]:
        """What is done where, the way back, what it is worth, the flags; then as many names as there is room for.

        Where all of it has no room, what decides stands in view: the rest is scrolled to.
        """
        sentences = self._sentences()
        flags = {safe_text(flag) for flag in (*self.plan.flags, *beyond(self.plan, self.plan.size))}
        lines: list[Line] = list(paragraph(sentences[0], width, "title")) if sentences else []
        if note := " ".join(text for text in sentences[1:] if text not in flags):
            lines += paragraph(note, width)
        if self.budget:
            lines += paragraph(safe_text(self.budget), width)
        lines += flagged((text for text in sentences[1:] if text in flags), width)
        if self.hidden:
            words = f"{count(self.hidden)} of them are marked rows that the filter hides at the moment."
            lines += flagged([words], width)
        height = self.app.size.height - _AROUND - len(lines)
        tried = (self._samples(width, number) for number in range(_SAMPLES, _LEAST_SAMPLES, -1))
        fits = next((samples for samples in tried if len(samples) <= height), None)
        return [*lines, *(self._samples(width, _LEAST_SAMPLES) if fits is None else fits)]

    def _sentences(self) -> tuple[str, ...]:
        """Asked for once for each choice: they sum over all keys."""
        if self._consent is None or self._consent[0] != self.choice:
            self._consent = (self.choice, tuple(safe_text(text) for text in self.consent(self.choice)))
        return self._consent[1]

    def _samples(self, width: int, most: int) -> list[Line]:
        keys = self.plan.keys[:most]

        def place(key: PlannedKey) -> str:
            return f"db {key.id.db:<3}" if self._several else ""

        rest = len(self.plan.keys) - len(keys)
        lines: list[Line] = [()]
        for key in keys:
            ttl = "no TTL" if key.ttl_ms is None else f"TTL {duration(key.ttl_ms / 1000)}"
            facts = f"{place(key)}{mark(key).strip() + short_size(key.size):>7} {safe_text(key.type, 7):<7} {ttl:<11} "
            if width >= _ONE_LINE_FROM:
                lines += quoted(key.id.key, width, facts, most=2)
            else:
                lines += [((facts, "dim"),), *quoted(key.id.key, width, most=2)]
        if rest:
            lines += paragraph(f"and {count(rest)} more (Esc to see the full list)", width, "dim")
        return lines

    def fields(self) -> Iterable[Widget]:
        label, possible = "write each key to a backup first", self._lost < len(self.plan.keys)
        if self.plan.operation is Operation.EXPIRE:
            label = "write down each key's expiry first"
        elif not possible:
            label = "no backup is possible"
        elif self._lost:
            label = f"write each key to a backup first, but for {count(self._lost)}"
        yield Toggle(label, on=self.choice.wanted and possible, id="backup", disabled=not possible)

    async def on_checkbox_changed(self) -> None:
        """Without a backup there is no way back: the text says so, and the word has to be typed."""
        self.choice = replace(self.choice, wanted=self.query_one("#backup", Toggle).value)
        self.query_one("#act", PushButton).relabel(self._label(narrow=self.app.size.width < _ONE_LINE_FROM))
        await self.want(self._word())
        self.refit()

    def _word(self) -> str | None:
        return self._large or confirm_word(self.plan, self.choice)

    def on_resize(self) -> None:
        """A narrow terminal has no room for all that the button says."""
        self.query_one("#act", PushButton).relabel(self._label(narrow=self.app.size.width < _ONE_LINE_FROM))

    def _label(self, *, narrow: bool = False) -> str:
        """What the button does, and what of it cannot come back."""
        act = self._act.split(" ", 1)[0] if narrow else self._act
        if not self.choice.wanted:
            return f"{act}, no backup" if self.plan.operation is Operation.DELETE else f"{act}, no undo"
        if not self._lost:
            return self._act
        if self._lost == len(self.plan.keys):
            return f"{act}, no backup" if narrow else f"{act}, no backup possible"
        return f"{act}, {count(self._lost)} without backup"

    def answer(self) -> BackupChoice:
        return self.choice


def target_below(pressure: float) -> float:
    """The target to propose where the usual one is reached: the next ten percent below, or the next percent.

    >>> target_below(0.797), target_below(0.7), target_below(0.055)
    (0.7, 0.6, 0.05)
    """
    step = 10 if pressure > 0.1 else 1
    return max(1, (math.ceil(round(100 * pressure, 6) / step) - 1) * step) / 100


class TargetDialog(TypedDialog[float]):
    """Answers with the share of maxmemory to get down to; nothing happens yet."""

    AUTO_FOCUS = "#target"

    def __init__(self, pressure: float, target: float) -> None:
        super().__init__("Free memory", act="Propose")
        self._pressure = pressure
        self._target = target if target < pressure else target_below(pressure)

    def intro(self, width: int) -> Sequence[Line]:
        at = "It is at" if is_live(self.host) else "When it last answered, it was at"
        return paragraph(f"{at} {percent(self._pressure, 1)} of maxmemory. Down to which share of it?", width)

    def on_mount(self) -> None:
        """The server may be lost while it is read."""
        self.set_interval(1.0, self.refit)

    def fields(self) -> Iterable[Widget]:
        """Where it is typed."""
        yield LabelledField(" Target:", Field(id="target", placeholder=percent(self._target)), role="text")

    def read(self, typed: str) -> float:
        target = target_of(typed or percent(self._target))
        if target >= self._pressure:
            raise BadInput(f"It is below {percent(target)} already: type less")
        return target


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
