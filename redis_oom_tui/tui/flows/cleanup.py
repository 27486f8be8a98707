"""Cleanups: planning, the one confirmation, the run, its report, and putting back."""

import asyncio
import itertools
from functools import partial
from pathlib import Path

from redis_oom_tui.formatting.plan import NOTHING
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.formatting.sizes import about_number, number_of, number_of_keys, percent, size
from redis_oom_tui.models.action import Backup, PlanningState, PlanningView
from redis_oom_tui.models.errors import BadInput, OtherServer
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.plan import Criteria, Outcome, Plan, Proposal, RunView
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import Planning
from redis_oom_tui.rules.budget import confirm_word, nothing_planned
from redis_oom_tui.rules.cluster import of_node
from redis_oom_tui.rules.headroom import headroom, over_limit
from redis_oom_tui.rules.plan_warnings import other_server
from redis_oom_tui.rules.proposals import (
    bound_for,
    fullest_shard,
    must_go,
    needed_bytes,
    on_shard,
    propose,
    why_in_vain,
)
from redis_oom_tui.rules.restoring import number_restored
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.answers import Option, PickDialog
from redis_oom_tui.tui.dialogs.plan import PlanDialog, TargetDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, restore_question
from redis_oom_tui.tui.drawing import moment
from redis_oom_tui.tui.flows import scans, shrink
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.host import dated, is_live

_LISTED = 500
_UNDONE = frozenset({Outcome.FAILED, Outcome.CHANGED, Outcome.GONE, Outcome.IN_DOUBT, Outcome.NOT_ATTEMPTED})
_BUSY = "A cleanup is running already: let it end, or stop it with Esc"


async def run_flow(actions: ActionController, request: messages.Request) -> None:
    """What was asked for about cleanups."""
    if actions.cleanup.working:
        raise BadInput(_BUSY)
    match request:
        case messages.BuildPlan():
            planning = actions.operator.plan(
                request.criteria, operation=request.operation, expire_seconds=request.expire_seconds
            )
            await plan(actions, planning, hidden=request.hidden)
        case messages.BuildEmergency():
            planning = actions.operator.emergency()
            actions.app.main.action_show_pane("cleanup")
            await plan(actions, planning)
        case messages.RunPlan():
            await run(actions, request.plan, hidden=request.hidden)
        case messages.RestoreBackup():
            await restore(actions, request.path)
        case messages.ProposeCleanup():
            await propose_cleanup(actions)
        case messages.ShrinkKey():
            await shrink.run_flow(actions, request.key, request.kind)
        case messages.DeleteFinished():
            await shrink.finished_flow(actions, request.jobs)
        case messages.PlanOrphans():
            await plan_orphans(actions, request.application, request.db)


async def plan(actions: ActionController, planning: Planning, *, hidden: int = 0) -> None:
    """Look for keys until the plan is frozen, or it fails, or is stopped."""

    def publish(view: PlanningView) -> None:
        actions.show_cleanup(CleanupState(Stage.PLANNING, planning=view, hidden=hidden))

    ended = CleanupState(error="The search was interrupted.")
    try:
        view = await actions.jobs.follow(planning, publish)
        if view.state is PlanningState.FAILED or view.plan is None:
            ended = CleanupState(error=view.error or "The search made no plan.")
        elif not view.plan.keys:
            left_out = view.plan.matched_keys > 0
            nothing = f"No key matches; {number_of_keys(view.scanned_keys)} checked."
            if not view.plan.complete:
                nothing = " ".join((nothing, *view.plan.flags))
            ended = CleanupState(error=nothing_planned(view.plan) if left_out else nothing)
        else:
            ended = CleanupState(Stage.PREVIEW, planning=view, plan=view.plan, hidden=hidden)
    finally:
        actions.show_cleanup(ended)


async def plan_orphans(actions: ActionController, application: str, db: int) -> None:
    """Read an application's lists, and preview the keys that none of them names."""
    keys = await actions.answered(actions.operator.steps.orphans(application, db))
    if not keys:
        raise BadInput(f"Every key of {application} is named by its own lists now: nothing may go")
    actions.app.main.action_show_pane("cleanup")
    await plan(actions, actions.operator.plan(Criteria(keys=keys)))


