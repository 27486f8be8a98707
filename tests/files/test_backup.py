"""The backup file: exact bytes in and out, whole lines after any crash, nothing overwritten."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files.backup import BackupFailed, BackupWriter, new_path
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.files.backup_reading import (
    backups,
    inspect,
    must_be_whole,
    read_head,
    read_records,
    records_backward,
)
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.structs import replace

PLAN = Plan((), Criteria(), 0.0, "unix:/tmp/a b/s", hash="abcdef0123")
SERVER = Server("valkey", "9.1.2", "master", Address(), run_id="r")


def written(path: Path, *records: Record, whole: bool = True) -> Path:
    writer = BackupWriter(path, PLAN, SERVER, 5.0)
    for record in records:
        writer.add(record)
    writer.flush()
    if whole:
        writer.close()
    else:
        writer._file.close()
    return path


RECORDS = st.builds(
    Record,
    id=st.builds(KeyId, st.integers(0, 15), st.binary(max_size=20)),
    type=st.sampled_from(["string", "hash", "TSDB-TYPE"]),
    payload=st.none() | st.binary(max_size=50),
    expires_ms=st.none() | st.integers(0, 2**45),
    idle_seconds=st.none() | st.integers(0, 2**24),
    frequency=st.none() | st.integers(0, 255),
    saved_ms=st.integers(0, 2**45),
    due_ms=st.none() | st.integers(0, 2**45),
    size=st.none() | st.integers(0, 2**45),
    left_out=st.just(""),
    element=st.none() | st.lists(st.binary(max_size=20), max_size=3).map(tuple),
    end=st.none() | st.sampled_from(["left", "right"]),
    outside=st.just(0),
    job=st.none()
    | st.builds(
        JobRecord,
        st.binary(max_size=9),
        st.sampled_from(["zset", "set", "list"]),
        st.binary(max_size=9),
        st.sampled_from([b"", b"1.5"]),
        st.just(((b"k", "hash", b"p", None), (b"l\xff", "list", b"", 5))),
    ),
)


@given(records=st.lists(RECORDS, max_size=5))
def test_what_is_added_reads_back(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = written(tmp_path_factory.mktemp("b") / "f", *records)
    assert list(read_records(path)) == records


@given(records=st.lists(RECORDS, max_size=5))
def test_what_is_added_reads_back_the_last_first(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    path = written(tmp_path_factory.mktemp("b") / "f", *records)
    backward = [record._replace(outside=place) for place, record in enumerate(records)][::-1]
    assert list(records_backward(path)) == backward


def test_what_was_rolled_back_is_not_there_and_the_file_is_whole(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    writer.add(KEYS[0])
    writer.flush()
    mark = writer.mark()
    writer.add(*KEYS[1:3])
    writer.flush()
    writer.rollback(mark)
    writer.add(KEYS[3])
    writer.close()
    assert list(read_records(tmp_path / "f")) == [KEYS[0], KEYS[3]]
    assert not inspect(tmp_path / "f").damaged


def test_the_head_tells_where_it_is_from(tmp_path: Path) -> None:
    head = read_head(written(tmp_path / "f"))
    assert (head.server, head.flavour, head.version, head.made_at) == ("unix:/tmp/a b/s", "valkey", "9.1.2", 5.0)


def test_a_key_that_was_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    record = Record(KeyId(0, b"giant"), "hash", None, left_out="too large")
    assert list(read_records(written(tmp_path / "f", record))) == [record]


def test_after_a_crash_the_whole_lines_count(tmp_path: Path) -> None:
    records = [Record(KeyId(0, b"%d" % n), "string", b"x", saved_ms=1) for n in range(3)]
    path = written(tmp_path / "f", *records, whole=False)
    path.write_bytes(path.read_bytes()[:-9])
    assert list(read_records(path)) == [*records[:2], None]


def test_a_damaged_line_is_told_from_a_good_one(tmp_path: Path) -> None:
    record = Record(KeyId(0, b"k"), "string", b"payload", saved_ms=1)
    path = written(tmp_path / "f", record)
    path.write_bytes(path.read_bytes().replace(b'"t":"string"', b'"t":"strinG"'))
    assert list(read_records(path)) == [None]


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("precious")
    with pytest.raises(BackupFailed):
        written(tmp_path / "f")
    assert (tmp_path / "f").read_text() == "precious"


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    assert stat.S_IMODE(written(tmp_path / "f").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"format":"other"}', b"\xff" * 9])
def test_a_file_that_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(BadInput):
        read_head(tmp_path / "f")


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    writer._file.close()
    writer._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    with pytest.raises(BackupFailed, match="No space left"):
        writer.add(Record(KeyId(0, b"k"), "string", b"x"))
    writer.close()


def test_the_newest_backup_is_first_and_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}")
    for wall in (10.0, 20.0):
        path = new_path(tmp_path, replace(PLAN, hash=f"{wall}"), wall)
        assert "/" not in path.name
        BackupWriter(path, PLAN, SERVER, wall).close()
    assert [backup.made_at for backup in backups(tmp_path)] == [20.0, 10.0]


KEYS = [Record(KeyId(0, b"k%d" % n), "string", b"x" * 20, saved_ms=1, size=56) for n in range(12)]


def altered(path: Path, what: Callable[[list[bytes]], object]) -> Path:
    lines = path.read_bytes().splitlines(keepends=True)
    what(lines)
    path.write_bytes(b"".join(lines))
    return path


def test_a_backup_that_is_what_was_written_is_whole(tmp_path: Path) -> None:
    left = Record(KeyId(0, b"giant"), "hash", None, left_out="too large")
    found = inspect(written(tmp_path / "f", *KEYS, left))
    assert (found.keys, found.left_out, found.expected, found.damaged, found.note) == (12, 1, 12, False, "")
    must_be_whole(found)


@pytest.mark.parametrize(
    ("what", "readable", "words"),
    [
        (lambda lines: lines.pop(5), 11, "11 of 12 keys"),
        (lambda lines: lines.insert(5, lines[4]), 13, "13 of 12 keys"),
        (lambda lines: lines.__setitem__(5, lines[5][:-9] + b"\n"), 11, "line 6 cannot be read"),
        (lambda lines: lines.__setitem__(5, b"\x00" * 40 + b"\n"), 11, "line 6 cannot be read"),
        (lambda lines: lines.__setitem__(5, lines[4]), 12, "not what was written"),
        (lambda lines: lines.__setitem__(0, lines[0].replace(b'"version":"9', b'"version":"8')), 12, "not what was"),
        (lambda lines: lines.__setitem__(0, lines[0].replace(b'"version"', b'"verison"')), 12, "line 1 cannot be read"),
        (lambda lines: lines.__setitem__(-1, lines[-1].replace(b'"keys":12', b'"keys":"x"')), 12, "line 14 cannot"),
        (lambda lines: lines.__setitem__(-1, lines[-1].replace(b'"keys":12', b'"keys":11')), 12, "12 of 11 keys"),
        (lambda lines: (lines.pop(), lines.pop(5)[:0], lines.insert(3, b"{}\n")), 11, "line 4 cannot be read"),
        (lambda lines: lines.append(b"\x00" * 100), 12, r"follows its last line \(in line 15\): 12 keys can be read"),
        (lambda lines: lines.append(b"\x00" * 5000 + b"\n"), 12, r"follows its last line \(in line 15\)"),
        (lambda lines: lines.append(lines[3]), 13, r"follows its last line \(in line 15\)"),
        (lambda lines: lines.append(lines[3][:-4]), 12, r"follows its last line \(in line 15\)"),
        (lambda lines: lines.append(lines[-1]), 12, "not what was written"),
        (lambda lines: lines.append(b"\n"), 12, r"follows its last line \(in line 15\)"),
    ],
)
def test_a_damaged_backup_is_refused_unless_that_is_asked_for(
    tmp_path: Path, what: Callable[[list[bytes]], object], readable: int, words: str
) -> None:
    path = altered(written(tmp_path / "f", *KEYS), what)
    found = inspect(path)
    assert (found.damaged, found.keys) == (True, readable)
    with pytest.raises(BadInput, match=words) as refused:
        must_be_whole(found)
    assert str(path) in str(refused.value)
    assert "--damaged-ok" in str(refused.value)
    must_be_whole(found, damaged_ok=True)


@pytest.mark.parametrize("cut", [0, 9])
def test_a_backup_whose_run_was_interrupted_is_not_damaged_but_said_to_have_no_end(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "f", *KEYS, whole=False)
    path.write_bytes(path.read_bytes()[: -cut or None])
    found = inspect(path)
    assert (found.damaged, found.expected, found.keys) == (False, None, 11 if cut else 12)
    assert "no last line" in found.note
    must_be_whole(found)


@pytest.mark.parametrize("old", [rb',"sha256":"[0-9a-f]*"', rb',"left_out":0', rb',"bytes":\d+', rb',"m":\d+'])
def test_backups_of_earlier_versions_stay_readable(tmp_path: Path, old: bytes) -> None:
    path = written(tmp_path / "f", *KEYS)
    if b'"m"' in old:
        path = written(tmp_path / "g", *(record._replace(size=None) for record in KEYS))
    path.write_bytes(re.sub(old + rb"(?=[^\n]*\n$)", b"", path.read_bytes()))
    assert not inspect(path).damaged
    assert len(list(read_records(path))) == 12


@pytest.mark.parametrize("name", ["version", "server", "made_at", "flavour", "keys"])
def test_a_first_line_that_lacks_something_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "f", *KEYS)
    path.write_bytes(path.read_bytes().replace(b'"%b":' % name.encode(), b'"other":', 1))
    if name != "keys":
        with pytest.raises(BadInput, match=f"f, line 1: `{name}` is missing"):
            read_head(path)
    head = read_head(path, damaged_ok=True)
    assert (head.operation, head.keys) == ("delete", 12)
    assert len(list(read_records(path, damaged_ok=True))) == 12


def test_what_was_done_to_the_keys_is_never_guessed(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    path.write_bytes(path.read_bytes().replace(b'"deed":"delete"', b'"deed":"expird"', 1))
    with pytest.raises(BadInput, match="`deed`"):
        read_head(path, damaged_ok=True)


def test_a_value_larger_than_a_line_that_is_held_unseen_is_read_where_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("redis_oom_tui.files.backup_reading.LONGEST_LINE", 1000)
    large = Record(KeyId(0, b"large"), "string", b"y" * 3_000_000, saved_ms=1, size=9)
    path = written(tmp_path / "f", KEYS[0], large, KEYS[1])
    assert list(read_records(path)) == [KEYS[0], large, KEYS[1]]
    path.write_bytes(path.read_bytes().replace(b"eXl5eXl5", b"eXl5eXl6", 1))
    assert list(read_records(path)) == [KEYS[0], None, KEYS[1]]


def test_the_file_and_its_name_are_on_disk_before_anything_is_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    writer = BackupWriter(tmp_path / "new" / "f", PLAN, SERVER, 5.0)
    monkeypatch.undo()
    writer.close()
    assert synced == [str(tmp_path), str(tmp_path / "new" / "f"), str(tmp_path / "new")]


def test_what_could_not_be_written_whole_gets_no_last_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    writer.add(KEYS[0])
    writer.flush()
    whole = writer._file
    writer._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    with pytest.raises(BackupFailed):
        writer.add(KEYS[1])
    writer._file.close()
    writer._file = whole
    writer.close()
    assert (inspect(tmp_path / "f").expected, inspect(tmp_path / "f").keys) == (None, 1)
