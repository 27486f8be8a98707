"""The overview: a row for each server of several profiles, the one in most trouble first. It changes nothing."""

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerError, WorkType, get_current_worker

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import count_levels, role_text, server_text, use_of_limit
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.poller import SeveralPollers
from redis_oom_tui.rules.cluster import profiles_of_servers, same_servers
from redis_oom_tui.tui.drawing import DrawStyle, Line, Piece, clip, merged, pad, shorten, spread, wrap
from redis_oom_tui.tui.drawing import width as cells_in
from redis_oom_tui.tui.messages import LeaveOverview, OpenProfile
from redis_oom_tui.tui.profiles import caution, target
from redis_oom_tui.tui.screens.overview_columns import WIDE, NodeRows, ServerRow, longest_name, overview_columns
from redis_oom_tui.tui.screens.reader import HelpScreen, VerdictScreen
from redis_oom_tui.tui.widgets.fields import FilterLine, matcher
from redis_oom_tui.tui.widgets.keybar import KeyBar
from redis_oom_tui.tui.widgets.line_widget import LineWidget
from redis_oom_tui.tui.widgets.live_table import MARGIN, LiveTable
from redis_oom_tui.tui.widgets.table_model import cells_of

_DRAWN_EVERY_SECONDS = 0.5


class ServerTable(LiveTable[ServerRow]):
    """The rows. One that did not answer says why in place of its figures; a cluster unfolds into its nodes."""

    title = "Overview"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="table.choose", tooltip="Open what the cursor is on"),
        Binding(
            "enter,right", "fold(False)", "unfold", id="overview.unfold", tooltip="Unfold the cluster into its nodes"
        ),
        Binding("enter,left", "fold(True)", "fold", id="overview.fold", tooltip="Fold the nodes into their cluster"),
        Binding("o", "open_whole", "open whole", id="overview.open", tooltip="Open the cluster in the panes"),
    ]

    def __init__(self, rows: Sequence[ServerRow]) -> None:
        self.longest = longest_name(rows)
        super().__init__(
            overview_columns(WIDE, self.longest, DrawStyle()),
            lambda row: row.id,
            sort="verdict",
            marking=False,
            empty="No match. Esc clears the filter.",
            id="overview",
        )
        self._unfolded: set[str] = set()
        self._node_rows = NodeRows()
        self.model.within = lambda row: self._node_rows.of(row) if row.profile.name in self._unfolded else ()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        self.model.columns = overview_columns(width - MARGIN, self.longest, self.style)
        return super().lines(width, height)

    def row(self, item: ServerRow, width: int, *, here: bool) -> Sequence[Line]:
        if item.snapshot is not None:
            return super().row(item, width, here=here)
        role = ("cursor" if self.has_focus else "cursor_away") if here else None
        named = cells_of(item, [(column, column.width) for column in self.model.columns[:2]], role)
        edge: Piece = (pad(self.edge(here=here), MARGIN), role or "text")
        left = width - cells_in((edge, *named))
        reason = "" if item.is_awaited else shorten(safe_text(item.verdict.reason), left)
        return [merged((edge, *named, (pad(reason, left), role or "dim")))]

    def sign(self, item: ServerRow) -> Piece:
        """Whether it is a cluster, folded or not."""
        glyphs = self.style.glyphs
        if item.cluster is None:
            return " ", "text"
        return (glyphs.down if item.profile.name in self._unfolded else glyphs.within), "dim"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        row = self.model.current
        if action == "fold":
            return row is not None and row.may_fold(away=bool(parameters[0]), unfolded=self._unfolded)
        if action in {"open_whole", "choose"}:
            return row is None or row.is_cluster == (action == "open_whole")
        return super().check_action(action, parameters)

    def action_open_whole(self) -> None:
        """Open a cluster, with the figures of its worst node."""
        self.action_choose()

    def action_fold(self, away: bool) -> None:
        """Show the nodes below their cluster, or no more; the cursor stays, or goes from a node to its cluster."""
        row = self.model.current
        if row is None or (row.cluster is None and row.node is None):
            return
        name = row.profile.name
        if away:
            self._unfolded.discard(name)
            self._node_rows.forget(name)
        elif row.cluster is not None:
            self._unfolded.add(name)
        self.model.go_to((name, "") if away else row.id, self._now())
        self.show(self.model.outer_rows)
        self._changed()


