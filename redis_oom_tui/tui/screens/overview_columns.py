"""The columns of the overview: what is said of a server in one row, by the room that there is."""

from collections.abc import Container, Iterable
from functools import partial

from msgspec import Struct

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.columns import Column
from redis_oom_tui.formatting.sanitize import cells, cut, safe_text
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Trend
from redis_oom_tui.models.verdict import WORST_FIRST, Verdict
from redis_oom_tui.monitor.poller import shared_history
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.rules.cluster import SameServer
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History
from redis_oom_tui.tui.drawing import DrawStyle, line_bar, shorten
from redis_oom_tui.tui.header_model import level_role, level_word, pressure_role

WIDE = 100
_VERY_WIDE = 150
_SHORTEST_NAME, _LONGEST_NAME = 13, 32
_VERDICT, _TREND, _FULL_IN = 11, 10, 8
_NODE_INDENT = 2
_REPLICA = " replica"
# So many servers share the memory for what was seen of nodes.
_UNFOLDED = 200


class ServerRow(Struct, frozen=True):
    """A server by its profile, and what its last poll came to; or one `node` of the cluster that the profile is.

    `same_as` tells which other profiles lead to this server.
    """

    profile: Profile
    state: ServerState
    node: NodeView | None = None
    same_as: SameServer = SameServer()

    @property
    def is_cluster(self) -> bool:
        """Whether it stands for a cluster: by its profile too, as long as nothing has answered."""
        return self.node is None and (self.cluster is not None or (self.profile.cluster and self.snapshot is None))

    @property
    def cluster(self) -> ClusterView | None:
        """The cluster that it stands for, where its nodes are known."""
        return None if self.node is not None or self.snapshot is None else self.snapshot.cluster

    @property
    def id(self) -> tuple[str, str]:
        """Its profile's name, and the node's."""
        return self.profile.name, "" if self.node is None else self.node.name

    def may_fold(self, *, away: bool, unfolded: Container[str]) -> bool:
        """Whether its nodes, or those beside it, can be folded `away`, or else unfolded."""
        open_now = self.profile.name in unfolded
        return (
            (open_now and (self.cluster or self.node) is not None)
            if away
            else (self.cluster is not None and not open_now)
        )

    @property
    def snapshot(self) -> Snapshot | None:
        """What it answered to the last poll; None where it did not."""
        return self.state.answer

    @property
    def is_awaited(self) -> bool:
        """Whether its first poll is still under way."""
        return self.state.snapshot is None and not self.state.error and not self.state.sample.reason

    @property
    def verdict(self) -> Verdict:
        """Its verdict, unknown with the reason where it did not answer."""
        return self.state.verdict_now


def _pressure(style: DrawStyle, row: ServerRow, width: int) -> str:
    """How full it is as a figure and as a bar."""
    memory = None if row.snapshot is None else row.snapshot.memory
    if memory is None or memory.pressure is None:
        return "no limit" if memory is not None and memory.unlimited else "?"
    watch = row.profile.watch.thresholds
    figure = sizes.percent_beside(memory.pressure, (watch.warn, watch.crit, 1.0)).rjust(5)
    bar = line_bar(memory.pressure, width - cells(figure) - 1, style, "text")
    return f"{figure} {''.join(text for text, _ in bar)}"


def _pressure_role(row: ServerRow) -> str:
    if row.snapshot is None or row.snapshot.memory.pressure is None:
        return "dim"
    return pressure_role(row.snapshot.memory, row.profile.watch.thresholds).removeprefix("bar_")


def _share(row: ServerRow) -> float | None:
    return None if row.snapshot is None else row.snapshot.memory.pressure


def _trouble(row: ServerRow) -> tuple[int, float]:
    """A pressure is rounded: rows must not change places over a few keys."""
    if row.is_awaited:
        return len(WORST_FIRST), 0.0
    return WORST_FIRST.index(row.verdict.level), -round(_share(row) or 0.0, 2)


