"""Reading backups: what a file says of itself, its keys, and whether it is still what was written."""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import msgspec
from msgspec import UNSET

from redis_oom_tui.files.backup import ENDING
from redis_oom_tui.files.backup_frames import copied_head, last_frame, parts_of_frames
from redis_oom_tui.files.backup_lines import (
    FORMAT,
    FORMAT_OF_LINES,
    SERVER_CLOCK,
    BackupPart,
    End,
    Head,
    Record,
    packed,
    parse_end,
    parts_of_lines,
    record_line,
)
from redis_oom_tui.files.disk import (
    cannot_be_read,
    identity,
    is_being_written,
    iter_chunks,
    open_plain,
    open_same,
    shown,
)
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.formatting.typed import Damaged, converted, decoded
from redis_oom_tui.models.action import Backup, BackupInspection
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.restoring import number_restored

_LONGEST_HEAD = 65536
_LONGEST_END = 512
# What is damaged in these is not guessed.
_AS_IT_STANDS = ("format", "deed", "clock", "clock_skew_seconds", "node_skew_seconds", "mark")
# What the first line may lack in a damaged backup, as it only says where the file is from.
_UNKNOWN: dict[str, Any] = {"made_at": 0, "keys": 0} | dict.fromkeys(("server", "flavour", "version"), "?")
_UNKNOWN |= dict.fromkeys(("bytes", "elements", "run_id"))
_ENDINGS = (ENDING, ".jsonl")
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
            head = _head(path, file)
            end = _end_of(file, head)
            same = identity(file)
        except OSError as error:
            raise cannot_be_read(path, error) from None
    return _backup(path, _checked(path, head, damaged_ok=damaged_ok), None if end is None else end[0], same)


def _checked(path: Path, head: Mapping[str, Any], *, damaged_ok: bool) -> Head:
    try:
        return converted(_known(head) if damaged_ok else head, Head)
    except Damaged as error:
        raise DamagedHead(f"{shown(path)}, line 1: {error}: the backup is damaged") from None


def _readable(path: Path, head: Mapping[str, Any]) -> Head:
    """What can be read of the first line."""
    try:
        return _checked(path, head, damaged_ok=False)
    except DamagedHead:
        return _checked(path, head, damaged_ok=True)


def _head(path: Path, file: BinaryIO) -> dict[str, Any]:
    """The first line of the backup that `file` begins with, or its copy. Raises BadInput where it is none."""
    line, place = file.readline(_LONGEST_HEAD), file.tell()
    copy = copied_head(file)
    if copy is None:
        file.seek(place)
    with contextlib.suppress(Damaged):
        head = decoded(_any_decoder, line if copy is None else copy)
        if head.get("format") in (FORMAT, FORMAT_OF_LINES):
            return head
    raise BadInput(f"{shown(path)} is not a backup that this tool wrote")


def _known(head: Mapping[str, Any]) -> dict[str, Any]:
    """`head` with what is missing or damaged in it as unknown; what was done to the keys is never guessed."""
    known = {name: head[name] for name in _AS_IT_STANDS if name in head} | _UNKNOWN
    types = {field.name: field.type for field in msgspec.structs.fields(Head)}
    for name in _UNKNOWN.keys() & head.keys():
        with contextlib.suppress(Damaged):
            known[name] = converted(head[name], types[name])
    return known


def _backup(path: Path, head: Head, end: End | None, same: tuple[int, ...]) -> Backup:
    # What was planned, until the end tells what came of it.
    held_bytes = head.bytes if end is None or end.bytes is UNSET else end.bytes
    return Backup(
        path=str(path),
        made_at=head.made_at,
        server=safe_text(head.server),
        flavour=safe_text(head.flavour),
        version=safe_text(head.version),
        keys=head.keys if end is None else end.keys,
        size=same[2],
        operation=head.operation.value,
        held_bytes=held_bytes,
        left_out_keys=0 if end is None else end.left_out,
        restored_bytes=None if end is None else end.restored_bytes,
        expiring_keys=None if end is None else end.expiring,
        whole=end is not None,
        server_clock=head.clock == SERVER_CLOCK,
        clock_skew_seconds=head.clock_skew_seconds,
        node_skew_seconds=MappingProxyType(head.node_skew_seconds),
        elements=head.elements,
        run_id=head.run_id,
        identity=same,
    )


