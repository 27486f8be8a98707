"""Who goes first, by the curves of the patterns."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.rules.pattern_rows import rows
from redis_oom_tui.rules.pattern_tree import PatternTree
from redis_oom_tui.rules.policies import FirstOut, first_out
from redis_oom_tui.rules.sampling import curve, share_up_to, step_of


def scanned(pattern_rows: dict[bytes, list[int]], what: str = "ttl") -> ScanView:
    """A scan of keys with these TTLs (seconds, -1 for none), idle times or frequencies."""
    tree = PatternTree()
    for pattern, values in pattern_rows.items():
        names = [b"%b:%d" % (pattern, number) for number in range(len(values))]
        ttls = [value * 1000 if value >= 0 else -1 for value in values] if what == "ttl" else [-1] * len(values)
        idles = None if what == "ttl" else values
        kinds = [b"string"] * len(values)
        tree.add(0, names, [100] * len(values), ttls, kinds, 0, idles=idles, frequencies=what == "frequency")
    return ScanView(ScanState.COMPLETE, patterns=rows(tree, exact=True))


def order(view: ScanView, policy: str, current: str = "noeviction", share: float = 0.05) -> list[bytes]:
    return [row.pattern for row, _ in first_out(policy, view, current, share).patterns]


def test_the_shortest_ttls_go_first_not_the_largest_pattern() -> None:
    view = scanned({b"big": [9000] * 5000, b"short": [60] * 400, b"none": [-1] * 9000})
    assert order(view, "volatile-ttl") == [b"short:*"]
    assert first_out("volatile-ttl", view, "noeviction", 0.05).by == "the shortest TTLs"


def test_a_few_short_ttls_in_a_large_pattern_count() -> None:
    view = scanned({b"mixed": [10] * 600 + [90_000] * 5400, b"short": [60] * 100})
    assert order(view, "volatile-ttl")[0] == b"mixed:*"
    assert order(view, "volatile-ttl", share=0.5)[:2] == [b"mixed:*", b"short:*"]


def test_the_longest_idle_and_the_least_used_go_first() -> None:
    assert order(scanned({b"a": [5] * 900, b"b": [5000] * 90}, "idle"), "allkeys-lru") == [b"b:*"]
    assert order(scanned({b"a": [200] * 900, b"b": [1] * 90}, "frequency"), "allkeys-lfu", "allkeys-lfu") == [b"b:*"]


def test_lru_and_lrm_go_by_the_one_time_that_the_server_keeps() -> None:
    """evict.c scores both by the object's clock; what sets that clock is up to the policy."""
    view = scanned({b"a": [5] * 900, b"b": [5000] * 90}, "idle")
    for policy, current, by in (
        ("allkeys-lrm", "noeviction", "the longest idle times"),
        ("allkeys-lrm", "allkeys-lrm", "the longest times since a change"),
        ("allkeys-lru", "volatile-lrm", "the longest times since a change"),
    ):
        assert order(view, policy, current) == [b"b:*"]
        assert first_out(policy, view, current, 0.05).by == by
    unread = scanned({b"a": [5] * 900, b"b": [50] * 90})
    assert "LFU" in (first_out("allkeys-lrm", unread, "allkeys-lfu", 0.05).unknown or "")


def test_chance_takes_from_all_and_most_from_the_largest() -> None:
    view = scanned({b"a": [5] * 90, b"b": [5000] * 900})
    found = first_out("allkeys-random", view, "noeviction", 0.05)
    assert [(row.pattern, keys) for row, keys in found.patterns] == [(b"b:*", 900.0), (b"a:*", 90.0)]
    assert "chance" in found.by
    assert found.named == ()


def names(found: FirstOut) -> set[bytes]:
    return {row.pattern for row in found.named}


def test_patterns_that_tie_are_not_told_apart() -> None:
    same = {b"f%c" % (97 + n): [600] * (100 + n) for n in range(5)}
    found = first_out("allkeys-lru", scanned(same, "idle"), "noeviction", 0.05)
    assert (found.named, found.unknown) == ((), "5 patterns tie by the longest idle times")
    found = first_out("allkeys-lru", scanned(same | {b"new": [1] * 900}, "idle"), "noeviction", 0.05)
    assert (names(found), found.unknown) == ({pattern + b":*" for pattern in same}, None)
    many = {b"f%c" % (97 + n): [600] * 100 for n in range(20)}
    found = first_out("volatile-ttl", scanned(many | {b"late": [90_000] * 900}), "noeviction", 0.05)
    assert (found.named, found.unknown) == ((), "20 patterns tie by the shortest TTLs")


def test_patterns_that_do_not_tie_are_told_apart() -> None:
    view = scanned({b"a": [60] * 100, b"b": [90] * 100, b"c": [600] * 100})
    assert names(first_out("volatile-ttl", view, "noeviction", 0.2)) == {b"a:*"}
    assert names(first_out("volatile-ttl", view, "noeviction", 1.0)) == {b"a:*", b"b:*", b"c:*"}


def test_what_was_not_read_is_unknown_with_its_reason() -> None:
    view = scanned({b"a": [5] * 900, b"b": [50] * 90})
    assert first_out("allkeys-lru", view, "noeviction", 0.05).unknown == "idle times were not read"
    assert "LFU" in (first_out("allkeys-lru", view, "volatile-lfu", 0.05).unknown or "")
    assert "LFU" in (first_out("allkeys-lfu", view, "noeviction", 0.05).unknown or "")
    assert first_out("allkeys-coldest", view, "noeviction", 0.05).unknown is not None


def test_a_single_pattern_needs_no_curve() -> None:
    row = PatternRow(b"a:*", b"a:*", 10, 10, 1.0, 0, 0)
    assert order(ScanView(ScanState.COMPLETE, patterns=(row,)), "volatile-lru") == [b"a:*"]


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=300), st.integers(0, 2**20))
def test_a_curve_tells_the_share_within_its_steps(values: list[int], most: int) -> None:
    histogram = [0] * 136
    for value in values:
        histogram[step_of(value)] += 1
    found = share_up_to(curve(histogram), most)
    below = sum(value <= most * 0.5 for value in values) / len(values)
    above = sum(value <= most * 2 + 1 for value in values) / len(values)
    assert below - 0.26 <= found <= above + 0.26


@given(st.integers(0, 2**32))
def test_the_first_is_among_those_that_lose_most(seed: int) -> None:
    chance = random.Random(seed)
    pattern_rows = {
        b"f%c" % (97 + n): [int(chance.lognormvariate(chance.uniform(2, 9), 0.4)) for _ in range(200)] for n in range(4)
    }
    rows = first_out("volatile-ttl", scanned(pattern_rows), "noeviction", 0.1).patterns
    soonest = sorted((ttl, pattern) for pattern, ttls in pattern_rows.items() for ttl in ttls)[:80]
    lost = Counter(pattern + b":*" for _, pattern in soonest)
    assert lost[rows[0][0].pattern] >= 0.5 * lost.most_common(1)[0][1]
