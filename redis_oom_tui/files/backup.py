"""The backup file: what a plan is about to delete, a JSON line per key, on disk before the key goes.

First line: where it comes from. Then a line per key: its name and its DUMP in base64, type, absolute expiry, idle time
or frequency, and a checksum over them; or, for a key deleted without a copy, its name and why. A plan that sets
expiries writes each key's old and new one instead. A last line tells that the file is whole; without it the tool was
cut off, and all whole lines still count.
"""

import base64
import contextlib
import functools
import hashlib
import json
import os
import re
import time
from binascii import b2a_base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from redis_oom_tui.models.action import Backup
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Deed, Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.words.hostile import safe_text
from redis_oom_tui.words.sizes import told_bytes

_LONGEST_END = 512
_FORMAT = "redis-oom-tui backup 1"
_SUM = b',"sum":"'


class BackupFailed(TriageError):
    """The backup cannot be written, so what it was to hold is not deleted."""


class Record(NamedTuple):
    """A key in a backup. Times are Unix milliseconds; `due_ms` is the expiry that an EXPIRE plan gave it.

    `size` is its MEMORY USAGE, of which a compressed DUMP tells nothing.
    `payload` is None in the backup of an EXPIRE plan, and for a key that was left out: `left_out` then says why.
    """

    id: KeyId
    type: str
    payload: bytes | None
    expires_ms: int | None = None
    idle_seconds: int | None = None
    frequency: int | None = None
    saved_ms: int = 0
    due_ms: int | None = None
    size: int | None = None
    left_out: str = ""


