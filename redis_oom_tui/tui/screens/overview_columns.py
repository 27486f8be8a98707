"""The columns of the overview: what is said of a server in one row, by the room that there is."""

from functools import partial

from msgspec import Struct

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.columns import Column
from redis_oom_tui.formatting.sanitize import cells, cut, safe_text
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Trend
from redis_oom_tui.models.verdict import WORST_FIRST, Verdict
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.tui.drawing import DrawStyle, line_bar, shorten
from redis_oom_tui.tui.header_model import level_role, level_word, pressure_role

WIDE = 100
_VERY_WIDE = 150
_SHORTEST_NAME, _LONGEST_NAME = 13, 32
_VERDICT, _TREND, _FULL_IN = 11, 10, 8


class ServerRow(Struct, frozen=True):
    """A server by its profile, and what its last poll came to."""

    profile: Profile
    state: ServerState

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


def _name(row: ServerRow, width: int) -> str:
    """The profile's name; of a cluster, with its number of nodes."""
    name = safe_text(row.profile.name, 60)
    cluster = None if row.snapshot is None else row.snapshot.cluster
    if cluster is None:
        return name
    nodes = f" ({sizes.number_of(len(cluster.nodes), 'node')})"
    if cells(name + nodes) > width:
        nodes = f" ({len(cluster.nodes)})"
    return cut(name, width - len(nodes)) + nodes


def overview_columns(width: int, longest: int, style: DrawStyle) -> list[Column[ServerRow]]:
    """The columns for so many cells; `longest` is the width of the longest name."""
    pressure, loss, policy = (20, 15, 15) if width >= WIDE else (11, 8, 11)
    others = sum(each + 1 for each in (_VERDICT, pressure, _TREND, loss, policy, _FULL_IN))
    name = min(max(longest, _SHORTEST_NAME), _LONGEST_NAME, max(_SHORTEST_NAME, width - others))

    def level(row: ServerRow) -> str:
        return "connecting" if row.is_awaited else level_word(row.verdict.level, style.glyphs)

    def level_color(row: ServerRow) -> str:
        return "dim" if row.is_awaited else level_role(row.verdict.level)

    by_name = Column[ServerRow]("server", "server", name, _name, falling=False)
    found = [
        replace(by_name, order=lambda row: row.profile.name),
        Column("verdict", "verdict", _VERDICT, lambda row, _: level(row), _trouble, role=level_color, falling=False),
        Column("pressure", "pressure", pressure, partial(_pressure, style), _share, role=_pressure_role),
        Column("trend", "trend", _TREND, _trend, lambda row: row.state.forecast.slope, "right", yields=2),
        Column("refused", "refused", loss, _loss, _loss_order, "right", _loss_role),
        Column("full", "full in", _FULL_IN, _full_in, _full_order, "right", falling=False),
        Column("policy", "policy", policy, lambda row, _: _policy(row), _policy, yields=3, falling=False),
    ]
    reason = Column[ServerRow]("reason", "reason", 0, lambda row, room: shorten(safe_text(row.verdict.reason), room))
    return [*found, reason] if width >= _VERY_WIDE else found
