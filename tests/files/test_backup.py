"""The backup file: exact bytes in and out, what is whole after any crash, nothing overwritten."""

import json
import os
import re
import stat
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files.backup import BackupFailed, BackupWriter, new_path
from redis_oom_tui.files.backup_frames import _FACTS, _MARK, _SUM
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.files.backup_reading import (
    as_lines,
    backups,
    inspect,
    must_be_whole,
    read_head,
    read_parts,
    read_records,
    records_backward,
)
from redis_oom_tui.files.disk import MIB
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.structs import replace

PLAN = Plan((), Criteria(), 0.0, "unix:/tmp/a b/s", hash="abcdef0123")
SERVER = Server("valkey", "9.1.2", "master", Address(), run_id="r")


def written(path: Path, *records: Record, whole: bool = True) -> Path:
    """A backup with a frame for each of `records`."""
    writer = BackupWriter(path, PLAN, SERVER, 5.0)
    for record in records:
        writer.add(record)
        writer.flush()
    if whole:
        writer.close()
    else:
        writer._file.close()
    return path


def of_before(path: Path) -> Path:
    """The backup at `path` as one of lines, as earlier versions wrote it."""
    path.write_bytes(b"".join(as_lines(path)))
    return path


def pieces(path: Path) -> list[bytes]:
    """Its first line (with its copy), and each of its lines or frames behind that."""
    raw = path.read_bytes()
    if b"backup 1" in raw[:60]:
        return raw.splitlines(keepends=True)
    return pieces_by(path, b"")


def pieces_by(path: Path, mark: bytes) -> list[bytes]:
    head, copy, *frames = path.read_bytes().split(_MARK + mark)
    return [head + _MARK + mark + copy, *(_MARK + mark + frame for frame in frames)]


BOTH = pytest.mark.parametrize("kind", ["frames", "lines"])