def _end_of(file: BinaryIO, head: Mapping[str, Any]) -> tuple[End, int] | None:
    """The end of a file that is whole, and where it begins; None where it was cut off, or the end is damaged."""
    length = os.fstat(file.fileno()).st_size
    start = max(0, length - _LONGEST_END)
    file.seek(start)
    raw = file.read(_LONGEST_END)
    if head["format"] == FORMAT:
        found = last_frame(raw, _mark(head))
        return None if found is None else (found[0], length - found[1])
    place = raw.rfind(b"\n", 0, -1) + 1
    try:
        return parse_end(raw[place:]), start + place
    except Damaged:
        return None


def read_records(path: Path, *, damaged_ok: bool = False, same: tuple[int, ...] = ()) -> Iterator[Record | None]:
    """The keys in the file, in order; None for one that is damaged. Raises BadInput as `read_head`, and where it is not
    the file that was the `same` before (`Backup.identity`).

    What was being written when the file was cut off is none of them: nothing was deleted before it was whole on disk.
    """
    parts = read_parts(path, damaged_ok=damaged_ok, same=same)
    return (record for part in parts if _counts(part) for record in part.records)


def _counts(part: BackupPart) -> bool:
    return part.whole or any(record is not None for record in part.records)


def read_parts(path: Path, *, damaged_ok: bool = False, same: tuple[int, ...] = ()) -> Iterator[BackupPart]:
    """As `read_records`, by frames or lines, the end among them: what is held at once is one of them."""
    try:
        with open_same(path, same) as file:
            head = _head(path, file)
            _checked(path, head, damaged_ok=damaged_ok)
            yield from _parts(file, head)
    except OSError as error:
        raise cannot_be_read(path, error) from None


def records_backward(path: Path, *, damaged_ok: bool = False, same: tuple[int, ...] = ()) -> Iterator[Record | None]:
    """As `read_records`, the last first, each with its place in the file as `outside`."""
    places, index = [], 0
    try:
        with open_same(path, same) as file:
            head = _head(path, file)
            _checked(path, head, damaged_ok=damaged_ok)
            for part in filter(_counts, _parts(file, head)):
                places.append((part.offset, index, len(part.records)))
                index += len(part.records)
            for offset, index, number in reversed(places):
                file.seek(offset)
                # The file may have been cut since.
                part = next(_parts(file, head), BackupPart(0, offset, ()))
                records = part.records if len(part.records) == number else [None] * number
                for place, record in reversed(list(enumerate(records, index))):
                    yield None if record is None else replace(record, outside=place)
    except OSError as error:
        raise cannot_be_read(path, error) from None


def _parts(file: BinaryIO, head: Mapping[str, Any]) -> Iterator[BackupPart]:
    """What stands from where `file` stands."""
    return parts_of_frames(file, _mark(head)) if head["format"] == FORMAT else parts_of_lines(file)


def _mark(head: Mapping[str, Any]) -> bytes:
    """What the file's frames have in their headers, as its first line says; nothing in earlier files."""
    try:
        return bytes.fromhex(str(head.get("mark", "")))
    except ValueError:
        return b""


def as_lines(path: Path) -> Iterator[bytes]:
    """The backup as lines of JSON that people can read, whole as a backup of its own: what is damaged is left out.

    Raises BadInput as `read_head`.
    """
    with open_plain(path) as file:
        try:
            head = _head(path, file)
            found = _end_of(file, head)
        except OSError as error:
            raise cannot_be_read(path, error) from None
    digest = hashlib.sha256()
    first = _readable(path, head)
    first.format, first.mark = FORMAT_OF_LINES, UNSET
    records = (record_line(record) for record in read_records(path, damaged_ok=True) if record is not None)
    for line in itertools.chain([packed(first)], records):
        digest.update(line)
        yield line
    if found is not None:
        end, _ = found
        end.sha256 = digest.hexdigest()
        yield packed(end)


def backups(folder: Path, *others: Path) -> tuple[Backup, ...]:
    """The backups in `folder` and those of `others`, newest first; files that are none are passed over."""
    found = []
    listed = {path for ending in _ENDINGS for path in folder.glob(f"*{ending}")}
    for path in listed.union(others):
        try:
            found.append(read_head(path, damaged_ok=True))
        except BadInput:
            continue
    return tuple(sorted(found, key=lambda backup: backup.made_at, reverse=True))


