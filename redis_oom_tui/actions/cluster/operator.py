"""The one who acts on a cluster: an operator for each node, and one sentence for all of them."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis_oom_tui.actions.cluster.budget import ClusterBudget
from redis_oom_tui.actions.cluster.operators import Operators
from redis_oom_tui.actions.cluster.planning import ClusterPlanMaker, NodeMakers
from redis_oom_tui.actions.cluster.settings import ClusterTuner
from redis_oom_tui.actions.deployment import Cluster
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.actions.restore import Restore
from redis_oom_tui.actions.run import Run
from redis_oom_tui.models.action import Action, AuditEntry, Backup, BackupChoice, BackupInspection, Budget, Done, Limits
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.config import NamedPlan
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Criteria, Operation, Plan
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import budget, selection
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer


class ClusterOperator:
    """Changes a cluster. Implements `ports.Operator`; the arguments are those of `LiveOperator`."""

    def __init__(
        self,
        source: ClusterSource,
        *,
        audit_path: Path | None = None,
        emergency: NamedPlan | None = None,
        folder: Path | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._emergency = emergency
        self._wall = wall

        def operator(server: LiveServer) -> LiveOperator:
            return LiveOperator(server, audit_path=audit_path, emergency=emergency, folder=folder, wall=wall)

        self._operators = Operators(source, operator)
        self._at = self._operators.at
        self._tuner = ClusterTuner(source, self._at)
        at = self._operators.in_place
        self._deployment = Cluster(str(source.address), source.members, lambda place: at(place).node)
        self._reckoning = ClusterBudget(source.members)

    def on(self, node: str) -> LiveOperator:
        """The operator of the node called `node` alone; raises ServerUnreachable where there is none of that name."""
        return self._at(node)

    async def learn(self) -> Capabilities:
        """Find out, once, what may be changed on every primary; one that does not answer counts for nothing."""
        together: Capabilities | None = None
        failure: TriageError | None = None
        for name in self._operators.primaries:
            try:
                known = await self._at(name).learn()
            except TriageError as error:
                failure = error
                continue
            together = known if together is None else _both(together, known)
        if together is None:
            raise failure or BadInput("the cluster has no primary to act on")
        return together

    def why_not(self, action: Action) -> str | None:
        """Why `action` cannot be used on some primary, in a sentence that names it if others can; else None."""
        reasons = {name: self._at(name).why_not(action) for name in self._operators.primaries}
        for name, reason in reasons.items():
            if reason is not None:
                return reason if None not in reasons.values() else f"On {name}: {reason}"
        return None

    def plan(
        self, criteria: Criteria, *, deed: Operation = Operation.DELETE, expire_seconds: int | None = None
    ) -> ClusterPlanMaker:
        """A plan by `criteria` over all primaries; raises BadInput for criteria that mean nothing."""
        selection.check(criteria)
        if deed is Operation.EXPIRE and not expire_seconds:
            raise BadInput("To let keys expire, say within how long: a span such as 10m")

        makers = NodeMakers(self._source, self._operators, criteria, deed, expire_seconds)
        return ClusterPlanMaker(str(self._source.address), criteria, self._source, makers, self._wall)

    def emergency(self) -> ClusterPlanMaker:
        """The plan that the configuration prepared; raises BadInput where it prepared none."""
        if self._emergency is None:
            raise BadInput(str(self._operators.shown().why_not(Action.EMERGENCY)))
        named = self._emergency
        return self.plan(named.criteria, deed=named.deed, expire_seconds=named.expire_seconds)

    def budget(self, plan: Plan, snapshot: Snapshot, *, before: Budget | None = None) -> Budget:
        """How far `plan` brings down the pressure of the node that `snapshot` shows."""
        return self._reckoning.budget(plan, snapshot, before)

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """Sentences for the confirmation, the count on each node among them."""
        return self._reckoning.consent(plan, backup)

    def confirm_word(self, plan: Plan) -> str | None:
        """The word to type before `plan` runs, if it is a large one."""
        return budget.confirm_word(plan)

    def run(self, plan: Plan, *, backup: BackupChoice) -> Run:
        """A run of `plan` by slot; raises ReadOnlyMode or CommandMissing where it may not be."""
        return self._operators.shown().run(plan, backup=backup, deployment=self._deployment)

    async def limits(self, scan: ScanView | None = None) -> Limits:
        """Policies, settings and their what-if on the node that is shown."""
        await self._look()
        node = self._operators.shown_name
        return replace(await self._at(node).limits(None if scan is None else scan.on(node)), node=node)

    async def propose(self, name: str, new: str, scan: ScanView | None = None) -> Change:
        """What setting `name` to `new` means on the node that is shown, and where it is another on other nodes."""
        await self._look()
        return await self._tuner.propose(self._operators.shown_name, name, new, scan)

    async def propose_on(self, node: str, name: str, new: str, scan: ScanView | None = None) -> Change:
        """What it means on the node called `node` alone, a replica too."""
        return await self._tuner.propose_on(node, name, new, scan)

    async def _look(self) -> None:
        """See to it that the source has looked once: it then shows the worst primary."""
        if not self._source.shown:
            await self._source.snapshot()

    async def apply(self, change: Change, *, persist: bool = False, revert_after: float | None = None) -> ChangeResult:
        """Set it on every node, or on the one it is for, read it back on each, and say where it did not take."""
        return await self._tuner.apply(change, persist=persist, revert_after=revert_after)

    def keep(self, result: ChangeResult) -> bool:
        """Call off the timed return of the old values; False where it is too late on a node."""
        return self._tuner.keep(result)

    async def returned(self, result: ChangeResult) -> ChangeResult:
        """How the timed return of the old values ended, once it has on each node."""
        return await self._tuner.returned(result)

    async def propose_back(self, result: ChangeResult, scan: ScanView | None = None) -> Change:
        """What it would mean to give each node its own old value again."""
        return await self._tuner.propose_back(result, scan)

    async def undo(self, result: ChangeResult) -> ChangeResult:
        """Set each node's own old value again; raises BadInput where this run of the tool did not change it."""
        return await self._tuner.undo(result)

    def backups(self) -> tuple[Backup, ...]:
        """The backup files in the default place, newest first."""
        return self._operators.shown().backups()

    def inspect_backup(self, path: Path) -> BackupInspection:
        """The whole file at `path`, compared with what was written."""
        return self._operators.shown().inspect_backup(path)

    def restore(self, path: Path, *, damaged_ok: bool = False) -> Restore:
        """A restore of the backup at `path`, each key on the node that serves it now."""
        return self._operators.shown().restore(path, damaged_ok=damaged_ok, deployment=self._deployment)

    async def kill_client(self, client: ClientBuffer) -> Done:
        """Close the connection of `client`, on its node."""
        return await (self._at(client.node) if client.node else self._operators.shown()).kill_client(client)

    async def purge(self) -> Done:
        """MEMORY PURGE on every primary."""
        return await self._all(Action.PURGE, LiveOperator.purge)

    async def reap(self) -> Done:
        """Walk all keys of every primary once."""
        return await self._all(Action.REAP, LiveOperator.reap)

    async def _all(self, action: Action, act: Callable[[LiveOperator], Awaitable[Done]]) -> Done:
        sentences, fine = [], True
        for name in self._operators.primaries:
            try:
                done = await act(self._at(name))
                sentences.append(f"{name}: {done.sentence}")
                fine = fine and done.ok
            except TriageError as error:
                sentences.append(f"{name}: {error}")
                fine = False
        return Done(action, fine, " ".join(sentences))

    def history(self) -> tuple[AuditEntry, ...]:
        """The last actions in the audit file, newest first."""
        return self._operators.shown().history()

    def history_skipped(self) -> int:
        """How many lines of the audit file the last `history` could not read."""
        return self._operators.shown().history_skipped()

    async def close(self) -> None:
        """Settle what still waits on any node."""
        await self._operators.close()


def _both(one: Capabilities, other: Capabilities) -> Capabilities:
    """What both can do."""
    for feature, reason in other.missing.items():
        one = one.without(feature, reason)
    shared = tuple(policy for policy in one.policies if not other.policies or policy in other.policies)
    return replace(one, policies=shared or other.policies)
