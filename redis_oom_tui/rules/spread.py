"""How times and frequencies spread over the keys of a family: a histogram in little memory, and what is read off it."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import add

from redis_oom_tui.models.scan import CURVE_SHARES

# Four steps to each doubling, so that a quantile is right within a fifth.
_STEPS = 4
STEPS = _STEPS * 34
"""How long such a histogram is: 24 bits of seconds and some air."""

Curve = tuple[int, ...]


def step_of(value: int) -> int:
    """Where in a histogram a number of seconds, or a frequency, goes.

    >>> step_of(0), step_of(1), step_of(86400) - step_of(43200)
    (0, 4, 4)
    """
    if value <= 0:
        return 0
    octave = value.bit_length() - 1
    return min(STEPS - 1, _STEPS * (octave + 1) + ((value << 2 >> octave) & 3))


def added(one: list[list[int]], other: list[list[int]]) -> list[list[int]]:
    """Histograms of both, place by place."""
    return [
        list(map(add, mine, theirs)) if mine and theirs else mine or theirs
        for mine, theirs in zip(one, other, strict=True)
    ]


def quantiles(histogram: Sequence[int]) -> tuple[int, int, int] | None:
    """p10, p50 and p90; None where nothing was counted."""
    found = _at(histogram, (0.1, 0.5, 0.9))
    return (found[0], found[1], found[2]) if found else None


def curve(histogram: Sequence[int]) -> Curve:
    """The values at `CURVE_SHARES`; empty where nothing was counted."""
    return _at(histogram, CURVE_SHARES)


def _at(histogram: Sequence[int], shares: Sequence[float]) -> Curve:
    total = sum(histogram)
    if not total:
        return ()
    found: list[int] = []
    running = 0
    wanted = list(shares)
    for step, keys in enumerate(histogram):
        running += keys
        while keys and wanted and running >= wanted[0] * total:
            found.append(_value(step))
            del wanted[0]
    return tuple(found)


def _value(step: int) -> int:
    """The lower end of a step."""
    octave, quarter = divmod(step, _STEPS)
    return 0 if octave == 0 else (4 + quarter) << (octave - 1) >> 2


def falling(rising: Curve) -> Curve:
    """The curve of the same values with their signs turned: what was largest comes first."""
    return tuple(-value for value in reversed(rising))


def share_up_to(values: Curve, most: float) -> float:
    """The share of the keys whose value is at most `most`.

    >>> share_up_to((1,) * 5 + (9,) * 6, 5), share_up_to((1,) * 5 + (9,) * 6, 9)
    (0.375, 1.0)
    """
    place = bisect_right(values, most)
    if place in (0, len(values)):
        return 0.0 if place == 0 else 1.0
    low, high = values[place - 1], values[place]
    part = (most - low) / (high - low)
    return CURVE_SHARES[place - 1] + part * (CURVE_SHARES[place] - CURVE_SHARES[place - 1])
