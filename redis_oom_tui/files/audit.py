"""The audit file: one JSON object a line, only ever appended, written before an action and after it.

An action is an `intent` line and, under the same id, a `result` line; a plan that runs has in between, for each batch,
a `batch` line with the exact names before anything happens to them and a `done` line with a letter per key after it.
An intent without a result is an action that was cut off: its last `batch` without a `done` is all that is in doubt.
"""

import errno
import fcntl
import itertools
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from redis_oom_tui.files.audit_lines import LETTERS, AuditLine, EarlierRuns, UnfinishedRuns, read_line, take
from redis_oom_tui.files.disk import MIB, Line, lines, make_folder, open_plain, sync_file, sync_folder
from redis_oom_tui.formatting.sanitize import escape_all, safe_text
from redis_oom_tui.formatting.typed import Damaged, encoded
from redis_oom_tui.models.action import AuditEntry, RestoreOutcome
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Outcome

# How much of the end of the file is looked through at most, and by what steps: the last actions stand at its end.
_TAIL = 32 * MIB
_TAILS = (MIB // 2, 4 * MIB, _TAIL)
_LONGEST_ENTRY = MIB
_BATCH = re.compile(rb'.{0,80}"phase":"(batch|done)"', re.DOTALL)


class AuditFailed(TriageError):
    """The audit file cannot be written, so nothing is done."""


def state_folder() -> Path:
    """Where the tool keeps what it writes down, under the user's state directory."""
    return platformdirs.user_state_path("redis-oom-tui")


def tail_of(path: Path) -> bytes:
    """As much of the end of the log as is looked at. Raises OSError or BadInput where it cannot be read."""
    with open_plain(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return file.read(_TAIL)


class AuditFile:
    """The file at `path`, made on first use, readable by its owner alone. `wall` is the clock, in Unix seconds.

    `skipped` is how many lines could not be read when it was last looked through; `unread_before` is the time before
    which actions were left out then, None where none were.
    """

    def __init__(self, path: Path, *, wall: Callable[[], float]) -> None:
        self.path = path
        self.skipped = 0
        self.unread_before: float | None = None
        self._wall = wall

    def intent(self, action: str, *, server: str, who: str, what: str, **facts: Any) -> str:
        """Write down what is about to happen; returns the action's id. After AuditFailed nothing may happen."""
        action_id = uuid.uuid4().hex[:12]
        line = {
            "phase": "intent",
            "id": action_id,
            "action": action,
            "server": server,
            "who": who,
            "what": what,
            **facts,
        }
        self._write(line, sync=True)
        return action_id

    def batch(self, action_id: str, number: int, names: Sequence[tuple[int, bytes]]) -> None:
        """Write down the keys, as (database, name), that are acted on next."""
        keys = zip([db for db, _ in names], escape_all([name for _, name in names]), strict=True)
        self._write({"phase": "batch", "id": action_id, "batch": number, "keys": list(keys)}, sync=True)

    def done(
        self, action_id: str, number: int, outcomes: Sequence[Outcome | RestoreOutcome], details: Mapping[int, str]
    ) -> None:
        """Write down what became of the keys of a batch, in its order; it is on disk by the next line that is."""
        letters = "".join([LETTERS[outcome] for outcome in outcomes])
        line: dict[str, Any] = {"phase": "done", "id": action_id, "batch": number, "outcomes": letters}
        if details:
            line["details"] = {str(at): text for at, text in details.items()}
        self._write(line, sync=False)

    def result(self, action_id: str, *, ok: bool, result: str, **facts: Any) -> None:
        """Write down how the action ended."""
        self._write({"phase": "result", "id": action_id, "ok": ok, "result": result, **facts}, sync=True)

    def _write(self, line: Mapping[str, Any], *, sync: bool) -> None:
        data = encoded({"v": 1, "at": round(self._wall(), 3), **line}) + b"\n"
        try:
            make_folder(self.path.parent)
            is_new = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            try:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError(errno.EINVAL, "it is not a plain file")
                fcntl.flock(handle, fcntl.LOCK_EX)
                _append(handle, data)
                if sync:
                    sync_file(handle)
            finally:
                os.close(handle)
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            where = safe_text(str(self.path), 200)
            raise AuditFailed(f"{where} cannot be written ({error.strerror}): choose another with --audit") from None

    def history(self, most: int = 500, *, since: float | None = None) -> tuple[AuditEntry, ...]:
        """The last actions, newest first: so many, or with `since` all from then on, in Unix seconds.

        A line that cannot be read is passed over, and counted in `skipped`. No more is read than the end of a large
        file: `unread_before` tells it.
        """
        entries: dict[str, AuditEntry] = {}
        for tail in _TAILS:
            entries.clear()
            for line in self._lines(tail=tail):
                take(line, entries)
            whole = self._size() <= tail
            early = len(entries) >= most if since is None else any(entry.at < since for entry in entries.values())
            if whole or early:
                break
        # Of two in one millisecond, the one that stands later in the file is the newer one.
        found = list(reversed(entries.values()))
        found.sort(key=lambda entry: entry.at, reverse=True)
        kept = found[:most] if since is None else [entry for entry in found if entry.at >= since]
        left_out = (len(found) > len(kept) or not whole) if since is None else not (whole or early)
        self.unread_before = (kept[-1].at if kept else self._wall()) if left_out else None
        return tuple(kept)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def unfinished(self, plan_hash: str) -> dict[str, set[tuple[int, bytes]]]:
        """By backup file: the keys, as (database, name), to which runs of this plan had come, without settling them."""
        found = UnfinishedRuns(plan_hash)
        self._give(found)
        return found.keys()

    def earlier(self, plan_hash: str) -> EarlierRuns:
        """What runs of this plan that began before came to, as far back as the file is looked through."""
        found = EarlierRuns(plan_hash)
        try:
            tail = tail_of(self.path)
        except (OSError, BadInput):
            return found
        # A plan runs once as a rule: then nothing has to be read line by line.
        if plan_hash and plan_hash.encode() not in tail:
            return found
        self._give(found)
        found.end()
        return found

    def _give(self, runs: EarlierRuns | UnfinishedRuns) -> None:
        for line in self._lines(batches=True):
            try:
                runs.take(line)
            except Damaged:
                self.skipped += 1

    def _lines(self, *, batches: bool = False, tail: int = _TAIL) -> Iterator[AuditLine]:
        self.skipped = 0
        if not os.path.lexists(self.path):
            return
        try:
            with open_plain(self.path) as file:
                start = max(0, file.seek(0, os.SEEK_END) - tail)
                file.seek(start)
                if start:
                    # Most likely the middle of a line.
                    for _ in itertools.islice(lines(file, MIB), 1):
                        pass
                for line in lines(file, _TAIL if batches else _LONGEST_ENTRY):
                    yield from self._read(line, batches=batches)
        except (OSError, BadInput):
            self.skipped += 1

    def _read(self, line: Line, *, batches: bool) -> Iterator[AuditLine]:
        raw = line.raw
        # Batches are the bulk of the file, and the history does not tell them; a line without an end is being written.
        if not line.whole or (raw is not None and not raw.strip()):
            return
        if not batches and _BATCH.match(raw or line.start):
            return
        try:
            if raw is None:
                raise Damaged("is too long")
            found = read_line(raw)
        except Damaged:
            self.skipped += 1
        else:
            yield found


def _append(handle: int, data: bytes) -> None:
    """Write `data` behind the last whole line: after a crash in mid-line, on a line of its own."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        data = b"\n" + data
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