def _trend(row: ServerRow, width: int) -> str:
    del width
    forecast = row.state.forecast
    if forecast.trend is Trend.UNKNOWN or forecast.slope is None:
        return "measuring" if row.state.samples and not forecast.not_judged else "?"
    if forecast.trend is Trend.NONE:
        return "steady"
    sign = "+" if forecast.slope >= 0 else "-"
    return f"{sign}{sizes.short_size(abs(round(forecast.slope * 60)))}/min"


def _losses(row: ServerRow) -> tuple[float | None, float | None]:
    """Writes refused and keys evicted in a second, each None where it is unknown."""
    rates = row.state.rates
    return rates.per_second(rates.refused_writes), rates.per_second(rates.evicted_keys)


def _loss_order(row: ServerRow) -> tuple[float, float] | None:
    refused, evicted = _losses(row)
    return None if refused is None and evicted is None else (refused or 0.0, evicted or 0.0)


def _loss(row: ServerRow, width: int) -> str:
    """Refused writes, or evicted keys where none is refused; in the longest way that fits."""
    refused, evicted = _losses(row)
    rate, words = (evicted, ("evicted ", "ev ")) if evicted and not refused else (refused, ("",))
    if rate is None:
        return sizes.per_second(None)
    ways = [f"{word}{number}" for number in (sizes.per_second(rate), f"{rate / 1000:,.0f}k/s") for word in words]
    return next((way for way in ways if cells(way) <= width), ways[-1])


def _loss_role(row: ServerRow) -> str:
    refused, evicted = _losses(row)
    return "crit" if refused else "warn" if evicted else "dim"


def _full_in(row: ServerRow, width: int) -> str:
    """The soonest time at which it may be full; a dash where it does not grow towards a limit."""
    del width
    memory = None if row.snapshot is None else row.snapshot.memory
    if memory is not None and memory.pressure is not None and memory.pressure >= 1.0:
        return "full"
    forecast = row.state.forecast
    if forecast.seconds_to_limit is not None:
        soonest = forecast.seconds_to_limit[0]
        return f"{sizes.duration(soonest)}+" if soonest >= 1 else "any time"
    return "?" if forecast.trend is Trend.UNKNOWN else "-"


def _full_order(row: ServerRow) -> float | None:
    span = row.state.forecast.seconds_to_limit
    return 0.0 if _full_in(row, 0) == "full" else None if span is None else span[0]


def _policy(row: ServerRow) -> str:
    return "" if row.snapshot is None else safe_text(row.snapshot.memory.policy, 20)


class NodeRows:
    """The nodes of clusters that are unfolded, each with rates and a trend of its own from then on."""

    def __init__(self) -> None:
        self._pasts: dict[tuple[str, str], History] = {}
        self._states: dict[tuple[str, str], ServerState] = {}

    def of(self, row: ServerRow) -> list[ServerRow]:
        """A row for each node of this cluster, as of its last poll."""
        views = () if row.cluster is None else row.cluster.nodes
        nodes = [ServerRow(row.profile, ServerState(view.node.address, error=view.error), view) for view in views]
        return [replace(each, state=self._state(each)) for each in nodes]

    def _state(self, row: ServerRow) -> ServerState:
        view, known = row.node, self._states.get(row.id)
        if view is None or view.snapshot is None:
            return row.state
        if known is None or known.snapshot is not view.snapshot:
            past = self._pasts.setdefault(row.id, shared_history(_UNFOLDED))
            past.add(view.snapshot, ours=bool(row.state.samples) and row.state.samples[-1].ours)
            known = self._states[row.id] = replace(
                row.state,
                link=Link.LIVE,
                snapshot=view.snapshot,
                samples=past.samples,
                rates=past.rates(),
                verdict=view.verdict,
                forecast=forecast(past.samples),
            )
        return known

    def forget(self, profile: str) -> None:
        """Drop what was seen of that cluster's nodes."""
        for known in (self._pasts, self._states):
            for key in [key for key in known if key[0] == profile]:
                del known[key]


