"""The frames of a backup file, behind its first line: keys as MessagePack, packed with zlib, each with checksums.

A frame is a header and a body. The header: the mark of this file, what the body is and how it is packed, how many keys
it holds, its length in the file and unpacked, the CRC-32 of the body as it stands in the file, and that of the header
itself. So a frame that is damaged costs its own keys alone: those behind it are found by its length, or, where its
header is damaged, by their mark. The mark is random, so that a value that holds the bytes of a frame is never taken for
one; the first line says it. Files of before it was have four bytes that are in no MessagePack instead. The first frame
is a copy of the file's first line, so that damage to that line costs no key. The last frame is of JSON: the counts, and
the SHA-256 of all that stands before it. A file without that one was cut off, and all whole frames still count.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Annotated, BinaryIO, NamedTuple

import msgspec
from msgspec import Meta

from redis_oom_tui.files.backup_lines import BackupPart, End, Record, decoded_end
from redis_oom_tui.files.disk import LONGEST_LINE, MIB
from redis_oom_tui.formatting.typed import Damaged, decoded, encoded, printable
from redis_oom_tui.models.action import LARGEST_COPY

# What a mark begins with, and how many random bytes follow.
_MARK = b"\xc1RO\xc1"
_RANDOM = 8
_LINE_BEGINS = b'{"format":"redis-oom-tui backup'
_FACTS = struct.Struct("<BBHIII")
_SUM = struct.Struct("<I")
_BEHIND_MARK = _FACTS.size + _SUM.size
# A frame ends with the key that makes it as large as this, or with so many keys: damage costs no more than they.
_FULL_BYTES, _FULL_KEYS = 64 * 1024, 250
_MOST_KEYS = 2**16 - 1
# What is packed is held whole twice; a larger value stands as it is, and is read only where its checksum is right.
_MOST_PACKED = LONGEST_LINE
# A header has 32 bits for it, and what is larger than is held unseen is held only where its checksum is right.
_MOST_BODY = LARGEST_COPY + MIB
# What is smaller gains nothing. Behind a frame that did not, the beginning of the next one tells whether it would.
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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Annotated[list[Record], Meta(max_length=_MOST_KEYS)])


class TooLargeForFrame(ValueError):
    """A key is larger than a frame can be."""


def new_mark() -> bytes:
    """What makes the frames of a new file its own, for its first line."""
    return os.urandom(_RANDOM)


class FrameMaker:
    """Makes the frames of one file, each with its `mark`."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._shrank = True

    def frames_of(self, records: Sequence[Record]) -> Iterator[bytes]:
        """The frames that hold `records`, in parts to be written one after the other. Raises TooLargeForFrame."""
        first = held = 0
        for number, record in enumerate(records, 1):
            held += _bytes_of(record)
            if held >= _FULL_BYTES or number - first >= _FULL_KEYS or number == len(records):
                if held > LARGEST_COPY:
                    raise TooLargeForFrame
                body = _encoder.encode(records[first:number])
                yield from _frame(self._mark, _Kind.KEYS, number - first, body, self._packed(body))
                first, held = number, 0

    def _packed(self, body: bytes) -> bytes | None:
        """`body` packed; None where that gains nothing, as of values that are packed already."""
        if not _FEWEST_PACKED <= len(body) <= _MOST_PACKED:
            return None
        if not self._shrank and len(body) > 2 * _TRIED and len(zlib.compress(body[:_TRIED], _LEVEL)) >= _WORTH * _TRIED:
            return None
        packed = zlib.compress(body, _LEVEL)
        self._shrank = len(packed) < _WORTH * len(body)
        return packed if self._shrank else None


def _bytes_of(record: Record) -> int:
    """What is large of a record."""
    held = len(record.key)
    if record.payload is not None:
        held += len(record.payload)
    if record.element is not None:
        held += sum(map(len, record.element))
    if record.job is not None:
        held += sum(len(copy) for _, _, copy, _ in record.job.keys)
    return held


def head_frame(line: bytes, mark: bytes) -> bytes:
    """The frame that repeats the file's first line, and stands behind it."""
    return b"".join(_frame(mark, _Kind.HEAD, 0, line))


def copied_head(file: BinaryIO) -> bytes | None:
    """The copy of the first line of `file`, which then stands behind it; None where there is no whole one.

    It stands as far behind the file's beginning as it is long, or behind a line that begins as the first one does: what
    a value holds is not taken for it.
    """
    file.seek(0)
    raw = file.read(_LONGEST_START)
    place = raw.find(_MARK)
    behind, begins = place + len(_MARK), raw.startswith(_LINE_BEGINS)
    for mark in (raw[behind : behind + _RANDOM], b"") if place >= 0 else ():
        body = behind + len(mark) + _BEHIND_MARK
        header = _header(raw[place:body], mark)
        if header is not None and header.kind == _Kind.HEAD and (header.size == place or begins):
            file.seek(body)
            return _body(file, header)
    return None


