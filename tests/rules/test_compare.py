"""Comparing two scans: what grew, and what cannot be said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import Interval, PatternRow, SavedScan, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.compare import compare
from redis_oom_tui.rules.key_patterns import Matcher
from redis_oom_tui.rules.pattern_rows import rows
from redis_oom_tui.rules.pattern_tree import PatternTree
from tests.rules.test_key_patterns import WORDS


def pattern_row(pattern: bytes, keys: int, size: int, *, spread: float = 0.0, error: float = 0.0) -> PatternRow:
    return PatternRow(
        pattern,
        pattern,
        keys,
        size,
        0.0,
        0,
        0,
        error=error,
        estimated_bytes=Interval(size, size * (1 - spread), size * (1 + spread)),
        estimated_keys=Interval(keys, keys * (1 - spread), keys * (1 + spread)),
    )


def scan(*rows: PatternRow, state: ScanState = ScanState.COMPLETE, at: float = 0.0, server: str = "a") -> SavedScan:
    size = sum(row.size for row in rows)
    keys = sum(row.keys for row in rows)
    view = ScanView(state, scanned_keys=keys, total_keys=keys, bytes_seen=size, patterns=rows)
    return SavedScan(view, at, server)


def test_growth_shrinkage_and_newcomers_the_largest_first() -> None:
    found = compare(
        scan(pattern_row(b"a:*", 10, 1000), pattern_row(b"b:*", 10, 1000), pattern_row(b"c:*", 5, 500)),
        scan(pattern_row(b"a:*", 20, 9000), pattern_row(b"c:*", 5, 500), pattern_row(b"d:*", 1, 100), at=60.0),
    )
    assert [(row.pattern, row.bytes_grown, row.keys_grown) for row in found.patterns] == [
        (b"a:*", 8000, 10),
        (b"b:*", -1000, -10),
        (b"d:*", 100, 1),
    ]
    assert all(row.certain for row in found.patterns)
    assert found.whole.bytes_grown == 7100
    assert found.notes == ()


def test_estimates_that_overlap_are_not_certain() -> None:
    partial = {"state": ScanState.SAMPLED}
    close = compare(scan(pattern_row(b"a:*", 10, 1000, spread=0.2), **partial), scan(pattern_row(b"a:*", 10, 1100)))
    assert not close.patterns[0].certain
    apart = compare(scan(pattern_row(b"a:*", 10, 1000, spread=0.2), **partial), scan(pattern_row(b"a:*", 10, 2000)))
    assert (apart.patterns[0].bytes_grown, apart.patterns[0].certain) == (1000, False)
    assert (close.patterns[0].doubt, apart.patterns[0].doubt) == ("within the error", "estimated")
    assert "partial" in apart.notes[0]


@pytest.mark.parametrize(
    "limits", [{"match": b"b*"}, {"type": "hash"}, {"databases": (1,)}, {"pattern": KeyPattern((b"b:",), below=True)}]
)
def test_what_a_scan_of_some_keys_passed_over_did_not_grow_or_shrink(limits: dict[str, Any]) -> None:
    some = replace(scanned([b"b:%d" % n for n in range(10)]), **limits)
    every = scanned([b"a:%d" % n for n in range(10)] + [b"b:%d" % n for n in range(10)])
    for found, word in ((compare(some, every), "earlier"), (compare(every, some), "later")):
        changes = {change.pattern: change for change in (found.whole, *found.patterns)}
        for name in (b"*", b"a:*"):
            change = changes[name]
            assert (change.keys_grown, change.bytes_grown, change.certain) == (None, None, False)
            assert change.doubt == f"the {word} scan read some keys only"
        assert "read different keys" in found.notes[0]
    same = compare(some, replace(some, taken_at=9.0))
    assert (same.patterns, same.whole.certain, same.whole.keys_grown) == ((), True, 0)


def test_a_pattern_that_both_scans_saw_all_of_is_compared() -> None:
    before = replace(scanned([b"b:%d" % n for n in range(10)]), pattern=KeyPattern((b"b:",), below=True))
    now = scanned([b"b:%d" % n for n in range(30)] + [b"a"])
    changes = {change.pattern: change for change in compare(before, now).patterns}
    assert (changes[b"b:*"].keys_grown, changes[b"b:*"].certain) == (20, True)
    assert changes[b"a"].keys_grown is None


def test_a_pattern_that_a_partial_scan_did_not_list_is_unknown_not_zero() -> None:
    found = compare(scan(state=ScanState.STOPPED), scan(pattern_row(b"a:*", 10, 1000)))
    assert found.patterns[0].bytes_before is None
    assert found.patterns[0].bytes_grown is None
    folded = compare(scan(pattern_row(b"b:*", 1, 1, error=0.1)), scan(pattern_row(b"a:*", 10, 1000)))
    assert {row.pattern: row.bytes_before for row in folded.patterns}[b"a:*"] is None


def test_another_server_is_said() -> None:
    assert "another address" in compare(scan(server="a"), scan(server="b")).notes[0]
    one, same, other = (replace(scan(server="a"), run_id=run_id) for run_id in ("r1", "r1", "r2"))
    assert compare(one, same).notes == compare(one, replace(same, server="b")).notes == ()
    assert compare(one, replace(same, run_id=None)).notes == ()
    assert "was restarted since, or another one has its address" in compare(one, other).notes[0]


def test_sizes_that_neither_scan_was_told_are_unknown_and_keys_are_not() -> None:
    comparison = compare(scan(pattern_row(b"a:*", 10, 0)), scan(pattern_row(b"a:*", 30, 0)))
    (change,) = comparison.patterns
    assert (change.keys_grown, change.bytes_grown) == (20, None)
    assert comparison.whole.bytes_grown is None


def scanned(names: list[bytes], *, each: int = 100, max_nodes: int = 5000, limit: int = 1000) -> SavedScan:
    """A complete scan of these names, each of as many bytes."""
    tree = PatternTree(max_nodes=max_nodes)
    for start in range(0, len(names), 100):
        page = names[start : start + 100]
        tree.add(0, page, [each] * len(page), [-1] * len(page), [b"string"] * len(page), 0)
    size = each * len(names)
    view = ScanView(
        ScanState.COMPLETE,
        scanned_keys=len(names),
        total_keys=len(names),
        bytes_seen=size,
        patterns=rows(tree, limit=limit, exact=True),
    )
    return SavedScan(view, 0.0, "a")


def grown(before: SavedScan, now: SavedScan) -> dict[bytes, int | None]:
    return {change.pattern: change.keys_grown for change in compare(before, now).patterns}


PRODUCTS = [b"cache:product:%d" % n for n in range(2000)]
NEW = [b"cache:product:new%d" % n for n in range(200)]
USERS = [b"user:%d" % n for n in range(300)]


def test_a_pattern_that_the_later_scan_divides() -> None:
    before, now = scanned(PRODUCTS + USERS), scanned(PRODUCTS + NEW + USERS)
    assert grown(before, now) == {b"cache:product:*": 200, b"cache:product:new*": 200}
    assert grown(now, before) == {b"cache:product:*": -200, b"cache:product:new*": -200}
    assert {change.bytes_grown for change in compare(before, now).patterns} == {20_000}


def test_a_level_between_that_only_one_scan_has() -> None:
    more = [b"cache:%d" % n for n in range(40)]
    assert grown(scanned(PRODUCTS), scanned(PRODUCTS + more)) == {b"cache:*": 40, b"cache:<id>": 40}
    assert grown(scanned(PRODUCTS + more), scanned(PRODUCTS)) == {b"cache:*": -40, b"cache:<id>": -40}


def test_a_renamed_pattern_goes_and_comes() -> None:
    renamed = [b"cache:item:%d" % n for n in range(2000)]
    assert grown(scanned(PRODUCTS), scanned(renamed)) == {b"cache:item:*": 2000, b"cache:product:*": -2000}


def test_a_whole_pattern_that_comes_and_one_that_goes() -> None:
    assert grown(scanned(USERS), scanned(PRODUCTS)) == {b"cache:product:*": 2000, b"user:*": -300}


def test_what_a_scan_folded_is_compared_by_what_is_around_it() -> None:
    words = [b"s:%s" % word for word in WORDS[:1500]]
    folded = scanned(words, max_nodes=64)
    other = scanned(words + [b"s:zzz%s:cart" % word for word in WORDS[:30]])
    comparison = compare(folded, other)
    changes = {change.pattern: change for change in comparison.patterns}
    assert (changes[b"s:*"].keys_before, changes[b"s:*"].keys_now) == (1500, 1530)
    vague = [change for change in comparison.patterns if change.keys_grown is None]
    assert vague
    assert {change.within for change in vague} == {b"s:*"}
    assert any("compare those by s:*" in note for note in comparison.notes)


def test_rows_that_were_left_out_of_a_scan_make_no_zero() -> None:
    names = [b"f%s:%d" % (word, n) for word in WORDS[:50] for n in range(3)]
    cut = scanned(names, limit=10)
    found = compare(cut, scanned(names))
    assert all(change.keys_before is None for change in found.patterns)
    assert grown(scanned(names), scanned(names)) == {}


def test_a_file_of_before_patterns_were_kept_is_compared_as_well() -> None:
    old = scanned(PRODUCTS + USERS)
    bare = replace(old, view=replace(old.view, patterns=tuple(replace(row, select=None) for row in old.view.patterns)))
    assert grown(bare, scanned(PRODUCTS + NEW + USERS)) == {b"cache:product:*": 200, b"cache:product:new*": 200}
    assert grown(scanned(PRODUCTS + USERS), bare) == {}
    two = scanned(PRODUCTS + NEW + USERS)
    bare = replace(two, view=replace(two.view, patterns=tuple(replace(row, select=None) for row in two.view.patterns)))
    assert grown(bare, old) == {b"cache:product:*": -200, b"cache:product:new*": -200}


NAMES = st.lists(
    st.lists(st.sampled_from([b"a", b"b", b"c", b"1", b"22", b"new7", b"v*"]), min_size=1, max_size=4).map(b":".join),
    max_size=80,
    unique=True,
)


@given(NAMES, NAMES, st.sampled_from([64, 5000]))
def test_every_change_told_is_the_true_one(before: list[bytes], now: list[bytes], max_nodes: int) -> None:
    comparison = compare(scanned(before, max_nodes=max_nodes), scanned(now))
    assert comparison.whole.keys_grown == len(now) - len(before)
    for change in comparison.patterns:
        assert change.select is not None
        sides = [Matcher(change.select).kept(names) for names in (before, now)]
        if change.keys_before is not None:
            assert change.keys_before == len(sides[0])
        if change.keys_now is not None:
            assert change.keys_now == len(sides[1])
        if max_nodes == 5000:
            assert change.keys_grown is not None
