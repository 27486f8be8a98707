"""What a part says of the whole: estimates with intervals, and histograms of times.

SCAN goes in the order of the hash, so the keys seen are a fair sample of all keys. The error is taken from how groups
of pages differ. A few giant keys would break any such interval: they are taken out, counted as they are, and how many
of their kind may still be unseen is a Poisson question of its own.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from operator import add

from msgspec import Struct

from redis_oom_tui.models.scan import CURVE_SHARES, Interval

# Student's t for 95%, by degrees of freedom: the interval is over a handful of groups.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
# A key over this share of all that was seen is a giant.
_GIANT_SHARE = 1 / 64
_FEWEST_GROUPS = 4


class SampledShare(Struct, frozen=True, dict=True):
    """How much of the whole was seen: keys in each group of pages, and how many keys there are in all.

    `total_bytes` is what all of them cannot exceed (used_memory), where that is known. `total_variance` is that of
    `total_keys`, which is an estimate where nobody tells how many keys a filter takes.
    """

    keys: tuple[int, ...]
    total_keys: int
    total_bytes: int | None = None
    total_variance: float = 0.0

    @cached_property
    def seen(self) -> int:
        """Keys seen."""
        return sum(self.keys)

    @cached_property
    def fraction(self) -> float:
        """The share of all keys that was seen, at most 1."""
        return min(1.0, self.seen / self.total_keys) if self.total_keys else 1.0


def counted(value: float) -> Interval:
    """What needs no estimate.

    >>> counted(5.0).low == counted(5.0).high
    True
    """
    return Interval(value, value, value)


def together(parts: Sequence[Interval | None], at_most: int | None) -> Interval | None:
    """The sum of `parts`, each with an error of its own; `at_most` is what it cannot exceed. None where one is unknown,
    and of no part.

    >>> together([counted(5), Interval(10, 8, 14)], 16)
    Interval(value=15, low=13, high=16)
    """
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    low = sum(part.low for part in known)
    bound = math.inf if at_most is None else max(low, at_most)
    return Interval(min(bound, sum(part.value for part in known)), low, min(bound, sum(part.high for part in known)))


def giants(sizes: Iterable[int], total: int) -> list[int]:
    """Those of `sizes` (largest first) that weigh too much to stand for others: each over 1/64 of all the rest.

    >>> giants([1000, 10, 9, 8], 1100)
    [1000, 10, 9, 8]
    >>> giants([50, 50], 100_000)
    []
    """
    found = []
    rest = total
    for size in sizes:
        if size <= (rest - size) * _GIANT_SHARE:
            break
        rest -= size
        found.append(size)
    return found


def extrapolated(
    amounts: Sequence[int], sample: SampledShare, huge: Sequence[int] = (), *, at_most: int | None = None
) -> Interval | None:
    """The whole of which `amounts` (one for each group, giants left out) were seen, with `huge` the giants seen.

    `at_most` is what the whole cannot exceed.
    None before enough pages were seen to tell how they differ. Exact once everything was seen.
    """
    seen = float(sum(amounts) + sum(huge))
    if sample.fraction >= 1.0:
        return counted(seen)
    groups = [(keys, amount) for keys, amount in zip(sample.keys, amounts, strict=True) if keys]
    if len(groups) < _FEWEST_GROUPS:
        return None
    fraction = sample.fraction
    ratio = sum(amounts) / sample.seen
    spread = sum((amount - ratio * keys) ** 2 for keys, amount in groups) * len(groups) / (len(groups) - 1)
    variance = spread * (1 - fraction) / fraction**2 + ratio**2 * sample.total_variance
    error = _T[min(len(groups) - 1, len(_T)) - 1] * math.sqrt(variance)
    rest = ratio * sample.total_keys
    unseen_low, unseen, unseen_high = _unseen_giants(len(huge), fraction)
    each = sum(huge) / len(huge) if huge else 0.0
    bound = math.inf if at_most is None else max(seen, float(at_most))
    return Interval(
        value=min(bound, rest + sum(huge) + unseen * each),
        low=min(bound, max(seen, rest - error + sum(huge) + unseen_low * each)),
        high=min(bound, rest + error + sum(huge) + unseen_high * each),
    )


def _unseen_giants(count: int, fraction: float) -> tuple[float, float, float]:
    """How many more giants there may be, after `count` were found in `fraction` of the keys: low, likely, high.

    The largest is taken as the only one of its kind, so that one forgotten giant is not multiplied.
    """
    if not count:
        return 0.0, 0.0, 0.0
    odds = (1 - fraction) / fraction
    # Of a fixed number of giants, so many were met by chance: the error is the binomial's, 1/sqrt(1 - f) wider.
    wider = odds / math.sqrt(1 - fraction)
    low = count * odds + (_poisson_low(count) - count) * wider
    return max(0.0, low), (count - 1) * odds, count * odds + (_poisson_high(count) - count) * wider


def _poisson_low(count: int) -> float:
    """The lower end of a 95% interval for a Poisson mean (Wilson and Hilferty), 0 for a single event."""
    if count <= 1:
        return 0.0
    return float(count * (1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3)


def _poisson_high(count: int) -> float:
    more = count + 1
    return float(more * (1 - 1 / (9 * more) + 1.96 / (3 * math.sqrt(more))) ** 3)


# Four steps to each doubling, so that a quantile is right within a fifth.
_STEPS_A_DOUBLING = 4
STEPS = _STEPS_A_DOUBLING * 34
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
    return min(STEPS - 1, _STEPS_A_DOUBLING * (octave + 1) + ((value << 2 >> octave) & 3))


def add_histograms(one: list[list[int]], other: list[list[int]]) -> list[list[int]]:
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
    octave, quarter = divmod(step, _STEPS_A_DOUBLING)
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
