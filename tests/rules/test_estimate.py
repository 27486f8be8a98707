"""Estimates from partial scans: the interval holds the truth as often as it says."""

import random

import pytest

from redis_oom_tui.rules.sampling import SampledShare, counted, extrapolated, giants

GROUPS = 16


def trial(
    sizes: list[int], fraction: float, chance: random.Random, page: int = 50
) -> tuple[SampledShare, list[int], list[int]]:
    """A partial scan of `sizes` in hash order: its sample, amounts by group without giants, and the giants."""
    chance.shuffle(sizes)
    seen = sizes[: int(len(sizes) * fraction)]
    huge = giants(sorted(seen, reverse=True), sum(seen))
    keys, amounts = [0] * GROUPS, [0] * GROUPS
    left = list(huge)
    for start in range(0, len(seen), page):
        group = (start // page) % GROUPS
        for size in seen[start : start + page]:
            keys[group] += 1
            if size in left:
                left.remove(size)
            else:
                amounts[group] += size
    return SampledShare(tuple(keys), len(sizes)), amounts, huge


def population(kind: str, chance: random.Random) -> list[int]:
    if kind == "even":
        return [chance.randrange(50, 500) for _ in range(4000)]
    if kind == "skewed":
        return [int(chance.lognormvariate(5, 1.5)) for _ in range(4000)]
    if kind == "one giant":
        return [*[chance.randrange(50, 500) for _ in range(4000)], 50_000_000]
    if kind == "some large":
        return [chance.randrange(50, 500) if chance.random() > 0.01 else 100_000 for _ in range(4000)]
    return [chance.randrange(50, 500) if chance.random() > 0.1 else 0 for _ in range(4000)]


@pytest.mark.parametrize("kind", ["even", "skewed", "one giant", "some large", "mixed with nothing"])
@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_the_interval_holds_the_truth_nineteen_times_in_twenty(kind: str, fraction: float) -> None:
    chance = random.Random(f"{kind}{fraction}")
    held = trials = 0
    for _ in range(100):
        sizes = population(kind, chance)
        truth = sum(sizes)
        sample, amounts, huge = trial(sizes, fraction, chance)
        found = extrapolated(amounts, sample, huge)
        assert found is not None
        # A giant that was not met yet cannot be told of: the interval is for the rest.
        if kind == "one giant" and not huge:
            truth -= 50_000_000
        trials += 1
        held += found.low <= truth <= found.high
    assert held / trials >= 0.91


def test_one_giant_is_not_multiplied() -> None:
    chance = random.Random(3)
    sizes = [100] * 9999 + [10_000_000]
    while True:
        sample, amounts, huge = trial(sizes, 0.1, chance)
        if huge:
            break
    found = extrapolated(amounts, sample, huge)
    assert found is not None
    assert found.value == pytest.approx(sum(sizes), rel=0.01)


def test_what_was_seen_is_the_least() -> None:
    sample = SampledShare(tuple([10] * GROUPS), 100_000)
    found = extrapolated([1000] + [0] * 15, sample)
    assert found is not None
    assert found.low >= 1000
    assert found.high > found.value > 1000


def test_all_seen_is_exact_and_too_little_says_nothing() -> None:
    assert extrapolated([5] * GROUPS, SampledShare(tuple([1] * GROUPS), 16), [20]) == counted(100.0)
    assert extrapolated([5, 5, 5] + [0] * 13, SampledShare((1, 1, 1) + (0,) * 13, 1000)) is None


def test_giants_are_few_and_large() -> None:
    assert giants([10_000, 100, 90, 80], 10_000 + 100 * 200) == [10_000]
    assert giants([], 0) == []


def test_nothing_is_estimated_above_what_there_can_be() -> None:
    sample = SampledShare(tuple([100] * GROUPS), 16_000)
    found = extrapolated([10_000] * GROUPS, sample, [5_000_000], at_most=6_000_000)
    assert found is not None
    assert found.low <= found.value <= found.high == 6_000_000
