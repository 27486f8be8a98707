"""The forecast's range covers the truth on simulated curves whose future is known, and says "no trend" of the rest."""

import math
import random

import pytest

from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Trend, TrendSample
from redis_oom_tui.rules.forecast import forecast
from tests.rules.curves import KINDS, MIB, simulate

TRIALS = 60


def line(rate: float, count: int = 60, start: float = 100 * MIB, step: float = 1.0) -> list[TrendSample]:
    values = [int(start + rate * step * number) for number in range(count)]
    return [TrendSample(step * n, step * n, value, value, 1000 * MIB) for n, value in enumerate(values)]


def covers(outlook: Forecast, truth: float | None) -> bool:
    if outlook.seconds_to_limit is None:
        return truth is None
    low, high = outlook.seconds_to_limit
    return high is None if truth is None else low <= truth and (high is None or truth <= high)


# How often a kind of curve gets an answer at least: one on its way down, as each wave is at times, may have none.
ANSWERED = {
    "steady": 1.0, "noisy": 1.0, "stepped": 1.0, "wave": 0.65, "days": 0.8, "saw": 0.8, "slowing": 0.9, "none": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_range_covers_the_truth_nine_times_in_ten(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    trials = [simulate(kind, seed) for seed in range(TRIALS)]
    outlook = [(forecast(samples, limit), truth) for samples, limit, truth in trials]
    answers = [(f, truth) for f, truth in outlook if f.seconds_to_limit is not None]
    judged = outlook if kind == "none" else answers
    right, ends = (
        sum(covers(f, truth) for f, truth in judged),
        sum(f.seconds_to_limit[1] is not None for f, _ in answers),
    )
    with capsys.disabled():
        print(f"\n{kind}: {len(answers)} of {TRIALS} answered, {ends} with an end; {right} of {len(judged)} right")
    assert len(answers) >= ANSWERED[kind] * TRIALS
    assert right >= 0.9 * len(judged)


@pytest.mark.parametrize("kind", ["steady", "noisy", "stepped", "wave", "days"])
def test_the_range_is_narrow_enough_to_act_on(kind: str) -> None:
    """A range from now to never would always be right, and of no use."""
    lows = []
    for seed in range(TRIALS):
        samples, limit, truth = simulate(kind, seed)
        outlook = forecast(samples, limit)
        if outlook.seconds_to_limit is not None and truth:
            lows.append(outlook.seconds_to_limit[0] / truth)
    lows.sort()
    assert lows[len(lows) // 2] > {"steady": 0.6, "noisy": 0.4, "stepped": 0.35, "wave": 0.6, "days": 0.5}[kind]


def test_the_ranges_of_all_curves_cover_and_most_have_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Other curves than those above. Of the slowing ones, half never meet the limit: these can have no end."""
    answers = []
    for kind in KINDS:
        for seed in range(1000, 1000 + TRIALS):
            samples, limit, truth = simulate(kind, seed)
            outlook = forecast(samples, limit)
            if outlook.seconds_to_limit is not None:
                answers.append((outlook, truth))
    right = sum(covers(outlook, truth) for outlook, truth in answers) / len(answers)
    closed = [
        covers(outlook, truth) for outlook, truth in answers if (outlook.seconds_to_limit or (0.0, None))[1] is not None
    ]
    with capsys.disabled():
        print(
            f"\n{len(answers)} answers: {right:.1%} right, {len(closed) / len(answers):.1%} with an end, and of these"
            f" {sum(closed) / len(closed):.1%} right"
        )
    assert right >= 0.95
    assert sum(closed) >= 0.95 * len(closed)
    assert len(closed) >= 0.7 * len(answers)


def test_growth_that_wears_off_is_not_told_to_go_straight_on() -> None:
    """In the last stretch alone it looks straight: all that was watched shows that it ends below its limit."""
    outlook = [forecast(*simulate("slowing", seed)[:2]) for seed in range(1001, 1001 + TRIALS, 2)]
    closed = [each for each in outlook if each.seconds_to_limit is not None and each.seconds_to_limit[1] is not None]
    assert len(closed) <= 0.05 * len(outlook)


def test_an_end_of_growth_is_noticed_within_a_quarter_of_what_was_watched() -> None:
    noticed = 0
    for seed in range(TRIALS):
        rng = random.Random(seed)
        watched, count = rng.choice([60.0, 300.0, 1200.0, 7200.0]), rng.choice([60, 150, 300])
        rate, stray = rng.uniform(50, 800) * MIB / watched, rng.choice([0.3, 3.0, 6.0]) * MIB
        times = [number * watched / count for number in range(int(1.25 * count) + 1)]
        values = [int(300 * MIB + rate * min(t, watched) + rng.gauss(0, stray)) for t in times]
        samples = [TrendSample(t, t, value, value) for t, value in zip(times, values, strict=True)]
        noticed += forecast(samples, int(300 * MIB + 2 * rate * watched)).trend is not Trend.GROWING
    assert noticed >= 0.95 * TRIALS


def test_a_straight_line_is_told_to_the_second_or_so() -> None:
    outlook = forecast(line(MIB))
    assert outlook.trend is Trend.GROWING
    assert outlook.slope == pytest.approx(MIB, rel=0.01)
    assert outlook.seconds_to_limit is not None
    low, _ = outlook.seconds_to_limit
    assert 0.3 * 841 < low <= 841
    near = forecast(line(12 * MIB))
    assert near.seconds_to_limit is not None
    low, high = near.seconds_to_limit
    assert 12 < low < 16 < (high or 0) < 30


def test_a_clock_that_stands_still_is_no_division_by_zero() -> None:
    assert forecast(line(MIB, 200, step=0.0)).trend is Trend.UNKNOWN


def test_days_that_repeat_and_do_not_grow_are_no_growth() -> None:
    """Seen in the morning, when memory rises fast: the evening takes it back, as it did the days before."""
    days = [int(500 * MIB - 200 * MIB * math.cos(2 * math.pi * t / 288)) for t in range(288 * 2 + 90)]
    samples = [TrendSample(300.0 * t, 300.0 * t, value, value, 900 * MIB) for t, value in enumerate(days)]
    assert forecast(samples).trend is Trend.NONE
    growing = [replace(s, counted_bytes=s.counted_bytes + n * MIB // 10) for n, s in enumerate(samples)]
    outlook = forecast(growing, 730 * MIB)
    assert outlook.trend is Trend.GROWING
    assert outlook.slope == pytest.approx(MIB / 10 / 300, rel=0.1)
    low, high = outlook.seconds_to_limit or (0.0, 0.0)
    truth = next(t for t in range(666, 9999) if growing_at(t) >= 730 * MIB) * 300.0 - growing[-1].monotonic
    assert 0.7 * truth < low <= truth <= (high or 0.0) < 1.7 * truth


def growing_at(t: int) -> float:
    return 500 * MIB - 200 * MIB * math.cos(2 * math.pi * t / 288) + t * MIB / 10


def test_what_begins_anew_is_not_taken_for_another_day() -> None:
    """After quiet days somebody writes without end: the wave is left, and the newest growth counts."""
    days = [int(500 * MIB - 100 * MIB * math.cos(2 * math.pi * t / 288)) for t in range(288 * 3)]
    burst = [days[-1] + n * 12 * MIB for n in range(1, 40)]
    samples = [TrendSample(300.0 * t, 300.0 * t, value, value, 2000 * MIB) for t, value in enumerate([*days, *burst])]
    outlook = forecast(samples)
    assert outlook.trend is Trend.GROWING
    assert outlook.seconds_to_limit is not None
    assert outlook.seconds_to_limit[0] < 300.0 * (2000 * MIB - burst[-1]) / (12 * MIB)


def test_one_jump_is_no_growth() -> None:
    samples = line(0.0, 120)
    jumped = [replace(s, counted_bytes=s.counted_bytes + (50 * MIB if n > 60 else 0)) for n, s in enumerate(samples)]
    outlook = forecast(jumped)
    assert outlook.seconds_to_limit is None or outlook.seconds_to_limit[1] is None
    assert (outlook.slope or 0.0) < MIB


def test_what_is_too_short_or_empty_has_an_unknown_trend() -> None:
    assert forecast([]).trend is Trend.UNKNOWN
    assert forecast(line(MIB, 5)).trend is Trend.UNKNOWN
    assert forecast(line(MIB, 60, step=0.1)).trend is Trend.UNKNOWN


def test_shrinking_and_unlimited_have_no_time_to_the_limit() -> None:
    assert forecast(line(-MIB)).trend is Trend.SHRINKING
    assert forecast(line(-MIB)).seconds_to_limit is None
    unlimited = [replace(sample, maxmemory_bytes=None) for sample in line(MIB)]
    assert forecast(unlimited).trend is Trend.GROWING
    assert forecast(unlimited).seconds_to_limit is None


def test_memory_from_before_a_restart_is_forgotten() -> None:
    before, after = line(MIB, 60), line(0.0, 60)
    after = [replace(s, monotonic=s.monotonic + 100, restarted=n == 0) for n, s in enumerate(after)]
    assert forecast([*before, *after]).trend is Trend.NONE


def test_recent_growth_is_not_hidden_by_a_long_calm() -> None:
    calm = line(0.0, 300, step=60.0)
    last = calm[-1].monotonic
    burst = [replace(s, monotonic=s.monotonic + last + 1) for s in line(4 * MIB, 120)]
    outlook = forecast([*calm, *burst])
    assert outlook.trend is Trend.GROWING
    assert outlook.watched_seconds <= 301
    assert outlook.seconds_to_limit is not None
    assert outlook.seconds_to_limit[0] < 110
