"""Frames of a backup that somebody else wrote: absurd ones, and those inside of a value."""

import json
import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_frames import _FACTS, _MARK, _SUM
from redis_oom_tui.files.backup_reading import inspect, must_be_whole, read_head, read_parts, read_records
from redis_oom_tui.files.disk import MIB
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from tests.support.backup_files import KEYS, PLAN, SERVER, pieces, pieces_by, written

# 60 MiB; the quickest way to pack them, because every worker of the tests does so.
BOMB = zlib.compress(bytes(60 * MIB), 1)


def test_a_frame_is_full_after_so_many_keys_or_bytes(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    large = replace(KEYS[0], payload=os.urandom(300_000))
    writer.add(*KEYS * 50, *[large] * 3, KEYS[1])
    writer.close()
    assert [len(part.records) for part in read_parts(tmp_path / "f")] == [250, 250, 101, 1, 1, 1, 0]
    # Keys that are alike are packed; what cannot be packed stands as it is.
    assert len(pieces(tmp_path / "f")[1]) < 2000
    assert 900_000 < (tmp_path / "f").stat().st_size < 910_000


def test_values_that_cannot_be_packed_do_not_end_the_packing(tmp_path: Path) -> None:
    """What gains nothing stands as it is; what follows it is packed again as soon as it gains."""
    writer = BackupWriter(tmp_path / "f", PLAN, SERVER, 5.0)
    random, alike = (replace(KEYS[0], payload=payload) for payload in (os.urandom(70_000), bytes(70_000)))
    for record in (alike, random, random, alike, random, KEYS[1], alike):
        writer.add(record)
        writer.flush()
    writer.close()
    sizes = [len(piece) for piece in pieces(tmp_path / "f")[1:-1]]
    assert [size > 70_000 for size in sizes[-7:]] == [False, True, True, False, True, False, False]
    assert [record.payload for part in read_parts(tmp_path / "f") for record in part.records][:4] == [
        *(alike.payload, random.payload, random.payload, alike.payload)
    ]


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
        crafted(1, BOMB, packing=1, unpacked=100),
        crafted(1, BOMB, packing=1, unpacked=2**32 - 1),
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
    path = written(tmp_path / "f", KEYS[0], replace(KEYS[1], payload=value), KEYS[2])
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
