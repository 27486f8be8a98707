"""The lists of pane 1: the nodes of a cluster, the ranked findings, and the clients that hold most."""

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.columns import Column, ShareBase
from redis_oom_tui.formatting.sanitize import cells, safe_text
from redis_oom_tui.formatting.vitals import cluster_sums, limit_of_node, role_of_node, saving
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.scan import ScanState, ScanView
from redis_oom_tui.models.snapshot import ClusterView, NodeView
from redis_oom_tui.models.verdict import Finding, Level
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.clients import Hog, noteworthy_bytes, only_own, others
from redis_oom_tui.tui.drawing import Line, Piece, clip, line_bar, merged, pad, paragraph, shorten, spread, wrap
from redis_oom_tui.tui.drawing import width as cells_of
from redis_oom_tui.tui.glyphs import Glyphs
from redis_oom_tui.tui.header_model import PANES, finding_mark, level_role, pressure_role
from redis_oom_tui.tui.messages import ApplyRemedy, LookAtNode
from redis_oom_tui.tui.panes.hogs_tables import columns_of_patterns, used_bytes
from redis_oom_tui.tui.screens.reader import FindingScreen
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from redis_oom_tui.tui.widgets.line_widget import LineWidget
from redis_oom_tui.tui.widgets.table_model import R, fitting, header
from redis_oom_tui.tui.widgets.table_model import cells_of as cells_of_row

_ROOMY = 100
_ALIGNED = 60
_CLIENTS = 5
_FEW = 6
_OUTDATED, _OUTDATED_BRIEF = "OLD: keys changed since the scan ", "OLD scan "
_NONE_YET = "Nothing stands out yet. Scan in Hogs (2, r) to check the keys too."
_PANE = max(len(pane) for pane in PANES)


