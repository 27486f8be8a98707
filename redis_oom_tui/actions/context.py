"""What every action needs beside its own order: where to write things down, and who acts."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import Struct

from redis_oom_tui.actions.outcomes import OutcomeTable
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.audit_lines import EarlierRuns
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Outcome, Plan

DEFECT = "A defect of this tool ended this early"
"""What an action is said to have come to where the reason is an error that nobody foresaw."""


class ActionContext(Struct, frozen=True):
    """`who` is the person as the audit file names them; `backups` the folder for backups; `wall` tells Unix seconds."""

    audit: AuditFile
    who: str
    backups: Path
    wall: Callable[[], float] = time.time


class ActionRecord:
    """What one action on keys writes into the audit file: what it is to do, each batch, and how it ended."""

    def __init__(self, context: ActionContext) -> None:
        self._audit = context.audit
        self._who = context.who
        self._id = ""
        self._batches = 0

    @property
    def begun(self) -> bool:
        """Whether it was written down that the action begins."""
        return bool(self._id)

    def begin(self, action: str, *, server: str, what: str, **facts: Any) -> None:
        """Write down what is about to happen; after AuditFailed nothing may happen."""
        self._id = self._audit.intent(action, server=server, who=self._who, what=what, **facts)

    def next_batch(self) -> int:
        """The number of the batch that is to be written down next."""
        self._batches += 1
        return self._batches

    async def batch(self, number: int, ids: Sequence[KeyId]) -> None:
        """Write down the keys that are acted on next."""
        await asyncio.to_thread(self._audit.batch, self._id, number, [(id_.db, id_.key) for id_ in ids])

    def done(self, number: int, outcomes: Sequence[Outcome | RestoreOutcome], details: Mapping[int, str]) -> None:
        """Write down what became of the keys of a batch, in its order."""
        self._audit.done(self._id, number, outcomes, details)

    def end(self, *, ok: bool, result: str, **facts: Any) -> str:
        """Write down how it ended, if it began: `result`, with what kept that from being written."""
        if not self._id:
            return result
        try:
            self._audit.result(self._id, ok=ok, result=result, **facts)
        except TriageError as error:
            return f"{result} {error}"
        return result


@dataclass(slots=True)
class SharedRun:
    """What the nodes of a run share: the plan, what became of its keys, the audit file, and the one backup.

    `before` is what earlier runs of the plan came to, `copies` the digests of keys that they saved, by database and
    name. `due_ms` are the expiries that keys were promised, and `saved` the digests of those that are in the backup,
    both by position and kept for as long as nothing came of them: a key that is tried again on another node is written
    down once.
    """

    plan: Plan
    choice: BackupChoice
    tally: OutcomeTable
    record: ActionRecord
    writer: BackupWriter | None = None
    before: EarlierRuns | None = None
    copies: Mapping[tuple[int, bytes], str] = field(default_factory=dict)
    due_ms: dict[int, int] = field(default_factory=dict)
    saved: dict[int, str] = field(default_factory=dict)
