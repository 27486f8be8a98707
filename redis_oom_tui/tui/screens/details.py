"""A closer look at one key: its exact name, its figures read again, and the first of its value."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerState, WorkType

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.keys import slot_of, worth_words
from redis_oom_tui.formatting.pattern_columns import label_text
from redis_oom_tui.formatting.sanitize import escape_exact, reads_otherwise, safe_text
from redis_oom_tui.models.application import KeyLabel, Loss
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.headroom import OWN_TYPES
from redis_oom_tui.rules.shrinking import WORDS
from redis_oom_tui.rules.streams import group_words, health
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, read_question
from redis_oom_tui.tui.drawing import Line, clip, pad, wrap
from redis_oom_tui.tui.messages import MakePlan, ShrinkKey
from redis_oom_tui.tui.screens.reader import ReaderScreen

_LONGEST_NAME = 1024


def _memory(row: KeyRow) -> str:
    if row.size is not None:
        return f"{sizes.size(row.size)} ({sizes.count(row.size)} bytes), {worth_words(row)}"
    if row.type not in OWN_TYPES:
        return "? (not measurable: its module does not report the size of a key)"
    return "? (MEMORY USAGE is not available here)"


def _ttl(details: KeyDetails) -> str:
    if not details.ttl_known:
        return "? (PTTL is not available here)"
    ttl_ms = details.row.ttl_ms
    return "none: it never expires" if ttl_ms is None else sizes.duration(ttl_ms / 1000)


def facts(details: KeyDetails) -> list[tuple[str, str]]:
    """What was read, as names and values."""
    row = details.row
    found = [("type", safe_text(row.type, 30)), ("memory", _memory(row)), ("TTL", _ttl(details))]
    if row.idle_seconds is not None:
        found.append(("idle", sizes.duration(row.idle_seconds)))
    if row.frequency is not None:
        found.append(("frequency", f"{row.frequency} of 255, logarithmic"))
    if row.encoding is not None:
        found.append(("encoding", safe_text(row.encoding, 30)))
    if row.elements is not None:
        found.append(("elements", sizes.count(row.elements)))
    if details.groups:
        found.append(("groups", group_words(details.groups)))
        found += [("beware", sentence) for sentence in health(details.groups)]
    if row.suspect:
        found.append(("beware", "the server answered more than it uses in all: this is the most that the key can hold"))
    return found


def application_facts(labels: Sequence[KeyLabel]) -> list[tuple[str, str]]:
    """Of which application a key is, and what its loss would mean to it."""
    if not labels:
        return []
    kind = labels[0].kind
    loss = "its loss is harmless" if kind.loss is Loss.HARMLESS else f"its loss {kind.loss}"
    note = f" {kind.note}" if kind.note else ""
    return [("application", f"{label_text(labels)}; {loss}.{note}")]


class DetailsScreen(ReaderScreen):
    """What is known of a key so far. What it reads leaves no trace on the key, unless that is asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "plan", "plan", tooltip="Plan the cleanup of this key"),
        Binding("s", "shrink", "shrink…", tooltip="Remove its oldest elements, or fields that match; asks first"),
        Binding(
            "r",
            "read_anyway",
            "read anyway…",
            tooltip="Read the value although the server counts that as a use of the key; asks first",
        ),
        Binding("c", "copy", "copy", tooltip="Copy the name, with \\xNN for non-printable bytes"),
    ]

    def __init__(self, key: KeyId) -> None:
        super().__init__()
        self._key = key
        self._absent = "Reading it again."
        self._note = ""
        self._details: KeyDetails | None = None

    def show(self, details: KeyDetails | None, absent: str = "") -> None:
        """Show what was read, or the sentence that says why there is nothing."""
        self._details, self._absent = details, absent
        self.refresh_bindings()
        self.reader.redraw()

    def text(self, width: int) -> Sequence[Line]:
        """Name, figures, value."""
        out: list[Line] = [clip(((" Key ", "title"), (self._where(), "dim")), width), ()]
        name = escape_exact(self._key.key[:_LONGEST_NAME])
        space = max(8, width - 4)
        if reads_otherwise(self._key.key):
            out += [(("  reads as ", "dim"), (safe_text(self._key.key, max(8, space - 9)), "text")), ()]
        chunks = [name[start : start + space] for start in range(0, len(name), space)]
        out += [((f"  {chunk}", "text"),) for chunk in chunks or ['""']]
        if len(self._key.key) > _LONGEST_NAME:
            out.append(((f"  and so on: the name is {sizes.size(len(self._key.key))} long", "dim"),))
        out += [((f"  {line}", "ok"),) for line in wrap(self._note, space) if line]
        out.append(())
        if self._details is None:
            return [*out, *(((f"  {line}", "dim"),) for line in wrap(safe_text(self._absent, 600), space))]
        for word, value in (*facts(self._details), *application_facts(self._labels())):
            first, *more = wrap(value, max(8, space - 13))
            out.append(((f"  {pad(word, 12)} ", "dim"), (first, "text")))
            out += [((" " * 15, "dim"), (line, "text")) for line in more]
        return [*out, (), *self._value(self._details, width)]

    def _labels(self) -> tuple[KeyLabel, ...]:
        from redis_oom_tui.rules.applications.recognizing import labels_of_key  # noqa: PLC0415 - as `recognize` does

        scan = self.host.scan
        return () if scan is None else labels_of_key(self._key, scan, recognize(scan))

    def _where(self) -> str:
        node = self._key.node if self._details is None else self._details.row.id.node
        # A cluster has one database; which slot it is says where the key may go.
        where = f"slot {slot_of(self._key.key)} on {safe_text(node, 40)}" if node else f"database {self._key.db}"
        return f" in {where}; its exact bytes, \\xNN where they are not printable"

    @staticmethod
    def _value(details: KeyDetails, width: int) -> list[Line]:
        if details.preview_withheld:
            return [((f"  {line}", "dim"),) for line in wrap(safe_text(details.preview_withheld, 400), width - 4)]
        if not details.preview:
            return []
        return [
            ((" Value (start)", "title"),),
            *(((f"  {safe_text(part, max(8, width - 4))}", "text"),) for part in details.preview),
        ]

    def on_mount(self) -> None:
        state: WorkType[None] = self._read
        self.run_worker(state, name="details", group="details", exit_on_error=False)

    async def _read(self, *, touch: bool = False) -> None:
        try:
            details = await self.host.source.details(self._key, touch=touch)
        except TriageError as error:
            self.show(None, str(error))
            return
        if touch and details is not None:
            read = "The value was read" if details.preview else "The length was read, and the value was not"
            self._note = f"{read}. Idle time and frequency shown here are from before that."
        self.show(details, "" if details else "It is gone: expired, evicted or deleted since the scan saw it.")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A defect is told here, since this screen covers the other messages."""
        if event.state is WorkerState.ERROR:
            self.show(None, f"It could not be read: {safe_text(str(event.worker.error), 200)}")

    def action_plan(self) -> None:
        self.dismiss()
        self.app.post_message(MakePlan(Criteria(keys=(self._key,)), "one key in Hogs"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Greyed where the key cannot be shrunk; reading is offered where it was not done for what it would reset."""
        del parameters
        if action == "read_anyway":
            return self._details is not None and self._details.touchable
        if action != "shrink":
            return True
        kind = None if self._details is None else self._details.row.type
        return True if kind in WORDS else None

    def action_read_anyway(self) -> None:
        work: WorkType[None] = self._read_anyway
        self.run_worker(work, name="read anyway", group="details", exclusive=True, exit_on_error=False)

    async def _read_anyway(self) -> None:
        if self._details is None:
            return
        question = read_question(self._details, safe_text(str(self.host.source.address), 80))
        if await self.app.push_screen_wait(ConfirmDialog(question)):
            await self._read(touch=True)

    def action_shrink(self) -> None:
        if self._details is not None:
            self.dismiss()
            self.app.post_message(ShrinkKey(self._details.row.id, self._details.row.type))

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(escape_exact(self._key.key))
        self._note = "Copied (OSC 52). If your terminal blocks it, copy from here."
        self.reader.redraw()
