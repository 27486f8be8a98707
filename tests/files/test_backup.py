"""The backup file: exact bytes in and out, whole lines after any crash, nothing overwritten."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files.backup import BackupFailed, BackupWriter, Record, backups, new_path, read_head, read_records
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Server

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
    left_out=st.just(""),
)


@given(records=st.lists(RECORDS, max_size=5))
def test_what_is_added_reads_back(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = written(tmp_path_factory.mktemp("b") / "f", *records)
    assert list(read_records(path)) == records


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
