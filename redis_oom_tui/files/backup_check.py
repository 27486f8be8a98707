"""Whether a backup is still what was written: its lines counted and its content hashed, before anything is restored."""

import hashlib
from pathlib import Path

from redis_oom_tui.files.backup import DamagedHead, end_of, numbered_records, read_head
from redis_oom_tui.files.backup_lines import End
from redis_oom_tui.files.reading import cannot_be_read, iter_chunks, open_plain, shown
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.models.action import BackupInspection
from redis_oom_tui.models.errors import BadInput

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
