"""Pane 2, Hogs: what holds the memory. Keys and patterns by bytes, live while the scan runs."""

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import Pace, PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.breakdown import key_sizes
from redis_oom_tui.tui.messages import OpenScan, PauseScan, SaveScan, ScanAgain, SetPace, ShowDetails, StopScan
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.hogs_progress import ScanProgressView
from redis_oom_tui.tui.panes.hogs_tables import HogsTables, Selection
from redis_oom_tui.tui.panes.keyspace_map import KeyspaceMap
from redis_oom_tui.tui.widgets.fields import FilterLine
from redis_oom_tui.tui.widgets.live_table import LiveTable

# In which states of the scan there is something to pause, resume or end.
_STATES = {
    "pause": (ScanState.RUNNING,),
    "resume": (ScanState.PAUSED,),
    "end": (ScanState.RUNNING, ScanState.PAUSED),
}
_PACES = (Pace.GENTLE, Pace.NORMAL, Pace.FULL_SPEED)


class ScanKeys(Pane):
    """A pane that can scan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "scan", "scan", id="hogs.scan", tooltip="Scan the keyspace (again)"),
        Binding("p", "pause", "pause", id="hogs.pause", tooltip="Pause the scan"),
        Binding("p", "resume", "resume", id="hogs.pause", tooltip="Resume the scan"),
        Binding("e", "end", "stop", id="hogs.end", tooltip="Stop the scan and keep what it found"),
        Binding("plus,equals_sign", "pace(1)", "Scan faster (more load)", show=False, id="hogs.faster"),
        Binding("minus", "pace(-1)", "Scan slower (less load)", show=False, id="hogs.slower"),
        Binding("w", "save", "Save the scan", show=False, id="hogs.save", tooltip="Save the scan to a file"),
        Binding(
            "o",
            "open",
            "Open a saved scan",
            show=False,
            id="hogs.open",
            tooltip="Open a saved scan: resume it, or compare",
        ),
    ]

    def why_not(self, action: str) -> str | None:
        return self.why_no_scan() if action == "scan" else None

    def action_scan(self) -> None:
        """Scan, from the start; never in place of a scan under way, and of one that has ended only after a question."""
        if self.host.scanner.active and self.host.scanner.asked_for:
            self.host.tell("A scan is running: p pauses or resumes it, e stops it; then r starts a new one.")
            return
        self.post_message(ScanAgain(self.wanted_names()))

    def wanted_names(self) -> bytes | None:
        """A glob for the names to scan for; None for all."""
        return None

    def action_pause(self) -> None:
        self.post_message(PauseScan())

    action_resume = action_pause

    def action_end(self) -> None:
        self.post_message(StopScan())

    def action_save(self) -> None:
        self.post_message(SaveScan())

    def action_open(self) -> None:
        """Open a scan that was saved: to go on with it, or to see what grew since."""
        self.post_message(OpenScan())

    def action_pace(self, by: int) -> None:
        index = _PACES.index(self.host.scanner.pace) + by
        pace = _PACES[max(0, min(index, len(_PACES) - 1))]
        self.post_message(SetPace(pace))
        if not self.host.scanner.active:
            self.host.tell(f"Pace of the next scan: {pace}")


# From here on each of two tables side by side has the columns that it has alone on 80, and so has each of two on top of
# each other in so many lines.
_WIDE, _TALL = 160, 28
# A little less than a second, so that every second look at the scan is drawn.
_TABLE_SECONDS = 0.9


class BrowseKeys(ScanKeys):
    """A pane of keys and patterns: which table, pattern and filter are chosen, and what is done with the rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="hogs.filter", tooltip="Filter by substring or glob"),
        Binding("tab", "other('patterns')", "patterns", id="hogs.other", tooltip="Switch to patterns"),
        Binding("tab", "other('keys')", "keys", id="hogs.keys", tooltip="Switch to keys"),
        Binding(
            "x", "plan", "clean up…", id="hogs.plan", tooltip="Plan a cleanup of the marked rows, or of this pattern"
        ),
        Binding("l,right", "level(1)", "drill down", id="hogs.deeper", tooltip="Drill down into a pattern (+)"),
        Binding("t", "picture", "picture", id="hogs.picture", tooltip="Show the patterns as a picture, or as a table"),
        Binding("h,left", "level(-1)", "Back up", show=False, id="hogs.upward"),
    ]

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._view: ScanView | None = None
        self.tables, self.filter_line = HogsTables(), FilterLine()
        self.keys, self.patterns = self.tables.keys, self.tables.patterns

    def _draw(self) -> None:
        """Draw what is selected of the scan."""

    def _show_progress(self) -> None:
        """Draw what is said of the scan and of the selection."""

    @property
    def main_widget(self) -> LiveTable[KeyRow] | LiveTable[PatternRow] | KeyspaceMap:
        if not self.in_patterns:
            return self.keys
        return self.tables.map if self.has_class("-map") else self.patterns

    @property
    def in_patterns(self) -> bool:
        """Whether the keys go to the patterns, as a table or as a picture."""
        return self.has_class("-patterns")

    def _select(self, selection: Selection) -> None:
        self.tables.selection = selection
        self._draw()

    def action_filter(self) -> None:
        self.filter_line.open()

    def action_other(self, table: str) -> None:
        self.set_class(table == "patterns", "-patterns")
        self._show_progress()
        self.put_focus(self.main_widget)
        self.refresh_bindings()

    def action_picture(self) -> None:
        """The patterns as a picture, or as a table again."""
        if self.in_patterns or not self.has_class("-map"):
            self.toggle_class("-map")
        self.action_other("patterns")

    @on(KeyspaceMap.Entered)
    def _entered(self, message: KeyspaceMap.Entered) -> None:
        """Into what the pattern is made of; where it is made of none, to its keys."""
        if self._view is not None and self.tables.selection.entered(message.row, self._view) != self.tables.selection:
            self.action_level(1)
        else:
            self._choose(message.row)

    def action_level(self, step: int) -> None:
        """Into what the pattern under the cursor is made of, or out of the one that was entered."""
        row, level = self.patterns.model.current, self.tables.selection.level
        if not self.in_patterns or self._view is None:
            return
        if step > 0 and row is not None:
            self._select(self.tables.selection.entered(row, self._view))
        elif step < 0 and level:
            self._select(self.tables.outside())
            self.tables.return_to(level[-1], self.host.clock.monotonic())

    def action_plan(self) -> None:
        """Begin a cleanup plan: of the marked keys, else of the pattern in hand, else of the key under the cursor."""
        request = self.tables.plan_request(in_patterns=self.in_patterns)
        if request is not None:
            self.post_message(request)
        elif self._view is not None and self.tables.selection.text:
            self.host.tell("No key or pattern is under the cursor: Esc clears the filter.")
        else:
            self.host.tell("There is nothing to plan a cleanup of yet: scan with r, then mark keys with Space.")

    def back(self) -> bool:
        """Drop the filter, leave the pattern, take the marks away: one step at a time."""
        chosen = self.tables.selection
        if self.filter_line.is_open or chosen.text:
            self.filter_line.close(drop=True)
            self.put_focus(self.main_widget)
        elif chosen.pattern is not None:
            self.action_other("patterns")
            self._select(replace(chosen, pattern=None))
        elif chosen.level:
            self.action_level(-1)
        elif self.keys.model.marked:
            self.keys.action_unmark()
        else:
            return False
        return True

    @on(LiveTable.Chosen)
    def _chosen(self, message: LiveTable.Chosen) -> None:
        if isinstance(message.row, KeyRow):
            self.post_message(ShowDetails(message.row.id))
        elif isinstance(message.row, PatternRow):
            self._choose(message.row)

    def _choose(self, pattern: PatternRow) -> None:
        self.action_other("keys")
        self._select(replace(self.tables.selection, pattern=pattern))

    def show_remedy(self, remedy: Remedy) -> None:
        """Show the keys that a finding is about: those of its pattern, else those whose names its glob lets through."""
        if self._view is None or (remedy.match is None and remedy.pattern is None):
            return
        row = next((row for row in self._view.patterns if _is_about(remedy, row)), None)
        # A name that is no text cannot stand in the filter: the keys are shown as they were before.
        text = "" if row is not None or remedy.match is None else remedy.match.decode(errors="ignore")
        if not text.isprintable() or (row is None and text.encode() != remedy.match):
            text = ""
        self.filter_line.value = text
        self.action_other("keys")
        self._select(Selection(pattern=row, text=text))

    @on(FilterLine.Filtered)
    def _filtered(self, message: FilterLine.Filtered) -> None:
        self._select(replace(self.tables.selection, text=message.text))
        if message.closed:
            self.put_focus(self.main_widget)


