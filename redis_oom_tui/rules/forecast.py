"""When the limit will be met: a growth rate that one step does not fool, and a range that is honest about the rest.

The rate is Theil and Sen's (the median slope over all pairs of points); whether there is a trend at all is Mann and
Kendall's test on the same pairs. The range treats the growth of equal spans of time as draws of a random walk, and
allows for the curve to go on bending as it bent so far. Where the whole past is a wave that repeats, it goes on as one.
"""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Trend, TrendSample
from redis_oom_tui.rules.growth import Point, Season, fell_once, has_stopped, in_order, noise, unbroken, wave_in
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.history import since_last_restart, undisturbed

# All pairs of this many points are 1,540 slopes: about a millisecond.
_POINTS = 56
_LEAST_POINTS = 12
_LEAST_SECONDS = 20.0
_SPANS = 10
# Student's t for nine degrees of freedom, 95% two-sided; Mann and Kendall's z for 99% two-sided.
_T = 2.26
_Z = 2.58
# A stretch tells enough when it tells of no more than this many times itself; an end so much later is none.
_REACH = 3.0
_VOUCHED = 20.0
# What came back time and again is followed further; its end is never told closer than this share of what was watched.
_VOUCHED_WAVE = 3.0
_LEAST_SHARE = 0.01
# A difference between gains is chance up to so many standard deviations; at the late end a walk strays by so many.
_UNEVEN = 1.6
_T_LATE = 1.3
# However short the past, growth is not told to meet the limit in less than this part of the time that it takes at the
# highest likely slope: 16 bytes a second are no reason to warn.
_SOONEST_PART = 0.25
# Times ahead that are tried, in units of what was watched: 3% apart, up to a thousandfold.
_STEPS = (0.0, *(0.01 * 1.03**power for power in range(390)))
_WINDOWS = (300.0, 1800.0, 10_800.0, math.inf)


def forecast(samples: Sequence[TrendSample], limit_bytes: int | None = None) -> Forecast:
    """The trend of the counted memory, and the time to `limit_bytes` (by default the last sample's maxmemory).

    It rests on the shortest stretch of the past that shows growth fast enough to matter within its reach. What actions
    of this tool took or gave back is no trend: nothing before the last of them counts.
    """
    return attempt(
        "the trend is", lambda: _forecast(samples, limit_bytes), lambda fault: Forecast(not_judged=fault.words)
    )


def _forecast(samples: Sequence[TrendSample], limit_bytes: int | None) -> Forecast:
    kept = undisturbed(since_last_restart(samples))
    points = in_order([(sample.monotonic, sample.counted_bytes) for sample in kept])
    if not points:
        return Forecast()
    limit = kept[-1].maxmemory_bytes if limit_bytes is None else limit_bytes
    watched = points[-1][0] - points[0][0]
    wave = None if fell_once(points) else wave_in(points)
    if wave is not None and (wave.seen_twice(watched) or not has_stopped(points, noise(points))):
        return _on_a_wave(wave, limit, watched)
    found = Forecast()
    for window in _WINDOWS:
        found = _over(_last(points, window), limit)
        if window >= watched or _within_reach(found):
            break
    return _with_late_end(found, points, limit) if found.watched_seconds < watched else found


def _with_late_end(found: Forecast, points: list[Point], limit: int | None) -> Forecast:
    """`found` of the last stretch, with the end by all that was watched where growth wears off over that: in a stretch
    so short it looks straight.
    """
    low, high = found.seconds_to_limit or (0.0, None)
    points = unbroken(_last(points, math.inf), _SPANS + 1)
    if high is None or len(points) < _LEAST_POINTS or _wears_off(_course(points)) is None:
        return found
    whole = _over(points, limit).seconds_to_limit
    late = None if whole is None else whole[1]
    return replace(found, seconds_to_limit=(low, None if late is None else max(high, late)))


def _on_a_wave(wave: Season, limit: int | None, watched: float) -> Forecast:
    slope, high = ((wave.gain + more) / wave.period for more in (0.0, wave.stray))
    if not wave.grows:
        trend = Trend.SHRINKING if -wave.gain > wave.stray else Trend.NONE
        return Forecast(trend, slope, None, watched)
    found = Forecast(Trend.GROWING, slope, None, watched)
    if limit is None:
        return found
    soonest, latest = wave.seconds_to(limit)
    slack = _slack(soonest, watched)
    soonest = max(soonest / slack, _SOONEST_PART * max(0.0, limit - max(wave.values)) / high)
    if latest is not None:
        latest = max(soonest, latest * slack + _LEAST_SHARE * watched)
    vouched = latest is not None and latest <= _VOUCHED_WAVE * watched
    return replace(found, seconds_to_limit=(soonest, latest if vouched else None))


