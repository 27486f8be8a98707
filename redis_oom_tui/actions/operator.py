"""What can be done to a server or a cluster: plans, runs, settings, undo, each refused with its reason or recorded."""

import functools
import getpass
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis_oom_tui.actions import admin_commands
from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.deployment import ActionNode, Deployment, Place
from redis_oom_tui.actions.finished import FinishedPlanner
from redis_oom_tui.actions.finished_run import FinishedRun
from redis_oom_tui.actions.orphans import orphans_of
from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.actions.proposal import ProposalPlanning
from redis_oom_tui.actions.restore import Restore
from redis_oom_tui.actions.rights import NOTHING_PREPARED, prepared
from redis_oom_tui.actions.run import Run
from redis_oom_tui.actions.shrink import ShrinkRun
from redis_oom_tui.actions.shrink_planning import ShrinkPlanner
from redis_oom_tui.files.audit import AuditFile, state_folder
from redis_oom_tui.files.backup_reading import backups, inspect
from redis_oom_tui.files.own_actions import OwnActions
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.action import TARGET, Action, AuditEntry, Backup, BackupChoice, BackupInspection, Budget, Done
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.config import NamedPlan
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Plan, Proposal
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.stepped import FinishedPlan, FinishedRequest, ShrinkPlan, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import Planning
from redis_oom_tui.rules import budget, report, selection
from redis_oom_tui.rules.cluster import of_node
from redis_oom_tui.server.live import LiveServer


class StepPlans:
    """Implements `ports.SteppedCleanups`. A run is refused with ReadOnlyMode or CommandMissing where it may not be."""

    def __init__(self, context: ActionContext, deployment: Deployment) -> None:
        self._context = context
        self._deployment = deployment

    def plan_shrink(self, request: ShrinkRequest) -> ShrinkPlanner:
        """A plan to shrink one key that has not been looked for yet; raises BadInput for one that means nothing."""
        return ShrinkPlanner(self._context, self._deployment, request)

    def run_shrink(self, plan: ShrinkPlan, *, backup: BackupChoice) -> ShrinkRun:
        self._must(Action.SHRINK)
        return ShrinkRun(self._context, self._deployment, plan, backup)

    def plan_finished(self, request: FinishedRequest) -> FinishedPlanner:
        """A plan of finished jobs that were not looked for yet; raises BadInput where nothing is known of such work."""
        return FinishedPlanner(self._context, self._deployment, request)

    def run_finished(self, plan: FinishedPlan, *, backup: BackupChoice) -> FinishedRun:
        self._must(Action.FINISH)
        return FinishedRun(self._context, self._deployment, plan, backup)

    async def orphans(self, application: str, db: int) -> tuple[KeyId, ...]:
        """The keys of an application that its own lists name no more. Raises BadInput where that cannot be known."""
        return await orphans_of(self._deployment, application, db)

    def _must(self, action: Action) -> None:
        self._deployment.node(Place(self._deployment.shown)).rights.must(action)


