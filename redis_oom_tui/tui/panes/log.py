"""Pane 5: what happened to the server and what was done to it, in one order of time, each to be read in full."""

from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from redis_oom_tui.models.action import Action
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.cluster import actions_on, servers_in
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.questions import ReadDialog, paragraphs
from redis_oom_tui.tui.drawing import Line, marked
from redis_oom_tui.tui.panes.base import Pane, host_of
from redis_oom_tui.tui.panes.log_draw import LogEntry, in_full, log_entries, log_head, log_row
from redis_oom_tui.tui.widgets.cursor_list import CursorList

_SNOOZE_SECONDS = 1800.0
_BACKED_UP = frozenset({Action.DELETE.value, Action.EXPIRE.value, Action.RESTORE.value, Action.EMERGENCY.value})


class LogView(CursorList[LogEntry]):
    """The list, the newest first; the cursor stays on what it is on while newer things arrive above it."""

    follows_first = True

    def __init__(self) -> None:
        super().__init__()
        self.everywhere = False
        self._several = False

    @property
    def items(self) -> list[LogEntry]:
        app = host_of(self)
        seen = None if app.state is None else app.state.snapshot
        here = (str(app.source.address), *app.timeline.former)
        entries = app.actions.log.entries if self.everywhere else actions_on(seen, app.actions.log.entries, *here)
        names = None if self.everywhere else servers_in(seen, *here)
        return log_entries(app.timeline.events, entries, app.clock.wall(), names)

    def identify(self, item: LogEntry) -> Hashable:
        return item.identity

    def above(self, width: int, height: int) -> Sequence[Line]:
        del height
        app = host_of(self)
        verdict = app.state.verdict if app.state is not None else None
        level = None if verdict is None else verdict.level
        return log_head(app.timeline.standing(), app.actions.log, width, now=app.clock.wall(), level=level)

    def below(self, width: int, height: int) -> Sequence[Line]:
        """Where nothing is listed, that nothing has happened."""
        del height
        if self.current is not None:
            return ()
        return marked("  ", "Nothing has happened yet: events and actions are listed here.", width, "dim")

    def lines(self, width: int, height: int) -> Sequence[Line]:
        actions = [one for one in self.items if one.entry is not None]
        servers = {one.entry.server for one in actions if one.entry is not None}
        former = not servers.isdisjoint(host_of(self).timeline.former)
        self._several = len(servers) > 1 or former or any(one.aliased for one in actions)
        return super().lines(width, height)

    def row(self, item: LogEntry, width: int, *, here: bool) -> Sequence[Line]:
        now = self.host.clock.wall()
        return [log_row(item, width, self.style, now, here=here, several=self._several)]


class LogPane(Pane):
    """Events of the server and actions on it."""

    pane = "log"
    title = "Log"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "read", "details", id="log.read", tooltip="Entry details"),
        Binding("z", "undo", "restore…", id="log.undo", tooltip="Restore what this action deleted; asks first"),
        Binding("b", "backups", "backups", id="log.backups", tooltip="Restore from any backup; asks first"),
        Binding("e", "export", "report…", id="log.export", tooltip="Write the incident report to a new file"),
        Binding(
            "a", "acknowledge", "ack", id="log.acknowledge", tooltip="Acknowledge: silent until it worsens or recurs"
        ),
        Binding("s", "snooze", "snooze", id="log.snooze", tooltip="Snooze for 30 min, unless it worsens"),
        Binding(
            "w", "everywhere", "all servers", id="log.everywhere", tooltip="Show actions for all servers / this server"
        ),
    ]

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.view = LogView()

    def compose(self) -> ComposeResult:
        yield self.view

    @property
    def main_widget(self) -> Widget:
        return self.view

    def entered(self) -> None:
        super().entered()
        self.post_message(messages.ReadHistory())

    def show_state(self, state: ServerState) -> None:
        del state
        self.view.redraw()
        self.refresh_bindings()

    def actions_changed(self) -> None:
        self.view.redraw()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each key where it means something."""
        del parameters
        if action in {"undo", "backups"}:
            if action == "undo" and self._backup() is None:
                return False
            return None if self.why_not(action) is not None else True
        if action in {"acknowledge", "snooze"}:
            standing = self.host.timeline.standing()
            return standing is not None and not standing.quiet
        return True

    def _backup(self) -> Path | None:
        one = self.view.current
        entry = one.entry if one is not None else None
        if entry is None or entry.action not in _BACKED_UP or not entry.undo:
            return None
        return Path(entry.undo)

    def why_not(self, action: str) -> str | None:
        """Why nothing can be put back here."""
        return self.host.actions.why_not(Action.RESTORE) if action in {"undo", "backups"} else None

    def why_nothing(self, action: str) -> str | None:
        """Why there is no backup to restore, and no alert to quiet."""
        if action == "undo":
            return "No backup belongs to this entry (U: all that can be undone)"
        return "No alert that is not quiet already" if action in {"acknowledge", "snooze"} else None

    def action_read(self) -> None:
        one = self.view.current
        if one is None:
            self.host.tell("Nothing is listed yet")
        else:
            self.app.push_screen(ReadDialog("Event details", partial(paragraphs, in_full(one))))

    def action_undo(self) -> None:
        self.post_message(messages.RestoreBackup(self._backup()))

    def action_backups(self) -> None:
        self.post_message(messages.RestoreBackup())

    def action_export(self) -> None:
        self.post_message(messages.ExportReport())

    def action_acknowledge(self) -> None:
        self.host.timeline.book.acknowledge()
        self.show_now()

    def action_snooze(self) -> None:
        self.host.timeline.snooze(_SNOOZE_SECONDS)
        self.show_now()

    def action_everywhere(self) -> None:
        self.view.everywhere = not self.view.everywhere
        self.show_now()
        self.host.tell("Actions on all servers" if self.view.everywhere else "Actions on this server alone")

    def show_now(self) -> None:
        """Draw at once what a key has changed."""
        self.view.redraw()
        self.refresh_bindings()