_ALL, _JOBS, _TARGET = "all", "jobs ", "target"


async def propose_cleanup(actions: ActionController) -> None:
    """What may go to reach the target, by the last scan: a part of it fills in the form, all of it is searched for.

    In a cluster it is about the fullest shard, as each has a limit of its own.
    """
    snapshot = actions.snapshot
    if snapshot is None:
        raise BadInput("The server has not answered yet: try again in a moment")
    if not is_live(actions.host):
        raise BadInput("The server does not answer now: what may go is not known")
    shard = "" if snapshot.cluster is None else fullest_shard(snapshot.cluster).name
    snapshot = of_node(snapshot, shard)
    if not needed_bytes(snapshot, actions.target) and not await _ask_target(actions, snapshot):
        return
    if in_vain := why_in_vain(snapshot):
        raise BadInput(f"{shard}: {in_vain}" if shard else in_vain)
    scan, values = await _scanned(actions, shard)
    while scan is not None:
        proposal = _proposed(actions, scan, shard, values)
        if not proposal.parts and not proposal.jobs:
            raise BadInput(" ".join((NOTHING, *proposal.kept)))
        picked = await actions.ask(PickDialog("What may go?", _intro(proposal), _options(proposal), enter="preview"))
        if picked != _TARGET:
            await _picked(actions, proposal, picked)
            return
        await _ask_target(actions, of_node(actions.snapshot or snapshot, shard))


async def _scanned(actions: ActionController, shard: str) -> tuple[ScanView | None, tuple[PatternSample, ...]]:
    """All keys, or those of one shard, and samples of their values; None where the user turned to something else."""
    if not shard:
        view = await scans.all_keys(actions)
        return view, actions.host.scanner.values
    found = await scans.shard_keys(actions, shard)
    return (None, ()) if found is None else (found.view, found.values)


def _proposed(actions: ActionController, scan: ScanView, shard: str, values: tuple[PatternSample, ...]) -> Proposal:
    snapshot = actions.snapshot
    if snapshot is None:
        raise BadInput("The server does not answer now: try again in a moment")
    proposal = propose(scan, of_node(snapshot, shard), actions.target, values, actions.host.profile.connection_args)
    return proposal if snapshot.cluster is None else on_shard(proposal, shard, snapshot.cluster)


def _intro(proposal: Proposal) -> str:
    enough = "" if proposal.enough or not proposal.parts else " All that may go is not enough."
    needed = f"To reach {percent(proposal.target)} of maxmemory, {size(proposal.needed_bytes)} must go."
    where = f"{proposal.shard} is the fullest of {number_of(proposal.shards, 'shard')}. " if proposal.shard else ""
    return f"{where}{needed}{enough} The least harmful first:"


async def _ask_target(actions: ActionController, snapshot: Snapshot) -> bool:
    target = await actions.ask(TargetDialog(snapshot.memory.pressure or 0.0, actions.target))
    if target is None:
        return False
    actions.target = target
    return True


async def _picked(actions: ActionController, proposal: Proposal, picked: str | None) -> None:
    if picked == _ALL:
        actions.app.main.action_show_pane("cleanup")
        await plan(actions, actions.operator.plan_proposal(proposal))
    elif picked is not None and picked.startswith(_JOBS):
        await shrink.finished_flow(actions, proposal.jobs[int(picked.removeprefix(_JOBS))])
    elif picked is not None:
        part = proposal.parts[int(picked)]
        criteria = replace(part.criteria, max_bytes=bound_for(part, must_go(proposal.needed_bytes)))
        if len(criteria.key_patterns) == 1:
            actions.app.post_message(messages.MakePlan(criteria, "what may go"))
            return
        # The form has a line for one pattern.
        actions.app.main.action_show_pane("cleanup")
        await plan(actions, actions.operator.plan(criteria))