class ServerDetails(LineWidget):
    """What there is no room for in a row: where the server is, how careful one has to be there, and the verdict."""

    shown: ServerRow | None = None

    def show(self, row: ServerRow | None) -> None:
        """Draw what is known of that server."""
        self.shown = row
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        row = self.shown
        if row is None:
            return ()
        lines = wrap(safe_text("connecting" if row.is_awaited else row.verdict.reason, 400), max(8, width - 2))
        if len(lines) > height - 2:
            lines = [*lines[: height - 3], shorten(" ".join(lines[height - 3 :]), max(8, width - 2))]
        step = f"{self.style.glyphs.right} {safe_text(row.verdict.first_step, 300)}" if row.verdict.first_step else ""
        text: list[Line] = [((f" {line}", "text"),) for line in lines]
        return [self._where(row, width), *text, ((f" {shorten(step, width - 2)}", "dim"),)]

    def _where(self, row: ServerRow, width: int) -> Line:
        profile, snapshot, node = row.profile, row.snapshot, row.node
        careful = caution(profile)
        badge = ((f" {careful} ", f"mark_{profile.shown_color.value}"), ("  ", "text")) if careful else ()
        of_cluster = "" if node is None else f"{safe_text(node.name, 60)} of "
        left: Line = ((f" {of_cluster}{safe_text(profile.name, 40)}  ", "title"), *badge)
        where = target(profile) if node is None else ""
        if snapshot is None:
            return clip((*left, (where, "dim")), width)
        watch = profile.watch.thresholds
        used = (f"{use_of_limit(snapshot.memory, (watch.warn, watch.crit, 1.0))}  ", "text")
        same = f"{row.same_as.words}  " if row.same_as else ""
        line = (*left, used, (same, "text"), (_facts(snapshot, node), "dim"))
        whole = (*line, (f"  {where}", "dim"))
        return clip(whole if cells_in(whole) <= width else line, width)


def _facts(snapshot: Snapshot, node: NodeView | None) -> str:
    """What it is in the deployment, and what runs there."""
    cluster, server = snapshot.cluster, safe_text(server_text(snapshot.server), 40)
    if cluster is not None:
        copies = sizes.number_of(len(cluster.replicas), "replica")
        return f"{sizes.number_of(len(cluster.primaries), 'primary node')}, {copies}"
    if node is None:
        return f"{role_text(safe_text(snapshot.server.role, 12))}, {server}"
    slots = sizes.number_of(node.node.slots, "slot")
    return f"{slots if node.node.is_primary else f'replica of {safe_text(node.node.primary, 60)}'}, {server}"


class OverviewTitle(LineWidget):
    """How many servers there are of each level, and what is shown of them."""

    left = right = ""

    def say(self, left: str, right: str) -> None:
        """Draw this."""
        self.left, self.right = left, right
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        del height
        name: tuple[Piece, ...] = ((" redis-oom-tui ", "title"),) if width >= WIDE else ()
        left: Line = (*name, (f" {self.left}", "title"))
        right: Line = ((f"{self.right} ", "dim"),)
        return [spread(left, right if cells_in((*left, *right)) < width else (), width)]


