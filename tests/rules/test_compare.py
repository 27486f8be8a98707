"""Comparing two scans: what grew, and what cannot be said."""

from redis_oom_tui.models.scan import Interval, PatternRow, SavedScan, ScanState, ScanView
from redis_oom_tui.rules.compare import compare


def family(pattern: bytes, keys: int, size: int, *, spread: float = 0.0, error: float = 0.0) -> PatternRow:
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
        scan(family(b"a:*", 10, 1000), family(b"b:*", 10, 1000), family(b"c:*", 5, 500)),
        scan(family(b"a:*", 20, 9000), family(b"c:*", 5, 500), family(b"d:*", 1, 100), at=60.0),
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
    close = compare(scan(family(b"a:*", 10, 1000, spread=0.2), **partial), scan(family(b"a:*", 10, 1100)))
    assert not close.patterns[0].certain
    apart = compare(scan(family(b"a:*", 10, 1000, spread=0.2), **partial), scan(family(b"a:*", 10, 2000)))
    assert apart.patterns[0].certain
    assert "partial" in apart.notes[0]


def test_a_family_that_a_partial_scan_did_not_list_is_unknown_not_zero() -> None:
    found = compare(scan(state=ScanState.STOPPED), scan(family(b"a:*", 10, 1000)))
    assert found.patterns[0].bytes_before is None
    assert found.patterns[0].bytes_grown is None
    folded = compare(scan(family(b"b:*", 1, 1, error=0.1)), scan(family(b"a:*", 10, 1000)))
    assert {row.pattern: row.bytes_before for row in folded.patterns}[b"a:*"] is None


def test_another_server_is_said() -> None:
    assert "another address" in compare(scan(server="a"), scan(server="b")).notes[0]


def test_sizes_that_neither_scan_was_told_are_unknown_and_keys_are_not() -> None:
    comparison = compare(scan(family(b"a:*", 10, 0)), scan(family(b"a:*", 30, 0)))
    (change,) = comparison.patterns
    assert (change.keys_grown, change.bytes_grown) == (20, None)
    assert comparison.whole.bytes_grown is None
