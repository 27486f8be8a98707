"""Changing a setting: old and new, what follows, and whether it is kept in the file or only for a minute."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from textual.widget import Widget

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value
from redis_oom_tui.models.settings import Change
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.controls import Toggle, marked, paragraph
from redis_oom_tui.tui.drawing import Line

REVERT_SECONDS = 60.0
_REWRITE = (
    "CONFIG REWRITE freezes every setting that was changed since the server started into its file, not only this one."
)

_KEPT_IN_FILE = "It was written to the config file as well: this does not take it out of there, it holds at a restart."


class ChangeChoice(Struct, frozen=True):
    """Yes to `change`, and how: written to the server's file too, and taken back by itself after so many seconds."""

    change: Change
    persist: bool = False
    revert_after: float | None = None


class ChangeDialog(Dialog[ChangeChoice]):
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
        title = f"Put {name} back?" if undo else f"Change {name}?"
        act = "Put back" if undo else "Change it"
        super().__init__(title, act=act, danger=bool(change.warnings), word=change.word)
        self.for_all = change
        self.alone = alone
        self.where = where
        self.why_not_persist = why_not_persist
        self.undo = undo
        self.persisted = persisted

    def body(self, width: int) -> Sequence[Line]:
        """The place, old and new, the consequence, the warnings."""
        arrow = self.host.pen.glyphs.right
        change = self.change
        where = change.node or self.where
        old = shown_value(change.name, change.old)
        new = shown_value(change.name, change.new) if change.new else "each node's own old value"
        lines: list[Line] = [*paragraph(f"On {safe_text(where)}", width, "dim"), ()]
        lines += paragraph(f"{safe_text(change.name)}: {old} {arrow} {new}", width, "title")
        if change.consequence:
            lines += paragraph(safe_text(change.consequence), width)
        for warning in change.warnings:
            lines += marked("! ", safe_text(warning), width, "text", "warn")
        for sentence in change.returns if self._on("revert") else ():
            lines += marked("! ", safe_text(sentence), width, "text", "warn")
        if self.persisted:
            lines += marked("! ", _KEPT_IN_FILE, width, "text", "warn")
        elif self.undo:
            return lines
        elif self.why_not_persist is not None:
            lines += paragraph(f"Only until the server restarts: {safe_text(self.why_not_persist)}", width, "dim")
        elif self._persists:
            for sentence in change.freezes or (_REWRITE,):
                lines += marked("! ", safe_text(sentence), width, "text", "warn")
        return lines

    def fields(self) -> Iterable[Widget]:
        """One node of a cluster or all, persist, and the timed return."""
        if self.undo:
            return
        if self.alone is not None:
            yield Toggle(f"on {safe_text(self.alone.node, 60)} alone, not on all nodes", on=False, id="alone")
        if self.why_not_persist is None:
            yield Toggle("write it to the config file too", on=False, id="persist")
        yield Toggle(f"take it back in {REVERT_SECONDS:.0f} s unless kept", on=False, id="revert")

    @property
    def change(self) -> Change:
        """The change as it is chosen now."""
        return self.alone if self.alone is not None and self._on("alone") else self.for_all

    @property
    def _persists(self) -> bool:
        return self._on("persist")

    def _on(self, name: str) -> bool:
        return any(toggle.on for toggle in self.query(f"#{name}").results(Toggle))

    async def on_toggle_turned(self, message: Toggle.Turned) -> None:
        """One excludes the other: what is to go back by itself must not stay in the file. One node alone may evict
        nothing where others would.
        """
        for other in self.query("#persist, #revert").results(Toggle):
            if other is not message.toggle and message.toggle.on and message.toggle.id != "alone":
                other.turn_off()
        await self.want(self.change.word)
        self.refit()

    def answer(self) -> ChangeChoice:
        """The change, and both choices."""
        revert_after = REVERT_SECONDS if self._on("revert") else None
        return ChangeChoice(self.change, persist=self._persists, revert_after=revert_after)
