"""The audit file: one JSON object a line, only ever appended, written before an action and after it.

An action is an `intent` line and, under the same id, a `result` line; a plan that runs has in between, for each batch,
a `batch` line with the exact names before anything happens to them and a `done` line with a letter per key after it.
An intent without a result is an action that was cut off: its last `batch` without a `done` is all that is in doubt.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from redis_oom_tui.models.action import AuditEntry, RestoreOutcome
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.words.hostile import exact, from_exact, safe_text

LETTERS: Mapping[Outcome | RestoreOutcome, str] = {
    Outcome.DELETED: "d",
    Outcome.EXPIRING: "e",
    Outcome.GONE: "g",
    Outcome.CHANGED: "c",
    Outcome.FAILED: "f",
    Outcome.NOT_ATTEMPTED: "n",
    RestoreOutcome.RESTORED: "r",
    RestoreOutcome.EXISTS: "x",
    RestoreOutcome.EXPIRED: "o",
    RestoreOutcome.CHANGED: "c",
    RestoreOutcome.FAILED: "f",
    RestoreOutcome.NOT_ATTEMPTED: "n",
}
_UNSETTLED = LETTERS[Outcome.FAILED] + LETTERS[Outcome.NOT_ATTEMPTED]
_TAIL = 32 * 1024 * 1024


class AuditFailed(TriageError):
    """The audit file cannot be written, so nothing is done."""


def state_folder() -> Path:
    """Where the tool keeps what it writes down, under the user's state directory."""
    return platformdirs.user_state_path("redis-oom-tui")


class AuditFile:
    """The file at `path`, made on first use, readable by its owner alone. `wall` is the clock, in Unix seconds."""

    def __init__(self, path: Path, *, wall: Callable[[], float]) -> None:
        self.path = path
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
        keys = [[db, exact(name)] for db, name in names]
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
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                _append(handle, data)
                if sync:
                    os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            where = safe_text(str(self.path), 200)
            raise AuditFailed(f"{where} cannot be written ({error.strerror}): choose another with --audit") from None

    def history(self, most: int = 500) -> tuple[AuditEntry, ...]:
        """The last actions, newest first; a line that was cut off or is not ours is passed over."""
        entries: dict[str, AuditEntry] = {}
        for line in self._lines():
            action_id = str(line.get("id", ""))
            if line.get("phase") == "intent":
                entries[action_id] = _entry(line)
            elif line.get("phase") == "result" and action_id in entries:
                entries[action_id] = _ended(entries[action_id], line)
        return tuple(sorted(entries.values(), key=lambda entry: entry.at, reverse=True)[:most])

    def unfinished(self, plan_hash: str) -> dict[str, set[tuple[int, bytes]]]:
        """By backup file: the keys, as (database, name), to which runs of this plan had come, without settling them."""
        backups: dict[str, str] = {}
        pending: dict[tuple[str, int], list[tuple[int, bytes]]] = {}
        for line in self._lines(batches=True):
            action_id, batch = str(line.get("id")), (str(line.get("id")), int(line.get("batch", 0)))
            if line.get("phase") == "intent" and line.get("plan") == plan_hash and line.get("backup"):
                backups[action_id] = str(line["backup"])
            elif action_id in backups and line.get("phase") == "batch":
                pending[batch] = [(db, from_exact(name)) for db, name in line["keys"]]
            elif batch in pending and line.get("phase") == "done":
                letters = str(line["outcomes"])
                pending[batch] = [key for key, said in zip(pending[batch], letters, strict=True) if said in _UNSETTLED]
        found: dict[str, set[tuple[int, bytes]]] = {}
        for (action_id, _), keys in pending.items():
            found.setdefault(backups[action_id], set()).update(keys)
        return found

    def _lines(self, *, batches: bool = False) -> Iterator[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                for raw in file:
                    # Batches are the bulk of the file, and the history does not tell them.
                    if not batches and (b'"phase":"batch"' in raw[:80] or b'"phase":"done"' in raw[:80]):
                        continue
                    try:
                        line = json.loads(raw)
                    except ValueError:
                        continue
                    if isinstance(line, dict) and isinstance(line.get("at"), int | float):
                        yield line
        except OSError:
            return


def _append(handle: int, data: bytes) -> None:
    """Write `data` behind the last whole line: after a crash in mid-line, on a line of its own."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        data = b"\n" + data
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _entry(line: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        at=line["at"],
        id=str(line["id"]),
        action=str(line.get("action", "")),
        server=str(line.get("server", "")),
        who=str(line.get("who", "")),
        what=str(line.get("what", "")),
        undo=str(line.get("backup") or ""),
        returns_at=_returns_at(line),
        plan=str(line.get("plan") or ""),
    )


def _returns_at(line: Mapping[str, Any]) -> float | None:
    seconds = line.get("reverts_in_seconds")
    return line["at"] + seconds if isinstance(seconds, int | float) else None


def _ended(entry: AuditEntry, line: Mapping[str, Any]) -> AuditEntry:
    counts = line.get("counts")
    return AuditEntry(
        at=entry.at,
        id=entry.id,
        action=entry.action,
        server=entry.server,
        who=entry.who,
        what=entry.what,
        ended=line["at"],
        result=str(line.get("result", "")),
        ok=bool(line.get("ok")),
        counts={str(name): int(n) for name, n in counts.items()} if isinstance(counts, dict) else {},
        undo=str(line["backup"] or "") if "backup" in line else entry.undo,
        change=_change(line.get("change")),
        returns_at=entry.returns_at,
        plan=entry.plan,
    )


def _change(fields: object) -> ChangeResult | None:
    if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
        return None
    old, now = fields.get("old"), fields.get("now")
    change = Change(fields["name"], None if old is None else str(old), str(fields.get("new", "")))
    return ChangeResult(change, took=bool(fields.get("took")), now=None if now is None else str(now))


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
