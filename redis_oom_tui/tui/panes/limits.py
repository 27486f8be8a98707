"""Pane 3: the eviction policy, maxmemory and the settings that decide what a full server does."""

from collections.abc import Hashable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from redis_oom_tui.formatting.keys import kind_of_sum
from redis_oom_tui.models.action import Action, Limits
from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.rules.whatif import write_path
from redis_oom_tui.tui.dialogs.questions import ReadDialog
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.host import is_live
from redis_oom_tui.tui.messages import ChangeSetting, KeepSetting, ReadLimits, UndoSetting
from redis_oom_tui.tui.panes.base import Pane, host_of
from redis_oom_tui.tui.panes.limits_draw import (
    LIST,
    POLICY,
    TWO_COLUMNS_FROM,
    Row,
    below,
    beside,
    head,
    meaning,
    notices,
    row_lines,
    rows,
    side_by_side,
    write_way,
)
from redis_oom_tui.tui.widgets.cursor_list import CursorList

_READ_EVERY = 10.0
_UNREAD = "The settings have not been read yet"


class LimitsView(CursorList[Row]):
    """Policies and settings with a cursor, and beside them what the row under it means."""

    one_line = False

    @property
    def items(self) -> Sequence[Row]:
        return rows(host_of(self).actions.limits.limits)

    def identify(self, item: Row) -> Hashable:
        return item.name

    def topics(self) -> Sequence[str]:
        return [] if self.current is None else [f"setting.{self.current.setting}"]

    def row(self, item: Row, width: int, *, here: bool) -> Sequence[Line]:
        limits, every = host_of(self).actions.limits.limits, self.items
        if limits is None:
            return ()
        first = item == every[0] or item == next((one for one in every if one.policy is None), None)
        estimated = _estimated(self)
        return row_lines(limits, item, width, self.style, here=here, first=first, estimated=estimated)

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What has to be seen first, the list, and what its row means: beside it, or below where that is narrow."""
        state, row = host_of(self).actions.limits, self.current
        reason = host_of(self).actions.why_not(None)
        if reason is not None:
            return (((f" {reason}", "dim"),),)
        top = head(state, width, self.host.clock.monotonic())
        if state.limits is None or row is None:
            return top or [((" Reading the settings", "dim"),)]
        height -= len(top)
        if width < TWO_COLUMNS_FROM:
            under = below(row, width, height)
            return [*top, *self.rows_in_view(width, height - len(under), len(top)), *under]
        left = self.rows_in_view(LIST, height, len(top))
        estimated = _estimated(self)
        live = is_live(self.host)
        right = beside(
            _as_polled(self, state.limits), row, width - LIST - 3, height, self.style, estimated=estimated, live=live
        )
        return [*top, *side_by_side(left, right, height, self.style)]


class LimitsPane(Pane):
    """What the server does when it is full, and how to change that."""

    pane = "limits"
    title = "Limits"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "change…", id="limits.change", tooltip="Change the selected setting; asks first"),
        Binding("z", "undo", "undo…", id="limits.undo", tooltip="Undo the last change; asks first"),
        Binding("s", "keep", "keep change", id="limits.keep", tooltip="Keep a change that is about to revert"),
        Binding("i", "inform", "details", id="limits.inform", tooltip="Details of the selected row"),
        Binding("r", "read", "refresh", id="limits.read", tooltip="Read the settings again"),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.view = LimitsView()
        self._read_at: float | None = None
        self._wanted: str | None = None
        self._pointed = False
        self._scanned = False
        self._polled: tuple[str, int | None] | None = None

    def compose(self) -> ComposeResult:
        yield self.view

    @property
    def main_widget(self) -> Widget:
        return self.view

    def entered(self) -> None:
        super().entered()
        self.action_read()

    def show_state(self, state: ServerState) -> None:
        now, snapshot = self.host.clock.monotonic(), state.snapshot
        # What stands at the top of every pane and what is read here must not contradict each other for long.
        polled = None if snapshot is None else (snapshot.memory.policy, snapshot.memory.maxmemory_bytes)
        changed, self._polled = polled != self._polled, polled
        if state.link is Link.LIVE and (changed or self._read_at is None or now - self._read_at >= _READ_EVERY):
            self.action_read()
        self.view.redraw()

    def show_scan(self, view: ScanView | None) -> None:
        """A scan that has ended tells bytes, shares and patterns: take them in at once."""
        ended = view is not None and view.complete
        if ended and not self._scanned:
            self.action_read()
        self._scanned = ended

    def actions_changed(self) -> None:
        """New settings: draw them, and point at what a finding waited to show."""
        limits = self.host.actions.limits.limits
        if limits is not None:
            if self._wanted is not None or not self._pointed:
                self._point_at(self._wanted or limits.policy)
            self._wanted, self._pointed = None, True
        self.view.redraw()
        self.refresh_bindings()

    def show_remedy(self, remedy: Remedy) -> None:
        """Put the cursor on what a finding is about; with a value, propose it."""
        self._wanted = remedy.value if remedy.setting == POLICY and remedy.value else remedy.setting
        self.actions_changed()
        if remedy.setting and remedy.value:
            self.post_message(ChangeSetting(remedy.setting, remedy.value))

    def _point_at(self, name: str) -> None:
        names = [row.name for row in self.view.items]
        if name in names:
            self.view.go_to(names.index(name))

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

    def why_nothing(self, action: str) -> str | None:
        """Why there is no change to take back, or to keep."""
        nothing = {
            "undo": "Nothing to undo: no setting was changed here yet (U: earlier changes)",
            "keep": "No change is about to revert",
        }
        return nothing.get(action)

    def action_read(self) -> None:
        self._read_at = self.host.clock.monotonic()
        self.post_message(ReadLimits())

    def action_change(self) -> None:
        row = self.view.current
        if row is None:
            self.host.tell(_UNREAD)
        else:
            self.post_message(ChangeSetting(row.setting, row.policy.name if row.policy is not None else None))

    def action_undo(self) -> None:
        self.post_message(UndoSetting())

    def action_keep(self) -> None:
        self.post_message(KeepSetting())

    def action_inform(self) -> None:
        row, limits = self.view.current, self.host.actions.limits.limits
        if row is None or limits is None:
            self.host.tell(_UNREAD)
        else:
            self.app.push_screen(ReadDialog("What this means here", partial(self._meaning, row)))

    def _meaning(self, row: Row, width: int) -> Sequence[Line]:
        state = self.host.actions.limits
        if state.limits is None:
            return ()
        top = notices(state, width, self.host.clock.monotonic())
        about = meaning(state.limits, row, width, estimated=_estimated(self))
        path = _as_polled(self, state.limits).path
        return [*top, *about, (), *write_way(path, width, self.host.style, live=is_live(self.host))]


def _as_polled(widget: Widget, limits: Limits) -> Limits:
    """With what is in use by the figures of the header: two readings on one screen would contradict each other."""
    state = host_of(widget).state
    snapshot = None if state is None else state.snapshot
    if snapshot is None or snapshot.server.node != limits.node:
        return limits
    return replace(limits, path=write_path(snapshot))


def _estimated(widget: Widget) -> bool:
    """Whether the bytes shown in `widget` are estimates; those of keys that have changed since are, too."""
    return host_of(widget).scanner.outdated or sizes_estimated(host_of(widget).scan)


def sizes_estimated(view: ScanView | None) -> bool:
    """Whether sums over what was scanned are estimates: of a part of the keys, or of sizes that were sampled."""
    if view is None or not view.complete:
        return True
    return kind_of_sum((row.type for row in view.types), view.bytes_seen, view) is not SizeKind.EXACT