def _slack(soonest: float, watched: float) -> float:
    """By how much a range is widened at either end: the further ahead, the less the past binds the future."""
    return 1.1 + 0.1 * soonest / watched


def aged(found: Forecast, seconds: float) -> Forecast:
    """`found`, so many seconds after it was made: the limit has come nearer.

    >>> aged(Forecast(seconds_to_limit=(60.0, None)), 10).seconds_to_limit
    (50.0, None)
    """
    if found.seconds_to_limit is None:
        return found
    low, high = found.seconds_to_limit
    return replace(
        found, seconds_to_limit=(max(0.0, low - seconds), None if high is None else max(0.0, high - seconds))
    )


def _within_reach(found: Forecast) -> bool:
    soonest = found.seconds_to_limit
    return soonest is not None and soonest[0] <= _REACH * found.watched_seconds


def _last(points: list[Point], seconds: float) -> list[Point]:
    end = points[-1][0]
    points = [point for point in points if point[0] >= end - seconds]
    start = points[0][0]
    if len(points) <= _POINTS or end <= start:
        return points[:_POINTS]
    return _medians(points, _POINTS)


def _medians(points: list[Point], count: int) -> list[Point]:
    start = points[0][0]
    width = (points[-1][0] - start) / count
    spans: dict[int, list[Point]] = {}
    for point in points:
        spans.setdefault(min(count - 1, int((point[0] - start) / width)), []).append(point)
    return [(statistics.median(at for at, _ in part), statistics.median(v for _, v in part)) for part in spans.values()]


def _over(points: list[Point], limit: int | None) -> Forecast:
    points = unbroken(points, _SPANS + 1)
    watched = points[-1][0] - points[0][0]
    if len(points) < _LEAST_POINTS or watched < _LEAST_SECONDS:
        return Forecast(watched_seconds=watched)
    slopes = sorted(_slopes(points))
    slope = statistics.median(slopes)
    high = _highest_slope(slopes, len(points))
    course = _course(points)
    trend = _trend(slopes, slope, len(points), course)
    if trend is Trend.GROWING and has_stopped(points, course.noise):
        return Forecast(Trend.NONE, 0.0, None, watched)
    if trend is not Trend.GROWING or limit is None:
        return Forecast(trend, slope, None, watched)
    return Forecast(trend, slope, _time_to(points, (slope, high), course, limit), watched)


def _slopes(points: list[Point]) -> list[float]:
    return [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :] if b[0] > a[0]]


def _trend(slopes: list[float], slope: float, count: int, course: "_Course") -> Trend:
    rising = sum(1 for s in slopes if s > 0) - sum(1 for s in slopes if s < 0)
    if abs(rising) < _Z * _chance(count) or slope * rising <= 0:
        return Trend.NONE
    # What has turned meanwhile goes nowhere, whatever the whole stretch says.
    turned = course.recent * slope < 0 and abs(course.recent) * course.width > course.noise
    if turned:
        return Trend.NONE
    return Trend.GROWING if slope > 0 else Trend.SHRINKING


def _chance(count: int) -> float:
    """The standard deviation of Mann and Kendall's sum when there is no trend."""
    return math.sqrt(count * (count - 1) * (2 * count + 5) / 18)


def _highest_slope(slopes: list[float], count: int) -> float:
    """The upper end of Sen's interval: the rank above the median that chance alone may reach."""
    return slopes[min(len(slopes) - 1, math.ceil((len(slopes) + 1.96 * _chance(count)) / 2))]


class _Course(Struct, frozen=True):
    """How the stretch went, span by span: gains in bytes, `recent` in bytes a second, `bends` in bytes a second².

    `mean` and `spread` are those of the gains; `noise` is how far one point strays, in bytes.
    """

    width: float
    gains: tuple[float, ...]
    mean: float
    spread: float
    recent: float
    bends: tuple[float, float]
    noise: float


