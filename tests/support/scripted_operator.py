"""An operator that does as the script says: flows are tested on it to their end, without a server.

What it says before (consent, budget, what-if) is the product's own; what it does is only noted in `calls`.
"""

from collections.abc import Sequence
from pathlib import Path

from redis_oom_tui.models.action import (
    TARGET,
    Action,
    AuditEntry,
    Backup,
    BackupChoice,
    BackupInspection,
    Budget,
    Done,
    HostMemory,
    Limits,
    SettingView,
)
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Criteria, Operation, Plan
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult, Setting
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import SettingChanges
from redis_oom_tui.rules import budget as budgets
from redis_oom_tui.rules import tuning
from redis_oom_tui.rules.limit_change import with_changes
from redis_oom_tui.rules.policies import KNOWN
from redis_oom_tui.rules.whatif import policy_views, write_path
from tests.support.scripted import a_snapshot
from tests.support.scripted_runs import _NO_PLAN, ScriptedPlanning, ScriptedRestoring, ScriptedRun, a_plan


class ScriptedSettings:
    """Settings that change as the script says, each change noted in `calls`."""

    snapshot: Snapshot
    refusals: dict[Action, str]
    error: TriageError | None = None
    in_time = True
    stuck: str | None = None
    going_back: Change | None = None
    undone: ChangeResult | None = None
    rewrite_answer = "Rewriting config file: Permission denied"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.values = {
            "maxmemory": str(512 * 1024**2),
            "maxmemory-policy": "noeviction",
            "maxmemory-samples": "5",
            "maxmemory-eviction-tenacity": "10",
            "maxmemory-clients": "0",
            "lazyfree-lazy-eviction": "no",
            "lazyfree-lazy-expire": "no",
            "lazyfree-lazy-server-del": "no",
            "lazyfree-lazy-user-del": "no",
            "activedefrag": "no",
        }

    @property
    def settings(self) -> SettingChanges:
        """It changes settings itself."""
        return self

    async def limits(self, scan: ScanView | None = None) -> Limits:
        """The scripted settings, with the product's own what-if."""
        if self.error is not None:
            raise self.error
        memory = self.snapshot.memory
        return Limits(
            maxmemory_bytes=memory.maxmemory_bytes,
            policy=memory.policy,
            policies=policy_views(KNOWN, self.snapshot, scan),
            settings=tuple(self._setting(name) for name in self.values if name != "maxmemory-policy"),
            path=write_path(self.snapshot),
            host_memory=HostMemory(8 * 1024**3, 3 * 1024**3, "The host has 8.0 GiB, of which 3.0 GiB are free."),
            over_bytes=memory.over(),
            scanned=scan is not None,
            refused=self.refusals.get(Action.SET),
            node=self.snapshot.server.node,
        )

    def _setting(self, name: str) -> SettingView:
        known = tuning.SETTINGS[name]
        return SettingView(Setting(name, self.values[name]), known.sentence, known.choices)

    async def propose(self, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()) -> Change:
        """The product's own."""
        return tuning.propose(
            name,
            self.values[name],
            new,
            with_changes(self.snapshot, after),
            policies=KNOWN,
            host_memory=HostMemory(),
            scan=scan,
        )

    async def propose_on(
        self, _node: str, name: str, new: str, scan: ScanView | None = None, after: Sequence[Change] = ()
    ) -> Change:
        """As for all."""
        return await self.propose(name, new, scan, after)

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Noted, and it took."""
        self.calls.append(f"set {change.name}={change.new} persist={persist} revert={revert_after}")
        if self.error is not None:
            raise self.error
        self.values[change.name] = change.new
        if change.name == "maxmemory-policy":
            self.snapshot = replace(self.snapshot, memory=replace(self.snapshot.memory, policy=change.new))
        answer = self.rewrite_answer if persist else None
        return ChangeResult(change, True, change.new, persisted=answer, reverts_in_seconds=revert_after)

    def keep(self, result: ChangeResult) -> bool:
        """Noted."""
        self.calls.append(f"keep {result.change.name}")
        return self.in_time

    async def values_by_node(self, result: ChangeResult) -> dict[str, str | None]:
        """Of no cluster."""
        del result
        return {}

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """It returned, unless `stuck` tells why not."""
        change = result.change
        back = Change(change.name, change.new, change.old or "")
        if self.stuck is not None:
            return ChangeResult(back, False, None, self.stuck)
        self.values[change.name] = change.old or ""
        return ChangeResult(back, True, change.old)

    async def propose_back(self, result: ChangeResult, scan: ScanView | None = None) -> Change:
        """The product's own, or as `going_back` says."""
        if self.going_back is not None:
            return self.going_back
        name, old = result.change.name, result.change.old or ""
        return await self.propose(name, tuning.as_typed(name, old), scan)

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Noted, and it took."""
        old = result.change.old or ""
        self.calls.append(f"undo {result.change.name}={old}")
        self.values[result.change.name] = old
        if self.undone is not None:
            return self.undone
        back = Change(result.change.name, result.change.new, old)
        return ChangeResult(back, True, old)

    async def close(self) -> None:
        """Noted."""
        self.calls.append("close")


class ScriptedOperator(ScriptedSettings):
    """Notes what was asked of it in `calls`; whatever is in `refusals` is refused.

    With `hurry` everything is over at once; else a test ends each thing by its `done` or `finish`.
    """

    def __init__(
        self,
        *,
        plan: Plan | None = None,
        snapshot: Snapshot | None = None,
        refusals: dict[Action, str] | None = None,
        hurry: bool = True,
    ) -> None:
        super().__init__()
        self.a_plan = plan or a_plan()
        self.snapshot = snapshot or a_snapshot()
        self.refusals = refusals or {}
        self.hurry = hurry
        self.criteria: list[Criteria] = []
        self.plannings: list[ScriptedPlanning] = []
        self.runs: list[ScriptedRun] = []
        self.restores: list[ScriptedRestoring] = []
        self.entries: list[AuditEntry] = []
        self.skipped = 0
        self.unread_before: float | None = None
        self.some_backups: tuple[Backup, ...] = ()
        self.inspections: dict[Path, BackupInspection] = {}
        self.crash: BaseException | None = None
        self.armed = False

    def at_work(self, snapshot: Snapshot) -> bool:
        """Never."""
        return False

    def why_not(self, action: Action) -> str | None:
        """As scripted; no emergency plan unless armed."""
        if action is Action.EMERGENCY and not self.armed and action not in self.refusals:
            return _NO_PLAN
        return self.refusals.get(action)

    def plan(
        self, criteria: Criteria, *, operation: Operation = Operation.DELETE, expire_seconds: int | None = None
    ) -> ScriptedPlanning:
        """The scripted plan, with this operation."""
        if not (criteria.patterns or criteria.keys or criteria.idle_over_seconds or criteria.types):
            raise BadInput("Nothing was asked for: give a pattern, a type or an idle time")
        self.criteria.append(criteria)
        self.calls.append(f"plan {operation.value}")
        frozen = replace(self.a_plan, criteria=criteria, operation=operation, expire_seconds=expire_seconds)
        return self._planning(frozen)

    def _planning(self, plan: Plan) -> ScriptedPlanning:
        planning = ScriptedPlanning(plan, error=str(self.error) if self.error else None)
        if self.hurry:
            planning.done.set()
        self.plannings.append(planning)
        return planning

    def emergency(self) -> ScriptedPlanning:
        """The scripted plan, where armed."""
        if not self.armed:
            raise BadInput(_NO_PLAN)
        self.calls.append("plan emergency")
        return self._planning(self.a_plan)

    def budget(self, plan: Plan, snapshot: Snapshot, *, before: Budget | None = None, target: float = TARGET) -> Budget:
        """The product's own."""
        return budgets.budget(plan, snapshot, target, before=before)

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """The product's own."""
        return budgets.consent(plan, backup)

    def confirm_word(self, plan: Plan) -> str | None:
        """The product's own."""
        return budgets.confirm_word(plan)

    def run(self, plan: Plan, *, backup: BackupChoice) -> ScriptedRun:
        """A run, noted."""
        self.calls.append(f"run {plan.operation.value} {len(plan.keys)} backup={backup.wanted}")
        run = ScriptedRun(plan, backup, crash=self.crash)
        if self.hurry:
            run.finish()
        self.runs.append(run)
        return run

    def backups(self, *_others: Path) -> tuple[Backup, ...]:
        """As scripted."""
        return self.some_backups

    def inspect_backup(self, path: Path) -> BackupInspection:
        """As it was told."""
        unknown = Backup(str(path), 0.0, "127.0.0.1:6379", "redis", "7", 0, 0)
        backup = next((one for one in self.some_backups if one.path == str(path)), unknown)
        return self.inspections.get(path, BackupInspection(backup, 0))

    def restore(self, path: Path, *, damaged_ok: bool = False, inspected: Backup | None = None) -> ScriptedRestoring:
        """Noted."""
        self.calls.append(f"restore {path}{' damaged' if damaged_ok else ''}")
        restoring = ScriptedRestoring(path)
        if self.hurry:
            restoring.done.set()
        self.restores.append(restoring)
        return restoring

    async def kill_client(self, client: ClientBuffer) -> Done:
        """Noted."""
        self.calls.append(f"kill {client.id}")
        return Done(Action.KILL_CLIENT, True, f"Client {client.id} was closed.")

    async def purge(self) -> Done:
        """Noted."""
        self.calls.append("purge")
        return Done(Action.PURGE, True, "RSS fell by 1.0 MiB.")

    async def reap(self) -> Done:
        """Noted."""
        self.calls.append("reap")
        return Done(Action.REAP, True, "312 expired keys were removed.")

    def history(self) -> tuple[AuditEntry, ...]:
        """As scripted."""
        return tuple(self.entries)

    def history_gaps(self) -> tuple[int, float | None]:
        """As it was told."""
        return self.skipped, self.unread_before