def new_path(folder: Path, plan: Plan, wall: float) -> Path:
    """A path for the backup of `plan` that says when and where, and that nothing stands at."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    place = re.sub(r"[^A-Za-z0-9.-]+", "_", plan.server)[-60:]
    names = (f"{stamp}-{place}-{plan.hash[:8]}{again}.jsonl" for again in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for name in names if not (path := folder / name).exists())


class BackupWriter:
    """Writes a new file at `path`; raises BackupFailed wherever that fails, also for one that exists already."""

    def __init__(self, path: Path, plan: Plan, server: Server, wall: float) -> None:
        self.path = path
        self.keys = 0
        self.left_out = 0
        self._held: int | None = 0
        self.size = 0
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
            "bytes": told_bytes(plan.size, len(plan.keys)),
        }
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from None
        self._file = os.fdopen(handle, "wb")
        self._digest = hashlib.sha256()
        self._write(_packed(head))
        self.flush()

    def add(self, *records: Record) -> None:
        """Add keys; they are on disk after the next `flush`."""
        self._write(b"".join([_left_out(record) if record.left_out else _line(record) for record in records]))
        for record in records:
            if record.left_out:
                self.left_out += 1
            else:
                self.keys += 1
                self._held = None if self._held is None or record.size is None else self._held + record.size

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
        with contextlib.suppress(BackupFailed):
            told = {"keys": self.keys, "left_out": self.left_out, "bytes": self._held}
            self._write(_packed({"end": True, **told, "sha256": self._digest.hexdigest()}))
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
            raise self._failed(error) from None
        self._digest.update(data)
        self.size += len(data)

    def _failed(self, error: OSError) -> BackupFailed:
        return BackupFailed(f"The backup {safe_text(str(self.path), 200)} cannot be written: {error.strerror}")


def read_head(path: Path) -> Backup:
    """What the file at `path` says of itself. Raises BadInput for one that is not a backup of this tool."""
    name = safe_text(str(path), 200)
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline(65536))
            size = os.fstat(file.fileno()).st_size
            end = _end_of(file, size)
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{name} is not a backup that this tool wrote") from None
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise BadInput(f"{name} is not a backup that this tool wrote")
    # What was planned, until the last line tells what came of it.
    held = head | end
    return Backup(
        path=str(path),
        made_at=float(head["made_at"]),
        server=str(head["server"]),
        flavour=str(head["flavour"]),
        version=str(head["version"]),
        keys=int(held["keys"]),
        size=size,
        deed=str(head.get("deed", Deed.DELETE.value)),
        held_bytes=int(held["bytes"]) if held.get("bytes") is not None else None,
        left_out_keys=int(end.get("left_out", 0)),
        whole=bool(end),
    )


def _end_of(file: BinaryIO, size: int) -> dict[str, Any]:
    """The last line of a file that is whole, which tells what was saved; nothing where it was cut off."""
    file.seek(max(0, size - _LONGEST_END))
    try:
        end = json.loads(file.read().splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return end if isinstance(end, dict) and end.get("end") is True else {}


def read_records(path: Path) -> Iterator[Record | None]:
    """The keys in the file, in order; None for a damaged or cut line. Raises BadInput as `read_head`."""
    read_head(path)
    with path.open("rb") as file:
        file.readline()
        for line in file:
            try:
                fields = json.loads(line)
                if not fields.get("end"):
                    yield _record(fields, line)
            except (ValueError, KeyError, TypeError, AttributeError):
                yield None


def backups(folder: Path) -> tuple[Backup, ...]:
    """The backups in `folder`, newest first; files that are none are passed over."""
    found = []
    for path in folder.glob("*.jsonl"):
        try:
            found.append(read_head(path))
        except (BadInput, KeyError, TypeError, ValueError):
            continue
    return tuple(sorted(found, key=lambda backup: backup.made_at, reverse=True))


def _left_out(record: Record) -> bytes:
    return _packed(_identity(record) | {"left_out": record.left_out})


def _identity(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = {"db": record.id.db, "k": _base64(record.id.key).decode("ascii"), "t": record.type}
    return fields | {"node": record.id.node} if record.id.node else fields


def _line(record: Record) -> bytes:
    """A key's line, with a checksum over all that stands before it: what `json.dumps` makes of the same fields, in a
    quarter of the time, as there may be hundreds of thousands.

    >>> line = _line(Record(KeyId(0, b"k"), "string", b"x", expires_ms=9, saved_ms=5, size=56))
    >>> line[: line.index(b',"sum"')]
    b'{"db":0,"k":"aw==","t":"string","s":5,"x":9,"m":56,"p":"eA=="'
    """
    key, kind, payload, expires_ms, idle_seconds, frequency, saved_ms, due_ms, size, _ = record
    node = b"" if not key.node else b',"node":%b' % _quoted(key.node)
    body = b'{"db":%d,"k":"%b","t":%b%b,"s":%d' % (key.db, _base64(key.key), _quoted(kind), node, saved_ms)
    if expires_ms is not None:
        body += b',"x":%d' % expires_ms
    if idle_seconds is not None:
        body += b',"i":%d' % idle_seconds
    if frequency is not None:
        body += b',"f":%d' % frequency
    if due_ms is not None:
        body += b',"due":%d' % due_ms
    if size is not None:
        body += b',"m":%d' % size
    if payload is not None:
        body += b',"p":"%b"' % _base64(payload)
    return b'%b%b%b"}\n' % (body, _SUM, _sum(body))


def _record(fields: dict[str, Any], line: bytes) -> Record:
    key = KeyId(fields["db"], _bytes(fields["k"]), fields.get("node", ""))
    if "left_out" in fields:
        return Record(key, fields["t"], None, left_out=str(fields["left_out"]))
    body, mark, end = line.rpartition(_SUM)
    if not mark or end != _sum(body) + b'"}\n':
        raise ValueError("checksum")
    payload = fields.get("p")
    return Record(
        id=key,
        type=fields["t"],
        payload=None if payload is None else _bytes(payload),
        expires_ms=fields.get("x"),
        idle_seconds=fields.get("i"),
        frequency=fields.get("f"),
        saved_ms=fields["s"],
        due_ms=fields.get("due"),
        size=fields.get("m"),
    )


def _packed(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode("ascii")


@functools.lru_cache(maxsize=64)
def _quoted(text: str) -> bytes:
    return json.dumps(text).encode("ascii")


def _base64(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
