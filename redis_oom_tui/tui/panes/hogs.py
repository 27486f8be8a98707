"""Pane 2, Hogs: what holds the memory. Keys and patterns by bytes, live while the scan runs."""

from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace, PatternRow, ScanState, ScanView
from redis_oom_tui.tui.intents import MakePlan, PauseScan, SetPace, ShowDetails, StartScan, StopScan
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.hogs_columns import key_columns, pattern_columns
from redis_oom_tui.tui.panes.hogs_progress import ScanProgress
from redis_oom_tui.tui.panes.hogs_selection import Selection
from redis_oom_tui.tui.widgets.filter_line import FilterLine
from redis_oom_tui.tui.widgets.live_table import LiveTable
from redis_oom_tui.words.hostile import safe_text

_WIDE = 116
# A little less than a second, so that every second look at the scan is drawn.
_TABLE_SECONDS = 0.9
_PACES = (Pace.GENTLE, Pace.NORMAL, Pace.FULL_SPEED)
_INVITATION = (
    "No scan yet. Press r to read the size, type and TTL of every key: it leaves no trace on the server, "
    "and slows down when the server does."
)


class HogsPane(Pane):
    """Keys, and beside them (or in their place, in a narrow terminal) the patterns that they fall into."""

    pane = "hogs"
    title = "Hogs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "scan", "scan", id="hogs.scan", tooltip="Scan the keyspace, or again"),
        Binding("p", "pause", "pause", id="hogs.pause", tooltip="Pause the scan, or go on"),
        Binding("e", "end", "end", id="hogs.end", tooltip="End the scan and keep what it found"),
        Binding("slash", "filter", "filter", id="hogs.filter", tooltip="Show only names with this part, or by a glob"),
        Binding("tab", "other('patterns')", "patterns", id="hogs.other", tooltip="To the patterns"),
        Binding("tab", "other('keys')", "keys", id="hogs.keys", tooltip="Back to the keys"),
        Binding("x", "plan", "plan", id="hogs.plan", tooltip="Plan a cleanup of what is marked, or of this pattern"),
        Binding("l,right", "deeper", "into", id="hogs.deeper", tooltip="Into a pattern marked +: its own patterns"),
        Binding("h,left", "upward", "Out of the pattern", show=False, id="hogs.upward"),
        Binding("plus,equals_sign", "pace(1)", "Lean harder on the server", show=False, id="hogs.faster"),
        Binding("minus", "pace(-1)", "Lean less on the server", show=False, id="hogs.slower"),
    ]

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._view: ScanView | None = None
        self._selection = Selection()
        self._parents: frozenset[tuple[int | None, bytes | None]] = frozenset()
        self._tables_due = 0.0
        self.keys: LiveTable[KeyRow] = LiveTable(
            key_columns(self._used, databases=False), lambda row: row.id, sort="size", empty=_INVITATION, id="keys"
        )
        self.patterns: LiveTable[PatternRow] = LiveTable(
            pattern_columns(self._opens, partial=False),
            _pattern_id,
            sort="size",
            marking=False,
            empty="The patterns that names fall into come with a scan: press r.",
            id="patterns",
        )
        self.progress = ScanProgress()
        self.filter_line = FilterLine()

    def compose(self) -> ComposeResult:
        """Progress, tables, filter."""
        yield self.progress
        with Horizontal():
            yield self.keys
            yield self.patterns
        yield self.filter_line

    @property
    def main_widget(self) -> LiveTable[KeyRow] | LiveTable[PatternRow]:
        """The table that is being worked in."""
        return self.patterns if self.has_class("-patterns") else self.keys

    @property
    def marked(self) -> int:
        """How many keys are marked."""
        return len(self.keys.model.marked)

    def show_scan(self, view: ScanView | None) -> None:
        """Draw the scan as it stands: its progress each time, the tables once a second while it runs."""
        before, self._view = self._view, view
        if (None if view is None else view.state) is not (None if before is None else before.state):
            self.refresh_bindings()
        now = self.triage.clock.monotonic()
        steady = view is not None and before is not None and view.state is before.state is ScanState.RUNNING
        if steady and before is not None and before.top and now < self._tables_due:
            self.progress.show(view, self._used(), self._note())
        else:
            self._draw()

    def entered(self) -> None:
        """Come on screen with the tables as they stand now."""
        self._draw()
        super().entered()

    def _draw(self) -> None:
        view = self._view
        self._tables_due = self.triage.clock.monotonic() + _TABLE_SECONDS
        if view is not None:
            databases, nodes = ({row.id.db for row in view.top}, {row.id.node for row in view.top})
            self.keys.model.columns = key_columns(
                self._used, databases=databases not in ({0}, set()), nodes=nodes not in ({""}, set())
            )
            self._parents = frozenset((row.db, row.parent) for row in view.patterns if row.parent is not None)
            self.patterns.model.columns = pattern_columns(self._opens, partial=not view.complete)
            if self.patterns.model.sort == "whole" and view.complete:
                self.patterns.model.sort = "size"
            moving = view.state is ScanState.RUNNING
            nothing = self._selection.nothing(view)
            self.keys.show(self._selection.keys(view), nothing, moving=moving)
            self.patterns.show(self._selection.patterns(view), nothing, moving=moving)
        self.progress.show(view, self._used(), self._note())

    def _opens(self, row: PatternRow) -> bool:
        return (row.db, row.pattern) in self._parents

    def _used(self) -> int | None:
        reading = self.triage.reading if self.is_attached else None
        if reading is None or reading.snapshot is None:
            return None
        fleet = reading.snapshot.fleet
        return reading.snapshot.memory.used_bytes if fleet is None else fleet.used_bytes

    def _note(self) -> str:
        return self._selection.words(len(self.keys.model.marked), self._view)

    def _select(self, selection: Selection) -> None:
        self._selection = selection
        self._draw()

    # What the keys do

    def action_scan(self) -> None:
        """Scan again, from the start; never in place of a scan under way, whose work one key would throw away."""
        if self.triage.desk.active:
            self.triage.tell("A scan is under way: p pauses it or goes on, e ends it; then r begins a new one.")
            return
        self.post_message(StartScan(self.triage.desk.options))

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.post_message(PauseScan())

    def action_end(self) -> None:
        """End the scan and keep what it found."""
        self.post_message(StopScan())

    def action_pace(self, by: int) -> None:
        """Lean harder, or less hard, on the server."""
        at = _PACES.index(self.triage.desk.options.pace) + by
        self.post_message(SetPace(_PACES[max(0, min(at, len(_PACES) - 1))]))

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter_line.open()

    def action_other(self, table: str) -> None:
        """To the patterns, or back to the keys."""
        self._work_in(patterns=table == "patterns")

    def _work_in(self, *, patterns: bool) -> None:
        self.set_class(patterns, "-patterns")
        self.put_focus(self.main_widget)
        self.refresh_bindings()

    def action_deeper(self) -> None:
        """Show what a pattern itself is made of."""
        row = self.patterns.model.current
        if self.main_widget is self.patterns and row is not None and self._view is not None:
            self._select(self._selection.entered(row, self._view))

    def action_upward(self) -> None:
        """Out of the pattern again."""
        if self.main_widget is self.patterns and self._selection.level:
            *level, left = self._selection.level
            self._select(replace(self._selection, level=tuple(level)))
            self.patterns.model.go_to(_pattern_id(left), self.triage.clock.monotonic())
            self.patterns.redraw()

    def action_plan(self) -> None:
        """Begin a cleanup plan: of the marked keys, else of the pattern in hand, else of the key under the cursor."""
        marked = tuple(row.id for row in self.keys.model.marked.values())
        pattern = self.patterns.model.current if self.main_widget is self.patterns else self._selection.family
        key = self.keys.model.current
        if marked:
            seen = {row.id for row in self.keys.model.rows}
            hidden = sum(key not in seen for key in marked)
            self.post_message(MakePlan(Criteria(keys=marked), f"{len(marked):,} marked in Hogs", hidden=hidden))
        elif pattern is not None:
            databases = None if pattern.db is None else (pattern.db,)
            criteria = Criteria(patterns=(pattern.match,), databases=databases)
            self.post_message(MakePlan(criteria, f"pattern {safe_text(pattern.pattern, 40)}"))
        elif key is not None:
            self.post_message(MakePlan(Criteria(keys=(key.id,)), "one key of Hogs"))
        else:
            self.triage.tell("There is nothing to plan a cleanup of yet: scan with r, then mark keys with Space.")

    def back(self) -> bool:
        """Drop the filter, leave the pattern, take the marks away: one step at a time."""
        chosen = self._selection
        if self.filter_line.is_open or chosen.text:
            self.filter_line.close(drop=True)
            self.put_focus(self.main_widget)
        elif chosen.family is not None:
            self._work_in(patterns=True)
            self._select(replace(chosen, family=None))
        elif chosen.level:
            self.action_upward()
        elif self.keys.model.marked:
            self.keys.action_unmark()
        else:
            return False
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only patterns can be gone into, only a scan under way can be paused or ended, and Tab goes to the other."""
        in_patterns = self.main_widget is self.patterns
        if action == "other":
            return (parameters == ("keys",)) == in_patterns
        if action in ("pause", "end"):
            return self._view is not None and self._view.state in (ScanState.RUNNING, ScanState.PAUSED)
        return action not in ("deeper", "upward") or in_patterns

    # What the tables and the filter tell

    @on(LiveTable.Chosen, "#keys")
    def _key_chosen(self, message: LiveTable.Chosen) -> None:
        if isinstance(message.row, KeyRow):
            self.post_message(ShowDetails(message.row.id))

    @on(LiveTable.Chosen, "#patterns")
    def _pattern_chosen(self, message: LiveTable.Chosen) -> None:
        if isinstance(message.row, PatternRow):
            self._work_in(patterns=False)
            self._select(replace(self._selection, family=message.row))

    @on(LiveTable.Changed)
    def _table_changed(self) -> None:
        self.progress.show(self._view, self._used(), self._note())

    @on(FilterLine.Filtered)
    def _filtered(self, message: FilterLine.Filtered) -> None:
        self._select(replace(self._selection, text=message.text))

    @on(FilterLine.Closed)
    def _filter_closed(self) -> None:
        self.put_focus(self.main_widget)

    def on_resize(self, event: events.Resize) -> None:
        """Wide terminals show keys and patterns side by side."""
        self.set_class(event.size.width >= _WIDE, "-wide")


def _pattern_id(row: PatternRow) -> tuple[int | None, int, bytes]:
    return row.db, row.level, row.pattern
