"""Growth that ends, that goes on in steps or teeth, and a relief: look by look, as a watch sees it."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from redis_oom_tui.models.config import WatchSettings
from redis_oom_tui.models.trend import Forecast, Trend
from redis_oom_tui.rules.alerts import AlertBook, judged_sample, lowered
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.verdict import judge
from tests.rules.snapshots import MIB, snapshot_of

SETTINGS = WatchSettings()
Curve = Callable[[float], float]


@dataclass
class Watched:
    """When it warned of growth, by the verdict of each look; and the alarms, by the book."""

    warned: list[float] = field(default_factory=list)
    alarms: list[tuple[float, str]] = field(default_factory=list)
    forecasts: list[Forecast] = field(default_factory=list)

    @property
    def raised(self) -> int:
        return sum(kind == "warning" for _, kind in self.alarms)


def watched(curve: Curve, seconds: float, every: float = 5.0, noise: float = 0.3, seed: int = 1) -> Watched:
    """Looks at `curve` (MiB by seconds) under a limit of 1000 MiB."""
    rng, history, book, found = random.Random(seed), History(), AlertBook("s", SETTINGS), Watched()
    thresholds, lenient = SETTINGS.thresholds, lowered(SETTINGS.thresholds, SETTINGS.hysteresis)
    for number in range(int(seconds / every) + 1):
        at = number * every
        seen = snapshot_of(used=int(max(1.0, curve(at) + rng.gauss(0, noise)) * MIB), at=1000 + at)
        history.add(seen)
        ahead = forecast(history.samples)
        verdict = judge(seen, thresholds=thresholds, rates=history.rates(), forecast=ahead)
        staying = judge(seen, thresholds=lenient, rates=history.rates(), forecast=ahead)
        found.forecasts.append(ahead)
        found.alarms += [(at, event.kind.value) for event in book.observe(judged_sample(seen, verdict, staying))]
        if verdict.rule == "growing":
            found.warned.append(at)
    return found


def grown(rate: float, seconds: float, *, after: float = 0.0) -> Curve:
    return lambda t: 200 + rate * max(0.0, min(t - after, seconds))


@pytest.mark.parametrize(
    ("rate", "grows", "calm", "every", "noise"),
    [
        (2, 60, 0, 1, 0.3),
        (2, 60, 0, 5, 0.3),
        (1, 240, 0, 5, 0.3),
        (1, 240, 200, 5, 0.3),
        (1, 240, 600, 5, 0.3),
        (0.3, 1200, 0, 15, 0.3),
        (2, 60, 0, 1, 3.0),
        (1, 240, 200, 5, 3.0),
        (0.3, 1200, 0, 15, 3.0),
    ],
)
def test_growth_that_stops_is_no_growth_any_more(
    rate: float, grows: float, calm: float, every: float, noise: float
) -> None:
    seen = watched(grown(rate, grows, after=calm), calm + 2.5 * grows + 100, every, noise)
    stopped = calm + grows
    late = max(0.25 * stopped, 20.0)
    assert [at for at in seen.warned if calm < at <= stopped], "the growth itself was warned of"
    after = [at for at in seen.warned if at > stopped + late]
    looks = (1.5 * grows + 100 - late) / every
    # Noise alone draws a trend now and then, for a look or two: no alarm.
    assert len(after) <= 0.1 * looks, after
    if noise < 1:
        assert [kind for _, kind in seen.alarms] == ["warning", "recovered"]
        assert seen.alarms[-1][0] <= stopped + late + SETTINGS.hold_seconds + every


@pytest.mark.parametrize(("spacing", "every"), [(20, 5), (60, 5), (240, 10)])
def test_growth_in_steps_is_one_alarm_until_the_steps_stop(spacing: int, every: float) -> None:
    ends = 12 * spacing
    seen = watched(lambda t: 200 + 20 * (min(t, ends) // spacing), 2 * ends, every)
    assert seen.alarms[0][0] <= 3 * spacing + 60
    assert next(at for at, kind in seen.alarms if kind == "recovered") > ends
    # Whether it is a pause or the end is open for a while: one more alarm may come of that.
    assert seen.raised <= (1 if spacing < 100 else 2)
    assert [at for at in seen.warned if at > ends * 1.25 + spacing] == []


def test_slow_growth_is_one_alarm_that_stays() -> None:
    seen = watched(lambda t: 300 + 0.2 * t, 1800, every=10)
    assert [kind for _, kind in seen.alarms] == ["warning"]
    assert len(seen.warned) > 0.9 * (1800 - 120) / 10


def test_slow_growth_under_much_noise_is_seen() -> None:
    seen = watched(lambda t: 300 + 0.2 * t, 1800, every=10, noise=4.0)
    assert seen.raised <= 2
    assert len(seen.warned) > 0.8 * (1800 - 300) / 10


def test_teeth_of_a_saw_are_not_alarmed_for_ever() -> None:
    seen = watched(lambda t: 300 + t % 300, 3000, every=10)
    assert seen.raised <= 2
    assert not [at for at in seen.warned if at > 900]


@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_noise_alone_is_no_alarm(noise: float) -> None:
    assert watched(lambda t: 500, 1800, every=10, noise=noise).alarms == []


@pytest.mark.parametrize("every", [2.0, 5.0])
def test_after_a_relief_nothing_is_said_of_the_growth_before_it(every: float) -> None:
    """It grew, somebody made room, and nothing grows any more."""
    seen = watched(lambda t: 400 + t if t < 300 else 300, 900, every)
    after = seen.forecasts[int(300 / every) + 2 :]
    assert not [
        outlook for outlook in after if outlook.seconds_to_limit is not None and outlook.seconds_to_limit[0] < 3600
    ]
    assert sum(outlook.trend in {Trend.UNKNOWN, Trend.NONE} for outlook in after) > 0.9 * len(after)
    assert [at for at in seen.warned if at > 305] == []
    assert seen.raised == 1


def test_growth_that_goes_on_after_a_relief_is_seen_again_soon() -> None:
    seen = watched(lambda t: 400 + t if t < 300 else 300 + (t - 300), 700)
    assert seen.raised == 2
    again = [at for at in seen.warned if at > 310]
    assert again[0] <= 400
    assert again[-1] == 700


def test_no_range_begins_at_nought_while_there_is_room() -> None:
    """ "Full in 0 s or more" says nothing."""
    for curve in (lambda t: 400 + t if t < 300 else 300, grown(2, 60), lambda t: 300 + t % 300):
        for outlook in watched(curve, 900).forecasts:
            assert outlook.seconds_to_limit is None or outlook.seconds_to_limit[0] >= 1.0


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_a_few_bytes_a_second_are_no_way_to_the_limit(noise: float) -> None:
    """Seen of an idle Valkey 9.1, polled each second: 16 bytes more each time, "full in 3m36s or more" for minutes."""
    seen = watched(lambda t: 330 + 16 * t / MIB, 300, every=1, noise=noise)
    assert noise or any(ahead.trend is Trend.GROWING for ahead in seen.forecasts)
    assert not seen.warned


def test_connections_that_opened_at_the_start_are_no_way_to_the_limit() -> None:
    seen = watched(lambda t: 330 + min(0.1, 0.01 * t) + 400 * t / MIB, 300, every=1, noise=0.001)
    assert any(ahead.trend is Trend.GROWING for ahead in seen.forecasts)
    assert not seen.warned


def test_a_wave_that_gains_a_few_kilobytes_is_no_way_to_the_limit() -> None:
    """It would take two days to the limit."""
    seen = watched(lambda t: 330 + math.sin(t / 5) + 0.004 * t, 300, every=2, noise=0.0)
    assert any(ahead.trend is Trend.GROWING for ahead in seen.forecasts)
    assert not [at for at in seen.warned if at > 60]
