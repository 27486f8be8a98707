"""Damaged backups: told from whole ones, refused unless asked for, and read as far as they are whole."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import inspect, must_be_whole, read_head, read_records, records_backward
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from tests.support.backup_files import BOTH, KEYS, a_file, pieces, written


def test_a_file_that_is_cut_while_it_is_read_backward_costs_what_was_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    backward = records_backward(path)
    assert next(backward) == replace(KEYS[-1], outside=11)
    os.truncate(path, len(b"".join(pieces(path)[:10])) + 9)
    assert [None if record is None else replace(record, outside=0) for record in backward] == [
        *[None] * 2,
        *KEYS[8::-1],
    ]


@BOTH
def test_wherever_the_writing_was_cut_off_what_is_whole_counts(tmp_path: Path, kind: str) -> None:
    records = [Record(0, b"%d" % n, "string", b"x", saved_ms=1) for n in range(3)]
    path = a_file(tmp_path / "f", kind, *records, whole=False)
    raw, parts = path.read_bytes(), pieces(path)
    for length in range(len(parts[0]), len(raw)):
        path.write_bytes(raw[:length])
        whole = sum(length >= len(b"".join(parts[: n + 2])) for n in range(3))
        assert list(read_records(path)) == records[:whole]
        assert [replace(record, outside=0) for record in records_backward(path) if record] == records[:whole][::-1]
        assert not inspect(path).damaged
        assert inspect(path).keys == whole


@BOTH
def test_a_damaged_key_is_told_from_a_good_one(tmp_path: Path, kind: str) -> None:
    record = Record(0, b"k", "string", b"payload", saved_ms=1)
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


def altered(path: Path, what: Callable[[list[bytes]], object]) -> Path:
    parts = pieces(path)
    what(parts)
    path.write_bytes(b"".join(parts))
    return path


def test_a_backup_that_is_what_was_written_is_whole(tmp_path: Path) -> None:
    left = Record(0, b"giant", "hash", None, left_out="too large")
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


def test_a_damaged_first_line_costs_no_key_and_its_copy_tells_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    raw, first = path.read_bytes(), read_head(path)
    end = raw.index(b"\n") + 1
    for place in range(end):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1 << place % 8]) + raw[place + 1 :])
        assert replace(read_head(path, damaged_ok=True), identity=first.identity) == first
        assert list(read_records(path, damaged_ok=True)) == KEYS
        with pytest.raises(BadInput, match="line 1 cannot be read: 12 keys can be read"):
            must_be_whole(inspect(path))
    path.write_bytes(raw[:9] + raw[9:].replace(b"backup 2", b"backup 3"))
    with pytest.raises(BadInput, match="is not a backup"):
        read_head(path, damaged_ok=True)


def test_a_first_line_that_lost_or_got_bytes_costs_no_key(tmp_path: Path) -> None:
    path = written(tmp_path / "f", *KEYS)
    raw, first = path.read_bytes(), read_head(path)
    place = raw.index(b'"server"')
    for damaged in (raw[:place] + raw[place + 9 :], raw[:place] + b"\n" + raw[place:]):
        path.write_bytes(damaged)
        assert read_head(path, damaged_ok=True).server == first.server
        assert list(read_records(path, damaged_ok=True)) == KEYS
