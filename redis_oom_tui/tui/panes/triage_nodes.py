"""The nodes of a cluster, worst first: pressure, verdict, policy and limit of each; one may be looked at alone."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from redis_oom_tui.models.fleet import FleetView, NodeView
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.tui.draw import Line, Piece, clip, line_bar, merged, pad, spread
from redis_oom_tui.tui.intents import LookAtNode
from redis_oom_tui.tui.top import level_role, pressure_role
from redis_oom_tui.tui.widgets.canvas import Canvas
from redis_oom_tui.words import sizes
from redis_oom_tui.words.hostile import safe_text

_NAME = 22
_BAR = 12


class Nodes(Canvas, can_focus=True):
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
        self.fleet: FleetView | None = None
        self._shown = ""
        self._cursor = ""
        self._top = 0

    def show(self, fleet: FleetView | None, shown: str) -> None:
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
        return [title, *(self._line(view, width, at + self._top == place) for at, view in enumerate(shown))]

    def _line(self, view: NodeView, width: int, here: bool) -> Line:
        role = "cursor" if here and self.has_focus else None
        level = Level.UNKNOWN if view.verdict is None else view.verdict.level
        mark = self.pen.glyphs.right if view.name == self._shown else " "
        left: list[Piece] = [
            (f"{mark}{pad(self.pen.glyphs.state(level), 2)} ", role or level_role(level)),
            (f"{pad(safe_text(view.name, 60), _NAME)} ", role or "text"),
        ]
        if view.snapshot is None:
            left.append((safe_text(view.error or "not asked yet", 200), role or "dim"))
            return merged(clip(left, width))
        memory = view.snapshot.memory
        share = memory.pressure
        bar = pressure_role(memory, self.triage.thresholds).removeprefix("bar_")
        left += line_bar(share or 0.0, _BAR, self.pen, bar) if share is not None else ((pad("no limit", _BAR), "dim"),)
        limit = "" if memory.maxmemory_bytes is None else f" of {sizes.short_size(memory.maxmemory_bytes)}"
        kind = f"{view.node.slots} slots" if view.node.serves else "replica" if not view.node.is_primary else "no slots"
        used = pad(f"{sizes.short_size(memory.used_bytes)}{limit}", 17)
        policy = pad(safe_text(memory.policy, 20), 15)
        left.append((f" {sizes.percent(share):>5} {used} {policy} {kind}", role or "text"))
        right = ((f"{sizes.count(view.snapshot.keys)} keys ", role or "dim"),)
        return merged(spread(left, right, width, role or "text"))

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


def _sums(fleet: FleetView) -> str:
    used, limit = fleet.used_bytes, fleet.maxmemory_bytes
    whole = f"{sizes.short_size(used)} of {'no limit' if limit is None else sizes.short_size(limit)}"
    return f"{len(fleet.primaries)} primaries: {whole if used is not None else '?'}, {sizes.count(fleet.keys)} keys "