def _options(proposal: Proposal) -> list[Option]:
    """Finished jobs, all parts together, and each part."""
    jobs = [
        Option(
            f"{_JOBS}{place}",
            f"{size(jobs.about_bytes)}  {jobs.state} jobs of {jobs.application}{shrink.of_queue(jobs)}",
            f"{about_number(jobs.jobs, 'finished job', exact=jobs.exact)}, with all that belongs there;"
            " waiting and active ones stay.",
        )
        for place, jobs in enumerate(proposal.jobs)
    ]
    parts = [
        Option(str(place), f"{size(part.about_bytes)}  {part.what}", f"To {percent(part.pressure_after)}: {part.risk}.")
        for place, part in enumerate(proposal.parts)
    ]
    together = Option(_ALL, "all of these, as much as is needed", "One plan, shown before.")
    other = Option(_TARGET, f"another target than {percent(proposal.target)} of maxmemory…")
    return [*jobs, *([together] if len(parts) > 1 else ()), *parts, other]


async def run(actions: ActionController, frozen: Plan, *, hidden: int = 0) -> None:
    """Confirm exactly this plan, carry it out, and show what became of each key."""
    operator = actions.operator
    snapshot = actions.snapshot
    _refuse_elsewhere(actions, frozen, snapshot)
    snapshot = None if snapshot is None else of_node(snapshot, frozen.criteria.node)
    dialog = PlanDialog(
        frozen,
        lambda choice: operator.consent(frozen, choice),
        budget=""
        if actions.snapshot is None
        else dated(actions.host, operator.budget(frozen, actions.snapshot, target=actions.target).words),
        hidden=hidden,
        word=operator.confirm_word(frozen) or _large(frozen, snapshot),
        room_bytes=None if snapshot is None or snapshot.cluster is not None else headroom(snapshot),
        over_bytes=0 if snapshot is None or snapshot.cluster is not None else over_limit(snapshot),
    )
    choice = await actions.ask(dialog)
    if choice is None:
        return
    job = operator.run(frozen, backup=choice)

    def shown(stage: Stage, view: RunView) -> CleanupState:
        undone = iter(job.outcomes(_UNDONE)) if job.view().ended else iter(())
        listed = tuple(itertools.islice(undone, _LISTED))
        return CleanupState(stage, plan=frozen, run=view, outcomes=listed, more=sum(1 for _ in undone))

    await shrink.followed(actions, job, shown)


def _refuse_elsewhere(actions: ActionController, frozen: Plan, snapshot: Snapshot | None) -> None:
    """Raise OtherServer after a failover or a restart: a question would name a server on which nothing is done."""
    if snapshot is None or snapshot.cluster is not None:
        return
    if other := other_server(frozen, str(actions.host.source.address), snapshot.server.run_id):
        raise OtherServer(f"{other} (Esc, then x)")


def _large(frozen: Plan, snapshot: Snapshot | None) -> str | None:
    """The word for a plan that takes a large part of what is used now."""
    return confirm_word(frozen, used_bytes=None if snapshot is None else snapshot.memory.used_bytes)


async def restore(actions: ActionController, path: Path | None) -> None:
    """Pick a backup, confirm, and put it back."""
    if path is None:
        path = await _pick(actions, await asyncio.to_thread(actions.operator.backups))
        if path is None:
            return
    inspection = await asyncio.to_thread(actions.operator.inspect_backup, path)
    restoring = actions.operator.restore(path, damaged_ok=inspection.damaged, inspected=inspection.backup)
    question = restore_question(
        inspection, actions.where, actions.snapshot, partial(dated, actions.host), actions.operator.history()
    )
    if await actions.ask(ConfirmDialog(question)) is None:
        return
    actions.app.main.action_show_pane("cleanup")

    await shrink.followed(
        actions,
        restoring,
        lambda stage, view: CleanupState(stage, restoring=view),
        (Stage.RESTORING, Stage.RESTORED),
        "The restore was interrupted; run it again to continue.",
    )


async def _pick(actions: ActionController, known: tuple[Backup, ...]) -> Path | None:
    if not known:
        restore_file = command_line(actions.host.profile.connection_args, "restore", "FILE")
        raise BadInput(f"No backup in the usual directory: use '{restore_file}'")
    options = [
        Option(
            one.path,
            f"{moment(one.made_at)}  {number_restored(one.operation, one.keys)}  {size(one.size)}",
            f"{one.operation} on {one.server}, {one.flavour} {one.version}: {Path(one.path).name}",
        )
        for one in known
    ]
    picked = await actions.ask(PickDialog("Which backup?", "You will be asked to confirm.", options))
    return None if picked is None else Path(picked)
