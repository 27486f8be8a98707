"""Which stretch of the past tells of growth that goes on now: unbroken, since the last relief, not at its end."""

import statistics
from collections.abc import Sequence
from itertools import pairwise

from redis_oom_tui.rules.seasonality import Point, noise

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
