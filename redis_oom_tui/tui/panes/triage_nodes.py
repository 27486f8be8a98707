"""The nodes of a cluster, worst first: pressure, verdict, policy and limit of each; one may be looked at alone."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import cells, cut, safe_text
from redis_oom_tui.models.snapshot import ClusterView, Memory, NodeView
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.tui.drawing import Line, Piece, clip, line_bar, merged, pad, spread
from redis_oom_tui.tui.header_model import level_role, pressure_role
from redis_oom_tui.tui.messages import LookAtNode
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_NAME = 30
_ROLE = 24
# From here on there is room for whose replica one is, and for the count of keys.
_WIDE = 100


class _Columns(NamedTuple):
    """How wide each column is, so that the figures of all nodes stand below each other."""

    name: int
    bar: int
    used: int
    limit: int
    policy: int
    wide: bool

    @classmethod
    def of(cls, views: Sequence[NodeView], width: int) -> "_Columns":
        """As wide as what `views` say."""
        told = [view.snapshot.memory for view in views if view.snapshot is not None]
        return cls(
            name=min(_NAME, max((cells(safe_text(view.name, 60)) for view in views), default=0)),
            bar=12 if width >= _WIDE else 8,
            used=max((len(sizes.short_size(memory.used_bytes)) for memory in told), default=0),
            limit=max((len(_limit(memory)) for memory in told), default=0),
            policy=max((cells(safe_text(memory.policy, 20)) for memory in told), default=0),
            wide=width >= _WIDE,
        )


class NodeList(LineWidget, can_focus=True):
    """A line each; the cursor stays on its node while the order changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding(
            "enter", "look", "this node", id="nodes.look", tooltip="Look at this node alone, or at the worst again"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.fleet: ClusterView | None = None
        self._shown = ""
        self._cursor = ""
        self._top = 0

    def show(self, fleet: ClusterView | None, shown: str) -> None:
        """Draw these; `shown` is the node whose figures stand above."""
        self.fleet, self._shown = fleet, shown
        self.redraw()

    @property
    def _views(self) -> tuple[NodeView, ...]:
        return () if self.fleet is None else self.fleet.nodes

    @property
    def place(self) -> int:
        """The cursor's line; the first where its node is gone."""
        return next((at for at, view in enumerate(self._views) if view.name == self._cursor), 0)

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """A title with the sums, and as many nodes as fit round the cursor."""
        if self.fleet is None:
            return ()
        nodes = self._views
        room = max(1, height - 1)
        place = self.place
        self._top = max(0, place - room + 1, min(self._top, place, max(0, len(nodes) - room)))
        title = spread(((f" Nodes {len(nodes)}, worst first", "title"),), ((_sums(self.fleet), "dim"),), width)
        shown = nodes[self._top : self._top + room]
        columns = _Columns.of(nodes, width)
        return [title, *(self._line(view, columns, width, at + self._top == place) for at, view in enumerate(shown))]

    def _line(self, view: NodeView, columns: _Columns, width: int, here: bool) -> Line:
        role = "cursor" if here and self.has_focus else None
        level = Level.UNKNOWN if view.verdict is None else view.verdict.level
        mark = self.pen.glyphs.right if view.name == self._shown else " "
        left: list[Piece] = [
            (f"{mark}{pad(self.pen.glyphs.state(level), 2)} ", role or level_role(level)),
            (f"{pad(safe_text(view.name, 60), columns.name)} ", role or "text"),
        ]
        if view.snapshot is None:
            told = f"{_role(view, columns)}: {safe_text(view.error or 'not asked yet', 200)}"
            return merged(clip([*left, (told, role or "dim")], width))
        memory = view.snapshot.memory
        share = memory.pressure
        bar = pressure_role(memory, self.host.thresholds).removeprefix("bar_")
        full = ((pad("no limit" if memory.unlimited else "?", columns.bar), role or "dim"),)
        left += full if share is None else line_bar(share, columns.bar, self.pen, bar)
        used = sizes.short_size(memory.used_bytes).rjust(columns.used) + pad(_limit(memory), columns.limit)
        policy = pad(safe_text(memory.policy, 20), columns.policy)
        left.append((f" {sizes.percent(share):>5}  {used}  {policy}  {_role(view, columns)}", role or "text"))
        keys = f"{sizes.count(view.snapshot.keys)} keys " if columns.wide else ""
        return merged(spread(left, ((keys, role or "dim"),), width, role or "text"))

    def action_move(self, by: int) -> None:
        """The cursor, by so many lines."""
        if self._views:
            self._cursor = self._views[max(0, min(self.place + by, len(self._views) - 1))].name
            self.redraw()

    def action_look(self) -> None:
        """This node's figures above from now on, or those of the worst again."""
        if self._views:
            self.post_message(LookAtNode(self._views[self.place].name))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, twice looks at the node."""
        if 0 < event.y <= len(self._views) - self._top:
            self._cursor = self._views[self._top + event.y - 1].name
            self.redraw()
            if event.chain == 2:
                self.action_look()


def _limit(memory: Memory) -> str:
    return "" if memory.maxmemory_bytes is None else f" of {sizes.short_size(memory.maxmemory_bytes)}"


def _role(view: NodeView, columns: _Columns) -> str:
    if not view.node.is_primary:
        return cut(f"copies {safe_text(view.node.primary, 60)}", _ROLE) if columns.wide else "replica"
    return f"{sizes.count(view.node.slots)} slots" if view.node.serves else "no slots"


def _sums(fleet: ClusterView) -> str:
    used, limit = fleet.used_bytes, fleet.maxmemory_bytes
    whole = f"{sizes.short_size(used)} of {sizes.short_size(limit)}"
    if limit is None:
        free = sum(view.snapshot is not None and view.snapshot.memory.unlimited for view in fleet.primaries)
        unknown = sum(view.snapshot is not None and view.snapshot.memory.limit_unknown for view in fleet.primaries)
        without = "no limit" if free == len(fleet.primaries) else f"{free} without a limit"
        without = f"limit of {unknown} unknown" if unknown else without
        whole = f"{sizes.short_size(used)}, {without}"
    return f"{len(fleet.primaries)} primaries: {whole if used is not None else '?'}, {sizes.count(fleet.keys)} keys "