class Findings(CursorList[Finding]):
    """The gravest first, a line each unless all titles fit whole; the cursor stays on its finding while others go."""

    one_line = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "explain", "explain", id="findings.explain", tooltip="Explain this finding"),
        Binding("m", "fix", "fix", id="findings.mend", tooltip="Go to the fix; nothing is changed yet"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.findings: tuple[Finding, ...] = ()
        self._first_step = ""
        self._none = "Waiting for the first INFO."
        self._most = 0
        self._outdated = False
        self._wraps = False

    def show(
        self, findings: tuple[Finding, ...], first_step: str = "", *, scanned: bool = True, outdated: bool = False
    ) -> None:
        """Draw these, and beside their title what to do first; `scanned` is whether keys were looked at for them,
        `outdated` whether keys were changed from here since.
        """
        self._outdated = outdated
        before = self.current
        self._none = "Nothing stands out." if scanned else _NONE_YET
        self.findings, self._first_step = findings, safe_text(first_step, 300)
        if self.is_attached and _offers(before) != _offers(self.current):
            self.refresh_bindings()
        # Where there is more room than findings, what stands below them follows closely.
        most = max(_FEW, len(findings) + 1)
        if most > self._most:
            self._most = most
            self.styles.max_height = most
        self.redraw()

    @property
    def items(self) -> Sequence[Finding]:
        return self.findings

    def identify(self, item: Finding) -> Hashable:
        """What tells it from the others, and stays while its figures move: some are found of several patterns."""
        remedy = item.remedy
        if remedy is None:
            return (item.id,)
        return (item.id, remedy.match, remedy.db, remedy.client_id, remedy.jobs and remedy.jobs.state)

    def above(self, width: int, height: int) -> Sequence[Line]:
        """The title, how many there are where not all are in view, and what to do first."""
        count = len(self.findings)
        self._wraps = sum(len(self._title(item, width)) for item in self.findings) < height
        more = f" ({count})" if count > height - 1 else ""
        first = f"{self.style.glyphs.right} {self._first_step}" if self._first_step else ""
        words = _OUTDATED if width >= _ROOMY else _OUTDATED_BRIEF
        old: Line = ((words, "warn"),) if self._outdated else ()
        step = shorten(first, max(1, width - 14 - len(more) - cells_of(old)))
        title = spread(((" Findings", "title"), (f"{more}  ", "dim"), (step, "dim")), old, width)
        return [title] if count else [title, ((f" {shorten(self._none, max(1, width - 2))}", "dim"),)]

    def row(self, item: Finding, width: int, *, here: bool) -> Sequence[Line]:
        """Its level, its title, what it saves and where it is fixed."""
        role = "cursor" if here and self.has_focus else None
        right = self._leads(item, width, role)
        sign = finding_mark(item.level, self.style.glyphs)
        state = role or (level_role(item.level) if item.level is not Level.OK else "dim")
        text = role or "text"
        first, *more = self._title(item, width, whole=self._wraps)
        lines = [merged(spread(((f"{self.edge(here=here)}{pad(sign, 2)} ", state), (first, text)), right, width, text))]
        return [*lines, *(merged(spread(((f"{' ' * 4}{line}", text),), (), width, text)) for line in more)]

    def _title(self, item: Finding, width: int, *, whole: bool = True) -> list[str]:
        text, space = safe_text(item.title, 200), max(4, width - cells_of(self._leads(item, width, None)) - 5)
        return wrap(text, space) if whole else [shorten(text, space)]

    def _leads(self, item: Finding, width: int, role: str | None) -> list[Piece]:
        """What it saves and where it is fixed, at the right."""
        right: list[Piece] = []
        if item.saves_bytes is not None:
            right.append((f"{'frees ' if width >= _ROOMY else ''}{saving(item)} ", role or "ok"))
        if item.remedy is not None:
            pane = item.remedy.pane.title().ljust(_PANE if width >= _ALIGNED else 0)
            right.append((f"{self.style.glyphs.right} {pane} ", role or "link"))
        elif right and width >= _ALIGNED:
            right.append((" " * (_PANE + 3), role or "link"))
        return right

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what is fixed elsewhere leads there, and only where there is a finding is one to explain."""
        del parameters
        explains, leads = _offers(self.current)
        return {"explain": explains, "fix": leads}.get(action, True)

    def action_explain(self) -> None:
        finding = self.current
        if finding is not None:
            self.app.push_screen(FindingScreen(finding))

    def action_fix(self) -> None:
        """Go where it is fixed."""
        finding = self.current
        if finding is not None and finding.remedy is not None:
            self.post_message(ApplyRemedy(finding.remedy))


def _offers(finding: Finding | None) -> tuple[bool, bool]:
    """Whether it can be explained, and whether it is fixed somewhere."""
    return finding is not None, finding is not None and finding.remedy is not None


class Clients(LineWidget):
    """The clients that hold most memory, by CLIENT LIST; what holds next to nothing is left out."""

    clients: tuple[ClientBuffer, ...] | None = None
    _used = 0
    _height = 0
    refusal: str | None = None
    # Whether there is room for as many of them as there are, in columns.
    roomy = False

    def show(self, clients: tuple[ClientBuffer, ...] | None, used_bytes: int, refusal: str | None = None) -> None:
        """Draw these; `used_bytes` is what they are small or large beside, `refusal` why they may not be listed."""
        self.clients, self._used, self.refusal = clients, used_bytes, refusal
        listed = min(_CLIENTS, max(1, len(self._hogs())))
        # It grows and never shrinks: a client at the border would have the screen jump.
        self._height = max(self._height, listed + 1)
        self.styles.height = "1fr" if self.roomy else self._height
        self.redraw()

    def _hogs(self) -> list[Hog]:
        least = noteworthy_bytes(self._used)
        return [hog for hog in others(self.clients or ()) if hog.client.total_bytes >= least]

    def lines(self, width: int, height: int) -> Sequence[Line]:
        title: Line = ((" Largest clients", "title"),)
        if self.clients is None:
            why = safe_text(self.refusal or "CLIENT LIST has not answered yet", 200)
            return [title, *paragraph(why, max(8, width - 2), "dim", " ")]
        hogs = self._hogs()
        if not hogs:
            return [title, ((f" {_none(self.clients)}", "dim"),)]
        if self.roomy:
            return [title, *_table(hogs, _CLIENT_COLUMNS, "total", width, self.style.glyphs)[: height - 1]]
        return [title, *(_client_line(hog, width) for hog in hogs[: max(0, height - 1)])]


def _client_line(hog: Hog, width: int) -> Line:
    held = pad(sizes.short_size(hog.client.total_bytes), 7, "right")
    return clip(((f" {held}  ", "text"), (hog.words, "dim")), width)


def _client_column(name: str, title: str, value: Callable[[ClientBuffer], str]) -> Column[Hog]:
    return Column(name, title, 7, lambda hog, _: value(hog.client), align="right")


_CLIENT_COLUMNS: tuple[Column[Hog], ...] = (
    _client_column("total", "BYTES", lambda client: sizes.short_size(client.total_bytes)),
    _client_column("output", "OUTPUT", lambda client: sizes.short_size(client.output_bytes)),
    _client_column("query", "QUERY", lambda client: sizes.short_size(client.query_bytes)),
    _client_column("idle", "IDLE", lambda client: sizes.duration(client.idle_seconds)),
    Column("client", "CLIENT", 0, lambda hog, width: shorten(hog.words, width)),
)


def _table(rows: Sequence[R], columns: Sequence[Column[R]], order: str, width: int, glyphs: Glyphs) -> list[Line]:
    fitted = fitting(columns, width - 1)
    head = merged(((" ", "head"), *header(fitted, order, True, glyphs)))
    return [head, *(merged(((" ", "text"), *cells_of_row(row, fitted, None))) for row in rows)]


class TopPatterns(LineWidget):
    """The patterns that hold most, as far as they are known: for a screen that has room left."""

    view: ScanView | None = None
    scans_soon = False
    refusal: str | None = None

    def show(self, view: ScanView | None, refusal: str | None, *, scans_soon: bool) -> None:
        """Draw those of a scan; `refusal` is why there can be none, `scans_soon` whether one begins by itself."""
        self.view, self.refusal, self.scans_soon = view, refusal, scans_soon
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        view = self.view
        rows = [] if view is None else [row for row in view.patterns if row.level == 1]
        if view is None or not rows:
            title: Line = ((" Largest patterns", "title"),)
            return [title, *paragraph(safe_text(self._why_none(view), 300), max(8, width - 2), "dim", " ")]
        read = "" if view.complete else f"  {sizes.percent(view.share_scanned)} of the keys read"
        rows.sort(key=lambda row: -row.size)
        title = ((" Largest patterns", "title"), (read, "dim"))
        columns = columns_of_patterns(view, recognize(view), ShareBase(lambda: used_bytes(self)))
        return [title, *_table(rows[: height - 2], columns, "size", width, self.style.glyphs)]

    def _why_none(self, view: ScanView | None) -> str:
        """What to say where there is no pattern to show."""
        if view is None:
            soon = "A gentle scan begins by itself." if self.scans_soon else "No scan yet: r in Hogs (2)."
            return self.refusal or soon
        if view.state is ScanState.FAILED:
            return view.error or "The scan failed."
        if view.state in (ScanState.PAUSED, ScanState.STOPPED):
            return f"No patterns yet: the scan is {view.state.value}."
        return "Scanning." if view.state is ScanState.RUNNING else "The scan found no pattern."


def _none(clients: tuple[ClientBuffer, ...]) -> str:
    most = max((hog.client.total_bytes for hog in others(clients)), default=None)
    return f"{only_own(len(clients))}." if most is None else f"No client buffer above {sizes.size(most)}."


_NAME = 30
# What stands between and before the columns of a node: its marks, its share, and blanks.
_GAPS = 18
# From here on there is room for whose replica one is, and for the count of keys.
_WIDE = 100


class _Columns(NamedTuple):
    """How wide each column is, so that the figures of all nodes stand below each other."""

    name: int
    bar: int
    used: int
    limit: int
    policy: int
    roles: int
    wide: bool

    @classmethod
    def of(cls, views: Sequence[NodeView], width: int) -> "_Columns":
        """As wide as what `views` say. Too wide, the bar goes first, then policy, role and parts of names."""
        memories = [view.snapshot.memory for view in views if view.snapshot is not None]
        wide = width >= _WIDE
        name = min(_NAME, max((cells(safe_text(view.name, 60)) for view in views), default=0))
        used = max((len(sizes.short_size(memory.used_bytes)) for memory in memories), default=0)
        limit = max((len(limit_of_node(memory)) for memory in memories), default=0)
        policy = max((cells(safe_text(memory.policy, 20)) for memory in memories), default=0)
        roles = max((cells(role_of_node(view, wide=wide)) for view in views), default=0)
        bar = 12 if wide else 8
        if not wide:
            room = width - _GAPS - used - limit
            bar = bar if name + bar + policy + roles <= room else 0
            policy = policy if name + bar + policy + roles <= room else 0
            roles = roles if name + bar + policy + roles <= room else 0
            name = max(1, min(name, room - bar - policy - roles))
        return cls(name, bar, used, limit, policy, roles, wide)


class NodeList(CursorList[NodeView]):
    """A line each; the cursor stays on its node while the order changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "show_node", "this node", id="nodes.look", tooltip="Show this node, or the worst again")
    ]

    def __init__(self) -> None:
        super().__init__()
        self.cluster: ClusterView | None = None
        self._shown = ""

    def show(self, cluster: ClusterView | None, shown: str) -> None:
        """Draw these; `shown` is the node whose figures stand above."""
        self.cluster, self._shown = cluster, shown
        self.redraw()

    @property
    def items(self) -> Sequence[NodeView]:
        return () if self.cluster is None else self.cluster.nodes

    def identify(self, item: NodeView) -> Hashable:
        return item.name

    def above(self, width: int, height: int) -> Sequence[Line]:
        del height
        if self.cluster is None:
            return ()
        title, sums = f" Nodes ({len(self.items)})", f"{cluster_sums(self.cluster)} "
        title += ", worst first" if cells(f"{title}, worst first{sums}") < width else ""
        return [spread(((title, "title"),), ((sums, "dim"),), width)]

    def row(self, item: NodeView, width: int, *, here: bool) -> Sequence[Line]:
        """Its verdict, how full it is, its limit, policy and role."""
        view, columns = item, _Columns.of(self.items, width)
        role = "cursor" if here and self.has_focus else None
        level = Level.UNKNOWN if view.verdict is None else view.verdict.level
        mark = self.style.glyphs.right if view.name == self._shown else " "
        left: list[Piece] = [
            (f"{self.edge(here=here)}{mark}{pad(self.style.glyphs.state(level), 2)} ", role or level_role(level)),
            (f"{pad(safe_text(view.name, 60), columns.name)} ", role or "text"),
        ]
        if view.snapshot is None:
            words = f"{role_of_node(view, wide=columns.wide)}: {safe_text(view.error or 'not asked yet', 200)}"
            return [merged(clip([*left, (words, role or "dim")], width))]
        memory = view.snapshot.memory
        share = memory.pressure
        bar = pressure_role(memory, self.host.thresholds).removeprefix("bar_")
        full = ((pad("no limit" if memory.unlimited else "?", columns.bar), role or "dim"),)
        left += full if share is None or not columns.bar else line_bar(share, columns.bar, self.style, bar)
        used = sizes.short_size(memory.used_bytes).rjust(columns.used) + pad(limit_of_node(memory), columns.limit)
        policy = f"  {pad(safe_text(memory.policy, 20), columns.policy)}" if columns.policy else ""
        part = f"  {role_of_node(view, wide=columns.wide)}" if columns.roles else ""
        left.append((f" {sizes.percent(share):>5}  {used}{policy}{part}", role or "text"))
        keys = f"{sizes.count(view.snapshot.keys)} keys " if columns.wide else ""
        return [merged(spread(left, ((keys, role or "dim"),), width, role or "text"))]

    def action_show_node(self) -> None:
        view = self.current
        if view is not None:
            self.post_message(LookAtNode(view.name))
