"""The one who acts: plans, runs, settings, undo, each refused with its reason or written down."""

import functools
import getpass
import socket
import time
from collections.abc import Callable
from pathlib import Path

from redis_oom_tui.actions import admin_commands
from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.deployment import ActionNode, Deployment, Standalone
from redis_oom_tui.actions.limits import SettingsChanger
from redis_oom_tui.actions.plan_preparation import prepared
from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.actions.restore import Restore
from redis_oom_tui.actions.rights import NOTHING_PREPARED, Rights
from redis_oom_tui.actions.run import Run
from redis_oom_tui.files import backup as backup_files
from redis_oom_tui.files.audit import AuditFile, state_folder
from redis_oom_tui.files.backup_check import inspect
from redis_oom_tui.models.action import Action, AuditEntry, Backup, BackupChoice, BackupInspection, Budget, Done, Limits
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.config import NamedPlan
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Operation, Plan
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import budget, earlier_runs, selection
from redis_oom_tui.server.live import LiveServer


class LiveOperator:
    """Changes one live server. Implements `ports.Operator`.

    `audit_path` None means the default file under the state directory; `emergency` is the plan that the configuration
    prepared, if it did.
    """

    def __init__(
        self,
        server: LiveServer,
        *,
        audit_path: Path | None = None,
        emergency: NamedPlan | None = None,
        folder: Path | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        state = folder or state_folder()
        self._server = server
        self._emergency = emergency
        self._rights = Rights(server, emergency)
        self._desk = ActionContext(
            server=server,
            audit=AuditFile(audit_path or state / "audit.jsonl", wall=wall),
            who=_who(server),
            backups=state / "backups",
            learn=self._rights.learn,
            wall=wall,
        )
        self._tuner = SettingsChanger(self._desk)

    async def learn(self) -> Capabilities:
        """Find out, once, what may be changed here; under --read-only nothing but reads is asked."""
        return await self._rights.learn()

    def why_not(self, action: Action) -> str | None:
        """Why `action` cannot be used here, in a sentence; None if it can, as far as is known."""
        return self._rights.why_not(action)

    def plan(
        self, criteria: Criteria, *, deed: Operation = Operation.DELETE, expire_seconds: int | None = None
    ) -> PlanMaker:
        """A plan by `criteria` that has not been looked for yet; raises BadInput for criteria that mean nothing."""
        selection.check(criteria)
        if deed is Operation.EXPIRE and not expire_seconds:
            raise BadInput("To let keys expire, say within how long: a span such as 10m")
        if criteria.databases is None and self._server.connection.db is not None and not criteria.keys:
            criteria = replace(criteria, databases=(self._server.connection.db,))
        return PlanMaker(
            self._server,
            criteria,
            deed=deed,
            expire_seconds=expire_seconds,
            prepare=functools.partial(prepared, self._desk, self._rights, criteria, Action(deed.value)),
            wall=self._desk.wall,
        )

    def emergency(self) -> PlanMaker:
        """The plan that the configuration prepared; raises BadInput where it prepared none."""
        if self._emergency is None:
            raise BadInput(NOTHING_PREPARED)
        named = self._emergency
        return self.plan(named.criteria, deed=named.deed, expire_seconds=named.expire_seconds)

    def budget(self, plan: Plan, snapshot: Snapshot, *, before: Budget | None = None) -> Budget:
        """How far `plan` brings the pressure down, and how much is needed."""
        return budget.budget(plan, snapshot, before=before)

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """Sentences for the confirmation, with what earlier runs of this very plan did."""
        first, *others = budget.consent(plan, backup)
        runs = earlier_runs.prior_runs(self._desk.audit.history(), plan, self._desk.wall())
        return (first, *runs, *earlier_runs.unread_lines(self._desk.audit.skipped), *others)

    def confirm_word(self, plan: Plan) -> str | None:
        """The word to type before `plan` runs, if it is a large one."""
        return budget.confirm_word(plan)

    @property
    def node(self) -> ActionNode:
        """The server, to act on."""
        return ActionNode(self._server, self._rights.learn)

    def run(self, plan: Plan, *, backup: BackupChoice, deployment: Deployment | None = None) -> Run:
        """A run of `plan` that has not started yet; raises ReadOnlyMode or CommandMissing where it may not be."""
        self._rights.must(Action(plan.deed.value))
        self._rights.must_copy(plan, backup)
        return Run(self._desk, deployment or Standalone(*self.node), plan, backup)

    async def limits(self, scan: ScanView | None = None) -> Limits:
        """Policies, settings and their what-if, as the server stands now."""
        known = await self._rights.learn()
        return await self._tuner.limits(await self._server.snapshot(), known, scan)

    async def propose(self, name: str, new: str, scan: ScanView | None = None) -> Change:
        """What setting `name` to `new` means here."""
        known = await self._rights.learn()
        return await self._tuner.propose(name, new, await self._server.snapshot(), known, scan)

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Set it, read it back, record it."""
        await self._rights.learn()
        self._rights.must(Action.SET)
        return await self._tuner.apply(change, persist=persist, revert_after=revert_after)

    def keep(self, result: ChangeResult) -> bool:
        """Call off the timed return of the old value; False where it is too late for that."""
        return self._tuner.keep(result)

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """How the timed return of the old value ended, once it has."""
        return await self._tuner.returned(result)

    async def propose_back(self, result: ChangeResult, scan: ScanView | None = None) -> Change:
        """What it would mean to set the old value again."""
        known = await self._rights.learn()
        return await self._tuner.propose_back(result, await self._server.snapshot(), known, scan)

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again, read it back, record it."""
        self._rights.must(Action.SET)
        return await self._tuner.undo(result)

    def backups(self) -> tuple[Backup, ...]:
        """The backup files in the default place, newest first."""
        return backup_files.backups(self._desk.backups)

    def inspect_backup(self, path: Path) -> BackupInspection:
        """The whole file at `path`, compared with what was written."""
        return inspect(path)

    def restore(self, path: Path, *, damaged_ok: bool = False, deployment: Deployment | None = None) -> Restore:
        """A restore of the backup at `path` that has not started yet."""
        self._rights.must(Action.RESTORE)
        return Restore(self._desk, deployment or Standalone(*self.node), path, damaged_ok=damaged_ok)

    async def kill_client(self, client: ClientBuffer) -> Done:
        """Close the connection of `client`."""
        await self._rights.learn()
        self._rights.must(Action.KILL_CLIENT)
        return await admin_commands.kill_client(self._desk, client)

    async def purge(self) -> Done:
        """MEMORY PURGE, and what it gave back."""
        await self._rights.learn()
        self._rights.must(Action.PURGE)
        return await admin_commands.purge(self._desk)

    async def reap(self) -> Done:
        """Walk all keys once, by which the server drops those that have expired."""
        await self._rights.learn()
        self._rights.must(Action.REAP)
        return await admin_commands.reap(self._desk)

    def history(self) -> tuple[AuditEntry, ...]:
        """The last actions in the audit file, newest first."""
        return self._desk.audit.history()

    def history_skipped(self) -> int:
        """How many lines of the audit file the last `history` could not read."""
        return self._desk.audit.skipped

    async def close(self) -> None:
        """Settle what still waits: a setting that was not kept returns now."""
        await self._tuner.close()


def _who(server: LiveServer) -> str:
    try:
        person = getpass.getuser()
    except (KeyError, OSError):
        person = "?"
    user = server.connection.username
    return f"{person}@{socket.gethostname()}" + (f" as {user}" if user else "")
