"""The audit file: one JSON object a line, only ever appended, written before an action and after it.

An action is an `intent` line and, under the same id, a `result` line; a plan that runs has in between, for each batch,
a `batch` line with the exact names before anything happens to them and a `done` line with a letter per key after it.
An intent without a result is an action that was cut off: its last `batch` without a `done` is all that is in doubt.
"""

import errno
import fcntl
import itertools
import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from redis_oom_tui.files.durable import make_folder, sync_folder
from redis_oom_tui.files.reading import MIB, Line, lines, open_plain
from redis_oom_tui.formatting.sanitize import escape_exact, safe_text
from redis_oom_tui.formatting.typed import (
    Damaged,
    database,
    exact_bytes,
    flag,
    given,
    members,
    moment,
    optional,
    parse,
    row,
    several,
    taken,
    text,
    whole,
)
from redis_oom_tui.models.action import AuditEntry, RestoreOutcome
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace

LETTERS: Mapping[Outcome | RestoreOutcome, str] = {
    Outcome.DELETED: "d",
    Outcome.EXPIRING: "e",
    Outcome.GONE: "g",
    Outcome.CHANGED: "c",
    Outcome.FAILED: "f",
    Outcome.IN_DOUBT: "u",
    Outcome.NOT_ATTEMPTED: "n",
    RestoreOutcome.RESTORED: "r",
    RestoreOutcome.EXISTS: "x",
    RestoreOutcome.EXPIRED: "o",
    RestoreOutcome.CHANGED: "c",
    RestoreOutcome.FAILED: "f",
    RestoreOutcome.NOT_ATTEMPTED: "n",
}
_UNSETTLED = LETTERS[Outcome.FAILED] + LETTERS[Outcome.IN_DOUBT] + LETTERS[Outcome.NOT_ATTEMPTED]
_UNKNOWN = LETTERS[Outcome.IN_DOUBT] + LETTERS[Outcome.NOT_ATTEMPTED]
_TAIL = 32 * MIB
_LONGEST_ENTRY = MIB
_BATCH = re.compile(rb'.{0,80}"phase":"(batch|done)"', re.DOTALL)
_DB_AND_NAME = row(database, exact_bytes)


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

    `skipped` is how many lines could not be read when it was last looked through.
    """

    def __init__(self, path: Path, *, wall: Callable[[], float]) -> None:
        self.path = path
        self.skipped = 0
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
        keys = [[db, escape_exact(name)] for db, name in names]
        self._write({"phase": "batch", "id": action_id, "batch": number, "keys": keys}, sync=True)

    def done(
        self,
        action_id: str,
        number: int,
        outcomes: Sequence[Outcome | RestoreOutcome],
        details: Mapping[int, str],
    ) -> None:
        """Write down what became of the keys of a batch, in its order; it is on disk by the next line that is."""
        letters = "".join(LETTERS[outcome] for outcome in outcomes)
        line: dict[str, Any] = {"phase": "done", "id": action_id, "batch": number, "outcomes": letters}
        if details:
            line["details"] = {str(at): text for at, text in details.items()}
        self._write(line, sync=False)

    def result(self, action_id: str, *, ok: bool, result: str, **facts: Any) -> None:
        """Write down how the action ended."""
        self._write({"phase": "result", "id": action_id, "ok": ok, "result": result, **facts}, sync=True)

    def _write(self, line: Mapping[str, Any], *, sync: bool) -> None:
        data = json.dumps({"v": 1, "at": round(self._wall(), 3), **line}, separators=(",", ":")).encode() + b"\n"
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
                    os.fsync(handle)
            finally:
                os.close(handle)
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            where = safe_text(str(self.path), 200)
            raise AuditFailed(f"{where} cannot be written ({error.strerror}): choose another with --audit") from None

    def history(self, most: int = 500) -> tuple[AuditEntry, ...]:
        """The last actions, newest first; a line that cannot be read is passed over, and counted in `skipped`."""
        entries: dict[str, AuditEntry] = {}
        for line in self._lines():
            try:
                _take(line, entries)
            except Damaged:
                self.skipped += 1
        return tuple(sorted(entries.values(), key=lambda entry: entry.at, reverse=True)[:most])

    def unfinished(self, plan_hash: str) -> dict[str, set[tuple[int, bytes]]]:
        """By backup file: the keys, as (database, name), to which runs of this plan had come, without settling them."""
        found = _Unfinished(plan_hash)
        for line in self._lines(batches=True):
            try:
                found.take(line)
            except Damaged:
                self.skipped += 1
        return found.keys()

    def earlier(self, plan_hash: str) -> "EarlierRuns":
        """What runs of this plan that began before came to, as far back as the file is looked through."""
        found = EarlierRuns(plan_hash)
        try:
            tail = tail_of(self.path)
        except (OSError, BadInput):
            return found
        # A plan runs once as a rule: then nothing has to be read line by line.
        if plan_hash and plan_hash.encode() not in tail:
            return found
        for line in self._lines(batches=True):
            try:
                found.take(line)
            except Damaged:
                self.skipped += 1
        found.end()
        return found

    def _lines(self, *, batches: bool = False) -> Iterator[Mapping[str, Any]]:
        self.skipped = 0
        if not os.path.lexists(self.path):
            return
        try:
            with open_plain(self.path) as file:
                start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
                file.seek(start)
                if start:
                    # Most likely the middle of a line.
                    for _ in itertools.islice(lines(file, MIB), 1):
                        pass
                for line in lines(file, _TAIL if batches else _LONGEST_ENTRY):
                    yield from self._read(line, batches=batches)
        except (OSError, BadInput):
            self.skipped += 1

    def _read(self, line: Line, *, batches: bool) -> Iterator[Mapping[str, Any]]:
        raw = line.raw
        # Batches are the bulk of the file, and the history does not tell them; a line without an end is being written.
        if not line.whole or (raw is not None and not raw.strip()):
            return
        if not batches and _BATCH.match(raw or line.start):
            return
        try:
            if raw is None:
                raise Damaged("is too long")
            found = members(parse(raw))
            taken(found, "at", moment)
        except Damaged:
            self.skipped += 1
        else:
            yield found


class EarlierRuns:
    """The keys, as (database, name), to which runs of one plan had come: those that they deleted, and those of which
    nobody knows whether they did, as the reply was lost or the batch was cut off.
    """

    def __init__(self, plan_hash: str) -> None:
        self._plan_hash = plan_hash
        self._runs: set[str] = set()
        self._pending: dict[tuple[str, int], tuple[tuple[int, bytes], ...]] = {}
        self.deleted: set[tuple[int, bytes]] = set()
        self.in_doubt: set[tuple[int, bytes]] = set()
        self.reached: set[tuple[int, bytes]] = set()

    def take(self, line: Mapping[str, Any]) -> None:
        """Heed one line. Raises Damaged; the keys of a batch whose end cannot be read stay in doubt."""
        phase, action_id = line.get("phase"), given(line, "id", text, "")
        if phase == "intent" and line.get("plan") == self._plan_hash and line.get("action") == "delete":
            self._runs.add(action_id)
        if action_id not in self._runs or phase not in ("batch", "done"):
            return
        batch = (action_id, taken(line, "batch", whole))
        if phase == "batch":
            self._pending[batch] = taken(line, "keys", several(_DB_AND_NAME))
            self.reached.update(self._pending[batch])
        elif batch in self._pending:
            letters = taken(line, "outcomes", text)
            if len(letters) != len(self._pending[batch]):
                raise Damaged("`outcomes` is of another number of keys")
            both = list(zip(self._pending.pop(batch), letters, strict=True))
            self.deleted.update(key for key, said in both if said == LETTERS[Outcome.DELETED])
            self.in_doubt.update(key for key, said in both if said == LETTERS[Outcome.IN_DOUBT])
            self.in_doubt.difference_update(key for key, said in both if said not in _UNKNOWN)

    def end(self) -> None:
        """The last line was heeded: what is still without an end was cut off."""
        self.in_doubt.update(*self._pending.values())


class _Unfinished:
    """The keys that runs of one plan came to, as the lines of the file tell it."""

    def __init__(self, plan_hash: str) -> None:
        self._plan_hash = plan_hash
        self._backups: dict[str, str] = {}
        self._pending: dict[tuple[str, int], tuple[tuple[int, bytes], ...]] = {}

    def take(self, line: Mapping[str, Any]) -> None:
        """Heed one line. Raises Damaged; the keys of a batch whose end cannot be read stay unsettled."""
        phase, action_id = line.get("phase"), given(line, "id", text, "")
        if phase == "intent" and line.get("plan") == self._plan_hash and line.get("backup"):
            self._backups[action_id] = taken(line, "backup", text)
        if action_id not in self._backups or phase not in ("batch", "done"):
            return
        batch = (action_id, taken(line, "batch", whole))
        if phase == "batch":
            self._pending[batch] = taken(line, "keys", several(_DB_AND_NAME))
        elif batch in self._pending:
            letters = taken(line, "outcomes", text)
            if len(letters) != len(self._pending[batch]):
                raise Damaged("`outcomes` is of another number of keys")
            both = zip(self._pending[batch], letters, strict=True)
            self._pending[batch] = tuple(key for key, said in both if said in _UNSETTLED)

    def keys(self) -> dict[str, set[tuple[int, bytes]]]:
        """By backup file, those that were not settled."""
        found: dict[str, set[tuple[int, bytes]]] = {}
        for (action_id, _), keys in self._pending.items():
            found.setdefault(self._backups[action_id], set()).update(keys)
        return found


def _append(handle: int, data: bytes) -> None:
    """Write `data` behind the last whole line: after a crash in mid-line, on a line of its own."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        data = b"\n" + data
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _take(line: Mapping[str, Any], entries: dict[str, AuditEntry]) -> None:
    """Heed one line: the begin or the end of an action. Raises Damaged."""
    if line.get("phase") not in ("intent", "result"):
        return
    action_id = taken(line, "id", text)
    if line["phase"] == "intent":
        entries[action_id] = _entry(line)
    elif action_id in entries:
        entries[action_id] = _ended(entries[action_id], line)


