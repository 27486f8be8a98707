"""The frames of a backup file, behind its first line: keys as MessagePack, packed with zlib, each with checksums.

A frame is a header and a body. The header: four bytes that are in no MessagePack, what the body is and how it is
packed, how many keys it holds, its length in the file and unpacked, the CRC-32 of the body as it stands in the file,
and that of the header itself. So a frame that is damaged costs its own keys alone: those behind it are found by its
length, or, where its header is damaged, by their first bytes. The first frame is a copy of the file's first line, so
that damage to that line costs no key. The last frame is of JSON: the counts, and the SHA-256 of all that stands before
it. A file without that one was cut off, and all whole frames still count.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Annotated, BinaryIO, NamedTuple

import msgspec
from msgspec import Meta, Struct

from redis_oom_tui.files.backup_lines import BackupPart, End, JobRecord, Record, decoded_end
from redis_oom_tui.files.disk import LONGEST_LINE, MIB
from redis_oom_tui.formatting.typed import Damaged, Database, Whole, decoded, encoded, printable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.shrink import Element

_MARK = b"\xc1RO\xc1"
_FACTS = struct.Struct("<4sBBHIII")
_SUM = struct.Struct("<I")
_HEADER_BYTES = _FACTS.size + _SUM.size
# A frame ends with the key that makes it as large as this, or with so many keys: damage costs no more than they.
_FULL_BYTES, _FULL_KEYS = 64 * 1024, 250
_MOST_KEYS = 2**16 - 1
# What is packed is held whole twice; a larger value stands as it is, and is read only where its checksum is right.
_MOST_PACKED = LONGEST_LINE
_MOST_BODY = 1024 * MIB
# What is smaller gains nothing, and of what is larger its beginning tells whether it would.
_FEWEST_PACKED, _TRIED, _WORTH = 128, 8 * 1024, 0.9
_LEVEL = 1
# The first line has at most half of this, and its copy as much.
_LONGEST_START = 128 * 1024


class _Kind(IntEnum):
    """What a frame holds."""

    KEYS = 1
    END = 2
    HEAD = 3


class _Packing(IntEnum):
    PLAIN = 0
    ZLIB = 1


class _Frame(NamedTuple):
    """A frame as it was found: its number from 1, where it begins, where the next one may, and its body, unpacked.

    `body` is None where it is damaged, and `keys` then how many it held as far as that is known; `whole` is False where
    the file ends within it.
    """

    number: int
    offset: int
    end: int
    kind: int
    keys: int
    body: bytes | None
    whole: bool = True


class _Header(NamedTuple):
    kind: int
    packing: int
    keys: int
    size: int
    unpacked: int
    crc: int


class _Row(Struct, array_like=True, gc=False):
    """A key as it stands in a frame. Further fields may follow in later versions."""

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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Annotated[list[_Row], Meta(max_length=_MOST_KEYS)])


def frames_of(records: Sequence[Record]) -> Iterator[bytes]:
    """The frames that hold `records`, in parts that are to be written one after the other."""
    rows: list[_Row] = []
    held = 0
    for id_, kind, payload, expires_ms, idle, freq, saved_ms, due_ms, size, left, element, end, _, job in records:
        rows.append(
            _Row(
                *(id_.db, id_.key, kind, payload, expires_ms, idle, freq, saved_ms, due_ms, size, id_.node, left),
                *(element, end, job),
            )
        )
        held += len(id_.key)
        if payload is not None:
            held += len(payload)
        if job is not None:
            held += sum(len(copy) for _, _, copy, _ in job.keys)
        if held >= _FULL_BYTES or len(rows) >= _FULL_KEYS:
            yield from _frame(_Kind.KEYS, len(rows), _encoder.encode(rows))
            rows, held = [], 0
    if rows:
        yield from _frame(_Kind.KEYS, len(rows), _encoder.encode(rows))


def head_frame(line: bytes) -> bytes:
    """The frame that repeats the file's first line, and stands behind it."""
    return b"".join(_frame(_Kind.HEAD, 0, line))


def copied_head(file: BinaryIO) -> bytes | None:
    """The copy of the first line of `file`, which then stands behind it; None where there is no whole one."""
    file.seek(0)
    raw = file.read(_LONGEST_START)
    place = raw.find(_MARK)
    header = None if place < 0 else _header(raw[place : place + _HEADER_BYTES])
    if header is None or header.kind != _Kind.HEAD:
        return None
    file.seek(place + _HEADER_BYTES)
    return _body(file, header)


def end_frame(end: End) -> bytes:
    """The frame that tells that the backup is whole."""
    return b"".join(_frame(_Kind.END, 0, encoded(end)))


def _frame(kind: _Kind, keys: int, body: bytes) -> tuple[bytes, bytes]:
    packing, unpacked = _Packing.PLAIN, len(body)
    if kind is _Kind.KEYS and _FEWEST_PACKED <= unpacked <= _MOST_PACKED and _shrinks(body):
        packing, body = _Packing.ZLIB, zlib.compress(body, _LEVEL)
    facts = _FACTS.pack(_MARK, kind, packing, keys, len(body), unpacked, zlib.crc32(body))
    return facts + _SUM.pack(zlib.crc32(facts)), body


