"""The backup file: what a plan is about to delete, a JSON line per key, on disk before the key goes.

First line: where it comes from. Then a line per key: its name and its DUMP in base64, type, absolute expiry, idle time
or frequency, and a checksum over them; or, for a key deleted without a copy, its name and why. A plan that sets
expiries writes each key's old and new one instead; of a shrunk key there is a line per element, in readable form. A
last line tells that the file is whole; without it the tool was cut off, and all whole lines still count.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from redis_oom_tui.files.disk import make_folder, sync_file, sync_folder
from redis_oom_tui.formatting.sanitize import escape_exact, safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.formatting.typed import (
    Count,
    Damaged,
    Database,
    Number,
    UnixTime,
    Whole,
    decoded,
    encoded,
    exact_bytes,
    printable,
)
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.shrink import Element, ShrinkPlan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.rules.restoring import restored_size

FORMAT = "redis-oom-tui backup 1"
SUM = b',"sum":"'
SUM_DIGITS = 16
_END_START = b'{"end":'


class Head(Struct, kw_only=True):
    """The first line: where and when the backup was made, and of which plan.

    Backups without `clock` have the times of the computer that made them.
    """

    format: str
    made_at: UnixTime
    server: str
    flavour: str
    version: str
    run_id: str | None = None
    plan: str = ""
    operation: Action = field(default=Action.DELETE, name="deed")
    keys: Count
    bytes: Count | None
    clock: str | None = None
    clock_skew_seconds: Number | None = None
    node_skew_seconds: dict[str, Number | None] = {}


class End(Struct, omit_defaults=True):
    """The last line, which tells that the backup is whole. Those of earlier versions have only the first two."""

    end: bool
    keys: Count
    left_out: Count = 0
    bytes: Count | UnsetType | None = UNSET
    expiring: Count | None = None
    restored_bytes: Count | None = None
    sha256: str | None = None


class _Key(Struct, omit_defaults=True):
    """A key's line, names and values in base64; a checksum over all that stands before it follows.

    `s` is missing where the key was left out.
    """

    db: Database
    k: bytes
    t: str
    node: str = ""
    s: Whole | UnsetType = UNSET
    x: Whole | None = None
    i: Whole | None = None
    f: Whole | None = None
    due: Whole | None = None
    m: Whole | None = None
    p: bytes | None = None
    e: tuple[str, ...] | None = None
    end: str | None = None
    left_out: str | None = None


class Record(NamedTuple):
    """A key in a backup. Times are the server's, in Unix milliseconds; `due_ms` is the expiry that an EXPIRE plan set.

    `size` is its MEMORY USAGE, of which a compressed DUMP tells nothing.
    `payload` is None in the backup of an EXPIRE plan, and for a key that was left out: `left_out` then says why.
    `element` is what was taken out of a key that stays, from the `end` of a list; `payload` is None there, too.
    `outside` is how many stand before it in the file, where the file is read backward.
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
    element: Element | None = None
    end: str | None = None
    outside: int = 0


END = Record(KeyId(-1, b""), "", None)
"""What the last line reads as."""

_end_decoder = msgspec.json.Decoder(End)
_key_decoder = msgspec.json.Decoder(_Key)


def packed(line: Struct) -> bytes:
    """`line` as it stands in the file."""
    return encoded(line) + b"\n"


def record_line(record: Record) -> bytes:
    """A key's line.

    >>> line = record_line(Record(KeyId(0, b"k"), "string", b"x", expires_ms=9, saved_ms=5, size=56))
    >>> line[: line.index(b',"sum"')]
    b'{"db":0,"k":"aw==","t":"string","s":5,"x":9,"m":56,"p":"eA=="'
    """
    key, kind, payload, expires_ms, idle_seconds, frequency, saved_ms, due_ms, size, left_out, element, end, _ = record
    if left_out:
        return packed(_Key(key.db, key.key, kind, key.node, left_out=left_out))
    readable = None if element is None else tuple(map(escape_exact, element))
    line = _Key(
        *(key.db, key.key, kind, key.node, saved_ms, expires_ms, idle_seconds, frequency, due_ms, size, payload),
        e=readable,
        end=end,
    )
    body = encoded(line)[:-1]
    return b'%b%b%b"}\n' % (body, SUM, _sum(body))


def parse_end(line: bytes) -> End:
    """The last line. Raises Damaged for anything else."""
    end = decoded(_end_decoder, line)
    if not end.end or not line.endswith(b"\n"):
        raise Damaged("it is not the last line")
    return end


def parse_record(line: bytes) -> Record:
    """The key in a line; END for the last line. Raises Damaged for anything else."""
    if line.startswith(_END_START):
        decoded(_end_decoder, line)
        return END
    found = decoded(_key_decoder, line)
    key = KeyId(found.db, found.k, found.node)
    printable(found.node, found.t, found.left_out or "")
    if found.left_out is not None:
        return Record(key, found.t, None, left_out=found.left_out or "?")
    body, mark, end = line.rpartition(SUM)
    if not mark or end != _sum(body) + b'"}\n':
        raise Damaged("its checksum differs")
    if found.s is UNSET:
        raise Damaged("`s` is missing")
    element = None if found.e is None else tuple(exact_bytes(part) for part in found.e)
    return Record(
        *(key, found.t, found.p, found.x, found.i, found.f, found.s, found.due, found.m), element=element, end=found.end
    )


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:SUM_DIGITS].encode("ascii")


# Backups without this in their head have the times of the computer that made them.
SERVER_CLOCK = "server"


class BackupFailed(TriageError):
    """The backup cannot be written, so what it was to hold is not deleted."""


class BackupMark(NamedTuple):
    """A place in a file that is being written: its bytes, its keys, and the digest up to there."""

    size: int
    keys: int
    digest: Any


def _contents(plan: Plan | ShrinkPlan) -> tuple[Action, int, int | None]:
    """What is done, to how many keys or elements, and the bytes that they hold."""
    if isinstance(plan, ShrinkPlan):
        return Action.SHRINK, plan.going, plan.about_bytes
    return Action(plan.operation.value), len(plan.keys), known_bytes(plan.size, len(plan.keys))


def new_path(folder: Path, plan: Plan | ShrinkPlan, wall: float) -> Path:
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
        plan: Plan | ShrinkPlan,
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
        operation, keys, held = _contents(plan)
        head = Head(
            format=FORMAT,
            made_at=round(wall, 3),
            server=plan.server,
            flavour=server.flavour,
            version=server.version,
            run_id=server.run_id,
            plan=plan.hash,
            operation=operation,
            keys=keys,
            bytes=held,
            clock=SERVER_CLOCK,
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
            sync_file(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from None

    def mark(self) -> BackupMark:
        """How far it is now, for `rollback`."""
        return BackupMark(self.size, self.keys, self._digest.copy())

    def rollback(self, mark: BackupMark) -> None:
        """Take away the elements that were added since `mark`: they were not removed, so nobody is to restore them."""
        try:
            self._file.flush()
            self._file.truncate(mark.size)
            self._file.seek(mark.size)
        except OSError as error:
            self._torn = True
            raise self._failed(error) from None
        self.size, self.keys, self._digest = mark

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
