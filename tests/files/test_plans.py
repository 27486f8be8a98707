"""Safety rule 3: a plan on disk is the plan that was frozen, or it is refused."""

import errno
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files.plans import load_plan, save_plan
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Order, Plan, PlannedKey, TtlFilter
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.plan_hash import first_fingerprint, frozen

KEYS = st.lists(
    st.builds(
        PlannedKey,
        id=st.builds(KeyId, st.integers(0, 15), st.binary(max_size=12)),
        type=st.sampled_from(["string", "zset"]),
        size=st.none() | st.integers(0, 2**40),
        ttl_ms=st.none() | st.integers(0, 2**40),
        idle_seconds=st.none() | st.integers(0, 2**24),
        frequency=st.none() | st.integers(0, 255),
        read_at=st.none() | st.floats(0, 2**32),
    ),
    max_size=5,
)


def plan(*keys: PlannedKey) -> Plan:
    criteria = Criteria((b"a*", b"\xff[\\]"), ("hash",), (0, 3), 5, TtlFilter.WITH, 9, max_keys=7, order=Order.OLDEST)
    return frozen(
        Plan(
            keys,
            criteria,
            12.5,
            "s:1",
            run_id="r",
            operation=Operation.EXPIRE,
            expire_seconds=60,
            flags=("read this",),
            role="master",
        )
    )


@given(keys=KEYS, node=st.sampled_from(["", "n:7001"]))
def test_a_plan_reads_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, keys: list[PlannedKey], node: str
) -> None:
    path, saved = tmp_path_factory.mktemp("p") / "plan", plan(*keys)
    saved = frozen(replace(saved, criteria=replace(saved.criteria, node=node)))
    save_plan(saved, path)
    assert load_plan(path) == saved


@pytest.mark.parametrize(
    ("what", "by"),
    [
        (b'"role":"master"', b'"role":"slave"'),
        (b'"made_at":12.5', b'"made_at":13.5'),
        (b'"complete":true', b'"complete":false'),
        (b'"read this"', b'"all good"'),
        (b'"keyspace_keys":0', b'"keyspace_keys":9999'),
        (b'"max_keys":7', b'"max_keys":8'),
        (b"plan 2", b"plan 1"),
        (b'"k"', b'"j"'),
        (b'"string"', b'"hash"'),
        (b'"expire"', b'"delete"'),
        (b'"run_id":"r"', b'"run_id":"q"'),
    ],
)
def test_an_altered_plan_is_refused(tmp_path: Path, what: bytes, by: bytes) -> None:
    path = tmp_path / "plan"
    save_plan(plan(PlannedKey(KeyId(0, b"k"), "string", 1)), path)
    altered = path.read_bytes().replace(what, by)
    assert altered != path.read_bytes()
    path.write_bytes(altered)
    with pytest.raises(BadInput):
        load_plan(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"no", b'{"format": "redis-oom-tui plan 2"}', b"\xff"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        load_plan(path)


def test_a_plan_never_overwrites_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_text("precious")
    with pytest.raises(BadInput, match="exists already"):
        save_plan(plan(), path)
    assert path.read_text() == "precious"


def test_plans_of_earlier_versions_stay_readable_and_say_what_their_hash_leaves_out(tmp_path: Path) -> None:
    old = plan(PlannedKey(KeyId(0, b"k"), "string", 1))
    old = replace(old, hash=first_fingerprint(old))
    save_plan(old, tmp_path / "old")
    assert b'"redis-oom-tui plan 1"' in (tmp_path / "old").read_bytes()
    loaded = load_plan(tmp_path / "old")
    assert (loaded.hash, loaded.keys) == (old.hash, old.keys)
    assert "earlier version" in loaded.flags[-1]
    save_plan(loaded, tmp_path / "again")
    assert load_plan(tmp_path / "again").hash == old.hash


@pytest.mark.parametrize(
    ("line", "what", "by", "words"),
    [
        (1, b'"role":"master"', b'"role":5', "line 1: `role` is not a string"),
        (1, b'"deed":"expire"', b'"deed":"destroy"', "line 1: `deed` is not a value"),
        (1, b'"keys":1', b'"keys":2', "line 1: it counts 2 keys, and the file holds 1"),
        (2, b"[3,", b'["3",', "line 2: `db` is not a whole number"),
        (2, b'"string"', b"null", "line 2: `type` is not a string"),
        (2, b'"k"', b'"\\\\q"', "line 2: a name in it is not"),
        (2, b"[3,", b"[" * 60000 + b"3,", "line 2: `db` is not a whole number"),
        (2, b"[3,", b"[3,4,", "line 2: `name` is not a string"),
        (2, b"[3,", b"\xff", "line 2: it is not JSON"),
    ],
    ids=["role", "deed", "keys", "db", "type", "name", "deep", "ten values", "garbage"],
)
def test_a_damaged_plan_is_named_with_its_line(tmp_path: Path, line: int, what: bytes, by: bytes, words: str) -> None:
    path = tmp_path / "plan"
    save_plan(plan(PlannedKey(KeyId(3, b"k"), "string", 1)), path)
    content = path.read_bytes().splitlines(keepends=True)
    assert what in content[line - 1]
    content[line - 1] = content[line - 1].replace(what, by)
    path.write_bytes(b"".join(content))
    with pytest.raises(BadInput, match=re.escape(words)) as error:
        load_plan(path)
    assert str(path) in str(error.value)


def test_a_plan_is_there_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left"):
        save_plan(plan(), tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    save_plan(plan(), tmp_path / "plan")
    assert stat.S_IMODE((tmp_path / "plan").stat().st_mode) == 0o600


def test_a_plan_of_an_earlier_version_has_no_times(tmp_path: Path) -> None:
    """They were not the server's: no key of it goes without a backup."""
    old = plan(PlannedKey(KeyId(0, b"k"), "string", 1, idle_seconds=9, read_at=5.0))
    save_plan(replace(old, hash=first_fingerprint(old)), tmp_path / "old")
    loaded = load_plan(tmp_path / "old")
    assert [key.in_use for key in loaded.keys] == [True]
    assert "only a deletion with a backup" in loaded.flags[-1]
    save_plan(loaded, tmp_path / "again")
    assert load_plan(tmp_path / "again").keys == loaded.keys


@pytest.mark.parametrize(("kind", "refused"), [("hash", True), ("string", False)])
def test_a_bound_on_keys_of_which_nobody_knew_the_most_is_refused(tmp_path: Path, kind: str, refused: bool) -> None:
    path = tmp_path / "plan"
    key = PlannedKey(KeyId(0, b"a"), kind, 900, size_low=800, size_high=900)
    bounded = frozen(Plan((key,), Criteria((b"a*",), max_bytes=5 * 2**20), 12.5, "s:1"))
    save_plan(bounded, path)
    assert load_plan(path) == bounded
    # Before the most that all keys can hold was written down, the ends of their ranges were too low.
    path.write_bytes(path.read_bytes().replace(b',"limit_bytes":null', b""))
    if not refused:
        assert load_plan(path) == bounded
        return
    with pytest.raises(BadInput, match=r"could take more than its bound of 5\.0 MiB\. Make the plan again"):
        load_plan(path)
