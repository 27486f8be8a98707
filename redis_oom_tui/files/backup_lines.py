"""The lines of a backup: the first, one for each key, and the last, as they are written and as they are read back."""

import hashlib
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from redis_oom_tui.formatting.typed import (
    Count,
    Damaged,
    Database,
    Number,
    UnixTime,
    Whole,
    decoded,
    encoded,
    printable,
)
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation

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
    deed: Operation = Operation.DELETE
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
    left_out: str | None = None


class Record(NamedTuple):
    """A key in a backup. Times are the server's, in Unix milliseconds; `due_ms` is the expiry that an EXPIRE plan set.

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


END = Record(KeyId(-1, b""), "", None)
"""What the last line reads as."""

_head_decoder = msgspec.json.Decoder(Head)
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
    key, kind, payload, expires_ms, idle_seconds, frequency, saved_ms, due_ms, size, left_out = record
    if left_out:
        return packed(_Key(key.db, key.key, kind, key.node, left_out=left_out))
    line = _Key(key.db, key.key, kind, key.node, saved_ms, expires_ms, idle_seconds, frequency, due_ms, size, payload)
    body = encoded(line)[:-1]
    return b'%b%b%b"}\n' % (body, SUM, _sum(body))


def read_head(line: bytes) -> Head:
    """The first line. Raises Damaged."""
    return decoded(_head_decoder, line)


def read_end(line: bytes) -> End:
    """The last line. Raises Damaged for anything else."""
    end = decoded(_end_decoder, line)
    if not end.end or not line.endswith(b"\n"):
        raise Damaged("it is not the last line")
    return end


def read_record(line: bytes) -> Record:
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
    return Record(key, found.t, found.p, found.x, found.i, found.f, found.s, found.due, found.m)


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:SUM_DIGITS].encode("ascii")