def _is_about(remedy: Remedy, row: PatternRow) -> bool:
    """Whether `row` counts the very keys of the finding."""
    if remedy.db not in (None, row.db):
        return False
    return row.match == remedy.match if remedy.pattern is None else row.select == remedy.pattern


class HogsPane(BrowseKeys):
    """Keys, and beside or below them (or in their place, in a small terminal) the patterns that they fall into."""

    pane = "hogs"
    title = "Hogs"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._tables_due = 0.0
        self.progress = ScanProgressView()

    def compose(self) -> ComposeResult:
        yield self.progress
        yield self.tables
        yield self.filter_line

    @property
    def marked(self) -> int:
        return len(self.keys.model.marked)

    def show_scan(self, view: ScanView | None) -> None:
        """Draw the scan as it stands: its progress each time, the tables once a second while it runs."""
        before, self._view = self._view, view
        if (None if view is None else view.state) is not (None if before is None else before.state):
            self.refresh_bindings()
        now = self.host.clock.monotonic()
        steady = view is not None and before is not None and view.state is before.state is ScanState.RUNNING
        if steady and before is not None and before.top and now < self._tables_due:
            self._show_progress()
        else:
            self._draw()

    def show_state(self, state: ServerState) -> None:
        """Before the first scan: whether there can be one, and what the server tells of its keys without; later, how
        old the scan is.
        """
        if self._view is not None:
            self._show_progress()
            return
        refusal = self.why_no_scan()
        snapshot = state.snapshot
        self.tables.before_a_scan(refusal, None if snapshot is None else key_sizes(snapshot))
        if refusal != self.progress.refusal:
            self.progress.refusal = refusal
            self.refresh_bindings()
            self._draw()

    def entered(self) -> None:
        self._draw()
        super().entered()

    def _draw(self) -> None:
        self._tables_due = self.host.clock.monotonic() + _TABLE_SECONDS
        if self._view is not None:
            self.tables.show(self._view)
        self._show_progress()

    @on(LiveTable.Changed)
    def _show_progress(self) -> None:
        note = self.tables.note(self._view)
        hidden = not any(map(self.has_class, ("-patterns", "-wide", "-stacked")))
        age = self.host.scanner.age or 0.0
        self.progress.show(self._view, note, hidden=hidden, age=age, outdated=self.host.scanner.outdated)
        self.tables.fade(stale=self.progress.stale)

    def wanted_names(self) -> bytes | None:
        """What the filter lets through, where none of the keys at hand is among it."""
        return self.tables.selection.searched(self._view)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only patterns can be gone into, only a scan under way can be paused or ended, and Tab goes to the other."""
        if action == "scan":
            return None if self.why_not(action) is not None else True
        if action == "other":
            return (parameters == ("keys",)) == self.in_patterns
        works_in = _STATES.get(action)
        if works_in is not None:
            return self._view is not None and self._view.state in works_in
        return action != "level" or (self.in_patterns and self._view is not None)

    def why_nothing(self, action: str) -> str | None:
        """Why there is no scan to pause or to stop."""
        return "No scan is running" if action in _STATES else None

    def on_resize(self, event: events.Resize) -> None:
        wide = event.size.width >= _WIDE
        self.set_class(wide, "-wide")
        self.set_class(not wide and event.size.height >= _TALL, "-stacked")
        self._show_progress()
