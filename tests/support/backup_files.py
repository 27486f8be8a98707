"""Backup files to read: of frames or of lines, whole or altered."""

from pathlib import Path

import pytest

from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_frames import _MARK
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import as_lines
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Server

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


KEYS = [Record(0, b"k%d" % n, "string", b"x" * 20, saved_ms=1, size=56) for n in range(12)]
