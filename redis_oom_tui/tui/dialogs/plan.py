"""The confirmation of a plan: what is done to which keys of which server, and whether they are written down first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from textual.widget import Widget

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Deed, Plan, PlannedKey
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.parts import Toggle, marked, paragraph, quoted
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.words.hostile import safe_text
from redis_oom_tui.words.sizes import count, duration, short_size

_SAMPLES = 5
_ONE_LINE_FROM = 56


class PlanDialog(Dialog[BackupChoice]):
    """Answers with the choice of a backup. The plan is frozen: nothing that happens behind the dialog changes it.

    `consent` says what has to be read, for a choice of backup; `budget` what the plan does for the memory; `hidden`
    how many of the keys were marked rows that a filter hides.
    """

    def __init__(
        self,
        plan: Plan,
        consent: Callable[[BackupChoice], Sequence[str]],
        *,
        budget: str = "",
        hidden: int = 0,
        word: str | None = None,
    ) -> None:
        keys = f"{count(len(plan.keys))} {'key' if len(plan.keys) == 1 else 'keys'}"
        verb = "Delete" if plan.deed is Deed.DELETE else "Expire"
        super().__init__(f"{verb} {keys}?", act=f"{verb} {keys}", danger=True, word=word)
        self.plan = plan
        self.consent = consent
        self.budget = budget
        self.hidden = hidden
        self.choice = BackupChoice()
        self._said: tuple[BackupChoice, tuple[str, ...]] | None = None
        self._several = len({key.id.db for key in plan.keys}) > 1

    def body(self, width: int) -> Sequence[Line]:
        """What is done where, the way back, the flags, sample names."""
        sentences = self._sentences()
        lines: list[Line] = list(paragraph(sentences[0], width, "title")) if sentences else []
        for sentence in sentences[1:]:
            lines += marked("! " if sentence in self._flags() else "", sentence, width, "text", "warn")
        if self.budget:
            lines += paragraph(safe_text(self.budget), width)
        if self.hidden:
            words = f"{count(self.hidden)} of them are marked rows that the filter hides at the moment."
            lines += marked("! ", words, width, "text", "warn")
        if not self.plan.complete:
            words = "The search ended early: more keys may match, and they are not in this plan."
            lines += marked("! ", words, width, "text", "warn")
        return [*lines, *self._samples(width)]

    def _sentences(self) -> tuple[str, ...]:
        """Asked for once for each choice: they sum over all keys."""
        if self._said is None or self._said[0] != self.choice:
            self._said = (self.choice, tuple(safe_text(text) for text in self.consent(self.choice)))
        return self._said[1]

    def _flags(self) -> set[str]:
        return {safe_text(flag) for flag in self.plan.flags}

    def _samples(self, width: int) -> list[Line]:
        keys = self.plan.keys[:_SAMPLES]

        def place(key: PlannedKey) -> str:
            return f"db {key.id.db:<3}" if self._several else ""

        rest = len(self.plan.keys) - len(keys)
        lines: list[Line] = [()]
        for key in keys:
            ttl = "no TTL" if key.ttl_ms is None else f"TTL {duration(key.ttl_ms / 1000)}"
            facts = f"{place(key)}{short_size(key.size):>7} {safe_text(key.type, 7):<7} {ttl:<11} "
            if width >= _ONE_LINE_FROM:
                lines += quoted(key.id.key, width, facts, most=2)
            else:
                lines += [((facts, "dim"),), *quoted(key.id.key, width, most=2)]
        if rest:
            lines += paragraph(
                f"and {count(rest)} more: Esc, and the list behind this shows each of them.", width, "dim"
            )
        return lines

    def fields(self) -> Iterable[Widget]:
        """The backup."""
        label = "write each key to a backup first"
        if self.plan.deed is Deed.EXPIRE:
            label = "write down each key's expiry first"
        yield Toggle(label, on=self.choice.wanted, id="backup")

    def on_toggle_turned(self) -> None:
        """Without a backup there is no way back, and the text says so."""
        self.choice = replace(self.choice, wanted=self.query_one("#backup", Toggle).on)
        self.refit()

    def answer(self) -> BackupChoice:
        """The choice."""
        return self.choice
