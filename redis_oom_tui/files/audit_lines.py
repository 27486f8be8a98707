"""The lines of the audit file, and what they tell of the runs of one plan."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.typed import Damaged, Database, UnixTime, Whole, decoded, exact_bytes
from redis_oom_tui.models.action import AuditEntry, RestoreOutcome
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
    RestoreOutcome.ALIKE: "a",
    RestoreOutcome.EXPIRED: "o",
    RestoreOutcome.CHANGED: "c",
    RestoreOutcome.FAILED: "f",
    RestoreOutcome.NOT_ATTEMPTED: "n",
}
_UNSETTLED = LETTERS[Outcome.FAILED] + LETTERS[Outcome.IN_DOUBT] + LETTERS[Outcome.NOT_ATTEMPTED]
_UNKNOWN = LETTERS[Outcome.IN_DOUBT] + LETTERS[Outcome.NOT_ATTEMPTED]
DbAndName = tuple[int, bytes]


class ChangeFields(Struct):
    """A changed setting."""

    name: str
    old: str | None = None
    new: str = ""
    now: str | None = None
    took: bool = False
    persisted: str | None = None
    unread: bool = False

    def result(self) -> ChangeResult:
        """The change and what came of it."""
        change = Change(self.name, self.old, self.new)
        return ChangeResult(change, took=self.took, now=self.now, persisted=self.persisted, unread=self.unread)


class Intent(Struct, tag_field="phase", tag="intent", kw_only=True):
    """What is about to happen."""

    id: str
    at: UnixTime
    action: str = ""
    server: str = ""
    who: str = ""
    what: str = ""
    plan: str | None = None
    run_id: str | None = None
    backup: str | None = None
    reverts_in_seconds: UnixTime | None = None
    change: ChangeFields | None = None


class BatchLine(Struct, tag_field="phase", tag="batch", kw_only=True):
    """The keys that are acted on next, by database and exact name."""

    id: str
    at: UnixTime
    batch: Whole
    keys: tuple[tuple[Database, str], ...]


class DoneLine(Struct, tag_field="phase", tag="done", kw_only=True):
    """A letter for each key of a batch."""

    id: str
    at: UnixTime
    batch: Whole
    outcomes: str


class Result(Struct, tag_field="phase", tag="result", kw_only=True):
    """How the action ended."""

    id: str
    at: UnixTime
    ok: bool = False
    result: str = ""
    counts: dict[str, Whole] | None = None
    # Unset in lines of earlier versions: then the one that was meant stands.
    backup: str | UnsetType | None = UNSET
    change: ChangeFields | None = None


AuditLine = Intent | BatchLine | DoneLine | Result
_decoder: msgspec.json.Decoder[AuditLine] = msgspec.json.Decoder(AuditLine)


def read_line(raw: bytes) -> AuditLine:
    """The line of an audit file. Raises Damaged."""
    return decoded(_decoder, raw)


def take(line: AuditLine, entries: dict[str, AuditEntry]) -> None:
    """Add the action that begins or ends with `line` to `entries`."""
    if isinstance(line, Intent):
        entries[line.id] = _entry(line)
    elif isinstance(line, Result) and line.id in entries:
        entries[line.id] = _ended(entries[line.id], line)


def _entry(line: Intent) -> AuditEntry:
    return AuditEntry(
        at=line.at,
        id=line.id,
        action=safe_text(line.action),
        server=line.server,
        who=safe_text(line.who),
        what=safe_text(line.what),
        undo=line.backup or "",
        returns_at=None if line.reverts_in_seconds is None else line.at + line.reverts_in_seconds,
        plan=line.plan or "",
        run_id=line.run_id or "",
        change=None if line.change is None else line.change.result(),
    )


def _ended(entry: AuditEntry, line: Result) -> AuditEntry:
    return replace(
        entry,
        ended=line.at,
        result=safe_text(line.result),
        ok=line.ok,
        counts=line.counts or {},
        undo=entry.undo if line.backup is UNSET else line.backup or "",
        change=None if line.change is None else line.change.result(),
    )


def change_fields(result: ChangeResult) -> dict[str, Any]:
    """A change as the audit file holds it, and `history` reads it again."""
    change = result.change
    fields = ChangeFields(change.name, change.old, change.new, result.now, result.took, result.persisted, result.unread)
    return msgspec.structs.asdict(fields)


class _PlanRuns(ABC):
    """The batches of the runs of one plan, read from the lines of the file."""

    def __init__(self, plan_hash: str) -> None:
        self._plan_hash = plan_hash
        # By the action's id, the backup of each run that counts.
        self._runs: dict[str, str] = {}
        self._pending: dict[tuple[str, int], tuple[DbAndName, ...]] = {}

    def take(self, line: AuditLine) -> None:
        """Heed one line. Raises Damaged; the keys of a batch whose end cannot be read stay as they were."""
        if isinstance(line, Intent):
            if line.plan == self._plan_hash and self._counts(line):
                self._runs[line.id] = line.backup or ""
        elif line.id in self._runs and isinstance(line, BatchLine):
            keys = tuple((db, exact_bytes(name)) for db, name in line.keys)
            self._pending[line.id, line.batch] = keys
            self._begun(keys)
        elif isinstance(line, DoneLine) and (line.id, line.batch) in self._pending:
            keys = self._pending[line.id, line.batch]
            if len(keys) != len(line.outcomes):
                raise Damaged("`outcomes` is of another number of keys")
            self._done((line.id, line.batch), dict(zip(keys, line.outcomes, strict=True)))

    @abstractmethod
    def _counts(self, line: Intent) -> bool:
        """Whether this run of the plan is of interest."""

    @abstractmethod
    def _begun(self, keys: tuple[DbAndName, ...]) -> None:
        """A batch began."""

    @abstractmethod
    def _done(self, batch: tuple[str, int], letters: Mapping[DbAndName, str]) -> None:
        """A batch ended, with a letter for the outcome of each key."""


class EarlierRuns(_PlanRuns):
    """The keys, as (database, name), to which runs of one plan had come: those that they deleted, and those of which
    nobody knows whether they did, as the reply was lost or the batch was cut off.
    """

    def __init__(self, plan_hash: str) -> None:
        super().__init__(plan_hash)
        self.deleted: set[DbAndName] = set()
        self.in_doubt: set[DbAndName] = set()
        self.reached: set[DbAndName] = set()

    def end(self) -> None:
        """The last line was heeded: what is still without an end was cut off."""
        self.in_doubt.update(*self._pending.values())

    def _counts(self, line: Intent) -> bool:
        return line.action == "delete"

    def _begun(self, keys: tuple[DbAndName, ...]) -> None:
        self.reached.update(keys)

    def _done(self, batch: tuple[str, int], letters: Mapping[DbAndName, str]) -> None:
        del self._pending[batch]
        self.deleted.update(key for key, letter in letters.items() if letter == LETTERS[Outcome.DELETED])
        self.in_doubt.update(key for key, letter in letters.items() if letter == LETTERS[Outcome.IN_DOUBT])
        self.in_doubt.difference_update(key for key, letter in letters.items() if letter not in _UNKNOWN)


class UnfinishedRuns(_PlanRuns):
    """The keys that runs of one plan, with a backup, came to without settling them."""

    def keys(self) -> dict[str, set[DbAndName]]:
        """By backup file, those that were not settled."""
        found: dict[str, set[DbAndName]] = {}
        for (action_id, _), keys in self._pending.items():
            found.setdefault(self._runs[action_id], set()).update(keys)
        return found

    def _counts(self, line: Intent) -> bool:
        return bool(line.backup)

    def _begun(self, keys: tuple[DbAndName, ...]) -> None:
        """They stay pending until the batch ends: nothing more to keep."""

    def _done(self, batch: tuple[str, int], letters: Mapping[DbAndName, str]) -> None:
        self._pending[batch] = tuple(key for key, letter in letters.items() if letter in _UNSETTLED)