def _course(points: list[Point]) -> _Course:
    middles = _medians(points, _SPANS + 1)
    width = (points[-1][0] - points[0][0]) / (_SPANS + 1)
    gains = [width * (b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(middles)]
    rates = [gain / width for gain in gains]
    third = max(1, len(rates) // 3)
    half = len(rates) // 2
    recent, before = statistics.fmean(rates[-third:]), statistics.fmean(rates[-2 * third : -third])
    stray = noise(points)
    bends = (
        (statistics.fmean(rates[half:]) - statistics.fmean(rates[:half])) / (half * width),
        (recent - before) / (third * width),
    )
    # A bend that noise alone could draw is none; nor is one down that gains as uneven as these draw by chance.
    doubt = 2 * stray / (third * width) ** 2 / math.sqrt(max(1, len(points) / (_SPANS + 1)))
    mean, spread = statistics.fmean(gains), statistics.stdev(gains)
    chances = (_UNEVEN * spread * math.sqrt(2 / part) / (part * width * width) for part in (half, third))
    down = min(bend if -bend > max(doubt, chance) else 0.0 for bend, chance in zip(bends, chances, strict=True))
    up = max(bend if bend > doubt else 0.0 for bend in bends)
    return _Course(width, tuple(gains), mean, spread, recent, (down, up), stray)


def _time_to(
    points: list[Point], slopes: tuple[float, float], course: _Course, limit: int
) -> tuple[float, float | None]:
    """From when to when the limit is met; the end is None where growth may stop before, or it is too far ahead.

    `slopes` are the usual one and the highest that is likely.
    """
    slope, highest = slopes
    watched = points[-1][0] - points[0][0]
    latest_levels = (statistics.median(value for _, value in points[-3:]), points[-1][1])
    # Where many samples became one point, the last of them lies some way back.
    lag = watched / len(points) / 2
    least = max(0.0, limit - max(latest_levels) - course.noise - max(0.0, course.recent) * lag)
    most = max(0.0, limit - min(latest_levels) + course.noise)
    steps = [watched * step for step in _STEPS]
    fast, slow = max(slope, course.recent), min(slope, course.recent) if _slowed(course) else slope
    soonest = next((ahead for ahead in steps if _fastest(ahead, course, fast) >= least), steps[-1])
    latest = next((ahead for ahead in steps if _slowest(ahead, course, slow) >= most), None)
    # A stretch that also fell may fall again; and no end is told beyond what so short a past can vouch for.
    fell = min(course.gains) < -3 * course.noise
    if latest is None or fell or latest > _VOUCHED * watched:
        latest = None
    slack = _slack(soonest, watched)
    soonest = max(soonest / slack, _SOONEST_PART * least / highest)
    return soonest, None if latest is None else max(soonest, latest * slack)


def _slowed(course: _Course) -> bool:
    """Whether the last third grew less than the whole by more than gains as uneven as these do by chance."""
    number = len(course.gains)
    chance = _UNEVEN * course.spread / course.width * math.sqrt(1 / max(1, number // 3) + 1 / number)
    return course.mean / course.width - course.recent > chance


def _fastest(ahead: float, course: _Course, slope: float) -> float:
    bend = max(0.0, course.bends[1])
    return max(_random_walk(ahead, course, _T), slope * ahead + bend * ahead * ahead / 2)


def _slowest(ahead: float, course: _Course, slope: float) -> float:
    # What slows down tends to slow down faster: the way to a daily peak bends twice as hard as it did so far.
    bend = 2 * min(0.0, course.bends[0])
    turn = min(ahead, max(0.0, -slope / bend)) if bend < 0 else ahead
    lasts = _wears_off(course)
    worn = math.inf if lasts is None else course.recent * lasts * (1 - math.exp(-ahead / lasts))
    return min(_random_walk(ahead, course, -_T_LATE), slope * turn + bend * turn * turn / 2, worn)


def _wears_off(course: _Course) -> float | None:
    """Seconds in which gains fall to a third of themselves (1/e), where they fall by more than chance; else None."""
    half = len(course.gains) // 2
    before, since = statistics.fmean(course.gains[:half]), statistics.fmean(course.gains[half:])
    if not course.bends[0] or not 0 < since < before:
        return None
    return half * course.width / math.log(before / since)


def _random_walk(ahead: float, course: _Course, deviations: float) -> float:
    """What a random walk with the gains seen so far adds in `ahead`, that many deviations off its mean."""
    spans = ahead / course.width
    return spans * course.mean + deviations * course.spread * math.sqrt(spans + spans * spans / len(course.gains))
