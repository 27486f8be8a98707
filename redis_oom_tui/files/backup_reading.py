"""Reading backups: what a file says of itself, its keys, and whether it is still what was written."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET

from redis_oom_tui.files.backup_lines import (
    END,
    FORMAT,
    SERVER_CLOCK,
    SUM,
    SUM_DIGITS,
    End,
    Head,
    Record,
    parse_end,
    parse_record,
)
from redis_oom_tui.files.disk import LONGEST_LINE, MIB, Line, cannot_be_read, iter_chunks, lines, open_plain, shown
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.formatting.typed import Damaged, converted, decoded
from redis_oom_tui.models.action import Backup, BackupInspection
from redis_oom_tui.models.errors import BadInput

_LONGEST_HEAD = 65536
_LONGEST_END = 512
# A value may have 512 MB, a third more in base64.
_LONGEST_RECORD = 1024 * MIB
# What is damaged in these is not guessed.
_AS_IT_STANDS = ("format", "deed", "clock", "clock_skew_seconds", "node_skew_seconds")
# What the first line may lack in a damaged backup, as it only says where the file is from.
_UNKNOWN = {"made_at": 0, "server": "?", "flavour": "?", "version": "?", "keys": 0, "bytes": None}
_any_decoder = msgspec.json.Decoder(dict[str, Any])


class DamagedHead(BadInput):
    """A backup whose first line does not say what it should."""


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
        operation=head.operation.value,
        held_bytes=held_bytes,
        left_out_keys=0 if end is None else end.left_out,
        restored_bytes=None if end is None else end.restored_bytes,
        expiring_keys=None if end is None else end.expiring,
        whole=end is not None,
        server_clock=head.clock == SERVER_CLOCK,
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
        return parse_end(raw[place:]), start + place
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
                    record = None if raw is None else parse_record(raw)
                except Damaged:
                    record = None
                if record is not END:
                    yield line, record
    except OSError as error:
        raise cannot_be_read(path, error) from None


def records_backward(path: Path, *, damaged_ok: bool = False) -> Iterator[Record | None]:
    """As `read_records`, the last first, each with its place in the file as `outside`."""
    places = [line for line, _ in numbered_records(path, damaged_ok=damaged_ok)]
    with open_plain(path) as file:
        for index, line in reversed(list(enumerate(places))):
            try:
                raw = (
                    os.pread(file.fileno(), line.size, line.offset) if line.raw is not None else _long_line(file, line)
                )
                yield None if raw is None else parse_record(raw)._replace(outside=index)
            except Damaged:
                yield None
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


def backups(folder: Path, *others: Path) -> tuple[Backup, ...]:
    """The backups in `folder` and those of `others`, newest first; files that are none are passed over."""
    found = []
    for path in {*folder.glob("*.jsonl"), *others}:
        try:
            found.append(read_head(path, damaged_ok=True))
        except BadInput:
            continue
    return tuple(sorted(found, key=lambda backup: backup.made_at, reverse=True))


_CUT = "its run was interrupted, or the file was cut: keys may be missing from it"


def inspect(path: Path) -> BackupInspection:
    """Read the whole file at `path`, holding little of it. Raises BadInput where it is no backup."""
    try:
        with open_plain(path) as file:
            found = end_of(file)
            if found is None:
                return _line_by_line(path, None, altered=False)
            end, offset = found
            file.seek(0)
            digest, breaks = hashlib.sha256(), 0
            for chunk in iter_chunks(file, offset):
                digest.update(chunk)
                breaks += chunk.count(b"\n")
    except OSError as error:
        raise cannot_be_read(path, error) from None
    same = end.sha256 in (None, digest.hexdigest())
    # The first line is no key; files of old count what was left out nowhere.
    if same and breaks == 1 + end.keys + end.left_out:
        return BackupInspection(str(path), end.keys, end.left_out, end.keys)
    return _line_by_line(path, end, altered=not same)


def must_be_whole(inspection: BackupInspection, *, damaged_ok: bool = False) -> None:
    """Raise BadInput for a damaged backup, unless that is `damaged_ok`."""
    if inspection.damaged and not damaged_ok:
        raise BadInput(f"{inspection.note} Nothing was restored: --damaged-ok restores the keys that can be read")


def _line_by_line(path: Path, end: End | None, *, altered: bool) -> BackupInspection:
    keys = left_out = 0
    bad = [] if _has_good_head(path) else [1]
    before, behind = 1, 0
    for line, record in numbered_records(path, damaged_ok=True):
        # Only the last line of a run is skipped: the run wrote nothing that follows it.
        if line.number > before + 1 and not behind:
            behind = line.number
        before = line.number
        if record is None:
            # In a file without an end, the line that was being written is no damage.
            if end is not None or line.whole:
                bad.append(line.number)
        elif record.left_out:
            left_out += 1
        else:
            keys += 1
    expected = None if end is None else end.keys
    damaged = altered or bool(bad or behind) or (expected is not None and keys != expected)
    note = _note(path, keys, expected, bad, behind) if damaged else ""
    if not note and end is None:
        note = f"{shown(path)} has no last line, as {_CUT}."
    return BackupInspection(str(path), keys, left_out, expected, damaged, note)


def _has_good_head(path: Path) -> bool:
    try:
        read_head(path)
    except DamagedHead:
        return False
    return True


def _note(path: Path, keys: int, expected: int | None, bad: list[int], behind: int) -> str:
    reason = "its content is not what was written"
    if behind:
        reason = f"something follows its last line (in line {behind})"
    elif bad:
        more = f" (and {count(len(bad) - 1)} more)" if len(bad) > 1 else ""
        reason = f"line {bad[0]} cannot be read{more}"
    held = f"{number_of_keys(keys)} can be read"
    if expected is not None and expected != keys:
        held = f"{count(keys)} of {number_of_keys(expected)} can be read"
    return f"{shown(path)} is damaged, as {reason}: {held}."
