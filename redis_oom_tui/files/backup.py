"""The backup file: what a plan is about to delete, a JSON line per key, on disk before the key goes.

First line: where it comes from. Then a line per key: its name and its DUMP in base64, type, absolute expiry, idle time
or frequency, and a checksum over them; or, for a key deleted without a copy, its name and why. A plan that sets
expiries writes each key's old and new one instead. A last line tells that the file is whole; without it the tool was
cut off, and all whole lines still count.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from redis_oom_tui.files.backup_lines import (
    END,
    SUM,
    SUM_DIGITS,
    Record,
    end_fields,
    key_line,
    left_out_line,
    packed,
    read_line,
)
from redis_oom_tui.files.durable import make_folder, sync_folder
from redis_oom_tui.files.reading import LONGEST_LINE, MIB, Line, cannot_be_read, lines, open_plain, shown
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.formatting.typed import (
    Check,
    Damaged,
    given,
    members,
    moment,
    number,
    one_of,
    optional,
    parse,
    taken,
    tally,
    text,
)
from redis_oom_tui.models.action import Backup
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Operation, Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.rules.restoring import restored_size

_LONGEST_HEAD = 65536
_LONGEST_END = 512
# A value may have 512 MB, a third more in base64.
_LONGEST_RECORD = 1024 * MIB
_FORMAT = "redis-oom-tui backup 1"
# What the first line must say.
_HEAD: Mapping[str, Check[Any]] = {
    "made_at": moment,
    "server": text,
    "flavour": text,
    "version": text,
    "keys": tally,
    "bytes": optional(tally),
}
_UNKNOWN = {"made_at": 0, "server": "?", "flavour": "?", "version": "?", "keys": 0}
# Backups without this in their head have the times of the computer that made them.
_SERVER_CLOCK = "server"


class BackupFailed(TriageError):
    """The backup cannot be written, so what it was to hold is not deleted."""


class DamagedHead(BadInput):
    """A backup whose first line does not say what it should."""


def new_path(folder: Path, plan: Plan, wall: float) -> Path:
    """A path for the backup of `plan` that says when and where, and that nothing stands at."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    place = re.sub(r"[^A-Za-z0-9.-]+", "_", plan.server)[-60:]
    names = (f"{stamp}-{place}-{plan.hash[:8]}{again}.jsonl" for again in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for name in names if not (path := folder / name).exists())


