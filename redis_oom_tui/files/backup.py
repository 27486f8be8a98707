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
from types import MappingProxyType
from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET

from redis_oom_tui.files.backup_lines import (
    END,
    FORMAT,
    SUM,
    SUM_DIGITS,
    End,
    Head,
    Record,
    packed,
    read_end,
    read_record,
    record_line,
)
from redis_oom_tui.files.durable import make_folder, sync_folder
from redis_oom_tui.files.reading import LONGEST_LINE, MIB, Line, cannot_be_read, lines, open_plain, shown
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.formatting.typed import Damaged, converted, decoded
from redis_oom_tui.models.action import Backup
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.rules.restoring import restored_size

_LONGEST_HEAD = 65536
_LONGEST_END = 512
# A value may have 512 MB, a third more in base64.
_LONGEST_RECORD = 1024 * MIB
# Backups without this in their head have the times of the computer that made them.
_SERVER_CLOCK = "server"
# What the first line may lack in a damaged backup, as it only says where the file is from.
# What is damaged in these is not guessed.
_AS_IT_STANDS = ("format", "deed", "clock", "clock_skew_seconds", "node_skew_seconds")
_UNKNOWN = {"made_at": 0, "server": "?", "flavour": "?", "version": "?", "keys": 0, "bytes": None}
_any_decoder = msgspec.json.Decoder(dict[str, Any])


class BackupFailed(TriageError):
    """The backup cannot be written, so what it was to hold is not deleted."""


class DamagedHead(BadInput):
    """A backup whose first line does not say what it should."""


def new_path(folder: Path, plan: Plan, wall: float) -> Path:
    """A path for the backup of `plan` that says when and where, and that nothing stands at."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    place = re.sub(r"[^A-Za-z0-9.-]+", "_", plan.server)[-60:]
    names = (f"{stamp}-{place}-{plan.hash[:8]}{suffix}.jsonl" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for name in names if not (path := folder / name).exists())


class BackupWriter:
    """Writes a new file at `path`; raises BackupFailed wherever that fails, also for one that exists already."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        server: Server,
        wall: float,
        clock_skew_seconds: float | None = None,
        *,
        node_skews: Mapping[str, float | None] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self.keys = 0
        self.left_out = 0
        self._expiring = self._takes = 0
        self._held: int | None = 0
        self.size = 0
        self._torn = False
        head = Head(
            format=FORMAT,
            made_at=round(wall, 3),
            server=plan.server,
            flavour=server.flavour,
            version=server.version,
            run_id=server.run_id,
            plan=plan.hash,
            deed=plan.deed,
            keys=len(plan.keys),
            bytes=known_bytes(plan.size, len(plan.keys)),
            clock=_SERVER_CLOCK,
            clock_skew_seconds=clock_skew_seconds,
            node_skew_seconds=dict(node_skews),
        )
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
        self._write(b"".join(map(record_line, records)))
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
                end = End(True, self.keys, self.left_out, self._held, sha256=self._digest.hexdigest())
                if self._held is not None:
                    end.expiring, end.restored_bytes = self._expiring, self._takes
                self._write(packed(end))
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
        known = converted(_known(head) if damaged_ok else head, Head)
    except Damaged as error:
        raise DamagedHead(f"{shown(path)}, line 1: {error}: the backup is damaged") from None
    return _backup(path, known, None if end is None else end[0], size)


def _head(raw: bytes) -> dict[str, Any] | None:
    """The first line of a backup; None where it is not one."""
    try:
        head = decoded(_any_decoder, raw)
    except Damaged:
        return None
    return head if head.get("format") == FORMAT else None


def _known(head: Mapping[str, Any]) -> dict[str, Any]:
    """`head` with what is missing or damaged in it as unknown; what was done to the keys is never guessed."""
    known = {name: head[name] for name in _AS_IT_STANDS if name in head} | _UNKNOWN
    types = {field.name: field.type for field in msgspec.structs.fields(Head)}
    for name in _UNKNOWN.keys() & head.keys():
        with contextlib.suppress(Damaged):
            known[name] = converted(head[name], types[name])
    return known


def _backup(path: Path, head: Head, end: End | None, size: int) -> Backup:
    # What was planned, until the last line tells what came of it.
    held_bytes = head.bytes if end is None or end.bytes is UNSET else end.bytes
    return Backup(
        path=str(path),
        made_at=head.made_at,
        server=safe_text(head.server),
        flavour=safe_text(head.flavour),
        version=safe_text(head.version),
        keys=head.keys if end is None else end.keys,
        size=size,
        deed=head.deed.value,
        held_bytes=held_bytes,
        left_out_keys=0 if end is None else end.left_out,
        restored_bytes=None if end is None else end.restored_bytes,
        expiring_keys=None if end is None else end.expiring,
        whole=end is not None,
        server_clock=head.clock == _SERVER_CLOCK,
        clock_skew_seconds=head.clock_skew_seconds,
        node_skew_seconds=MappingProxyType(head.node_skew_seconds),
    )


def end_of(file: BinaryIO) -> tuple[End, int] | None:
    """The last line of a file that is whole, and where it begins; None where it was cut off, or the line is damaged."""
    start = max(0, os.fstat(file.fileno()).st_size - _LONGEST_END)
    file.seek(start)
    raw = file.read(_LONGEST_END)
    place = raw.rfind(b"\n", 0, -1) + 1
    try:
        return read_end(raw[place:]), start + place
    except Damaged:
        return None


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
                    record = None if raw is None else read_record(raw)
                except Damaged:
                    record = None
                if record is not END:
                    yield line, record
    except OSError as error:
        raise cannot_be_read(path, error) from None


def _long_line(file: BinaryIO, line: Line) -> bytes | None:
    """A line too long to be held unseen, where its checksum says that it is whole: values may be very large."""
    handle, tail = file.fileno(), len(SUM) + SUM_DIGITS + len(b'"}\n')
    digest, position, body = hashlib.sha256(), line.offset, line.offset + line.size - tail
    while position < body:
        chunk = os.pread(handle, min(MIB, body - position), position)
        if not chunk:
            return None
        digest.update(chunk)
        position += len(chunk)
    expected = b'%b%b"}\n' % (SUM, digest.hexdigest()[:SUM_DIGITS].encode("ascii"))
    if line.size > _LONGEST_RECORD or os.pread(handle, tail, body) != expected:
        return None
    parts, position, end = [], line.offset, line.offset + line.size
    while position < end and (chunk := os.pread(handle, end - position, position)):
        parts.append(chunk)
        position += len(chunk)
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
