"""Which stretch of the past tells of growth that goes on now, and growth beneath a regular up and down.

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


_LARGEST = 2**63
# A stretch of fewer filled spans than this says nothing of what happened between them.
_FILLED = 0.55
# A fall of this share of all that was seen, well above the noise, and as quick as that, is a relief.
_RELIEF = 0.25
_RELIEF_NOISE = 10.0
_RELIEF_QUICK = 0.25
_AT_A_STROKE = 0.05
_NEARLY = 0.1
# Growth has stopped once nothing new came for so many times its longest pause, and for this share of the stretch.
_PAUSES = 1.5
_STOPPED_SHARE = 0.10
_STOPPED_NOISE = 3.0
_STEP = 0.02
_NEXT_TO_NOTHING = 0.2


def in_order(points: Sequence[tuple[float, float]]) -> list[Point]:
    """The last points whose time only grows; what is no finite size at a finite time is left out."""
    kept: list[Point] = []
    for time, value in reversed(points):
        if not (-_LARGEST < time < _LARGEST and 0 <= value < _LARGEST):
            continue
        if kept and time >= kept[-1][0]:
            if time == kept[-1][0]:
                continue
            break
        kept.append((float(time), float(value)))
    kept.reverse()
    return kept


def unbroken(points: list[Point], spans: int) -> list[Point]:
    """The last part without a gap that hides most of it, and since the last time when somebody made room."""
    points = _since_relief(points)
    while len(points) > 1 and _filled(points, spans) < _FILLED * spans:
        at = max(range(1, len(points)), key=lambda place: points[place][0] - points[place - 1][0])
        points = points[at:]
    return points


def _filled(points: Sequence[Point], spans: int) -> int:
    """How many of so many equal spans of time hold a point; all of them where there are too few points to ask."""
    start, end = points[0][0], points[-1][0]
    if len(points) <= spans:
        return spans
    return len({min(spans - 1, int((time - start) / (end - start) * spans)) for time, _ in points})


def _since_relief(points: list[Point]) -> list[Point]:
    """From the end of the only quick fall on; all where there was none, or several: those are its way."""
    fall = _only_fall(points, _RELIEF_QUICK)
    return points if fall is None else points[fall:]


def fell_once(points: Sequence[Point]) -> bool:
    """Whether it fell at a stroke, and only once: growth that somebody cut off, and no wave yet."""
    return _only_fall(points, _AT_A_STROKE) is not None


def _only_fall(points: Sequence[Point], share: float) -> int | None:
    """Where the only fall has come to its end, if that took less than this share of the time; else None."""
    if len(points) < 3:
        return None
    levels = [value for _, value in points]
    depth = max(_RELIEF_NOISE * noise(points), _RELIEF * (max(levels) - min(levels)))
    falls = _falls(points, depth)
    if depth <= 0 or len(falls) != 1:
        return None
    top, bottom = falls[0]
    nearly = levels[bottom] + _NEARLY * (levels[top] - levels[bottom])
    bottom = next(at for at in range(top, bottom + 1) if levels[at] <= nearly)
    quick = points[bottom][0] - points[top][0] <= share * (points[-1][0] - points[0][0])
    return bottom if quick else None


def _falls(points: Sequence[Point], depth: float) -> list[tuple[int, int]]:
    """Where it fell by more than `depth`, from the last high to the first low; a rise of as much lies between two."""
    falls: list[tuple[int, int]] = []
    high = low = 0
    falling = False
    for at, (_, value) in enumerate(points):
        if falling and value < points[low][1]:
            low = at
            falls[-1] = (falls[-1][0], at)
        elif falling and value > points[low][1] + depth:
            falling, high = False, at
        elif not falling and value >= points[high][1]:
            high = at
        elif not falling and value < points[high][1] - depth:
            falling, low = True, at
            falls.append((high, at))
    return falls


def has_stopped(points: Sequence[Point], stray: float) -> bool:
    """Whether what grew has been still for clearly longer than it ever paused: by now it would be seen to go on.

    `stray` is how far a point strays, in bytes.
    """
    smooth = _smoothed(points)
    levels = [value for _, value in smooth]
    step = max(_STOPPED_NOISE * stray, _STEP * (max(levels) - min(levels)))
    if step <= 0:
        return False
    start, highest = smooth[0]
    reached, pauses = start, list[float]()
    for time, value in smooth[1:]:
        if value > highest + step:
            pauses.append(time - reached)
            reached, highest = time, value
    still = points[-1][0] - reached
    watched = points[-1][0] - points[0][0]
    # How long the first rise was waited for is not known.
    known = sorted(pauses[1:]) or [watched / 2]
    longest, usual = known[-1], known[int(0.8 * (len(known) - 1))]
    rate = (highest - levels[0]) / max(reached - start, watched / len(points))
    if still > max(_PAUSES * longest, _STOPPED_SHARE * watched):
        return rate * still > 2 * step
    return (still > longest or 2 * usual < watched / 4) and _lies_flat(smooth, rate, stray)


def _lies_flat(points: Sequence[Point], rate: float, stray: float) -> bool:
    """Whether the last quarter of the time brought next to nothing of what growth at `rate` would have."""
    end = points[-1][0]
    last = [point for point in points if point[0] >= end - (end - points[0][0]) / 4]
    third = len(last) // 3
    if not third:
        return False
    (began, first), (ended, latest) = (_middle(last[:third]), _middle(last[-third:]))
    wanted = rate * (ended - began)
    return wanted > 4 * stray and latest - first < _NEXT_TO_NOTHING * wanted


def _middle(points: Sequence[Point]) -> Point:
    return statistics.median(time for time, _ in points), statistics.median(value for _, value in points)


def _smoothed(points: Sequence[Point]) -> list[Point]:
    middle = [(b[0], sorted((a[1], b[1], c[1]))[1]) for (a, b), (_, c) in pairwise(pairwise(points))]
    return [points[0], *middle, points[-1]] if len(points) > 1 else list(points)