_CUT = "its run was interrupted, or the file was cut: keys may be missing from it"


def inspect(path: Path, *, running_ok: bool = False, same: tuple[int, ...] = ()) -> BackupInspection:
    """Read the whole file at `path`, holding little of it. Raises BadInput where it is none, where it is not the `same`
    as before, and where its run still writes it unless that is `running_ok`.
    """
    try:
        with open_same(path, same) as file:
            head = _head(path, file)
            found = _end_of(file, head)
            if found is None and not running_ok and is_being_written(file):
                raise BadInput(f"{shown(path)} is still being written: restore it once its run has ended")
            backup = _backup(path, _readable(path, head), None if found is None else found[0], identity(file))
            if found is None:
                return _part_by_part(backup, head, None, altered=False)
            end, offset = found
            file.seek(0)
            digest, breaks = hashlib.sha256(), 0
            for chunk in iter_chunks(file, offset):
                digest.update(chunk)
                breaks += chunk.count(b"\n")
    except OSError as error:
        raise cannot_be_read(path, error) from None
    unaltered = end.sha256 in (None, digest.hexdigest())
    # The first line is no key; files of old count what was left out nowhere, and the first had no digest.
    counted = head["format"] == FORMAT or breaks == 1 + end.keys + end.left_out
    if unaltered and counted:
        return BackupInspection(backup, end.keys, end.left_out, end.keys)
    return _part_by_part(backup, head, end, altered=not unaltered)


def must_be_whole(inspection: BackupInspection, *, damaged_ok: bool = False) -> None:
    """Raise BadInput for a damaged backup, unless that is `damaged_ok`."""
    if inspection.damaged and not damaged_ok:
        raise BadInput(f"{inspection.note} Nothing was restored: --damaged-ok restores the keys that can be read")


def _part_by_part(backup: Backup, head: Mapping[str, Any], end: End | None, *, altered: bool) -> BackupInspection:
    path, keys, left_out = Path(backup.path), 0, 0
    bad = [] if _has_good_head(path) else ["line 1"]
    behind, ended = "", False
    # One without an end may grow.
    for part in read_parts(path, damaged_ok=True, same=backup.identity if end is not None else ()):
        if part.end:
            ended = True
            continue
        name = _part_name(head, part)
        if ended and not behind:
            behind = name
        # In a file without an end, what was being written is no damage.
        if None in part.records and (end is not None or part.whole):
            bad.append(name)
        left_out += sum(1 for record in part.records if record is not None and record.left_out)
        keys += sum(1 for record in part.records if record is not None and not record.left_out)
    expected = None if end is None else end.keys
    damaged = altered or bool(bad or behind) or (expected is not None and keys != expected)
    note = _note(path, keys, expected, bad, behind) if damaged else ""
    if not note and end is None:
        note = f"{shown(path)} has no end, as {_CUT}; {_of_plan(backup, keys)}."
    return BackupInspection(backup, keys, left_out, expected, damaged, note)


def _of_plan(backup: Backup, readable: int) -> str:
    """How many of the keys that were planned, where its first line tells, can be read in a file without an end."""
    if not backup.keys:
        return f"{number_restored(backup.operation, readable)} can be read"
    planned = number_restored(backup.operation, backup.keys)
    return f"{count(readable) if readable else 'none'} of the {planned} of its plan can be read"


def _part_name(head: Mapping[str, Any], part: BackupPart) -> str:
    return f"frame {part.number} at byte {part.offset}" if head["format"] == FORMAT else f"line {part.number}"


def _has_good_head(path: Path) -> bool:
    with open_plain(path) as file:
        line = file.readline(_LONGEST_HEAD)
        copy = copied_head(file)
    try:
        read_head(path)
    except DamagedHead:
        return False
    return copy in (None, line)


def _note(path: Path, keys: int, expected: int | None, bad: list[str], behind: str) -> str:
    reason = "its content is not what was written"
    if behind:
        reason = f"something follows its end (in {behind})"
    elif bad:
        more = f" (and {count(len(bad) - 1)} more)" if len(bad) > 1 else ""
        reason = f"{bad[0]} cannot be read{more}"
    held = f"{number_of_keys(keys)} can be read"
    if expected is not None and expected != keys:
        held = f"{count(keys)} of {number_of_keys(expected)} can be read"
    return f"{shown(path)} is damaged, as {reason}: {held}."
