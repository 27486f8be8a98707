"""An operator that does as the script says: flows are tested on it to their end, without a server.

What it says before (consent, budget, what-if) is the product's own; what it does is only noted in `calls`.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    PlanningState,
    PlanningView,
    RestoreOutcome,
    RestoreReport,
    SettingView,
)
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, KeyOutcome, Operation, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult, Setting
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import SettingChanges
from redis_oom_tui.rules import budget as budgets
from redis_oom_tui.rules import tuning
from redis_oom_tui.rules.policies import KNOWN
from redis_oom_tui.rules.whatif import over_bytes, policy_views, write_path
from tests.support.scripted import a_snapshot

_NO_PLAN = "No emergency cleanup is configured: name one under [emergency] in the configuration file"

HOSTILE = (
    b"[/x]",
    b"[red]k[/red]",
    b"\x1b]0;owned\x07\x1b[2J",
    b"\xff\xfe\x9b2J",
    b"",
    b"two  spaces ",
    "\u202ertl".encode(),
    b"n" * 100_000,
)


def some_keys(count: int = 40, *, hostile: bool = False) -> tuple[PlannedKey, ...]:
    """So many planned keys of falling size; the hostile ones first, where asked for."""
    names = [*(HOSTILE if hostile else ()), *(f"session:{n:06d}".encode() for n in range(count))]
    return tuple(
        PlannedKey(
            KeyId(0, name),
            "string" if n % 3 else "hash",
            (len(names) - n) * 4_096,
            ttl_ms=None if n % 4 else 3_600_000,
            idle_seconds=86_400 * (n % 50),
        )
        for n, name in enumerate(names)
    )


def a_plan(keys: Sequence[PlannedKey] | None = None, **changes: object) -> Plan:
    """A frozen plan over those keys."""
    keys = some_keys() if keys is None else tuple(keys)
    plan = Plan(
        keys=tuple(keys),
        criteria=Criteria(patterns=(b"session:*",)),
        made_at=1_760_000_000.0,
        server="127.0.0.1:6379",
        keyspace_keys=413_200,
        scanned_keys=413_200,
        matched_keys=len(keys),
        matched_bytes=sum(key.size or 0 for key in keys),
        hash="6b1f",
        role="master",
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


@dataclass
class ScriptedPlanning:
    """Waits for `done`, unless the operator is in a hurry, and then has the plan."""

    plan: Plan
    error: str | None = None
    stopped: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> PlanningView:
        """Until stopped or told that it is done."""
        await self.done.wait()
        return self.view()

    def view(self) -> PlanningView:
        """Half-way, or the end."""
        found = PlanningView(
            scanned_keys=200_000, total_keys=413_200, matched_keys=len(self.plan.keys), matched_bytes=self.plan.size
        )
        if not self.done.is_set():
            return found
        if self.error is not None:
            return replace(found, state=PlanningState.FAILED, error=self.error)
        state = PlanningState.STOPPED if self.stopped else PlanningState.COMPLETE
        return replace(found, state=state, plan=replace(self.plan, complete=not self.stopped))

    def stop(self) -> None:
        """End."""
        self.stopped = True
        self.done.set()


@dataclass
class ScriptedRun:
    """A run of which `step` is called by the test, or which is over at once."""

    plan: Plan
    backup: BackupChoice
    script: dict[Outcome, int] | None = None
    ended: str | None = None
    failed: bool = False
    words: str = "deleting"
    done_keys: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    crash: BaseException | None = None

    async def run(self) -> RunView:
        """Until told that it is done."""
        if self.crash is not None:
            raise self.crash
        await self.done.wait()
        return self.view()

    def step(self, keys: int) -> None:
        """So many more keys have been seen to."""
        self.done_keys = min(len(self.plan.keys), self.done_keys + keys)

    def finish(self, sentence: str = "All of the plan was done.") -> None:
        """Come to the end."""
        if not self.done.is_set():
            self.done_keys = len(self.plan.keys)
            self.ended = sentence
            self.done.set()

    def stop(self) -> None:
        """End where it is."""
        self.ended = "Stopped by you at the edge of a batch."
        self.done.set()

    def view(self) -> RunView:
        """Where it is."""
        total = len(self.plan.keys)
        counts = self.script or {
            Outcome.DELETED: max(0, self.done_keys - self.done_keys // 10),
            Outcome.CHANGED: self.done_keys // 10,
            Outcome.NOT_ATTEMPTED: total - self.done_keys,
        }
        return RunView(
            total_keys=total,
            counts=counts,
            freed_bytes=sum(key.size or 0 for key in self.plan.keys[: self.done_keys]),
            used_before_bytes=509 * 1024**2,
            used_now_bytes=480 * 1024**2,
            lazyfree_pending_objects=0,
            elapsed_seconds=1.5,
            keys_per_second=800.0,
            backup_path="/state/backups/one.oomb" if self.backup.wanted else None,
            phase=self.words,
            ended=self.ended,
            failed=self.failed,
        )

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """Every tenth key has changed."""
        for n, key in enumerate(self.plan.keys[: self.done_keys]):
            outcome = Outcome.CHANGED if n % 10 == 9 else Outcome.DELETED
            if only is None or outcome in only:
                yield KeyOutcome(key.id, outcome, "its type changed" if n % 10 == 9 else "")


@dataclass
class ScriptedRestoring:
    """A putting-back that is over once `done` is set."""

    path: Path
    total: int = 40
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> RestoreReport:
        """Until told that it is done."""
        await self.done.wait()
        return self.view()

    def view(self) -> RestoreReport:
        """Nothing yet, or all."""
        over = self.done.is_set()
        counts = {RestoreOutcome.RESTORED: self.total - 2, RestoreOutcome.EXISTS: 2} if over else {}
        ended = "38 of 40 keys are back; 2 exist already." if over else None
        return RestoreReport(str(self.path), self.total, counts, ended=ended)

    def stop(self) -> None:
        """End."""
        self.done.set()


class ScriptedOperator:
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
        self.a_plan = plan or a_plan()
        self.snapshot = snapshot or a_snapshot()
        self.refusals = refusals or {}
        self.hurry = hurry
        self.calls: list[str] = []
        self.criteria: list[Criteria] = []
        self.plannings: list[ScriptedPlanning] = []
        self.runs: list[ScriptedRun] = []
        self.restores: list[ScriptedRestoring] = []
        self.entries: list[AuditEntry] = []
        self.skipped = 0
        self.some_backups: tuple[Backup, ...] = ()
        self.inspections: dict[Path, BackupInspection] = {}
        self.error: TriageError | None = None
        self.in_time = True
        self.stuck: str | None = None
        self.going_back: Change | None = None
        self.undone: ChangeResult | None = None
        self.crash: BaseException | None = None
        self.armed = False
        self.rewrite_answer = "Rewriting config file: Permission denied"
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
            over_bytes=over_bytes(memory),
            scanned=scan is not None,
            refused=self.refusals.get(Action.SET),
            node=self.snapshot.server.node,
        )

    def _setting(self, name: str) -> SettingView:
        known = tuning.SETTINGS[name]
        return SettingView(Setting(name, self.values[name]), known.sentence, known.choices)

    async def propose(self, name: str, new: str, scan: ScanView | None = None) -> Change:
        """The product's own."""
        return tuning.propose(
            name, self.values[name], new, self.snapshot, policies=KNOWN, host_memory=HostMemory(), scan=scan
        )

    async def propose_on(self, _node: str, name: str, new: str, scan: ScanView | None = None) -> Change:
        """As for all."""
        return await self.propose(name, new, scan)

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Noted, and it took."""
        self.calls.append(f"set {change.name}={change.new} persist={persist} revert={revert_after}")
        if self.error is not None:
            raise self.error
        self.values[change.name] = change.new
        answer = self.rewrite_answer if persist else None
        return ChangeResult(change, True, change.new, persisted=answer, reverts_in_seconds=revert_after)

    def keep(self, result: ChangeResult) -> bool:
        """Noted."""
        self.calls.append(f"keep {result.change.name}")
        return self.in_time

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

    def backups(self, *_others: Path) -> tuple[Backup, ...]:
        """As scripted."""
        return self.some_backups

    def inspect_backup(self, path: Path) -> BackupInspection:
        """As it was told."""
        return self.inspections.get(path, BackupInspection(str(path), 0))

    def restore(self, path: Path, *, damaged_ok: bool = False) -> ScriptedRestoring:
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

    def history_skipped(self) -> int:
        """As it was told."""
        return self.skipped

    async def close(self) -> None:
        """Noted."""
        self.calls.append("close")
