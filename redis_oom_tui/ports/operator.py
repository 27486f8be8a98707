"""What may be done to a server: cleanups, settings, what is written down of them; and a server on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from redis_oom_tui.models.action import TARGET
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.ports.source import Job

if TYPE_CHECKING:  # words about types alone: whoever needs the models has them already
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from redis_oom_tui.models.action import (
        Action,
        AuditEntry,
        Backup,
        BackupChoice,
        BackupInspection,
        Budget,
        Done,
        Limits,
        PlanningView,
        RestoreReport,
    )
    from redis_oom_tui.models.address import Address, ClientBuffer
    from redis_oom_tui.models.keys import KeyId
    from redis_oom_tui.models.plan import Criteria, KeyOutcome, Outcome, Plan, Proposal, RunView
    from redis_oom_tui.models.scan import ScanView
    from redis_oom_tui.models.settings import Change, ChangeResult
    from redis_oom_tui.models.snapshot import Snapshot
    from redis_oom_tui.models.stepped import FinishedPlan, FinishedRequest, ShrinkPlan, ShrinkRequest
    from redis_oom_tui.ports.source import Source

Planning: TypeAlias = Job["PlanningView", "PlanningView"]
"""A plan in the making; its last view holds the frozen plan, and `run` never raises."""
Restoring: TypeAlias = Job["RestoreReport", "RestoreReport"]
"""A backup being restored: what is not there. It never raises for a server's or a file's fault."""
ShrinkPlanning: TypeAlias = Job["ShrinkPlan", "int"]
"""What goes of a key being counted; the view is how many elements were read. Raises one of `models.errors`."""
ShrinkRunning: TypeAlias = Job["RunView", "RunView"]
"""A key being shrunk, checked again in each step. Its views count elements in place of keys; it never raises."""


class PlanRun(Job["RunView", "RunView"], Protocol):
    """A plan being carried out, each key checked again. Start it in a worker that outlives the dialog that asked."""

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """What became of each key, in the plan's order; `only` those of some outcomes."""


class SteppedCleanups(Protocol):
    """What goes in steps: elements of a key that stays, and finished jobs."""

    def plan_finished(self, request: FinishedRequest) -> Job[FinishedPlan, int]:
        """Finished jobs, not listed yet; raises BadInput where nothing is known of such work."""

    def run_finished(self, plan: FinishedPlan, *, backup: BackupChoice) -> ShrinkRunning:
        """A run of `plan` that has not started yet."""

    def plan_shrink(self, request: ShrinkRequest) -> ShrinkPlanning:
        """What goes of one key, not counted yet; raises BadInput for a request that means nothing."""

    def run_shrink(self, plan: ShrinkPlan, *, backup: BackupChoice) -> ShrinkRunning:
        """A run of `plan` that has not started yet."""

    async def orphans(self, application: str, db: int) -> tuple[KeyId, ...]:
        """The keys of an application that its own lists name no more; raises BadInput where that cannot be known."""


class SettingChanges(Protocol):
    """Settings: shown with what they would do, set, and undone."""

    async def limits(self, scan: ScanView | None = None) -> Limits:
        """Policies, settings and their what-if, as the server stands now; `scan` adds bytes and patterns."""

    async def propose(self, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()) -> Change:
        """What setting `name` to `new` (as people write it) means here, once the changes `after` were made; raises
        BadInput for what cannot be meant.
        """

    async def propose_on(
        self, node: str, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()
    ) -> Change:
        """What setting `name` to `new` means on the node called `node` alone; raises as `propose` does."""

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Set, read back, record. After `revert_after` seconds the old value returns unless `keep` is called."""

    def keep(self, result: ChangeResult) -> bool:
        """Call off the timed return of the old value; False where it is too late for that."""

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """How the timed return of the old value ended, once it has: it took where that was read back."""

    async def values_by_node(self, result: ChangeResult) -> Mapping[str, str | None]:
        """What the setting reads now on each node of a cluster that took the change; nothing without a cluster."""

    async def propose_back(self, result: ChangeResult, scan: ScanView | None = None) -> Change:
        """What `undo` would mean now. Raises BadInput where the old value was never known, or the value has changed
        since. In a cluster `new` is '' where nodes had different values; `consequence` then names them."""

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again, read it back, record it."""

    async def close(self) -> None:
        """Settle what still waits: a setting whose timed return was not called off goes back now."""