class LiveOperator:
    """Changes a server or a cluster. Implements `ports.Operator`.

    `audit_path` None means the default file under the state directory; `emergency` is the plan that the configuration
    prepared, if it did.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        audit_path: Path | None = None,
        emergency: NamedPlan | None = None,
        folder: Path | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        state = folder or state_folder()
        self.deployment = deployment
        self._emergency = emergency
        self._context = ActionContext(
            audit=AuditFile(audit_path or state / "audit.jsonl", wall=wall),
            who=_who(deployment.connection.username),
            backups=state / "backups",
            wall=wall,
        )
        self.at_work = OwnActions(self._context.audit.path, wall).since_last
        self.settings = deployment.settings(self._context)
        self.steps = StepPlans(self._context, deployment)
        self._budget = NodeBudget(deployment)

    def on(self, node: str) -> "LiveOperator":
        """The same for the node of a cluster called `node` alone; raises ServerUnreachable where there is none."""
        audit, folder = self._context.audit.path, self._context.backups.parent
        alone, emergency = self.deployment.alone(node), self._emergency
        return LiveOperator(alone, audit_path=audit, emergency=emergency, folder=folder, wall=self._context.wall)

    async def learn(self) -> Capabilities:
        """Find out, once, what may be changed on every primary; one that does not answer counts for nothing. Under
        --read-only nothing but reads is asked.
        """
        together: Capabilities | None = None
        failure: TriageError | None = None
        for name in self.deployment.primaries:
            try:
                known = await _node(self.deployment, name).rights.learn()
            except TriageError as error:
                failure = error
                continue
            together = known if together is None else _both(together, known)
        if together is None:
            raise failure or BadInput("the cluster has no primary to act on")
        return together

    def why_not(self, action: Action) -> str | None:
        """Why `action` cannot be used, in a sentence that names the node if others can; None if it can, as known."""

        def reason_on(name: str) -> str | None:
            rights = _node(self.deployment, name).rights
            if action is not Action.EMERGENCY:
                return rights.why_not(action)
            if self._emergency is None:
                return rights.why_read_only() or NOTHING_PREPARED
            return rights.why_not(Action(self._emergency.operation.value))

        reasons = {name: reason_on(name) for name in self.deployment.primaries}
        for name, reason in reasons.items():
            if reason is not None:
                return reason if None not in reasons.values() else f"On {name}: {reason}"
        return None

    def plan(
        self, criteria: Criteria, *, operation: Operation = Operation.DELETE, expire_seconds: int | None = None
    ) -> Planning:
        """A plan by `criteria` that has not been looked for yet; raises BadInput for criteria that mean nothing."""
        selection.check(criteria)
        if operation is Operation.EXPIRE and not expire_seconds:
            raise BadInput("To let keys expire, give a time span, e.g. 10m")

        def make(place: Place, own: Criteria) -> PlanMaker:
            server, rights = self.deployment.node(place)
            if own.databases is None and server.connection.db is not None and not own.keys:
                own = replace(own, databases=(server.connection.db,))
            return PlanMaker(
                server,
                own,
                operation=operation,
                expire_seconds=expire_seconds,
                prepare=functools.partial(prepared, self._context, server, rights, own, Action(operation.value)),
                wall=self._context.wall,
            )

        return self.deployment.planning(criteria, make)

    def plan_proposal(self, proposal: Proposal) -> Planning:
        nothing = Plan((), Criteria(), self._context.wall(), self.deployment.name)
        return ProposalPlanning(proposal, self.plan, nothing)

    def emergency(self) -> Planning:
        """The plan that the configuration prepared; raises BadInput where it prepared none."""
        if self._emergency is None:
            raise BadInput(NOTHING_PREPARED)
        named = self._emergency
        return self.plan(named.criteria, operation=named.operation, expire_seconds=named.expire_seconds)

    def budget(self, plan: Plan, snapshot: Snapshot, *, before: Budget | None = None, target: float = TARGET) -> Budget:
        """How far `plan` brings down the pressure of the one node that it is about, else of that `snapshot` shows."""
        return self._budget.of(plan, snapshot, before, target)

    def consent(self, plan: Plan, backup: BackupChoice) -> tuple[str, ...]:
        """Sentences for the confirmation, with the count on each node, and what earlier runs of this very plan did."""
        audit = self._context.audit
        first, *others = budget.consent(plan, backup)
        runs = report.prior_runs(audit.history(), plan, self._context.wall())
        return (first, *self._budget.by_node(plan), *runs, *report.unread_lines(audit.skipped), *others)

    def confirm_word(self, plan: Plan) -> str | None:
        return budget.confirm_word(plan)

    def run(self, plan: Plan, *, backup: BackupChoice) -> Run:
        """A run of `plan` that has not started yet; raises ReadOnlyMode or CommandMissing where it may not be."""
        rights = _node(self.deployment, self.deployment.shown).rights
        rights.must(Action(plan.operation.value))
        rights.must_copy(plan, backup)
        return Run(self._context, self.deployment, plan, backup)

    def backups(self, *others: Path) -> tuple[Backup, ...]:
        return backups(self._context.backups, *others)

    def inspect_backup(self, path: Path) -> BackupInspection:
        return inspect(path)

    def restore(self, path: Path, *, damaged_ok: bool = False, inspected: Backup | None = None) -> Restore:
        """A restore of the backup at `path` that has not started yet, each key on the node that serves it then."""
        _node(self.deployment, self.deployment.shown).rights.must(Action.RESTORE)
        return Restore(self._context, self.deployment, path, damaged_ok=damaged_ok, inspected=inspected)

    async def kill_client(self, client: ClientBuffer) -> Done:
        """Close the connection of `client`, on its node."""
        server, rights = _node(self.deployment, client.node or self.deployment.shown)
        await rights.learn()
        rights.must(Action.KILL_CLIENT)
        return await admin_commands.kill_client(self._context, server, client)

    async def purge(self) -> Done:
        """MEMORY PURGE on every primary, and what it gave back."""
        return await _on_each(self.deployment, self._context, Action.PURGE, admin_commands.purge)

    async def reap(self) -> Done:
        """Scan all keys once, by which servers drop those that have expired."""
        return await _on_each(self.deployment, self._context, Action.REAP, admin_commands.reap)

    def history(self) -> tuple[AuditEntry, ...]:
        return self._context.audit.history()

    def history_gaps(self) -> tuple[int, float | None]:
        return self._context.audit.skipped, self._context.audit.unread_before

    async def close(self) -> None:
        """Settle what still waits: a setting that was not kept returns now."""
        await self.settings.close()


def _node(deployment: Deployment, name: str) -> ActionNode:
    return deployment.node(Place(name))


async def _on_each(
    deployment: Deployment,
    context: ActionContext,
    action: Action,
    act: Callable[[ActionContext, LiveServer], Awaitable[Done]],
) -> Done:
    """Do it on every primary, and tell of each; where one refuses, the others are done all the same."""

    async def on(name: str) -> Done:
        server, rights = _node(deployment, name)
        await rights.learn()
        rights.must(action)
        return await act(context, server)

    if not deployment.clustered:
        return await on(deployment.shown)
    sentences, fine = [], True
    for name in deployment.primaries:
        try:
            done = await on(name)
            sentences.append(f"{name}: {done.sentence}")
            fine = fine and done.ok
        except TriageError as error:
            sentences.append(f"{name}: {error}")
            fine = False
    return Done(action, fine, " ".join(sentences))


class NodeBudget:
    """What a plan comes to for the node that is shown, and how many keys each node gives up."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        # The part of a plan on the node that is shown is asked for at every tick, and takes a while to pick out.
        self._share_of = ("", "")
        self._share: Plan | None = None

    def of(self, plan: Plan, snapshot: Snapshot, before: Budget | None, target: float) -> Budget:
        """How far `plan` brings down the pressure of the one node that it is about, else of that `snapshot` shows."""
        snapshot = of_node(snapshot, plan.criteria.node)
        node = snapshot.server.node
        if not node or not self._deployment.clustered:
            return budget.budget(plan, snapshot, target, before=before)
        if self._share_of != (plan.hash, node):
            self._share_of = (plan.hash, node)
            held = zip(plan.keys, self._deployment.holders(plan), strict=True)
            self._share = replace(plan, keys=tuple(key for key, holder in held if holder == node))
            before = None
        share = self._share or plan
        found = budget.budget(share, snapshot, target, before=before)
        where = f"On {node}, {count(len(share.keys))} of the keys."
        if len(share.keys) == len(plan.keys):
            where = f"All keys are on {node}."
        return replace(found, words=f"{where} {found.words}")

    def by_node(self, plan: Plan) -> tuple[str, ...]:
        """A sentence with the count on each node; none without a cluster."""
        if not plan.keys or not self._deployment.clustered:
            return ()
        held = Counter(self._deployment.holders(plan)).most_common()
        return (f"By node: {', '.join(f'{node} {count(number)}' for node, number in held)}.",)


def _who(username: str | None) -> str:
    try:
        person = getpass.getuser()
    except (KeyError, OSError):
        person = "?"
    return f"{person}@{socket.gethostname()}" + (f" as {username}" if username else "")


def _both(one: Capabilities, other: Capabilities) -> Capabilities:
    for feature, reason in other.missing.items():
        one = one.without(feature, reason)
    shared = tuple(policy for policy in one.policies if not other.policies or policy in other.policies)
    return replace(one, policies=shared or other.policies)
