"""A line of a backup: one key, as it is written and as it is read back."""

import functools
import hashlib
import json
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from redis_oom_tui.formatting.typed import (
    Check,
    Damaged,
    base64_bytes,
    database,
    given,
    members,
    optional,
    parse,
    printable,
    taken,
    tally,
    text,
    whole,
)
from redis_oom_tui.models.keys import KeyId

SUM = b',"sum":"'
SUM_DIGITS = 16
# What the last line may say.
_END: Mapping[str, Check[Any]] = {
    "left_out": tally,
    "bytes": optional(tally),
    "restored_bytes": optional(tally),
    "expiring": optional(tally),
    "sha256": text,
}


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


def left_out_line(record: Record) -> bytes:
    return packed(_identity(record) | {"left_out": record.left_out})


def _identity(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = {"db": record.id.db, "k": _base64(record.id.key).decode("ascii"), "t": record.type}
    return fields | {"node": record.id.node} if record.id.node else fields


def key_line(record: Record) -> bytes:
    """A key's line, with a checksum over all that stands before it: what `json.dumps` makes of the same fields, in a
    quarter of the time, as there may be hundreds of thousands.

    >>> line = key_line(Record(KeyId(0, b"k"), "string", b"x", expires_ms=9, saved_ms=5, size=56))
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
    return b'%b%b%b"}\n' % (body, SUM, _sum(body))


END = Record(KeyId(-1, b""), "", None)
"""What the last line reads as."""


def end_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """The members of the last line, checked; raises Damaged."""
    taken(fields, "keys", tally)
    for name, check in _END.items():
        given(fields, name, check, None)
    return fields


def read_line(line: bytes) -> Record:
    """The key in a line; END for the last line. Raises Damaged for anything else."""
    fields = members(parse(line))
    if fields.get("end"):
        end_fields(fields)
        return END
    key = KeyId(taken(fields, "db", database), taken(fields, "k", base64_bytes), given(fields, "node", printable, ""))
    if "left_out" in fields:
        return Record(key, taken(fields, "t", printable), None, left_out=taken(fields, "left_out", printable) or "?")
    body, mark, end = line.rpartition(SUM)
    if not mark or end != _sum(body) + b'"}\n':
        raise Damaged("its checksum differs")
    return Record(
        id=key,
        type=taken(fields, "t", printable),
        payload=given(fields, "p", optional(base64_bytes), None),
        expires_ms=given(fields, "x", optional(whole), None),
        idle_seconds=given(fields, "i", optional(whole), None),
        frequency=given(fields, "f", optional(whole), None),
        saved_ms=taken(fields, "s", whole),
        due_ms=given(fields, "due", optional(whole), None),
        size=given(fields, "m", optional(whole), None),
    )


def packed(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:SUM_DIGITS].encode("ascii")


@functools.lru_cache(maxsize=64)
def _quoted(text: str) -> bytes:
    return json.dumps(text).encode("ascii")


def _base64(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False)
