"""Every rule on arbitrary histories: gaps, duplicates, a clock that jumps, nonsense figures. None may fail."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redis_oom_tui.formatting.sizes import full_in
from redis_oom_tui.models.address import ClusterNode
from redis_oom_tui.models.alert import JudgedSample, Silence
from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.snapshot import ClusterView, Memory, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, TrendSample
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict
from redis_oom_tui.rules.alerts import AlertBook, judged_sample, lowered
from redis_oom_tui.rules.breakdown import break_down
from redis_oom_tui.rules.cluster import differences, shown, worst_first
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.findings.odd import refused_reads, unread_values
from redis_oom_tui.rules.forecast import aged, forecast
from redis_oom_tui.rules.growth import in_order, wave_in
from redis_oom_tui.rules.guarded import DEFECTS, attempt
from redis_oom_tui.rules.history import History, between
from redis_oom_tui.rules.report import episodes
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.whatif import policy_views, write_path
from tests.rules.snapshots import MIB, snapshot_of

# Steps of time between looks: usual, none, back, and gaps.
STEPS = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 5.0, 30.0, 190.0, 86_400.0]),
    st.floats(-3600, 100_000, allow_nan=False),
)
SIZES = st.one_of(st.integers(0, 2000 * MIB), st.sampled_from([0, 1, 2**53, 1000 * MIB]))
LIMITS = st.one_of(st.none(), st.integers(1, 2**53), st.just(1000 * MIB))
COUNTS = st.one_of(st.none(), st.integers(0, 2**53))
NONSENSE = st.one_of(
    st.none(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 10**400])
)


@dataclass(frozen=True)
class Run:
    """Some regular looks after a break: what a screen may have seen of a server is a few of them."""

    gap: float
    step: float
    count: int
    used: int
    gain: int
    limit: int | None
    refused: int | None
    policy: str
    keys: int
    expires: int
    run_id: str
    over_ms: int | None

    def looks(self, after: float) -> list[Snapshot]:
        return [
            snapshot_of(
                max(0, self.used + number * self.gain),
                self.limit,
                self.policy,
                at=after + self.gap + number * self.step,
                refused=None if self.refused is None else self.refused + number,
                keys=self.keys,
                expires=min(self.keys, self.expires),
                run_id=self.run_id,
                over_ms=self.over_ms,
            )
            for number in range(self.count)
        ]


def seen_in(runs: Iterable[Run]) -> list[Snapshot]:
    seen: list[Snapshot] = []
    for run in runs:
        seen += run.looks(seen[-1].taken_monotonic if seen else 1000.0)
    return seen


HISTORIES = st.lists(
    st.builds(
        Run,
        gap=STEPS,
        step=st.sampled_from([0.0, 0.5, 1.0, 5.0]),
        count=st.sampled_from([1, 2, 17, 40]),
        used=SIZES,
        gain=st.integers(-5, 5).map(lambda number: number * MIB),
        limit=LIMITS,
        refused=COUNTS,
        policy=st.sampled_from(["noeviction", "allkeys-lru", "volatile-ttl", "?"]),
        keys=st.sampled_from([0, 1, 1000]),
        expires=st.sampled_from([0, 1, 1000]),
        run_id=st.sampled_from(["a", "a", "b"]),
        over_ms=st.sampled_from([None, 0, 5000]),
    ),
    min_size=1,
    max_size=4,
)


def run(count: int, used: int, *, gap: float = 0.0, gain: int = MIB) -> Run:
    return Run(gap, 1.0, count, used, gain, 1000 * MIB, 0, "noeviction", 1000, 0, "a", 0)


def gapped(seconds: float, count: int) -> list[Run]:
    """What ended every poll: 17 s of watching, silence, and a little more."""
    return [run(18, 300 * MIB), run(count, 400 * MIB, gap=seconds)]


def assert_sane(outlook: Forecast) -> None:
    """No time before now, and no range that ends before it begins."""
    assert outlook.not_judged == ""
    assert math.isfinite(outlook.watched_seconds)
    assert outlook.watched_seconds >= 0
    if outlook.slope is not None:
        assert math.isfinite(outlook.slope)
    if outlook.seconds_to_limit is not None:
        low, high = outlook.seconds_to_limit
        assert low >= 0
        assert math.isfinite(low)
        assert high is None or (math.isfinite(high) and low <= high)
        words = full_in(low, high)
        assert not words.startswith("full in 0s")


@given(HISTORIES)
@example(gapped(190.0, 19))
@example(gapped(190.0, 1))
@example(gapped(7000.0, 2))
@example(gapped(-3600.0, 30))
def test_the_screen_and_the_watch_judge_whatever_they_have_seen(runs: list[Run]) -> None:
    seen = seen_in(runs)
    history, book, before = History(), AlertBook("s", WatchSettings()), None
    lenient = lowered(Thresholds(), 0.03)
    for number, snapshot in enumerate(seen):
        gained = history.add(snapshot)
        assert gained.seconds >= 0
        if number % 8 and number < len(seen) - 1:
            continue
        rates, outlook = history.rates(), forecast(history.samples)
        assert_sane(outlook)
        assert_sane(aged(outlook, 3.0))
        verdict = judge(snapshot, rates=rates, forecast=outlook)
        staying = judge(snapshot, thresholds=lenient, rates=rates, forecast=outlook)
        assert verdict.reason
        assert verdict.not_judged == ()
        events = book.observe(judged_sample(snapshot, verdict, staying))
        assert [event.number for event in events] == sorted(event.number for event in events)
        between(before, snapshot)
        before = snapshot
    assert [sample.monotonic for sample in history.samples] == sorted(sample.monotonic for sample in history.samples)
    episodes(seen)


@given(HISTORIES)
def test_findings_parts_and_policies_come_of_any_look(runs: list[Run]) -> None:
    snapshot = seen_in(runs)[-1]
    for finding in examine(Case(snapshot), refused_reads, unread_values):
        assert not finding.id.startswith("not-judged")
        assert finding.saves_bytes is None or 0 <= finding.saves_bytes[0] <= finding.saves_bytes[1]
    split = break_down(snapshot.memory)
    assert sum(part.size for part in split.parts) == snapshot.memory.used_bytes
    assert all(part.size > 0 for part in split.parts)
    assert policy_views((), snapshot, None)
    assert write_path(snapshot)


@given(st.lists(st.tuples(NONSENSE, NONSENSE), max_size=80))
@pytest.mark.defects
def test_figures_that_are_no_figures_are_left_out_of_the_trend(pairs: list[tuple[float, int]]) -> None:
    samples = [TrendSample(at, 0.0, used, used, 1000 * MIB) for at, used in pairs]
    outlook = forecast(samples)
    if not outlook.not_judged:
        assert_sane(outlook)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e12)), max_size=300))
def test_waves_come_of_any_points(points: list[tuple[float, float]]) -> None:
    ordered = in_order(points)
    assert all(a[0] < b[0] for a, b in pairwise(ordered))
    wave = wave_in(ordered)
    if wave is not None:
        soonest, latest = wave.seconds_to(1e12)
        assert soonest >= 0
        assert latest is None or latest >= 0


def alerted(book: AlertBook, snapshot: Snapshot, verdict: Verdict) -> None:
    """As the screen and the watch do it."""
    book.observe(judged_sample(snapshot, verdict, verdict))


@st.composite
def nonsense(draw: st.DrawFn) -> Snapshot:
    """A snapshot whose fields hold what no server could say."""
    memory = {name: draw(NONSENSE) for name in draw(st.sets(st.sampled_from(sorted(Memory.__slots__)), max_size=5))}
    sane = snapshot_of(at=draw(st.floats()))
    return replace(sane, memory=replace(sane.memory, **memory))


@given(st.lists(nonsense(), min_size=1, max_size=6))
@pytest.mark.defects
def test_nonsense_ends_nothing_and_is_never_called_healthy(seen: list[Snapshot]) -> None:
    history, book = History(), AlertBook("s", WatchSettings())
    for snapshot in seen:
        history.add(snapshot)
        verdict = judge(snapshot, rates=history.rates(), forecast=forecast(history.samples))
        if any(words.startswith("the rule") for words in verdict.not_judged):
            assert verdict.level is not Level.OK
        examine(Case(snapshot), refused_reads, unread_values)
        break_down(snapshot.memory)
        policy_views((), snapshot, None)
        write_path(snapshot)
        attempt("the alert is", functools.partial(alerted, book, snapshot, verdict), lambda _: None)
    episodes(seen)
    assert len(DEFECTS.kept) <= 100


@given(st.lists(st.tuples(st.floats(), st.sampled_from(list(Level)), st.booleans()), max_size=60))
def test_the_alert_book_bears_any_clock(looks: list[tuple[float, Level, bool]]) -> None:
    book = AlertBook("s", WatchSettings())
    levels = (Level.OK, Level.WARNING, Level.CRITICAL, Level.OOM)
    for at, level, silent in looks:
        known = level if level in levels else Level.OK
        heard = Silence(at, at, "away") if silent else JudgedSample(at, at, known, known, "so")
        for event in book.observe(heard):
            assert event.lasted_seconds is None or event.lasted_seconds >= 0 or math.isnan(event.lasted_seconds)
        book.standing(at)


@given(st.lists(HISTORIES, min_size=1, max_size=3))
def test_a_cluster_of_any_nodes_has_its_worst(histories: list[list[Run]]) -> None:
    nodes = [seen_in(runs) for runs in histories]
    views = []
    for number, seen in enumerate(nodes):
        last = seen[-1]
        node = ClusterNode(f"node-{number}", str(number), last.server.address, f"node-{number}", ((0, 100),))
        views.append(NodeView(node, last, judge(last, seen[-2] if len(seen) > 1 else None)))
    ordered = worst_first(views)
    assert len(ordered) == len(views)
    cluster_view = ClusterView(ordered, ())
    assert shown(cluster_view) is not None
    differences(cluster_view.primaries)
    assert judge(replace(views[0].snapshot or nodes[0][-1], cluster=cluster_view)).reason