def a_file(path: Path, kind: str, *records: Record, whole: bool = True) -> Path:
    return written(path, *records, whole=whole) if kind == "frames" else of_before(written(path, *records, whole=whole))


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
def test_what_is_added_reads_back_either_way_and_as_lines(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    path = tmp_path_factory.mktemp("b") / "f"
    writer = BackupWriter(path, PLAN, SERVER, 5.0)
    writer.add(*records)
    writer.flush()
    writer.add(*records)
    writer.close()
    backward = [record._replace(outside=place) for place, record in enumerate([*records, *records])][::-1]
    for _ in range(2):
        assert list(read_records(path)) == [*records, *records]
        assert list(records_backward(path)) == backward
        assert not inspect(path).damaged
        of_before(path)
    assert b'"run_id":"r","plan":"abcdef0123"' in path.read_bytes()


def test_a_frame_is_full_after_so_many_keys_or_bytes(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    large = KEYS[0]._replace(payload=os.urandom(300_000))
    writer.add(*KEYS * 50, *[large] * 3, KEYS[1])
    writer.close()
    assert [len(part.records) for part in read_parts(tmp_path / "f")] == [250, 250, 101, 1, 1, 1, 0]
    # Keys that are alike are packed; what cannot be packed stands as it is.
    assert len(pieces(tmp_path / "f")[1]) < 2000
    assert 900_000 < (tmp_path / "f").stat().st_size < 910_000


def test_what_several_nodes_add_and_flush_at_the_same_time_is_all_there(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)

    def save(node: str) -> None:
        for number in range(30):
            writer.add(Record(KeyId(0, b"%d" % number, node), "string", b"x"))
            writer.flush()

    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(save, "abcd"))
    writer.close()
    assert len({record.id for record in read_records(tmp_path / "f") if record is not None}) == 120
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


def test_a_file_that_is_cut_while_it_is_read_backward_costs_what_was_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    backward = records_backward(path)
    assert next(backward) == KEYS[-1]._replace(outside=11)
    os.truncate(path, len(b"".join(pieces(path)[:10])) + 9)
    assert [None if record is None else record._replace(outside=0) for record in backward] == [
        *[None] * 2,
        *KEYS[8::-1],
    ]


def test_the_head_tells_where_it_is_from(tmp_path: Path) -> None:
    head = read_head(written(tmp_path / "f"))
    assert (head.server, head.flavour, head.version, head.made_at) == ("unix:/tmp/a b/s", "valkey", "9.1.2", 5.0)


def test_a_key_that_was_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    record = Record(KeyId(0, b"giant"), "hash", None, left_out="too large")
    assert list(read_records(written(tmp_path / "f", record))) == [record]


@BOTH
def test_wherever_the_writing_was_cut_off_what_is_whole_counts(tmp_path: Path, kind: str) -> None:
    records = [Record(KeyId(0, b"%d" % n), "string", b"x", saved_ms=1) for n in range(3)]
    path = a_file(tmp_path / "f", kind, *records, whole=False)
    raw, parts = path.read_bytes(), pieces(path)
    for length in range(len(parts[0]), len(raw)):
        path.write_bytes(raw[:length])
        whole = sum(length >= len(b"".join(parts[: n + 2])) for n in range(3))
        assert list(read_records(path)) == records[:whole]
        assert [record._replace(outside=0) for record in records_backward(path) if record] == records[:whole][::-1]
        assert not inspect(path).damaged
        assert inspect(path).keys == whole


@BOTH
def test_a_damaged_key_is_told_from_a_good_one(tmp_path: Path, kind: str) -> None:
    record = Record(KeyId(0, b"k"), "string", b"payload", saved_ms=1)
    path = a_file(tmp_path / "f", kind, record)
    path.write_bytes(path.read_bytes().replace(b"string", b"strinG"))
    assert list(read_records(path)) == [None]


def test_a_damaged_header_costs_its_own_frame_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    parts = pieces(path)
    for place in range(34):
        broken = bytearray(parts[5])
        broken[place] ^= 0x55
        path.write_bytes(b"".join([*parts[:5], broken, *parts[6:]]))
        assert list(read_records(path)) == [*KEYS[:4], None, *KEYS[5:]]


def crafted(
    records: int, body: bytes, packing: int = 0, unpacked: int | None = None, size: int | None = None, kind: int = 1
) -> Callable[[bytes], bytes]:
    """A frame that says this, with the mark that it is given."""
    size, unpacked = len(body) if size is None else size, len(body) if unpacked is None else unpacked
    facts = _FACTS.pack(kind, packing, records, size, unpacked, zlib.crc32(body))
    return lambda mark: _MARK + mark + facts + _SUM.pack(zlib.crc32(_MARK + mark + facts)) + body


def mark_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return bytes.fromhex(json.loads(file.readline())["mark"])


@pytest.mark.parametrize(
    "frame",
    [
        crafted(1, b"\xdd\xff\xff\xff\xff"),
        crafted(1, b"\xdd\x00\x10\x00\x00" + b"\x93\x00\xc4\x00\xa0" * 2**20),
        crafted(1, b"\x91" * 100_000),
        crafted(1, b"\x91\x93\x00\xc4\x00\xa0\xc6\xff\xff\xff\xff"),
        crafted(1, b"\x91\x93\x00\xa1k\xa6string"),
        crafted(1, b"\x91\x93\xff\xc4\x01k\xa6string"),
        crafted(1, b"\x91\x93\x00\xc4\x01k\xa1\x1b"),
        crafted(2, b"\x91\x93\x00\xc4\x01k\xa6string"),
        crafted(1, b"", size=2**32 - 1),
        crafted(1, b"x", size=2**29),
        crafted(1, b"x", packing=1),
        crafted(1, b"x", packing=9),
        crafted(1, zlib.compress(bytes(60 * MIB), 9), packing=1, unpacked=100),
        crafted(1, zlib.compress(bytes(60 * MIB), 9), packing=1, unpacked=2**32 - 1),
        crafted(1, zlib.compress(b"\x90", 9)[:-2], packing=1, unpacked=1),
    ],
    ids=range(15),
)
def test_a_frame_that_says_absurd_things_is_a_damaged_one(tmp_path: Path, frame: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path / "f", *KEYS)
    parts = pieces(path)
    path.write_bytes(b"".join([*parts[:5], frame(mark_of(path)), *parts[5:]]))
    tracemalloc.start()
    try:
        found = list(read_records(path))
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB
    finally:
        tracemalloc.stop()
    assert [record for record in found[:4] if record is not None] == KEYS[:4]
    assert None in found
    with pytest.raises(BadInput, match=r"f is damaged, as frame 5 at byte \d+ cannot be read"):
        must_be_whole(inspect(path))


PLANTED = crafted(1, b"\x91\x94\x00\xc4\x07planted\xa6string\xc4\x01x")
HEAD = b'{"format":"redis-oom-tui backup 2","made_at":1,"server":"s","flavour":"v","version":"9","keys":1,"bytes":1}\n'


@pytest.mark.parametrize("mark", [b"", os.urandom(8)], ids=["earlier", "another"])
def test_what_a_value_holds_is_never_a_frame(tmp_path: Path, mark: bytes) -> None:
    end = crafted(0, b'{"end":true,"keys":1}', kind=2)(mark)
    value = os.urandom(9000) + crafted(0, HEAD, kind=3)(mark) + PLANTED(mark) + os.urandom(9000) + end
    path = written(tmp_path / "f", KEYS[0], KEYS[1]._replace(payload=value), KEYS[2])
    first, before, around, behind, *_ = pieces_by(path, mark_of(path))
    for where in (around[:20] + around[40:], around[8500:], around[:-30]):
        path.write_bytes(b"".join([first, before, where, behind]))
        assert list(read_records(path, damaged_ok=True)) == [KEYS[0], None, KEYS[2]]
    for cut in (len(around) - 4, len(around)):
        path.write_bytes(b"".join([first, before, around[:cut]]))
        assert inspect(path).expected is None
    for start in (10, 8900, around.index(_MARK, 20)):
        path.write_bytes(around[start:] + behind)
        with pytest.raises(BadInput, match="is not a backup"):
            read_head(path, damaged_ok=True)


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
    writer.add(Record(KeyId(0, b"k"), "string", b"x"))
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


KEYS = [Record(KeyId(0, b"k%d" % n), "string", b"x" * 20, saved_ms=1, size=56) for n in range(12)]


def altered(path: Path, what: Callable[[list[bytes]], object]) -> Path:
    parts = pieces(path)
    what(parts)
    path.write_bytes(b"".join(parts))
    return path


def test_a_backup_that_is_what_was_written_is_whole(tmp_path: Path) -> None:
    left = Record(KeyId(0, b"giant"), "hash", None, left_out="too large")
    found = inspect(written(tmp_path / "f", *KEYS, left))
    assert (found.keys, found.left_out, found.expected, found.damaged, found.note) == (12, 1, 12, False, "")
    must_be_whole(found)


@BOTH
@pytest.mark.parametrize(
    ("what", "readable", "words"),
    [
        (lambda parts: parts.pop(5), 11, "11 of 12 keys"),
        (lambda parts: parts.insert(5, parts[4]), 13, "13 of 12 keys"),
        (lambda parts: parts.__setitem__(5, parts[5][:-9] + b"\n"), 11, "PART 5 cannot be read"),
        (lambda parts: parts.__setitem__(5, b"\x00" * 40 + b"\n"), 11, "PART 5 cannot be read"),
        (lambda parts: parts.__setitem__(5, parts[4]), 12, "not what was written"),
        (
            lambda parts: parts.__setitem__(0, parts[0].replace(b'"version":"9', b'"version":"8', 1)),
            12,
            "not what|line 1",
        ),
        (
            lambda parts: parts.__setitem__(0, parts[0].replace(b'"version"', b'"verison"', 1)),
            12,
            "line 1 cannot be read",
        ),
        (lambda parts: parts.__setitem__(-1, parts[-1].replace(b'"keys":12', b'"keys":"x"')), 12, "PART 13 cannot"),
        (lambda parts: (parts.pop(), parts.pop(5)[:0], parts.insert(3, b"{}\n")), 11, "PART 3 cannot be read"),
        (lambda parts: parts.append(b"\x00" * 100), 12, r"follows its end \(in PART 14\): 12 keys can be read"),
        (lambda parts: parts.append(b"\x00" * 5000 + b"\n"), 12, r"follows its end \(in PART 14\)"),
        (lambda parts: parts.append(parts[3]), 13, r"follows its end \(in PART 14\)"),
        (lambda parts: parts.append(parts[3][:-4]), 12, r"follows its end \(in PART 14\)"),
        (lambda parts: parts.append(parts[-1]), 12, "not what was written"),
        (lambda parts: parts.append(b"\n"), 12, r"follows its end \(in PART 14\)"),
    ],
)
def test_a_damaged_backup_is_refused_unless_that_is_asked_for(
    tmp_path: Path, kind: str, what: Callable[[list[bytes]], object], readable: int, words: str
) -> None:
    path = altered(a_file(tmp_path / "f", kind, *KEYS), what)
    found = inspect(path)
    if kind == "frames":
        words = re.sub(r"PART (\d+)", r"frame \1 at byte [0-9]+", words)
    else:
        words = re.sub(r"PART (\d+)", lambda part: f"line {int(part[1]) + 1}", words)
    assert (found.damaged, found.keys) == (True, readable)
    with pytest.raises(BadInput, match=words) as refused:
        must_be_whole(found)
    assert str(path) in str(refused.value)
    assert "--damaged-ok" in str(refused.value)
    must_be_whole(found, damaged_ok=True)


@BOTH
@pytest.mark.parametrize("cut", [0, 9])
def test_a_backup_whose_run_was_interrupted_is_not_damaged_but_said_to_have_no_end(
    tmp_path: Path, kind: str, cut: int
) -> None:
    path = a_file(tmp_path / "f", kind, *KEYS, whole=False)
    path.write_bytes(path.read_bytes()[: -cut or None])
    found = inspect(path)
    assert (found.damaged, found.expected, found.keys) == (False, None, 11 if cut else 12)
    assert "has no end" in found.note
    must_be_whole(found)


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
    keys = [record._replace(size=None) for record in KEYS] if b'"m"' in old else KEYS
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


def test_a_damaged_first_line_costs_no_key_and_its_copy_tells_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    raw, first = path.read_bytes(), read_head(path)
    end = raw.index(b"\n") + 1
    for place in range(end):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1 << place % 8]) + raw[place + 1 :])
        assert read_head(path, damaged_ok=True) == first
        assert list(read_records(path, damaged_ok=True)) == KEYS
        with pytest.raises(BadInput, match="line 1 cannot be read: 12 keys can be read"):
            must_be_whole(inspect(path))
    path.write_bytes(raw[:9] + raw[9:].replace(b"backup 2", b"backup 3"))
    with pytest.raises(BadInput, match="is not a backup"):
        read_head(path, damaged_ok=True)


