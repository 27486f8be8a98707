"""The one who acts: plans, runs, settings, undo, each refused with its reason or written down."""

import functools
import getpass
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from redis_oom_tui.actions import levers
from redis_oom_tui.actions.desk import Desk
from redis_oom_tui.actions.limits import Tuner, why_not_set
from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.actions.restoring import BackupRestorer
from redis_oom_tui.actions.run import PlanRunner
from redis_oom_tui.files import backup as backup_files
from redis_oom_tui.files.audit import AuditFile, state_folder
from redis_oom_tui.models.action import Action, AuditEntry, Backup, BackupChoice, Budget, Done, Limits
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.config import NamedPlan
from redis_oom_tui.models.errors import BadInput, CommandMissing, ReadOnlyMode
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Deed, Plan
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.rules import budget, instead, selection, trust
from redis_oom_tui.rules.policies import is_lfu
from redis_oom_tui.store.changing.rights import probe_rights
from redis_oom_tui.store.live import LiveServer

_NEEDS = {
    Action.DELETE: (Feature.UNLINK,),
    Action.EXPIRE: (Feature.EXPIRE,),
    Action.RESTORE: (Feature.RESTORE,),
    Action.REWRITE: (Feature.CONFIG_REWRITE,),
    Action.KILL_CLIENT: (Feature.CLIENT_KILL,),
    Action.PURGE: (Feature.MEMORY_PURGE,),
    Action.REAP: (Feature.SCAN,),
}
_WRITES = frozenset({Action.DELETE, Action.EXPIRE, Action.RESTORE, Action.EMERGENCY, Action.REAP})
_WEAKER = (
    "Scripts are refused here, so each key is read again and deleted in two steps: a change within that moment would go"
    " unseen."
)


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
        self._desk = Desk(
            server=server,
            audit=AuditFile(audit_path or state / "audit.jsonl", wall=wall),
            who=_who(server),
            backups=state / "backups",
            learn=self.learn,
            wall=wall,
        )
        self._tuner = Tuner(self._desk)
        self._capabilities: Capabilities | None = None
        self._replica = False

    async def learn(self) -> Capabilities:
        """Find out, once, what may be changed here; under --read-only nothing but reads is asked."""
        if self._capabilities is None:
            known = await self._server.capabilities()
            snapshot = await self._server.snapshot()
            self._replica = snapshot.server.role in {"slave", "replica"}
            if not self._server.connection.read_only:
                known = await probe_rights(self._server, known)
            self._server.remember(known)
            self._capabilities = known
        return self._capabilities

    def why_not(self, action: Action) -> str | None:
        """Why `action` cannot be used here, in a sentence; None if it can, as far as is known."""
        if self._server.connection.read_only:
            return "The tool runs with --read-only: nothing on the server is changed"
        if action is Action.EMERGENCY and self._emergency is None:
            return "No emergency cleanup is prepared: name one of your plans under [emergency] in the configuration"
        if action in _WRITES and self._replica:
            return f"{self._server.address} is a replica and takes no writes: connect to its master"
        known = self._capabilities or Capabilities()
        if action is Action.SET:
            return why_not_set(False, known, self._server.address)
        asked: Action = action
        if action is Action.EMERGENCY and self._emergency is not None:
            asked = Action(self._emergency.deed.value)
        for feature in _NEEDS.get(asked, ()):
            if reason := known.why_not(feature):
                return instead.refused(feature, reason, known)
        return None

    def _must(self, action: Action) -> None:
        reason = self.why_not(action)
        if reason is not None:
            kind = ReadOnlyMode if self._server.connection.read_only else CommandMissing
            raise kind(reason)

    def plan(self, criteria: Criteria, *, deed: Deed = Deed.DELETE, expire_seconds: int | None = None) -> PlanMaker:
        """A plan by `criteria` that has not been looked for yet; raises BadInput for criteria that mean nothing."""
        selection.check(criteria)
        if deed is Deed.EXPIRE and not expire_seconds:
            raise BadInput("To let keys expire, say within how long: a span such as 10m")
        if criteria.databases is None and self._server.connection.db is not None and not criteria.keys:
            criteria = replace(criteria, databases=(self._server.connection.db,))
        return PlanMaker(
            self._server,
            criteria,
            deed=deed,
            expire_seconds=expire_seconds,
            prepare=functools.partial(self._prepare, criteria, Action(deed.value)),
            wall=self._desk.wall,
        )

    async def _prepare(self, criteria: Criteria, action: Action, snapshot: Snapshot) -> tuple[bool, tuple[str, ...]]:
        """Whether an LFU policy is known to have been on since the server started, and what else to say of a plan.

        Raises BadInput for criteria that need what the server does not tell.
        """
        known = await self.learn()
        trust.refuse_unknown(criteria, known)
        uptime = snapshot.server.uptime_seconds
        since = 0.0 if uptime is None else self._desk.wall() - uptime
        lfu = any(
            entry.change is not None
            and entry.change.change.name == "maxmemory-policy"
            and entry.server == str(self._server.address)
            and entry.at >= since
            and (is_lfu(entry.change.change.old or "") or is_lfu(entry.change.change.new))
            for entry in self._desk.audit.history()
        )
        return lfu, () if self._server.connection.read_only else self._weaknesses(action, known)

    def _weaknesses(self, action: Action, known: Capabilities) -> tuple[str, ...]:
        """What stands against running a plan for `action` here, or makes its promise weaker."""
        if reason := self.why_not(action):
            return (f"This plan cannot be run from here. {reason}.",)
        found = () if known.has(Feature.SCRIPT) else (_WEAKER,)
        uncopied = instead.no_copy(known) if action is Action.DELETE else None
        return found if uncopied is None else (*found, f"{uncopied}.")

    def emergency(self) -> PlanMaker:
        """The plan that the configuration prepared; raises BadInput where it prepared none."""
        if self._emergency is None:
            raise BadInput(str(self.why_not(Action.EMERGENCY)))
        named = self._emergency
        return self.plan(named.criteria, deed=named.deed, expire_seconds=named.expire_seconds)

    def budget(self, plan: Plan, snapshot: Snapshot, *, before: Budget | None = None) -> Budget:
        """How far `plan` brings the pressure down, and how much is needed."""
        return budget.budget(plan, snapshot, before=before)

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """Sentences for the confirmation."""
        return budget.consent(plan, backup)

    def confirm_word(self, plan: Plan) -> str | None:
        """The word to type before `plan` runs, if it is a large one."""
        return budget.confirm_word(plan)

    def run(self, plan: Plan, *, backup: BackupChoice) -> PlanRunner:
        """A run of `plan` that has not started yet; raises ReadOnlyMode or CommandMissing where it may not be."""
        self._must(Action(plan.deed.value))
        uncopied = instead.no_copy(self._capabilities or Capabilities())
        if uncopied is not None and backup.wanted and plan.deed is Deed.DELETE:
            raise CommandMissing(uncopied)
        return PlanRunner(self._desk, plan, backup)

    async def limits(self, scan: ScanView | None = None) -> Limits:
        """Policies, settings and their what-if, as the server stands now."""
        known = await self.learn()
        return await self._tuner.limits(await self._server.snapshot(), known, scan)

    async def propose(self, name: str, new: str, scan: ScanView | None = None) -> Change:
        """What setting `name` to `new` means here."""
        known = await self.learn()
        return await self._tuner.propose(name, new, await self._server.snapshot(), known, scan)

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Set it, read it back, record it."""
        await self.learn()
        self._must(Action.SET)
        return await self._tuner.apply(change, persist=persist, revert_after=revert_after)

    def keep(self, result: ChangeResult) -> bool:
        """Call off the timed return of the old value; False where it is too late for that."""
        return self._tuner.keep(result)

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """How the timed return of the old value ended, once it has."""
        return await self._tuner.returned(result)

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set the old value again, read it back, record it."""
        self._must(Action.SET)
        return await self._tuner.undo(result)

    def backups(self) -> tuple[Backup, ...]:
        """The backup files in the default place, newest first."""
        return backup_files.backups(self._desk.backups)

    def restore(self, path: Path, mine: Callable[[KeyId], bool] | None = None) -> BackupRestorer:
        """A putting-back of the backup at `path` that has not started yet, of the keys that are `mine` or of all."""
        self._must(Action.RESTORE)
        return BackupRestorer(self._desk, path, mine)

    async def kill_client(self, client: ClientBuffer) -> Done:
        """Close the connection of `client`."""
        await self.learn()
        self._must(Action.KILL_CLIENT)
        return await levers.kill_client(self._desk, client)

    async def purge(self) -> Done:
        """MEMORY PURGE, and what it gave back."""
        await self.learn()
        self._must(Action.PURGE)
        return await levers.purge(self._desk)

    async def reap(self) -> Done:
        """Walk all keys once, by which the server drops those that have expired."""
        await self.learn()
        self._must(Action.REAP)
        return await levers.reap(self._desk)

    def history(self) -> tuple[AuditEntry, ...]:
        """The last actions in the audit file, newest first."""
        return self._desk.audit.history()

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
