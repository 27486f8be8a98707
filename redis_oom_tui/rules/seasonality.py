"""Growth beneath a regular up and down, as a day's traffic makes it: told from one period to the next.

Whatever its shape, a wave that repeats is the same one period later, but for what grew meanwhile. The period is where
the curve, less its line, agrees with itself best; the growth is the median difference at that distance.
"""

import math
import statistics
from bisect import bisect
from collections.abc import Sequence
from itertools import pairwise
from operator import mul

from msgspec import Struct

Point = tuple[float, float]

_CELLS = 96
# A wave must have been seen for this many of its periods, and agree with itself so well, and not half a period on.
_PERIODS = 1.35
_AGREES = 0.85
_AGREES_ONCE = 0.96
_DIFFERS = -0.3
_SHORTEST = 8
_GAP = 0.125
_ABOVE_NOISE = 4.0
# What the rounding of a straight line leaves is no wave: less than so many bytes up and down.
_LEAST_WAVE = 256
# Deviations allowed on either side, and how far ahead a wave is followed, in its own periods.
_DEVIATIONS = 2.5
_AHEAD = 60
_STEPS = 64


class Season(Struct, frozen=True):
    """A repeating curve: its period in seconds, what it gains in one in bytes, and how far that strays.

    `values` are the curve's, from `start` on, `width` seconds apart.
    """

    period: float
    gain: float
    stray: float
    start: float
    width: float
    values: tuple[float, ...]

    @property
    def grows(self) -> bool:
        """Whether the gain is more than what it strays."""
        return self.gain > self.stray

    def seen_twice(self, watched: float) -> bool:
        """Whether it came round as often in so many seconds."""
        return 2 * self.period <= watched

    def seconds_to(self, limit: float) -> tuple[float, float | None]:
        """From when to when it meets `limit`, counted from its end; the end is None beyond what is followed."""
        soonest = latest = None
        # A cell stands for its middle: the last one's lies half a cell back.
        for step in range(_AHEAD * _STEPS):
            ahead = step * self.period / _STEPS + self.width / 2
            level, doubt = self._at(ahead)
            if soonest is None and level + doubt >= limit:
                soonest = ahead
            if level - doubt >= limit:
                latest = ahead
                break
        return _AHEAD * self.period if soonest is None else max(0.0, soonest - self.width), latest

    def _at(self, ahead: float) -> tuple[float, float]:
        turns = max(1, math.ceil(ahead / self.period))
        back = ahead - turns * self.period
        end = (len(self.values) - 1) * self.width
        level = _between(self.values, (end + back) / self.width) + turns * self.gain
        return level, _DEVIATIONS * self.stray * (0.6 + 0.4 * turns)


def wave_in(points: Sequence[Point]) -> Season | None:
    """The wave that `points` show; None where they show none, or have left it."""
    if len(points) < _CELLS // 2 or points[-1][0] <= points[0][0] or _is_broken(points):
        return None
    values, width = _cells(points)
    waving = _without_line(values)
    least = max(_LEAST_WAVE, _ABOVE_NOISE * noise(points))
    lag = _period(waving) if statistics.stdev(waving) > least else None
    if lag is None:
        return None
    gains = [value - _between(values, place - lag) for place, value in enumerate(values) if place >= lag]
    gain = statistics.median(gains)
    stray = max(statistics.stdev(gains), 1.0)
    # Where it is now must still be where the wave would be, or something else has begun.
    latest = statistics.fmean(gains[-max(2, len(gains) // 10) :])
    if abs(latest - gain) > 2 * stray:
        return None
    return Season(lag * width, gain, stray, points[0][0], width, tuple(values))


def _is_broken(points: Sequence[Point]) -> bool:
    """Whether it was not watched for so long that what went on meanwhile would be made up."""
    watched = points[-1][0] - points[0][0]
    return max(b[0] - a[0] for a, b in pairwise(points)) > _GAP * watched


def noise(points: Sequence[Point]) -> float:
    """How far a point strays from the line through its two neighbours, typically."""
    strays = [abs(b[1] - (a[1] + c[1]) / 2) for a, b, c in zip(points, points[1:], points[2:], strict=False)]
    return statistics.median(strays) if strays else 0.0


def _cells(points: Sequence[Point]) -> tuple[list[float], float]:
    """The curve at equal distances in time, each from the medians of the samples about it."""
    start, end = points[0][0], points[-1][0]
    width = (end - start) / _CELLS
    found: dict[int, list[Point]] = {}
    for point in points:
        found.setdefault(min(_CELLS - 1, int((point[0] - start) / width)), []).append(point)
    times = [statistics.median(time for time, _ in part) for part in found.values()]
    levels = [statistics.median(value for _, value in part) for part in found.values()]
    values = []
    for cell in range(_CELLS):
        time = start + (cell + 0.5) * width
        after = min(max(1, bisect(times, time)), len(times) - 1)
        share = (time - times[after - 1]) / (times[after] - times[after - 1])
        values.append(levels[after - 1] + share * (levels[after] - levels[after - 1]))
    return values, width


def _without_line(values: Sequence[float]) -> list[float]:
    """The values less their least-squares line."""
    middle, mean = (len(values) - 1) / 2, statistics.fmean(values)
    spread = sum((place - middle) ** 2 for place in range(len(values)))
    slope = sum((place - middle) * (value - mean) for place, value in enumerate(values)) / spread
    return [value - mean - slope * (place - middle) for place, value in enumerate(values)]


def _period(values: Sequence[float]) -> float | None:
    """The distance, in cells, at which the curve repeats itself; None where it does not."""
    longest = int(len(values) / _PERIODS)
    agreement = [_agreement(values, lag) for lag in range(longest + 2)]
    lowest = 1.0
    for lag in range(2, longest + 1):
        here = agreement[lag]
        lowest = min(lowest, here)
        peak = agreement[lag - 1] < here >= agreement[lag + 1]
        needed = _AGREES if 2 * lag <= len(values) else _AGREES_ONCE
        if lag >= _SHORTEST and peak and here >= needed and lowest <= _DIFFERS:
            curve = agreement[lag - 1] - 2 * here + agreement[lag + 1]
            return lag + (0.0 if curve == 0 else 0.5 * (agreement[lag - 1] - agreement[lag + 1]) / curve)
    return None


def _agreement(values: Sequence[float], lag: int) -> float:
    """How well the curve agrees with itself at that distance: 1 for fully, 0 for not at all, -1 for the contrary."""
    a, b = values[lag:], values[: len(values) - lag]
    number, sum_a, sum_b = len(a), sum(a), sum(b)
    product = sum(map(mul, a, b)) - sum_a * sum_b / number
    size = (sum(map(mul, a, a)) - sum_a**2 / number) * (sum(map(mul, b, b)) - sum_b**2 / number)
    return product / math.sqrt(size) if size > 0 else 0.0


def _between(values: Sequence[float], place: float) -> float:
    place = min(max(place, 0.0), len(values) - 1.0)
    low = min(int(place), len(values) - 2)
    return values[low] + (place - low) * (values[low + 1] - values[low])