def _shrinks(body: bytes) -> bool:
    """Whether packing is worth its time: values may be packed already."""
    return len(body) <= 2 * _TRIED or len(zlib.compress(body[:_TRIED], _LEVEL)) < _WORTH * _TRIED


def _records_in(frame: _Frame) -> list[Record] | None:
    """The keys of a whole frame; None where its body is not what this tool writes."""
    if frame.body is None or frame.kind != _Kind.KEYS:
        return None
    try:
        rows = decoded(_decoder, frame.body)
        printable(*{text for row in rows for text in (row.type, row.node, row.left_out)})
    except Damaged:
        return None
    if len(rows) != frame.keys:
        return None
    return [
        Record(
            KeyId(row.db, row.key, row.node),
            *(row.type, row.payload, row.expires_ms, row.idle_seconds, row.frequency, row.saved_ms, row.due_ms),
            *(row.size, row.left_out, row.element, row.end, 0, row.job),
        )
        for row in rows
    ]


def _frames(file: BinaryIO) -> Iterator[_Frame]:
    """What is no frame is passed over as one that is damaged."""
    number = 1
    length = os.fstat(file.fileno()).st_size
    offset = file.tell()
    while raw := file.read(_HEADER_BYTES):
        header = _header(raw)
        if header is None:
            end = _next_mark(file, offset + 1, length)
            # Zeros behind a crash, or a header that was cut: what was being written is no damage.
            found = _Frame(number, offset, end, 0, 1, None, whole=end < length)
        else:
            end = offset + _HEADER_BYTES + header.size
            body = _body(file, header) if end <= length else None
            whole = end <= length
            if body is None and end != length and not _begins_at(file, end):
                # Its length leads nowhere: it was cut short, and others may follow sooner.
                end = _next_mark(file, offset + 1, length)
                whole = whole or end < length
            found = _Frame(number, offset, end, header.kind, max(1, header.keys), body, whole)
        yield found
        offset, number = end, number + 1
        file.seek(offset)


def parts_of_frames(file: BinaryIO) -> Iterator[BackupPart]:
    """The frames of `file` from where it stands: one is held at a time."""
    for frame in _frames(file):
        is_end = frame.kind == _Kind.END and frame.body is not None
        records = [] if is_end else _records_in(frame)
        yield BackupPart(
            frame.number, frame.offset, [None] * frame.keys if records is None else records, is_end, frame.whole
        )


def last_frame(tail: bytes) -> tuple[End, int] | None:
    """What the end frame says that `tail`, the last bytes of a file, ends with, and how many bytes that takes."""
    place = tail.rfind(_MARK)
    header = None if place < 0 else _header(tail[place : place + _HEADER_BYTES])
    body = tail[place + _HEADER_BYTES :]
    if header is None or header.kind != _Kind.END or len(body) != header.size or zlib.crc32(body) != header.crc:
        return None
    try:
        return decoded_end(body), len(tail) - place
    except Damaged:
        return None


def _header(raw: bytes) -> _Header | None:
    """What a frame's header says; None where it is none, or says what none would."""
    if len(raw) != _HEADER_BYTES or _SUM.unpack_from(raw, _FACTS.size)[0] != zlib.crc32(raw[: _FACTS.size]):
        return None
    mark, *facts = _FACTS.unpack_from(raw)
    header = _Header(*facts)
    most = _MOST_BODY if header.packing == _Packing.PLAIN else _MOST_PACKED
    sane = mark == _MARK and header.size <= _MOST_BODY and header.unpacked <= most
    return header if sane else None


def _body(file: BinaryIO, header: _Header) -> bytes | None:
    """The body that `file` stands at, unpacked; None where it is not what was written."""
    if header.size > _MOST_PACKED and not _sum_is_right(file, header):
        return None
    body = file.read(header.size)
    if len(body) != header.size or zlib.crc32(body) != header.crc:
        return None
    if header.packing == _Packing.PLAIN:
        return body if len(body) == header.unpacked else None
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(body, header.unpacked + 1)
    except zlib.error:
        return None
    return unpacked if unpacking.eof and len(unpacked) == header.unpacked else None


def _sum_is_right(file: BinaryIO, header: _Header) -> bool:
    """Whether a body that is too large to be held unseen is whole; `file` stands at it again afterwards."""
    place, crc, left = file.tell(), 0, header.size
    while left and (chunk := file.read(min(MIB, left))):
        crc = zlib.crc32(chunk, crc)
        left -= len(chunk)
    file.seek(place)
    return not left and crc == header.crc


def _begins_at(file: BinaryIO, place: int) -> bool:
    """Whether a frame begins there."""
    file.seek(place)
    return _header(file.read(_HEADER_BYTES)) is not None


def _next_mark(file: BinaryIO, start: int, length: int) -> int:
    """Where the next frame begins, from `start` on; `length`, that of the file, where none does."""
    while start < length:
        file.seek(start)
        chunk = file.read(MIB)
        place = chunk.find(_MARK)
        while place >= 0:
            if _begins_at(file, start + place):
                return start + place
            place = chunk.find(_MARK, place + 1)
        # The mark may lie across two chunks.
        start += max(1, len(chunk) - len(_MARK) + 1)
        if len(chunk) < MIB:
            break
    return length
