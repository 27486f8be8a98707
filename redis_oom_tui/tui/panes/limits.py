"""Pane 3: the eviction policy, maxmemory and the settings that decide what a full server does."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from redis_oom_tui.formatting.key_sizes import kind_of_sum
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui.dialogs.controls import WheelScroll
from redis_oom_tui.tui.dialogs.reader import ReadDialog
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.flows.messages import ChangeSetting, KeepSetting, ReadLimits, UndoSetting
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.limits_draw import POLICY, Row, draw, meaning, notices, rows, write_way
from redis_oom_tui.tui.server_state import Link, ServerState
from redis_oom_tui.tui.widgets.moves import moves

_READ_EVERY = 10.0


class LimitsView(WheelScroll, can_focus=True):
    """Policies and settings with a cursor; the cursor stays on its name when the list is read anew."""

    at = 0

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        every = rows(self.host.actions.limits.limits)
        return every[min(self.at, len(every) - 1)] if every else None

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """As `limits_draw` has it."""
        state = self.host.actions.limits
        every = rows(state.limits)
        self.at = max(0, min(self.at, len(every) - 1))
        reason = self.host.actions.why_not(None)
        if reason is not None:
            return (((f" {reason}", "dim"),),)
        now, estimated = self.host.clock.monotonic(), sizes_estimated(self.host.scan)
        return draw(state, self.at, width, height, self.pen, now, estimated=estimated)

    def move(self, by: int) -> None:
        """Move the cursor."""
        self.at = max(0, min(len(rows(self.host.actions.limits.limits)) - 1, self.at + by))
        self.redraw()

    def wheel(self, by: int) -> None:
        """As the keys do."""
        self.move(by)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor to what was clicked."""
        line = self._drawn[event.y] if event.y < len(self._drawn) else ()
        text = "".join(piece for piece, _ in line)
        for n, row in enumerate(rows(self.host.actions.limits.limits)):
            name = row.policy.name if row.policy is not None else row.setting
            if name in text[:40].split():
                self.at = n
                self.redraw()
                return


class LimitsPane(Pane):
    """What the server does when it is full, and how to change that."""

    pane = "limits"
    title = "Limits"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "change", id="limits.change", tooltip="Change what the cursor is on; asks first"),
        Binding("z", "undo", "undo", id="limits.undo", tooltip="Put the last change back; asks first"),
        Binding("s", "keep", "keep", id="limits.keep", tooltip="Keep a setting that would go back by itself"),
        Binding("i", "inform", "more", id="limits.inform", tooltip="All about what the cursor is on"),
        Binding("r", "read", "read anew", id="limits.read", tooltip="Read the settings again"),
        *moves(8),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.view = LimitsView()
        self._read_at: float | None = None
        self._wanted: str | None = None
        self._pointed = False
        self._scanned = False

    def compose(self) -> ComposeResult:
        """One canvas."""
        yield self.view

    @property
    def main_widget(self) -> Widget:
        """The list."""
        return self.view

    def entered(self) -> None:
        """Read at once."""
        super().entered()
        self.action_read()

    def show_reading(self, reading: ServerState) -> None:
        """Count down, and read the settings again every ten seconds."""
        now = self.host.clock.monotonic()
        if reading.link is Link.LIVE and (self._read_at is None or now - self._read_at >= _READ_EVERY):
            self.action_read()
        self.view.redraw()

    def show_scan(self, view: ScanView | None) -> None:
        """A scan that has ended tells bytes, shares and families: take them in at once."""
        ended = view is not None and view.complete
        if ended and not self._scanned:
            self.action_read()
        self._scanned = ended

    def actions_changed(self) -> None:
        """New settings: draw them, and let go of a wish that waited for them."""
        limits = self.host.actions.limits.limits
        if limits is not None:
            if self._wanted is not None or not self._pointed:
                self._point_at(self._wanted or limits.policy)
            self._wanted, self._pointed = None, True
        self.view.redraw()
        self.refresh_bindings()

    def pull(self, lever: Remedy) -> None:
        """Put the cursor on what a finding is about; with a value, propose it."""
        self._wanted = lever.value if lever.setting == POLICY and lever.value else lever.setting
        self.actions_changed()
        if lever.setting and lever.value:
            self.post_message(ChangeSetting(lever.setting, lever.value))

    def _point_at(self, name: str) -> None:
        for n, row in enumerate(rows(self.host.actions.limits.limits)):
            if name in {row.setting if row.policy is None else None, row.policy.name if row.policy else None}:
                self.view.at = n

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what cannot be done here."""
        del parameters
        limits = self.host.actions.limits
        if action == "undo" and not limits.changes:
            return False
        if self.why_not(action) is not None:
            return None
        return action != "keep" or limits.reverting is not None

    def why_not(self, action: str) -> str | None:
        """Why nothing can be changed here."""
        return self.host.actions.why_not(Action.SET) if action in {"change", "undo"} else None

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.view.move(by)

    def action_read(self) -> None:
        """Ask for the settings."""
        self._read_at = self.host.clock.monotonic()
        self.post_message(ReadLimits())

    def action_change(self) -> None:
        """Change what the cursor is on, by the name that it is on now."""
        row = self.view.row
        if row is not None:
            self.post_message(ChangeSetting(row.setting, row.policy.name if row.policy is not None else None))

    def action_undo(self) -> None:
        """Put the last change back."""
        self.post_message(UndoSetting())

    def action_keep(self) -> None:
        """Call off the timed return."""
        self.post_message(KeepSetting())

    def action_inform(self) -> None:
        """All about the row, and the way of a write, to scroll."""
        row, limits = self.view.row, self.host.actions.limits.limits
        if row is not None and limits is not None:
            self.app.push_screen(MeaningDialog(row))


def sizes_estimated(view: ScanView | None) -> bool:
    """Whether sums over what was scanned are estimates: of a part of the keys, or of sizes that were sampled."""
    if view is None or not view.complete:
        return True
    return kind_of_sum((row.type for row in view.types), view.bytes_seen, view) is not SizeKind.EXACT


class MeaningDialog(ReadDialog):
    """A policy or setting in full, with the way of a write below."""

    def __init__(self, row: Row) -> None:
        super().__init__("What this means here", ())
        self.row = row

    def body(self, width: int) -> Sequence[Line]:
        """The same words as beside the list, none of them cut."""
        desk = self.host.actions
        limits = desk.limits.limits
        if limits is None:
            return ()
        estimated = sizes_estimated(self.host.scan)
        head = notices(desk.limits, width, self.host.clock.monotonic())
        return [
            *head,
            *meaning(limits, self.row, width, estimated=estimated),
            (),
            *write_way(limits.path, width, self.host.pen),
        ]
