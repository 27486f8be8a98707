"""What a partial scan says of the whole: estimates with 95 % intervals, and how far they can be trusted.

SCAN walks in the order of the hash, so the keys seen are a fair sample of all keys. The error is taken from how groups
of pages differ. A few giant keys would break any such interval: they are taken out, counted as they are, and how many
of their kind may still be unseen is a Poisson question of its own.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

from msgspec import Struct

from redis_oom_tui.models.scan import Interval

# Student's t for 95 %, by degrees of freedom: the interval is over a handful of groups.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
# A key over this share of all that was seen is a giant.
_GIANT_SHARE = 1 / 64
_FEWEST_GROUPS = 4


class SampledShare(Struct, frozen=True, dict=True):
    """How much of the whole was seen: keys in each group of pages, and how many keys there are in all.

    `total_bytes` is what all of them cannot exceed (used_memory), where that is known.
    """

    keys: tuple[int, ...]
    total_keys: int
    total_bytes: int | None = None

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
    error = _t(len(groups) - 1) * math.sqrt(spread * (1 - fraction)) / fraction
    rest = ratio * sample.total_keys
    unseen_low, unseen, unseen_high = _unseen(len(huge), fraction)
    each = sum(huge) / len(huge) if huge else 0.0
    bound = math.inf if at_most is None else max(seen, float(at_most))
    return Interval(
        value=min(bound, rest + sum(huge) + unseen * each),
        low=min(bound, max(seen, rest - error + sum(huge) + unseen_low * each)),
        high=min(bound, rest + error + sum(huge) + unseen_high * each),
    )


def _unseen(count: int, fraction: float) -> tuple[float, float, float]:
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
    """The lower end of a 95 % interval for a Poisson mean (Wilson and Hilferty), 0 for a single event."""
    if count <= 1:
        return 0.0
    return float(count * (1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3)


def _poisson_high(count: int) -> float:
    more = count + 1
    return float(more * (1 - 1 / (9 * more) + 1.96 / (3 * math.sqrt(more))) ** 3)


def _t(freedom: int) -> float:
    return _T[min(freedom, len(_T)) - 1]
