"""Findings from a scan of the keys: what stays too long, giants, growth and encodings."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.formatting.server import advice_with_commands
from redis_oom_tui.formatting.vitals import saving
from redis_oom_tui.models.keys import KeyPattern, PatternSample, SampledKey
from redis_oom_tui.models.scan import ScanState, ScanView
from redis_oom_tui.models.snapshot import Database
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.info_fields import with_expired
from redis_oom_tui.rules.pattern_rows import rows
from redis_oom_tui.rules.pattern_tree import PatternTree
from redis_oom_tui.rules.sampled_values import summarize
from redis_oom_tui.rules.savings import freed, freed_with, narrow, with_noise
from tests.rules.snapshots import MIB, snapshot_of
from tests.rules.test_findings import findings, giant, pattern_row, scanned

DAY = 86_400


@given(st.integers(128 * 1024, 2**40), st.integers(0, 2**40), st.integers(1, 10**6))
def test_what_goes_is_told_with_what_moves_by_itself(low: int, more: int, keys: int) -> None:
    high = low + more
    for least, most in (with_noise(low, high), freed(low, high, keys=0)):
        assert 0 < least < low <= high < most
        assert narrow((least, most)) is not None or more, "an exact figure is always told"
    noise = with_noise(low, high)
    assert low - noise[0] <= 256 * 1024
    assert noise[1] - high <= 128 * 1024
    assert freed(low, high, keys)[1] <= freed(low, high, keys + 1)[1]
    assert freed(low, high, keys, exact=False)[0] <= freed(low, high, 0)[0]


def test_what_a_set_frees_by_the_release_that_counts_it() -> None:
    """Since 7.2 the server counts entries of sets that it does not make."""
    key = giant(b"s", "set", 8 * MIB, measured=True, size_low=6 * MIB, size_high=9 * MIB)
    address = snapshot_of().server
    old, new, other = (
        freed_with((key,), replace(address, flavour=flavour, version=version))
        for flavour, version in (("redis", "7.0.15"), ("redis", "8.2.3"), ("valkey", "9.1.2"))
    )
    assert old == other
    assert new[1] < 8.2 * MIB < old[1]
    assert new[0] < 4.1 * MIB < old[0]


def test_keys_that_stay_too_long() -> None:
    forgetful = scanned(pattern_row(b"session:*", 10_000, 50 * MIB, no_ttl=800))
    straggling = findings(snapshot_of(), forgetful)["no-ttl-stragglers"]
    assert "800 of 10,000 keys in session:* have no TTL" in straggling.title
    assert straggling.remedy is not None
    assert straggling.remedy.match == b"session:*"
    assert straggling.saves_bytes is not None
    assert straggling.saves_bytes[0] < 4 * MIB < straggling.saves_bytes[1]
    passing = findings(snapshot_of(), scanned(pattern_row(b"cache:page:*", 500, 30 * MIB, no_ttl=500)))
    assert "no-ttl-family" in passing
    select = KeyPattern((b"cache", b":", b"page", b":", b"\0"))
    row = replace(pattern_row(b"cache:page:*", 500, 30 * MIB, no_ttl=500), select=select)
    advice = advice_with_commands(findings(snapshot_of(), scanned(row))["no-ttl-family"], ("-p", "7000"))
    command = "redis-oom-tui -p 7000 cleanup --pattern 'cache:page:<id>' --no-ttl --expire 1d"
    assert advice.endswith(f"give them a TTL with `{command}`."), "it expires keys, as the sentence says"
    assert "no-ttl-family" not in findings(snapshot_of(), scanned(pattern_row(b"user:*", 500, 30 * MIB, no_ttl=500)))
    begun = scanned(pattern_row(b"cache:page:*", 500, 3 * MIB, no_ttl=500))
    # The scan has gone on since its patterns were summed up.
    begun = replace(begun, state=ScanState.RUNNING, scanned_keys=1_400, total_keys=5_240)
    part = findings(snapshot_of(), begun)["no-ttl-family"]
    assert part.title == "~5,200 keys in cache:page:* have no TTL"
    assert part.evidence[0] == "500 keys, 3.0 MiB among the 9.5% of all keys that were read, no TTL"
    assert part.saves_bytes is not None
    assert part.saves_bytes[1] > 20 * MIB
    filtered = replace(begun, total_keys=1_000_000, scanned_share=0.25)
    assert findings(snapshot_of(), filtered)["no-ttl-family"].title == "~5,600 keys in cache:page:* have no TTL"
    late = giant(b"report:1", "string", 4 * MIB, ttl_ms=90 * DAY * 1000, idle_seconds=5 * DAY)
    assert "long-ttl" in findings(snapshot_of(), scanned(top=(late,)))


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        (b"cache:page:*", True),
        (b"app:session:*", True),
        (b"sess-*", True),
        (b"rate:api:*", True),
        (b"rl:10.0.0.*:*", True),
        (b"celery-task-meta-*", True),
        (b"TMP_*", True),
        (b"corporate:*", False),
        (b"url:*", False),
        (b"template:*", False),
        (b"possession:*", False),
        (b"user:*", False),
    ],
)
def test_names_tell_what_is_of_passing_use(pattern: bytes, passes: bool) -> None:
    found = findings(snapshot_of(), scanned(pattern_row(pattern, 500, 30 * MIB, no_ttl=500)))
    assert ("no-ttl-family" in found) == passes


def test_data_that_nobody_uses_any_more() -> None:
    old = pattern_row(b"invoice:*", 900, 40 * MIB, no_ttl=900, idle_quantiles=(40 * DAY, 72 * DAY, 97 * DAY))
    found = findings(snapshot_of(), scanned(old))["old-data"]
    assert "have been idle for 72d00h" in found.title
    assert found.saves_bytes == (32 * MIB, 40 * MIB)
    used = replace(old, idle_quantiles=(60, 3600, 97 * DAY))
    assert "old-data" not in findings(snapshot_of(), scanned(used))
    assert "old-data" not in findings(snapshot_of(activity={"saving": True}), scanned(old))
    assert "old-data" not in findings(snapshot_of(policy="allkeys-lrm"), scanned(old))


def test_expired_keys_that_still_hold_memory() -> None:
    stale = snapshot_of(keys=100_000, expires=60_000, counters={"expired_stale_percent": 8.0})
    found = findings(stale)["expired-unreaped"]
    assert "About 4,800 keys" in found.title
    assert "expired_stale_perc 8.0 of 60,000" in found.evidence[0]
    assert "expired-unreaped" not in findings(snapshot_of(keys=100_000, expires=60_000))


def test_a_sample_of_one_database_tells_nothing_of_the_others() -> None:
    several = snapshot_of()
    several = replace(several, databases=(Database(0, 90_000, 900), Database(1, 10_000, 2_000)))
    sampled = with_expired(several, 50, 450)
    found = findings(sampled)["expired-unreaped"]
    assert "About 1,000 keys" in found.title
    assert found.evidence == ("50 of 500 keys that one SCAN met had expired: it dropped them",)
    assert with_expired(snapshot_of(keys=0), 50, 450).counters.expired_stale_percent is None


@pytest.mark.parametrize(
    ("kind", "id_"),
    [
        ("stream", "stream-untrimmed"),
        ("list", "queue-growing"),
        ("zset", "zset-log"),
        ("hash", "giant-key"),
        ("set", "giant-key"),
        ("string", "giant-key"),
        ("ReJSON-RL", "giant-key"),
    ],
)
def test_giants_by_type(kind: str, id_: str) -> None:
    exact = giant(b"x[1]", kind, 30 * MIB, idle_seconds=3 * DAY, size_low=30 * MIB, size_high=30 * MIB)
    found = findings(snapshot_of(), scanned(top=(exact,)))[id_]
    assert "30% of all that is used" in found.title
    emptied = findings(snapshot_of(used=10 * MIB), scanned(top=(exact,)))[id_]
    assert emptied.title.endswith("30.0 MiB, more than all that is used now"), "no share of over 100%"
    assert found.remedy is not None
    assert found.remedy.match == b"x\\[1\\]"
    low, high = found.saves_bytes or (0, 0)
    assert low < 30 * MIB < high <= 1.25 * low, "the size is exact, and what used_memory falls by is near it"
    assert saving(replace(found, saves_bytes=(30 * MIB, 30 * MIB + 900))) == "about 30.0M", "its ends look alike"
    # What holds at most so much is no less worth a look.
    assert id_ in findings(snapshot_of(), scanned(top=(giant(b"x", kind, 30 * MIB, suspect=True),)))


def test_what_grew_between_two_scans() -> None:
    before = scanned(pattern_row(b"user:*", 900, 10 * MIB), pattern_row(b"event:*", 100, 10 * MIB))
    after = scanned(pattern_row(b"user:*", 900, 10 * MIB), pattern_row(b"event:*", 900, 40 * MIB))
    assert "event:* grew by 30.0 MiB" in findings(snapshot_of(), after, before=before)["grew"].title
    assert "grew" not in findings(snapshot_of(), before, before=before)


def test_children_are_counted_once() -> None:
    whole = pattern_row(b"session:*", 10_000, 50 * MIB, no_ttl=800)
    part = pattern_row(b"session:web:*", 10_000, 50 * MIB, no_ttl=800, parent=b"session:*")
    found = [f for f in find(snapshot_of(), scanned(whole, part)) if f.id == "no-ttl-stragglers"]
    assert [f.remedy.match for f in found if f.remedy] == [b"session:web:*"]


def sample(pattern: bytes, **figures: Any) -> PatternSample:
    return PatternSample(pattern, figures.pop("type", "string"), 40, **figures)


def test_separate_keys_that_could_be_one_hash() -> None:
    parts = (b"name", b"email", b"plan")
    rows = [pattern_row(b"user:*:" + part, 100_000, 70 * 100_000, no_ttl=100_000) for part in parts]
    values = tuple(
        sample(row.pattern, key_bytes=70.0, name_bytes=14.0, value_bytes=8.0, longest_value=9) for row in rows
    )
    found = findings(snapshot_of(), scanned(*rows), values=values)["hash-grouping"]
    assert "user:*:{name,email,plan}" in found.title
    assert found.saves_bytes is not None
    assert found.saves_bytes[0] > 3 * MIB
    assert found.remedy is not None
    assert found.remedy.match == b"user:*:*"
    long = tuple(replace(value, longest_value=500) for value in values)
    assert "hash-grouping" not in findings(snapshot_of(), scanned(*rows), values=long)
    assert "hash-grouping" not in findings(snapshot_of(), scanned(*rows))


def test_a_partial_scan_is_scaled_up() -> None:
    row = pattern_row(b"session:*", 1000, 50 * MIB, no_ttl=100)
    whole = findings(snapshot_of(), scanned(row))["no-ttl-stragglers"].saves_bytes
    half = scanned(row, state=ScanState.STOPPED, total_keys=2000)
    partial = findings(snapshot_of(), half)["no-ttl-stragglers"].saves_bytes
    assert whole is not None
    assert partial is not None
    assert partial[1] == pytest.approx(2 * whole[1], rel=0.01)


def test_encoding_limits_are_read_from_the_server() -> None:
    row = pattern_row(b"basket:*", 500, 30 * MIB, kind="hash")
    table = sample(b"basket:*", type="hash", elements=150.0, key_bytes=9000.0, encodings={"hashtable": 40})
    settings = {"hash-max-listpack-entries": "128"}
    found = findings(snapshot_of(), scanned(row), values=(table,), settings=settings)["encoding-limit"]
    assert "hash-max-listpack-entries 128" in found.title
    assert found.saves_bytes is not None
    long = findings(snapshot_of(), scanned(row), values=(replace(table, key_bytes=20_000.0),), settings=settings)
    assert long["encoding-limit"].saves_bytes is None, "of long fields it is not known"
    assert "encoding-limit" not in findings(snapshot_of(), scanned(row), values=(table,), settings={})
    far = replace(table, elements=5000.0, key_bytes=300_000.0)
    assert "encoding-limit" not in findings(snapshot_of(), scanned(row), values=(far,), settings=settings)


def test_a_pattern_that_stands_in_several_databases_is_judged_by_the_sample_of_its_own() -> None:
    here, there = (replace(pattern_row(b"basket:*", 500, 30 * MIB, kind="hash"), db=db) for db in (0, 3))
    table = sample(b"basket:*", type="hash", elements=150.0, key_bytes=9000.0, encodings={"hashtable": 40})
    small = replace(table, elements=3.0, encodings={"listpack": 40})
    settings = {"hash-max-listpack-entries": "128"}
    for values in ((table, replace(small, db=3)), (replace(small, db=3), table)):
        found = find(snapshot_of(), scanned(here, there), values=values, settings=settings)
        titles = [f.title for f in found if f.id == "encoding-limit"]
        assert len(titles) == 1
        assert "(db 0)" in titles[0]
    only_there = find(snapshot_of(), scanned(here, there), values=(replace(table, db=3),), settings=settings)
    assert ["(db 3)" in f.title for f in only_there if f.id == "encoding-limit"] == [True]


def test_values_are_summed_up() -> None:
    text = b'{"name": "x", "tags": ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}' * 20
    keys = [SampledKey(b"cart:%d" % n, 1400, "raw", len(text), text) for n in range(5)]
    summed = summarize(b"cart:*", "string", keys)
    assert summed.zlib_ratios is not None
    assert summed.zlib_ratios[1] < 0.2
    assert summed.large_share == 1.0
    assert summed.name_bytes == 6.0
    numbers = [SampledKey(b"n", 72, "embstr", 5, b"00042"), SampledKey(b"m", 64, "int", 2, b"42")]
    assert summarize(b"*", "string", numbers).integer_text_share == 0.5
    assert summarize(b"*", "string", numbers).zlib_ratios is None
    unread = summarize(b"*", "hash", [SampledKey(b"h", 900, "hashtable")])
    assert unread.elements is None
    assert unread.encodings == {"hashtable": 1}


@pytest.mark.parametrize("module", ["zstandard", "compression.zstd"])
def test_zstd_is_measured_where_this_python_has_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path.joinpath(*module.split(".")[:-1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module.rsplit('.', maxsplit=1)[-1]}.py").write_text(
        "def compress(data):\n    return data[: len(data) // 8]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = b"abcdefgh" * 200
    summed = summarize(b"*", "string", [SampledKey(b"k", 1700, "raw", len(text), text)])
    assert summed.zstd_ratios == (0.125, 0.125, 0.125)
    found = findings(snapshot_of(), scanned(pattern_row(b"*", 50_000, 80 * MIB)), values=(summed,))
    assert "zstd to 12%" in found["compressible"].evidence[1]
    for name in ("zstandard", "compression.zstd", "compression"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_pattern_of_one_database_among_several_is_told_and_mended_as_that() -> None:
    both = [pattern_row(b"session:*", 10_000, 50 * MIB, no_ttl=gone, db=db) for db, gone in ((0, 0), (3, 800))]
    found = findings(snapshot_of(), scanned(*both))["no-ttl-stragglers"]
    assert "800 of 10,000 keys in session:* (db 3) have no TTL" in found.title
    assert found.remedy is not None
    assert (found.remedy.match, found.remedy.db) == (b"session:*", 3)


def test_what_grew_is_told_where_the_scans_divide_it_otherwise() -> None:
    def scan(names: list[bytes]) -> ScanView:
        tree = PatternTree()
        tree.add(0, names, [1000] * len(names), [-1] * len(names), [b"string"] * len(names), 0)
        return scanned(*rows(tree, limit=1000, exact=True), scanned_keys=len(names))

    old = [b"cache:product:%d" % n for n in range(20_000)]
    new = [b"cache:product:new%d" % n for n in range(20_000)]
    assert "grew" not in findings(snapshot_of(), scan(old + new[:300]), before=scan(old))
    grew = findings(snapshot_of(), scan(old + new), before=scan(old))["grew"]
    assert "cache:product:new* grew by" in grew.title
    assert grew.evidence[1] == "0 keys before, 20,000 now"
