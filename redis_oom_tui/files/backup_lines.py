"""The first line of a backup file and its end, and the lines of JSON that `restore --show` prints of the rest.

Until version 1 the rest was such lines as well: a line per key with its name and its DUMP in base64, type, absolute
expiry, idle time or frequency, and a checksum over them; or, for a key deleted without a copy, its name and why. A plan
that sets expiries has each key's old and new one instead; a shrunk key has a line per element, in readable form.
A last line tells that the file is whole; without it the tool was cut off, and all whole lines still count. Such files
are read for good; what is written now is in `backup_frames`.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from redis_oom_tui.files.disk import LONGEST_LINE, MIB, Line, lines
from redis_oom_tui.formatting.sanitize import escape_exact
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
from redis_oom_tui.models.action import LARGEST_COPY, Action
from redis_oom_tui.models.stepped import Element
from redis_oom_tui.models.structs import replace

FORMAT = "redis-oom-tui backup 2"
FORMAT_OF_LINES = "redis-oom-tui backup 1"
# Backups without this in their head have the times of the computer that made them.
SERVER_CLOCK = "server"
_SUM = b',"sum":"'
_SUM_DIGITS = 16
_END_START = b'{"end":'
# A third more in base64.
_LONGEST_RECORD = LARGEST_COPY // 3 * 4 + MIB


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
    # How many elements a key had that was to be shrunk.
    elements: Count | None = None
    clock: str | None = None
    clock_skew_seconds: Number | None = None
    node_skew_seconds: dict[str, Number | None] = {}
    # What the header of each frame has behind the four bytes of all files, in hexadecimal digits.
    mark: str | UnsetType = UNSET


class End(Struct, omit_defaults=True):
    """What tells that the backup is whole. In the first files it had only the first two."""

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
    job: "_Job | None" = None
    left_out: str | None = None


class _JobKey(Struct, omit_defaults=True):
    """A key of a job: name and DUMP in base64, when it expires."""

    k: bytes
    t: str
    p: bytes
    x: Whole | None = None


class _Job(Struct, omit_defaults=True):
    """A job: the sorted set, set or list that names it as finished, as what, and its keys."""

    index: str
    t: str
    member: str
    score: str = ""
    keys: tuple[_JobKey, ...] = ()


class JobRecord(NamedTuple):
    """A finished job with all of its keys, each as (name, type, DUMP, expiry in Unix milliseconds or None)."""

    listed_in: bytes
    index_type: str
    member: bytes
    score: bytes
    keys: tuple[tuple[bytes, str, bytes, int | None], ...]


class Record(Struct, array_like=True, frozen=True, gc=False):
    """A key in a backup, its fields as they follow each other in a frame: further ones may follow in later versions.

    Times are the server's, in Unix milliseconds; `due_ms` is the expiry that an EXPIRE plan set. `size` is its MEMORY
    USAGE, of which a compressed DUMP tells nothing.
    `payload` is None in the backup of an EXPIRE plan, and for a key that was left out: `left_out` then says why.
    `element` is what was taken out of a key that stays, from the `end` of a list; `payload` is None there, too.
    `job` is a finished job with all that belongs to it.
    `outside` is how many stand before it in the file, where the file is read backward; 0 in the file itself.
    """

    db: Database
    key: bytes
    type: str
    payload: bytes | None = None
    expires_ms: Whole | None = None
    idle_seconds: Whole | None = None
    frequency: Whole | None = None
    saved_ms: Whole = 0
    due_ms: Whole | None = None
    size: Whole | None = None
    node: str = ""
    left_out: str = ""
    element: Element | None = None
    end: str | None = None
    job: JobRecord | None = None
    outside: int = 0

    @property
    def largest_part(self) -> int:
        """The bytes of the largest part that a command has which puts it back."""
        copies = () if self.job is None else (copy for _, _, copy, _ in self.job.keys)
        return max(map(len, (self.payload or b"", *(self.element or ()), *copies)))

    def moved_by(self, later_ms: int) -> "Record":
        """With its times so much later, but for the expiry that was set: that one is as the server has it."""

        def moved(expires_ms: int | None) -> int | None:
            return None if expires_ms is None else expires_ms + later_ms

        job, element = self.job, self.element
        if job is not None:
            job = job._replace(keys=tuple((key, kind, copy, moved(ends_ms)) for key, kind, copy, ends_ms in job.keys))
        # Of a hash, the third part is when the field expires.
        if self.type == "hash" and element is not None and len(element) > 2 and element[2].isdigit():
            element = (*element[:2], b"%d" % (int(element[2]) + later_ms))
        saved_ms = self.saved_ms + later_ms
        return replace(self, expires_ms=moved(self.expires_ms), saved_ms=saved_ms, element=element, job=job)


class BackupPart(NamedTuple):
    """Keys that stand together in a file: those of a frame, or, in older files, the one of a line.

    `number` is the frame's or the line's, `offset` where it begins. None stands for each key that cannot be read. `end`
    tells that it is the end, which holds no keys; `whole` is False where the file ends within it.
    """

    number: int
    offset: int
    records: Sequence[Record | None]
    end: bool = False
    whole: bool = True


END = Record(-1, b"", "")
"""What the last line reads as."""

_end_decoder = msgspec.json.Decoder(End)
_key_decoder = msgspec.json.Decoder(_Key)


def packed(line: Struct) -> bytes:
    """`line` as it stands in the file."""
    return encoded(line) + b"\n"


def record_line(record: Record) -> bytes:
    """A key's line, its name in readable form first.

    >>> line = record_line(Record(0, b"k", "string", b"x", expires_ms=9, saved_ms=5, size=56))
    >>> line[: line.index(b',"sum"')]
    b'{"key":"k","db":0,"k":"aw==","t":"string","s":5,"x":9,"m":56,"p":"eA=="'
    """
    name = b'{"key":%b,' % encoded(escape_exact(record.key))
    who = record.db, record.key, record.type, record.node
    if record.left_out:
        return name + packed(_Key(*who, left_out=record.left_out))[1:]
    times = record.saved_ms, record.expires_ms, record.idle_seconds, record.frequency, record.due_ms
    line = _Key(
        *(*who, *times, record.size, record.payload),
        e=None if record.element is None else tuple(map(escape_exact, record.element)),
        end=record.end,
        job=None if record.job is None else _written(record.job),
    )
    body = name + encoded(line)[1:-1]
    return b'%b%b%b"}\n' % (body, _SUM, _sum(body))


def decoded_end(raw: bytes) -> End:
    """What the end says. Raises Damaged for anything else."""
    end = decoded(_end_decoder, raw)
    if not end.end:
        raise Damaged("it is not the end")
    return end


def parse_end(line: bytes) -> End:
    """The last line. Raises Damaged for anything else."""
    if not line.endswith(b"\n"):
        raise Damaged("it is not the last line")
    return decoded_end(line)


def parse_record(line: bytes) -> Record:
    """The key in a line; END for the last line. Raises Damaged for anything else."""
    if line.startswith(_END_START):
        decoded(_end_decoder, line)
        return END
    found = decoded(_key_decoder, line)
    printable(found.node, found.t, found.left_out or "")
    if found.left_out is not None:
        return Record(found.db, found.k, found.t, node=found.node, left_out=found.left_out or "?")
    body, mark, end = line.rpartition(_SUM)
    if not mark or end != _sum(body) + b'"}\n':
        raise Damaged("its checksum differs")
    if found.s is UNSET:
        raise Damaged("`s` is missing")
    element = None if found.e is None else tuple(exact_bytes(part) for part in found.e)
    return Record(
        *(found.db, found.k, found.t, found.p, found.x, found.i, found.f, found.s, found.due, found.m, found.node),
        element=element,
        end=found.end,
        job=None if found.job is None else _read(found.job),
    )


def _written(job: JobRecord) -> _Job:
    keys = tuple(_JobKey(*key) for key in job.keys)
    return _Job(escape_exact(job.listed_in), job.index_type, escape_exact(job.member), escape_exact(job.score), keys)


def _read(job: _Job) -> JobRecord:
    keys = tuple((key.k, key.t, key.p, key.x) for key in job.keys)
    return JobRecord(exact_bytes(job.index), job.t, exact_bytes(job.member), exact_bytes(job.score), keys)


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_SUM_DIGITS].encode("ascii")


def parts_of_lines(file: BinaryIO) -> Iterator[BackupPart]:
    """The lines of `file` behind its first: one is held at a time."""
    for line in lines(file, LONGEST_LINE, number=2):
        raw = line.raw if line.raw is not None else _long_line(file, line)
        record = None
        with contextlib.suppress(Damaged):
            record = None if raw is None else parse_record(raw)
        if record is END:
            yield BackupPart(line.number, line.offset, [], end=True, whole=line.whole)
        else:
            yield BackupPart(line.number, line.offset, [record], whole=line.whole)


def _long_line(file: BinaryIO, line: Line) -> bytes | None:
    """A line too long to be held unseen, where its checksum says that it is whole: values may be very large."""
    handle, tail = file.fileno(), len(_SUM) + _SUM_DIGITS + len(b'"}\n')
    digest, position, body = hashlib.sha256(), line.offset, line.offset + line.size - tail
    while position < body:
        chunk = os.pread(handle, min(MIB, body - position), position)
        if not chunk:
            return None
        digest.update(chunk)
        position += len(chunk)
    expected = b'%b%b"}\n' % (_SUM, digest.hexdigest()[:_SUM_DIGITS].encode("ascii"))
    if line.size > _LONGEST_RECORD or os.pread(handle, tail, body) != expected:
        return None
    parts, position, end = [], line.offset, line.offset + line.size
    while position < end and (chunk := os.pread(handle, end - position, position)):
        parts.append(chunk)
        position += len(chunk)
    return b"".join(parts)