def _shown(value: object) -> str:
    return safe_text(text(value))


def _or_nothing(value: object) -> str:
    return "" if value is None else text(value)


def _entry(line: Mapping[str, Any]) -> AuditEntry:
    at = taken(line, "at", moment)
    seconds = given(line, "reverts_in_seconds", optional(moment), None)
    return AuditEntry(
        at=at,
        id=taken(line, "id", text),
        action=given(line, "action", _shown, ""),
        server=given(line, "server", text, ""),
        who=given(line, "who", _shown, ""),
        what=given(line, "what", _shown, ""),
        undo=given(line, "backup", _or_nothing, ""),
        returns_at=None if seconds is None else at + seconds,
        plan=given(line, "plan", _or_nothing, ""),
        change=_change(given(line, "change", optional(members), None)),
    )


def _ended(entry: AuditEntry, line: Mapping[str, Any]) -> AuditEntry:
    counts = given(line, "counts", optional(members), None) or {}
    return replace(
        entry,
        ended=taken(line, "at", moment),
        result=given(line, "result", _shown, ""),
        ok=given(line, "ok", flag, False),
        counts={name: taken(counts, name, whole) for name in counts},
        undo=given(line, "backup", _or_nothing, entry.undo),
        change=_change(given(line, "change", optional(members), None)),
    )


def _change(fields: Mapping[str, Any] | None) -> ChangeResult | None:
    if fields is None:
        return None
    old, now = given(fields, "old", optional(text), None), given(fields, "now", optional(text), None)
    change = Change(taken(fields, "name", text), old, given(fields, "new", text, ""))
    return ChangeResult(change, took=given(fields, "took", flag, False), now=now)


def change_fields(result: ChangeResult) -> dict[str, Any]:
    """A change as the audit file holds it, and `history` reads it again."""
    change = result.change
    return {
        "name": change.name,
        "old": change.old,
        "new": change.new,
        "now": result.now,
        "took": result.took,
        "persisted": result.persisted,
    }
