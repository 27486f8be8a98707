"""Changing a setting: typing a new value, and the question with old, new, what follows, and how it is kept."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import WorkType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.models.action import SettingView
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Change
from redis_oom_tui.tui.dialogs.base import NOTICE_SECONDS, Dialog, WordDialog, waiting
from redis_oom_tui.tui.drawing import Line, flagged, paragraph
from redis_oom_tui.tui.widgets.fields import Field, Toggle

REVERT_SECONDS = 60.0
_REWRITE = "CONFIG REWRITE writes every setting that was changed since the server started, not only this one."

_KEPT_IN_FILE = (
    "It was also written to the config file: undo does not change the file, so it applies again after a restart."
)


class ChangeChoice(Struct, frozen=True):
    """Yes to `change`, and how: written to the server's file too, and taken back by itself after so many seconds."""

    change: Change
    persist: bool = False
    revert_after: float | None = None


class ChangeDialog(WordDialog[ChangeChoice]):
    """Asks before a setting is changed. `why_not_persist` is why CONFIG REWRITE cannot be offered here;
    `persisted` says, for an undo, that the new value went into the config file. `alone` is the same change for one node
    of a cluster, which may be chosen in place of all.
    """

    def __init__(
        self,
        change: Change,
        *,
        where: str,
        why_not_persist: str | None = None,
        undo: bool = False,
        persisted: bool = False,
        alone: Change | None = None,
    ) -> None:
        name = safe_text(change.name, 40)
        title = f"Undo {name}?" if undo else f"Change {name}?"
        act = "Restore" if undo else "Change"
        super().__init__(title, act=act, danger=bool(change.warnings), word=change.word)
        self.for_all = change
        self.alone = alone
        self.where = where
        self.why_not_persist = why_not_persist
        self.undo = undo
        self.persisted = persisted

    def topics(self) -> Sequence[str]:
        """What the setting is."""
        return [f"setting.{self.for_all.name}"]

    def body(self, width: int) -> Sequence[Line]:
        """The place, old and new, the consequence, the warnings."""
        arrow = self.host.style.glyphs.right
        change = self.change
        where = change.node or self.where
        old = shown_value(change.name, change.old)
        new = shown_value(change.name, change.new) if change.new else "each node's own old value"
        lines: list[Line] = [*paragraph(f"On {safe_text(where)}", width, "dim"), ()]
        lines += paragraph(f"{safe_text(change.name)}: {old} {arrow} {new}", width, "title")
        if change.consequence:
            lines += paragraph(safe_text(change.consequence), width)
        lines += flagged((*change.warnings, *(change.returns if self._on("revert") else ())), width)
        if self.persisted:
            lines += flagged([_KEPT_IN_FILE], width)
        elif self.undo:
            return lines
        elif self.why_not_persist is not None:
            lines += paragraph(f"Only until the server restarts: {safe_text(self.why_not_persist)}", width, "dim")
        elif self._persists:
            lines += flagged(change.freezes or (_REWRITE,), width)
        return lines

    def fields(self) -> Iterable[Widget]:
        if self.undo:
            return
        if self.alone is not None:
            yield Toggle(f"on {safe_text(self.alone.node, 60)} alone, not on all nodes", on=False, id="alone")
        if self.why_not_persist is None:
            yield Toggle("persist with CONFIG REWRITE", on=False, id="persist")
        yield Toggle(f"revert automatically in {REVERT_SECONDS:.0f}s unless I confirm", on=False, id="revert")

    @property
    def change(self) -> Change:
        """The change as it is chosen now."""
        return self.alone if self.alone is not None and self._on("alone") else self.for_all

    @property
    def _persists(self) -> bool:
        return self._on("persist")

    def _on(self, name: str) -> bool:
        return any(toggle.value for toggle in self.query(f"#{name}").results(Toggle))

    async def on_checkbox_changed(self, message: Toggle.Changed) -> None:
        """One excludes the other: what is to go back by itself must not stay in the file. One node alone may evict
        nothing where others would.
        """
        for other in self.query("#persist, #revert").results(Toggle):
            if other is not message.checkbox and message.value and message.checkbox.id != "alone":
                other.turn_off()
        await self.want(self.change.word)
        self.refit()

    def answer(self) -> ChangeChoice:
        revert_after = REVERT_SECONDS if self._on("revert") else None
        return ChangeChoice(self.change, persist=self._persists, revert_after=revert_after)


class ValueDialog(Dialog[Change]):
    """Answers with the change that `propose` made of what was typed."""

    AUTO_FOCUS = "#value"

    def __init__(self, view: SettingView, propose: Callable[[str], Awaitable[Change]], hints: Sequence[str]) -> None:
        super().__init__(f"New {safe_text(view.setting.name, 40)}", act="Review")
        self.view = view
        self.propose = propose
        self.hints = hints
        self.error = ""
        self.waiting = ""

    def topics(self) -> Sequence[str]:
        """What the setting is."""
        return [f"setting.{self.view.setting.name}"]

    def body(self, width: int) -> Sequence[Line]:
        setting = self.view.setting
        lines = paragraph(safe_text(self.view.sentence), width)
        lines += paragraph(f"Now: {shown_value(setting.name, setting.value)}", width, "title")
        for hint in self.hints:
            lines += paragraph(safe_text(hint), width, "dim")
        if self.waiting:
            lines += paragraph(self.waiting, width, "warn")
        elif self.error:
            lines += flagged([self.error], width, "warn")
        return lines

    def fields(self) -> Iterable[Widget]:
        """Where it is typed."""
        yield Field(id="value", placeholder="Enter to review; nothing changes yet")

    def conclude(self) -> None:
        """Ask what the value would mean; a later press supersedes an earlier one."""
        reviewing: WorkType[None] = self._review
        self.run_worker(reviewing, name="review a value", group="propose", exclusive=True, exit_on_error=False)

    def _wait(self) -> None:
        self.waiting = f"{waiting(self.host)} Esc leaves; nothing is changed."
        self.refit()

    async def _review(self) -> None:
        notice = self.set_timer(NOTICE_SECONDS, self._wait)
        try:
            change = await self.propose(self.query_one("#value", Input).value)
        except TriageError as error:
            self.error = str(error)
        else:
            self.dismiss(change)
            return
        finally:
            notice.stop()
            self.waiting = ""
        self.refit()
