"""The backup file: exact bytes in and out, what is whole after any crash, nothing overwritten."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files.backup import BackupFailed, BackupWriter, new_path
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.files.backup_reading import backups, inspect, read_head, read_parts, read_records, records_backward
from redis_oom_tui.files.disk import MIB
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from tests.support.backup_files import BOTH, KEYS, PLAN, SERVER, a_file, of_before, written

RECORDS = st.builds(
    Record,
    db=st.integers(0, 15),
    key=st.binary(max_size=20),
    node=st.sampled_from(["", "cache-1:6379"]),
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
def test_what_is_added_reads_back_either_way_and_as_lines(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    path = tmp_path_factory.mktemp("b") / "f"
    writer = BackupWriter(path, PLAN, SERVER, 5.0)
    writer.add(*records)
    writer.flush()
    writer.add(*records)
    writer.close()
    backward = [replace(record, outside=place) for place, record in enumerate([*records, *records])][::-1]
    for _ in range(2):
        assert list(read_records(path)) == [*records, *records]
        assert list(records_backward(path)) == backward
        assert not inspect(path).damaged
        of_before(path)
    assert b'"run_id":"r","plan":"abcdef0123"' in path.read_bytes()


def test_what_several_nodes_add_and_flush_at_the_same_time_is_all_there(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)

    def save(node: str) -> None:
        for number in range(30):
            writer.add(Record(0, b"%d" % number, "string", b"x", node=node))
            writer.flush()

    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(save, "abcd"))
    writer.close()
    assert len({(record.key, record.node) for record in read_records(tmp_path / "f") if record is not None}) == 120
    assert inspect(tmp_path / "f").keys == 120


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
    assert inspect(tmp_path / "f").keys == 2
    assert not inspect(tmp_path / "f").damaged


def test_the_head_tells_where_it_is_from(tmp_path: Path) -> None:
    head = read_head(written(tmp_path / "f"))
    assert (head.server, head.flavour, head.version, head.made_at) == ("unix:/tmp/a b/s", "valkey", "9.1.2", 5.0)


def test_a_key_that_was_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    record = Record(0, b"giant", "hash", None, left_out="too large")
    assert list(read_records(written(tmp_path / "f", record))) == [record]


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
    writer.add(Record(0, b"k", "string", b"x"))
    with pytest.raises(BackupFailed, match="No space left"):
        writer.flush()
    # What another node added may be what was lost.
    with pytest.raises(BackupFailed, match="No space left"):
        writer.flush()
    writer.close()


def test_the_newest_backup_is_first_and_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}")
    for wall in (10.0, 20.0):
        path = new_path(tmp_path, replace(PLAN, hash=f"{wall}"), wall)
        assert "/" not in path.name
        BackupWriter(path, PLAN, SERVER, wall).close()
    of_before(written(tmp_path / "old.jsonl"))
    assert [backup.made_at for backup in backups(tmp_path)] == [20.0, 10.0, 5.0]


def test_a_backup_whose_run_goes_on_is_not_restored_yet(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    writer.add(KEYS[0])
    writer.flush()
    with pytest.raises(BadInput, match="f is still being written: restore it once its run has ended"):
        inspect(tmp_path / "f")
    assert inspect(tmp_path / "f", running_ok=True).keys == 1
    writer.close()
    assert inspect(tmp_path / "f").keys == 1


@pytest.mark.parametrize("old", [rb',"sha256":"[0-9a-f]*"', rb',"left_out":0', rb',"bytes":\d+', rb',"m":\d+'])
def test_backups_of_earlier_versions_stay_readable(tmp_path: Path, old: bytes) -> None:
    keys = [replace(record, size=None) for record in KEYS] if b'"m"' in old else KEYS
    path = of_before(written(tmp_path / "f", *keys))
    path.write_bytes(re.sub(old + rb"(?=[^\n]*\n$)", b"", path.read_bytes()))
    assert not inspect(path).damaged
    assert len(list(read_records(path))) == 12


@pytest.mark.parametrize("name", ["version", "server", "made_at", "flavour", "keys"])
def test_a_first_line_that_lacks_something_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = of_before(written(tmp_path / "f", *KEYS))
    path.write_bytes(path.read_bytes().replace(b'"%b":' % name.encode(), b'"other":', 1))
    if name != "keys":
        with pytest.raises(BadInput, match=f"f, line 1: `{name}` is missing"):
            read_head(path)
    head = read_head(path, damaged_ok=True)
    assert (head.operation, head.keys) == ("delete", 12)
    assert len(list(read_records(path, damaged_ok=True))) == 12


def test_what_was_done_to_the_keys_is_never_guessed(tmp_path: Path) -> None:
    path = of_before(written(tmp_path / "f", *KEYS))
    path.write_bytes(path.read_bytes().replace(b'"deed":"delete"', b'"deed":"expird"', 1))
    with pytest.raises(BadInput, match="`deed`"):
        read_head(path, damaged_ok=True)


@BOTH
def test_a_value_larger_than_what_is_held_unseen_is_read_where_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setattr("redis_oom_tui.files.backup_lines.LONGEST_LINE", 1000)
    monkeypatch.setattr("redis_oom_tui.files.backup_frames._MOST_PACKED", 1000)
    large = Record(0, b"large", "string", b"y" * 3_000_000, saved_ms=1, size=9)
    path = a_file(tmp_path / "f", kind, KEYS[0], large, KEYS[1])
    assert list(read_records(path)) == [KEYS[0], large, KEYS[1]]
    good, bad = (b"eXl5eXl5", b"eXl5eXl6") if kind == "lines" else (b"yyyy", b"yyyz")
    path.write_bytes(path.read_bytes().replace(good, bad, 1))
    assert list(read_records(path)) == [KEYS[0], None, KEYS[1]]


def test_what_is_too_large_to_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("redis_oom_tui.files.backup_frames.LARGEST_COPY", 100_000)
    monkeypatch.setattr("redis_oom_tui.files.backup_frames._MOST_BODY", 100_000 + MIB)
    fits = Record(0, b"k", "string", os.urandom(99_999), saved_ms=1)
    parts = [Record(0, b"list", "list", None, element=(os.urandom(30_000),), end="left") for _ in range(5)]
    path = written(tmp_path / "f", KEYS[0], fits)
    assert list(read_records(path)) == [KEYS[0], fits]
    # Elements count as values do: a frame is full with them.
    writer = BackupWriter(tmp_path / "g", PLAN, SERVER, 5.0)
    writer.add(*parts)
    writer.close()
    assert [len(part.records) for part in read_parts(tmp_path / "g")] == [3, 2, 0]
    writer = BackupWriter(tmp_path / "h", PLAN, SERVER, 5.0)
    writer.add(KEYS[0], replace(fits, payload=os.urandom(100_001)))
    with pytest.raises(BackupFailed, match=r"a copy is larger than 4\.0 GiB"):
        writer.flush()
    writer.close()
    assert inspect(tmp_path / "h").expected is None


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
    writer.add(KEYS[1])
    with pytest.raises(BackupFailed):
        writer.flush()
    writer._file.close()
    writer._file = whole
    writer.close()
    assert (inspect(tmp_path / "f").expected, inspect(tmp_path / "f").keys) == (None, 1)