class OverviewScreen(Screen[None]):
    """Covers the panes. `is_outermost` once a server was opened from it, or where it came first: Escape stays here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="overview.filter", tooltip="Filter by a part of the name or a glob"),
        Binding("V", "show_verdict", "verdict", id="overview.verdict", tooltip="The verdict in full"),
        Binding("question_mark", "show_help", "help", id="overview.help", tooltip="Help: keys and safety rules"),
        Binding("escape", "back", "Back one step", show=False, id="overview.back"),
    ]

    def __init__(self, profiles: Sequence[Profile], polls: SeveralPollers, *, is_outermost: bool) -> None:
        super().__init__()
        self.is_outermost = is_outermost
        self._polls = polls
        self._polling: Worker[None] | None = None
        self._profiles = sorted(profiles, key=lambda profile: profile.name)
        self._dirty, self._asked_all = True, False
        self.head, self.details, self.keys = OverviewTitle(), ServerDetails(), KeyBar()
        self.table = ServerTable(_rows(self._profiles, self._polls))
        self.filter_line = FilterLine("part of a name, or a glob such as cache-*", id="filter")

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.table
        yield self.details
        yield self.filter_line
        yield self.keys

    def on_mount(self) -> None:
        """Rows are drawn twice a second at most, however many servers answer."""
        self.set_focus(self.table, scroll_visible=False)
        self.set_interval(_DRAWN_EVERY_SECONDS, self._draw_news)

    def on_screen_resume(self) -> None:
        """What came meanwhile."""
        self._draw()

    @property
    def is_drawn(self) -> bool:
        """Whether it has had a place to draw in."""
        return self.table.is_drawn

    def poll(self) -> None:
        """Poll all, unless that is done already."""
        if self._polling is None or self._polling.is_cancelled or self._polling.is_finished:
            work: WorkType[None] = partial(self._poll_after, self._polling)
            self._polling = self.app.run_worker(work, name="overview", group="overview", exit_on_error=False)

    async def _poll_after(self, before: Worker[None] | None) -> None:
        """Poll once the polling of before has let go of its connections."""
        if before is not None:
            await _ended(before)
        # The wait takes a cancellation for that of the other.
        if not get_current_worker().is_cancelled:
            await self._polls.run(self._changed)

    def poll_no_more(self) -> None:
        """Leave the servers alone; what is known of them stays."""
        if self._polling is not None:
            self._polling.cancel()

    async def close(self) -> None:
        """Let go of every connection."""
        self.poll_no_more()
        if self._polling is not None:
            await _ended(self._polling)

    def _changed(self) -> None:
        self._dirty = True

    def _draw_news(self) -> None:
        if self._dirty and self.is_current:
            self._draw()

    def _draw(self) -> None:
        self._dirty = False
        rows = _rows(self._profiles, self._polls)
        levels = [row.verdict.level for row in rows if not row.is_awaited]
        awaited = len(rows) - len(levels)
        counts = ", ".join(filter(None, (count_levels(levels), f"{awaited} connecting" if awaited else "")))
        text = self.filter_line.value
        shown = [row for row in rows if not text or matcher(text)(row.profile.name.encode())]
        every = f"polled every {sizes.duration(self._polls.interval_seconds)}"
        many = profiles_of_servers([(row.profile.name, row.same_as) for row in rows])
        right = f"/{safe_text(text, 20)}: {len(shown)} shown" if text else every
        with self.app.batch_update():
            self.head.say(f"{many}: {counts}", right)
            # Until all have answered, the cursor stays with the worst.
            self.table.longest = longest_name(rows)
            self.table.show(shown, moving=self._asked_all)
            self.details.show(self.table.model.current)
        # A cluster is known by its first answer.
        self.refresh_bindings()
        self._asked_all = not awaited

    @on(FilterLine.Filtered)
    def _filtered(self, message: FilterLine.Filtered) -> None:
        if message.closed:
            self.set_focus(self.table, scroll_visible=False)
        self._draw()

    @on(LiveTable.Changed)
    def _moved(self) -> None:
        self.details.show(self.table.model.current)
        self.refresh_bindings()

    @on(LiveTable.Chosen)
    def _chosen(self, message: LiveTable.Chosen) -> None:
        # The row of the key press: the cursor may have gone on with the worst since.
        if isinstance(message.row, ServerRow):
            self.post_message(OpenProfile(*message.row.id))

    def action_filter(self) -> None:
        """Filter the rows by name."""
        self.filter_line.open()

    def action_show_verdict(self) -> None:
        """The verdict on the server under the cursor, in full."""
        row = self.table.model.current
        if row is not None:
            node = "" if row.node is None else f"{row.node.name} of "
            self.app.push_screen(VerdictScreen(row.verdict, f"{node}{row.profile.name}, {target(row.profile)}"))

    def action_show_help(self) -> None:
        """All keys, and the safety rules."""
        self.app.push_screen(HelpScreen())

    def action_back(self) -> None:
        """Give up what is being opened, else drop the filter, else back to the server that was left, if any."""
        self.post_message(LeaveOverview())

    def drop_filter(self) -> bool:
        """Show all rows again; False where they are shown."""
        filtered = self.filter_line.is_open or bool(self.filter_line.value)
        if filtered:
            self.filter_line.close(drop=True)
            self.set_focus(self.table, scroll_visible=False)
        return filtered


def _rows(profiles: Sequence[Profile], polls: SeveralPollers) -> list[ServerRow]:
    rows = [ServerRow(profile, polls.states[profile.name]) for profile in profiles]
    same = same_servers({row.profile.name: row.snapshot for row in rows if row.snapshot is not None})
    return [replace(row, same_as=same.get(row.profile.name, row.same_as)) for row in rows]


async def _ended(worker: Worker[None]) -> None:
    with contextlib.suppress(WorkerError):
        await worker.wait()
