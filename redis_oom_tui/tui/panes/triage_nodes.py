"""The nodes of a cluster, worst first: pressure, verdict, policy and limit of each; one may be looked at alone."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import cells, cut, safe_text
from redis_oom_tui.models.snapshot import ClusterView, Memory, NodeView
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.tui.drawing import Line, Piece, clip, line_bar, merged, pad, spread
from redis_oom_tui.tui.header_model import level_role, pressure_role
from redis_oom_tui.tui.messages import LookAtNode
from redis_oom_tui.tui.widgets.cursor_list import CursorList

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


class NodeList(CursorList[NodeView]):
    """A line each; the cursor stays on its node while the order changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "look", "this node", id="nodes.look", tooltip="Look at this node alone, or at the worst again"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.fleet: ClusterView | None = None
        self._shown = ""

    def show(self, fleet: ClusterView | None, shown: str) -> None:
        """Draw these; `shown` is the node whose figures stand above."""
        self.fleet, self._shown = fleet, shown
        self.redraw()

    @property
    def items(self) -> Sequence[NodeView]:
        """The nodes."""
        return () if self.fleet is None else self.fleet.nodes

    def identify(self, item: NodeView) -> Hashable:
        """Its name."""
        return item.name

    def above(self, width: int, height: int) -> Sequence[Line]:
        """A title with the sums."""
        del height
        if self.fleet is None:
            return ()
        title = (f" Nodes {len(self.items)}, worst first", "title")
        return [spread((title,), ((_sums(self.fleet), "dim"),), width)]

    def row(self, item: NodeView, width: int, *, here: bool) -> Sequence[Line]:
        """Its verdict, how full it is, its limit, policy and role."""
        view, columns = item, _Columns.of(self.items, width)
        role = "cursor" if here and self.has_focus else None
        level = Level.UNKNOWN if view.verdict is None else view.verdict.level
        mark = self.pen.glyphs.right if view.name == self._shown else " "
        left: list[Piece] = [
            (f"{mark}{pad(self.pen.glyphs.state(level), 2)} ", role or level_role(level)),
            (f"{pad(safe_text(view.name, 60), columns.name)} ", role or "text"),
        ]
        if view.snapshot is None:
            told = f"{_role(view, columns)}: {safe_text(view.error or 'not asked yet', 200)}"
            return [merged(clip([*left, (told, role or "dim")], width))]
        memory = view.snapshot.memory
        share = memory.pressure
        bar = pressure_role(memory, self.host.thresholds).removeprefix("bar_")
        full = ((pad("no limit" if memory.unlimited else "?", columns.bar), role or "dim"),)
        left += full if share is None else line_bar(share, columns.bar, self.pen, bar)
        used = sizes.short_size(memory.used_bytes).rjust(columns.used) + pad(_limit(memory), columns.limit)
        policy = pad(safe_text(memory.policy, 20), columns.policy)
        left.append((f" {sizes.percent(share):>5}  {used}  {policy}  {_role(view, columns)}", role or "text"))
        keys = f"{sizes.count(view.snapshot.keys)} keys " if columns.wide else ""
        return [merged(spread(left, ((keys, role or "dim"),), width, role or "text"))]

    def action_look(self) -> None:
        """This node's figures above from now on, or those of the worst again."""
        view = self.current
        if view is not None:
            self.post_message(LookAtNode(view.name))


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