@BOTH
def test_a_value_larger_than_what_is_held_unseen_is_read_where_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setattr("redis_oom_tui.files.backup_lines.LONGEST_LINE", 1000)
    monkeypatch.setattr("redis_oom_tui.files.backup_frames._MOST_PACKED", 1000)
    large = Record(KeyId(0, b"large"), "string", b"y" * 3_000_000, saved_ms=1, size=9)
    path = a_file(tmp_path / "f", kind, KEYS[0], large, KEYS[1])
    assert list(read_records(path)) == [KEYS[0], large, KEYS[1]]
    good, bad = (b"eXl5eXl5", b"eXl5eXl6") if kind == "lines" else (b"yyyy", b"yyyz")
    path.write_bytes(path.read_bytes().replace(good, bad, 1))
    assert list(read_records(path)) == [KEYS[0], None, KEYS[1]]


def test_what_is_too_large_to_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("redis_oom_tui.files.backup_frames.LARGEST_COPY", 100_000)
    monkeypatch.setattr("redis_oom_tui.files.backup_frames._MOST_BODY", 100_000 + MIB)
    fits = Record(KeyId(0, b"k"), "string", os.urandom(99_999), saved_ms=1)
    parts = [Record(KeyId(0, b"list"), "list", None, element=(os.urandom(30_000),), end="left") for _ in range(5)]
    path = written(tmp_path / "f", KEYS[0], fits)
    assert list(read_records(path)) == [KEYS[0], fits]
    # Elements count as values do: a frame is full with them.
    writer = BackupWriter(tmp_path / "g", PLAN, SERVER, 5.0)
    writer.add(*parts)
    writer.close()
    assert [len(part.records) for part in read_parts(tmp_path / "g")] == [3, 2, 0]
    writer = BackupWriter(tmp_path / "h", PLAN, SERVER, 5.0)
    writer.add(KEYS[0], fits._replace(payload=os.urandom(100_001)))
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