class Operator(Protocol):
    """Everything that changes the server, and what must be known first. Nothing here asks: whoever calls has asked.

    Each action is written to the audit file before and after. Errors are `models.errors`, each one plain sentence.
    """

    def why_not(self, action: Action) -> str | None:
        """Why `action` cannot be used here (read-only, no right, a missing command), in a sentence; else None.

        Known after `limits`, or after `Source.open` for what that asked; cheap enough for every key press.
        """

    @property
    def steps(self) -> SteppedCleanups:
        """What goes in steps."""

    @property
    def settings(self) -> SettingChanges:
        """What reads and changes settings."""

    # Plans of cleanups: made, judged, run.

    def plan(
        self, criteria: Criteria, *, operation: Operation = Operation.DELETE, expire_seconds: int | None = None
    ) -> Planning:
        """A plan by `criteria`; with `criteria.keys` those keys are read again by identity instead of scanned for.
        Raises BadInput for criteria that mean nothing (an empty pattern), or everything unawares (none at all)."""

    def plan_proposal(self, proposal: Proposal) -> Planning:
        """One plan of the parts of `proposal`, not looked for yet: as many of them as reach its target."""

    def emergency(self) -> Planning:
        """The plan that the configuration prepared; raises BadInput where it prepared none (the default)."""

    def budget(self, plan: Plan, snapshot: Snapshot, *, before: Budget | None = None, target: float = TARGET) -> Budget:
        """How far `plan` brings the pressure down, and how much is needed; an earlier budget of it saves the sums."""

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """Sentences for the confirmation: server and role, database, count, bytes, the operation, what has no undo."""

    def confirm_word(self, plan: Plan) -> str | None:
        """The word to type before `plan` runs, for a large one (over 1,000 keys or 10% of the keyspace); else None."""

    def run(self, plan: Plan, *, backup: BackupChoice) -> PlanRun:
        """A run of `plan` that has not started yet."""

    # What is written down: backups and what is restored from them, and the audit log.

    def backups(self, *others: Path) -> tuple[Backup, ...]:
        """The backup files in the default place and those of `others` that are backups, newest first."""

    def inspect_backup(self, path: Path) -> BackupInspection:
        """The whole file at `path`, compared with what was written; may take seconds for a large one.

        Raises BadInput for a file that is none.
        """

    def restore(self, path: Path, *, damaged_ok: bool = False, inspected: Backup | None = None) -> Restoring:
        """A restore of the backup at `path` that has not started yet; raises BadInput for a file that is none, and for
        another than was `inspected`.

        A damaged file is restored only where that is `damaged_ok`, as far as it can be read.
        """

    def history(self) -> tuple[AuditEntry, ...]:
        """The last actions in the audit file, newest first, at most 500."""

    def history_gaps(self) -> tuple[int, float | None]:
        """How many lines of the audit file the last `history` could not read, and the time in Unix seconds before which
        it left actions out; None where it has all.
        """

    def at_work(self, snapshot: Snapshot) -> bool:
        """Whether an action of this tool took or gave back memory on what `snapshot` is of since this was last asked,
        by the audit file.
        """

    # What is done at once.

    async def kill_client(self, client: ClientBuffer) -> Done:
        """Close the connection of `client`, by its id, if that id is still the same address."""

    async def purge(self) -> Done:
        """MEMORY PURGE, and what it gave back."""

    async def reap(self) -> Done:
        """Scan all keys once, by which the server drops those that have expired and still hold memory."""

    async def close(self) -> None:
        """Settle what still waits: a setting whose timed return was not called off goes back now. Never raises."""


@runtime_checkable
class PendingServer(Protocol):
    """A server on its way: whether it answers is known before what speaks to it is loaded.

    `source` and `operator` may be called from any thread, one after the other; neither connects.
    """

    @property
    def address(self) -> Address:
        """Where it is, for people."""

    @property
    def failed_early(self) -> bool:
        """Whether it is known already that it did not let us in."""

    def first(self, patience: float) -> Snapshot | None:
        """The first look at it, waited for so many seconds at most; None where there is none, or not yet."""

    def answers(self) -> bool:
        """Whether it let us in: waits for a second at most. Otherwise `source().open()` says what is wrong."""

    def source(self) -> Source:
        """The server, to look at; loads what speaks to it, which takes a tenth of a second."""

    def operator(self) -> Operator:
        """Who acts on it."""