def end_frame(end: End, mark: bytes) -> bytes:
    """The frame that tells that the backup is whole."""
    return b"".join(_frame(mark, _Kind.END, 0, encoded(end)))


def _frame(mark: bytes, kind: _Kind, keys: int, body: bytes, packed: bytes | None = None) -> tuple[bytes, bytes]:
    packing, written = (_Packing.PLAIN, body) if packed is None else (_Packing.ZLIB, packed)
    header = _MARK + mark + _FACTS.pack(kind, packing, keys, len(written), len(body), zlib.crc32(written))
    return header + _SUM.pack(zlib.crc32(header)), written


def _records_in(frame: _Frame) -> list[Record] | None:
    """The keys of a whole frame; None where its body is not what this tool writes."""
    if frame.body is None or frame.kind != _Kind.KEYS:
        return None
    try:
        records = decoded(_decoder, frame.body)
        printable(*{text for record in records for text in (record.type, record.node, record.left_out)})
    except Damaged:
        return None
    return records if len(records) == frame.keys else None


def _frames(file: BinaryIO, mark: bytes) -> Iterator[_Frame]:
    """What is no frame is passed over as one that is damaged."""
    number = 1
    header_bytes = _header_bytes(mark)
    length = os.fstat(file.fileno()).st_size
    offset = file.tell()
    while raw := file.read(header_bytes):
        header = _header(raw, mark)
        if header is None:
            end = _next_frame(file, mark, offset + 1, length)
            # Zeros behind a crash, or a header that was cut: what was being written is no damage.
            found = _Frame(number, offset, end, 0, 1, None, whole=end < length)
        else:
            end = offset + header_bytes + header.size
            body = _body(file, header) if end <= length else None
            whole = end <= length
            if body is None and end != length and not _begins_at(file, mark, end):
                # Its length leads nowhere: it was cut short, and others may follow sooner.
                end = _next_frame(file, mark, offset + 1, length)
                whole = whole or end < length
            found = _Frame(number, offset, end, header.kind, max(1, header.keys), body, whole)
        yield found
        offset, number = end, number + 1
        file.seek(offset)


def parts_of_frames(file: BinaryIO, mark: bytes) -> Iterator[BackupPart]:
    """The frames of `file` from where it stands, if they have its `mark`: one is held at a time."""
    for frame in _frames(file, mark):
        is_end = frame.kind == _Kind.END and frame.body is not None
        records = [] if is_end else _records_in(frame)
        yield BackupPart(
            frame.number, frame.offset, [None] * frame.keys if records is None else records, is_end, frame.whole
        )


def last_frame(tail: bytes, mark: bytes) -> tuple[End, int] | None:
    """What the end frame says that `tail`, the last bytes of a file, ends with, and how many bytes that takes."""
    place, header_bytes = tail.rfind(_MARK + mark), _header_bytes(mark)
    header = None if place < 0 else _header(tail[place : place + header_bytes], mark)
    body = tail[place + header_bytes :]
    if header is None or header.kind != _Kind.END or len(body) != header.size or zlib.crc32(body) != header.crc:
        return None
    try:
        return decoded_end(body), len(tail) - place
    except Damaged:
        return None


def _header_bytes(mark: bytes) -> int:
    return len(_MARK) + len(mark) + _BEHIND_MARK


def _header(raw: bytes, mark: bytes) -> _Header | None:
    """What a frame's header says; None where it is none, or says what none would."""
    begin = _MARK + mark
    if len(raw) != _header_bytes(mark) or not raw.startswith(begin):
        return None
    if _SUM.unpack_from(raw, len(raw) - _SUM.size)[0] != zlib.crc32(raw[: -_SUM.size]):
        return None
    header = _Header(*_FACTS.unpack_from(raw, len(begin)))
    most = _MOST_BODY if header.packing == _Packing.PLAIN else _MOST_PACKED
    return header if header.size <= _MOST_BODY and header.unpacked <= most else None


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


def _begins_at(file: BinaryIO, mark: bytes, place: int) -> bool:
    """Whether a frame begins there."""
    file.seek(place)
    return _header(file.read(_header_bytes(mark)), mark) is not None


def _next_frame(file: BinaryIO, mark: bytes, start: int, length: int) -> int:
    """Where the next frame begins, from `start` on; `length`, that of the file, where none does."""
    begin = _MARK + mark
    while start < length:
        file.seek(start)
        chunk = file.read(MIB)
        place = chunk.find(begin)
        while place >= 0:
            if _begins_at(file, mark, start + place):
                return start + place
            place = chunk.find(begin, place + 1)
        # The mark may lie across two chunks.
        start += max(1, len(chunk) - len(begin) + 1)
        if len(chunk) < MIB:
            break
    return length