class BackupWriter:
    """Writes a new file at `path`; raises BackupFailed wherever that fails, also for one that exists already."""

    def __init__(
        self, path: Path, plan: Plan, server: Server, wall: float, clock_skew_seconds: float | None = None
    ) -> None:
        self.path = path
        self.keys = 0
        self.left_out = 0
        self._expiring = self._takes = 0
        self._held: int | None = 0
        self.size = 0
        self._torn = False
        head = {
            "format": _FORMAT,
            "made_at": round(wall, 3),
            "server": plan.server,
            "flavour": server.flavour,
            "version": server.version,
            "run_id": server.run_id,
            "plan": plan.hash,
            "deed": plan.deed.value,
            "keys": len(plan.keys),
            "bytes": known_bytes(plan.size, len(plan.keys)),
            "clock": _SERVER_CLOCK,
            "clock_skew_seconds": clock_skew_seconds,
        }
        try:
            make_folder(path.parent)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from None
        self._file = os.fdopen(handle, "wb")
        self._digest = hashlib.sha256()
        self._write(packed(head))
        self.flush()
        try:
            sync_folder(path.parent)
        except OSError as error:
            raise self._failed(error) from None

    def add(self, *records: Record) -> None:
        """Add keys; they are on disk after the next `flush`."""
        self._write(b"".join([left_out_line(record) if record.left_out else key_line(record) for record in records]))
        for record in records:
            if record.left_out:
                self.left_out += 1
            else:
                self.keys += 1
                self._held = None if self._held is None or record.size is None else self._held + record.size
                expires = record.expires_ms is not None
                self._expiring += expires
                self._takes += restored_size(record.type, record.size or 0, expires=expires)

    def flush(self) -> None:
        """Bring all that was added to the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Write the last line and close. A file that cannot be finished keeps its whole lines."""
        if self._file.closed:
            return
        # What could not be written may stand there in part: a last line would say that all of it is whole.
        if not self._torn:
            with contextlib.suppress(BackupFailed):
                told = {"keys": self.keys, "left_out": self.left_out, "bytes": self._held}
                if self._held is not None:
                    told |= {"expiring": self._expiring, "restored_bytes": self._takes}
                self._write(packed({"end": True, **told, "sha256": self._digest.hexdigest()}))
                self.flush()
        with contextlib.suppress(OSError):
            self._file.close()

    def discard(self) -> None:
        """Remove the closed file: nothing in it is worth keeping."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self._torn = True
            raise self._failed(error) from None
        self._digest.update(data)
        self.size += len(data)

    def _failed(self, error: OSError) -> BackupFailed:
        return BackupFailed(f"The backup {safe_text(str(self.path), 200)} cannot be written: {error.strerror}")


def read_head(path: Path, *, damaged_ok: bool = False) -> Backup:
    """What the file at `path` says of itself. Raises BadInput for one that is not a backup of this tool.

    With `damaged_ok`, what is damaged in its first line is unknown instead: it says where the file is from, and no key
    needs it.
    """
    with open_plain(path) as file:
        try:
            head = _head(file.readline(_LONGEST_HEAD))
            size = os.fstat(file.fileno()).st_size
            end = end_of(file)
        except OSError as error:
            raise cannot_be_read(path, error) from None
    if head is None:
        raise BadInput(f"{shown(path)} is not a backup that this tool wrote")
    try:
        return _backup(path, _known(head) if damaged_ok else head, end.fields if end is not None else {}, size)
    except Damaged as error:
        raise DamagedHead(f"{shown(path)}, line 1: {error}: the backup is damaged") from None


def _head(raw: bytes) -> dict[str, Any] | None:
    """The first line of a backup; None where it is not one."""
    try:
        head = members(parse(raw))
    except Damaged:
        return None
    return head if head.get("format") == _FORMAT else None


def _known(head: Mapping[str, Any]) -> dict[str, Any]:
    """`head` with what is missing or damaged in it as unknown; what was done to the keys is never guessed."""
    known: dict[str, Any] = {name: _UNKNOWN.get(name) for name in _HEAD}
    known |= {name: head[name] for name in ("deed", "clock", "clock_skew_seconds") if name in head}
    for name, check in _HEAD.items():
        with contextlib.suppress(Damaged):
            known[name] = taken(head, name, check)
    return known


def _backup(path: Path, head: Mapping[str, Any], end: Mapping[str, Any], size: int) -> Backup:
    # What was planned, until the last line tells what came of it.
    held = {**head, **end}
    return Backup(
        path=str(path),
        made_at=taken(head, "made_at", moment),
        server=safe_text(taken(head, "server", text)),
        flavour=safe_text(taken(head, "flavour", text)),
        version=safe_text(taken(head, "version", text)),
        keys=taken(held, "keys", tally),
        size=size,
        deed=given(head, "deed", one_of(Operation), Operation.DELETE).value,
        held_bytes=given(held, "bytes", optional(tally), None),
        left_out_keys=given(end, "left_out", tally, 0),
        restored_bytes=given(end, "restored_bytes", optional(tally), None),
        expiring_keys=given(end, "expiring", optional(tally), None),
        whole=bool(end),
        server_clock=given(head, "clock", optional(text), None) == _SERVER_CLOCK,
        clock_skew_seconds=given(head, "clock_skew_seconds", optional(number), None),
    )


class End(NamedTuple):
    """The last line of a backup whose run came to its end, and where it begins."""

    fields: dict[str, Any]
    offset: int


def end_of(file: BinaryIO) -> End | None:
    """The last line of a file that is whole; None where the file was cut off, or the line is damaged."""
    start = max(0, os.fstat(file.fileno()).st_size - _LONGEST_END)
    file.seek(start)
    raw = file.read(_LONGEST_END)
    at = raw.rfind(b"\n", 0, -1) + 1
    try:
        fields = members(parse(raw[at:]))
        if fields.get("end") is not True or not raw.endswith(b"\n"):
            return None
        end_fields(fields)
    except Damaged:
        return None
    return End(fields, start + at)


def read_records(path: Path, *, damaged_ok: bool = False) -> Iterator[Record | None]:
    """The keys in the file, in order; None for a damaged or cut line. Raises BadInput as `read_head`."""
    return (record for _, record in numbered_records(path, damaged_ok=damaged_ok))


def numbered_records(path: Path, *, damaged_ok: bool = False) -> Iterator[tuple[Line, Record | None]]:
    """As `read_records`, each with its line."""
    read_head(path, damaged_ok=damaged_ok)
    try:
        with open_plain(path) as file:
            file.readline(_LONGEST_HEAD)
            for line in lines(file, LONGEST_LINE, number=2):
                raw = line.raw if line.raw is not None else _long_line(file, line)
                try:
                    record = None if raw is None else read_line(raw)
                except Damaged:
                    record = None
                if record is not END:
                    yield line, record
    except OSError as error:
        raise cannot_be_read(path, error) from None


def _long_line(file: BinaryIO, line: Line) -> bytes | None:
    """A line too long to be held unseen, where its checksum says that it is whole: values may be very large."""
    handle, tail = file.fileno(), len(SUM) + SUM_DIGITS + len(b'"}\n')
    digest, at, body = hashlib.sha256(), line.offset, line.offset + line.size - tail
    while at < body:
        chunk = os.pread(handle, min(MIB, body - at), at)
        if not chunk:
            return None
        digest.update(chunk)
        at += len(chunk)
    expected = b'%b%b"}\n' % (SUM, digest.hexdigest()[:SUM_DIGITS].encode("ascii"))
    if line.size > _LONGEST_RECORD or os.pread(handle, tail, body) != expected:
        return None
    parts, at = [], line.offset
    while at < line.offset + line.size and (chunk := os.pread(handle, line.offset + line.size - at, at)):
        parts.append(chunk)
        at += len(chunk)
    return b"".join(parts)


def backups(folder: Path) -> tuple[Backup, ...]:
    """The backups in `folder`, newest first; files that are none are passed over."""
    found = []
    for path in folder.glob("*.jsonl"):
        try:
            found.append(read_head(path, damaged_ok=True))
        except BadInput:
            continue
    return tuple(sorted(found, key=lambda backup: backup.made_at, reverse=True))