def longest_name(rows: Iterable[ServerRow]) -> int:
    """The most cells that the name of one takes, with what stands beside it, or a node's address."""
    nodes, address = len(" (12 nodes)"), _NODE_INDENT + len("255.255.255.255:65535") + len(_REPLICA)
    return max(
        max(cells(safe_text(name, 60)) + nodes * cluster, address * cluster, cells(name + _same(row)))
        for row in rows
        for name, cluster in [(row.profile.name, row.profile.cluster)]
    )


def _same(row: ServerRow) -> str:
    """Which other profile leads to the server, in few words."""
    if not row.same_as:
        return ""
    return f" {'in' if row.same_as.as_node else '='} {safe_text(row.same_as.profiles[0], 30)}"


def _name(row: ServerRow, width: int, style: DrawStyle) -> str:
    """The profile's name: with the number of nodes of a cluster, with another name of the same server. Or a node's."""
    if row.node is not None:
        return _node_name(row.node, width, style)
    name = safe_text(row.profile.name, 60)
    beside = [""]
    if row.cluster is not None:
        nodes = row.cluster.nodes
        beside = [f" ({sizes.number_of(len(nodes), 'node')})", f" ({len(nodes)})"]
    if row.same_as:
        beside = [*(f"{text}{_same(row)}" for text in beside[:1]), *(f"{text} (=)" for text in beside)]
    most = next((text for text in beside if cells(name + text) <= width), beside[-1])
    return cut(name, width - cells(most)) + most


def _node_name(view: NodeView, width: int, style: DrawStyle) -> str:
    """Its end where there is no room: what nodes differ by stands there."""
    name, room = safe_text(view.name, 60), width - _NODE_INDENT
    if not view.node.is_primary and cells(name + _REPLICA) <= room:
        name += _REPLICA
    shown = name if cells(name) <= room else style.glyphs.cut + name[1 - room :]
    return " " * _NODE_INDENT + shown


def overview_columns(width: int, longest: int, style: DrawStyle) -> list[Column[ServerRow]]:
    """The columns for so many cells; `longest` is the width of the longest name."""
    pressure, loss, policy = (20, 15, 15) if width >= WIDE else (11, 8, 11)
    others = sum(each + 1 for each in (_VERDICT, pressure, _TREND, loss, policy, _FULL_IN))
    name = min(max(longest, _SHORTEST_NAME), _LONGEST_NAME, max(_SHORTEST_NAME, width - others))

    def level(row: ServerRow) -> str:
        return "connecting" if row.is_awaited else level_word(row.verdict.level, style.glyphs)

    def level_color(row: ServerRow) -> str:
        return "dim" if row.is_awaited else level_role(row.verdict.level)

    by_name = Column[ServerRow]("server", "server", name, partial(_name, style=style), falling=False)
    found = [
        replace(by_name, order=lambda row: row.id),
        Column("verdict", "verdict", _VERDICT, lambda row, _: level(row), _trouble, role=level_color, falling=False),
        Column("pressure", "pressure", pressure, partial(_pressure, style), _share, role=_pressure_role),
        Column("trend", "trend", _TREND, _trend, lambda row: row.state.forecast.slope, "right", yields=2),
        Column("refused", "refused", loss, _loss, _loss_order, "right", _loss_role),
        Column("full", "full in", _FULL_IN, _full_in, _full_order, "right", falling=False),
        Column("policy", "policy", policy, lambda row, _: _policy(row), _policy, yields=3, falling=False),
    ]
    reason = Column[ServerRow]("reason", "reason", 0, lambda row, room: shorten(safe_text(row.verdict.reason), room))
    return [*found, reason] if width >= _VERY_WIDE else found
