"""A key made smaller, or finished jobs deleted: what goes, counted; the confirmation; the run and its report."""

import functools
from collections.abc import Callable
from typing import TypeVar

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import about_number, count, number_of
from redis_oom_tui.models.action import PlanningView, RestoreReport
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, ProposedJobs, RunView
from redis_oom_tui.models.stepped import FinishedPlan, FinishedRequest, ListEnd, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import ShrinkRunning
from redis_oom_tui.ports.source import Job
from redis_oom_tui.rules import finished, shrinking
from redis_oom_tui.rules.shrinking import WORDS
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.answers import Option, PickDialog
from redis_oom_tui.tui.dialogs.plan import ShrinkChoiceDialog, StepDialog, StepQuestion
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.flows.state import CleanupState, Stage

_Plan = TypeVar("_Plan", ShrinkPlan, FinishedPlan)
_View = TypeVar("_View", RunView, RestoreReport)
_ENDS = (
    Option("left", "left", "RPUSH adds new elements at the right"),
    Option("right", "right", "LPUSH adds new elements at the left"),
)
_UNITS = (
    Option("", "decide by their size", "refused where they do not look like times"),
    Option("s", "Unix seconds"),
    Option("ms", "Unix milliseconds"),
)


_AGES = tuple(Option(f"{hours * 3600}", words) for hours, words in ((1, "1 hour"), (24, "1 day"), (168, "7 days")))


async def run_flow(actions: ActionController, key: KeyId, kind: str) -> None:
    """Ask what goes of a key, count it, confirm, remove, and show what came of it."""
    request = await _asked(actions, key, kind)
    if request is None:
        return
    actions.app.main.action_show_pane("cleanup")
    try:
        plan = await _counted(
            actions,
            actions.operator.steps.plan_shrink(request),
            "reading the elements of the key",
            WORDS[kind],
            shrinking.nothing_goes,
        )
    except shrinking.WholeKeyGoes:
        actions.app.post_message(messages.MakePlan(Criteria(keys=(key,)), "all of its elements"))
        return
    if plan is None:
        return
    words = WORDS[plan.type]
    question = StepQuestion(
        f"Remove {count(plan.going)} {words}?",
        f"Remove {count(plan.going)}",
        functools.partial(shrinking.consent, plan),
        functools.partial(shrinking.confirm_word, plan),
        plan.flags,
    )
    choice = await actions.ask(StepDialog(question))
    if choice is not None:
        await _removed(actions, actions.operator.steps.run_shrink(plan, backup=choice), words)


async def finished_flow(actions: ActionController, jobs: ProposedJobs) -> None:
    """Ask from which age on finished jobs go, list them, confirm, delete, and show what came of it."""
    number = about_number(jobs.jobs, f"{jobs.state} job", exact=jobs.exact)
    intro = f"{number[:1].upper()}{number[1:]} of {jobs.application}{of_queue(jobs)}. From which age on do they go?"
    age = await actions.ask(PickDialog("Finished jobs", intro, _AGES, at=1, enter="preview"))
    if age is None:
        return
    request = FinishedRequest(jobs.application, int(age), jobs.queue, jobs.state, jobs.db)
    actions.app.main.action_show_pane("cleanup")
    plan = await _counted(
        actions,
        actions.operator.steps.plan_finished(request),
        "listing finished jobs",
        "jobs",
        finished.nothing_goes,
    )
    if plan is None:
        return
    question = StepQuestion(
        f"Delete {number_of(plan.going, 'finished job')}?",
        f"Delete {count(plan.going)}",
        functools.partial(finished.consent, plan),
        functools.partial(finished.confirm_word, plan),
        plan.flags,
    )
    choice = await actions.ask(StepDialog(question))
    if choice is not None:
        await _removed(actions, actions.operator.steps.run_finished(plan, backup=choice), "jobs")


def of_queue(jobs: ProposedJobs) -> str:
    """Which queue they are of, behind their application; '' where they are of several."""
    return "" if jobs.queue is None else f", queue {safe_text(jobs.queue, 40)}"


async def _removed(actions: ActionController, job: ShrinkRunning, things: str) -> None:
    await followed(actions, job, lambda stage, view: CleanupState(stage, things=things, run=view))


async def followed(
    actions: ActionController,
    job: Job[_View, _View],
    shown: Callable[[Stage, _View], CleanupState],
    stages: tuple[Stage, Stage] = (Stage.RUNNING, Stage.REPORT),
    broken: str = "The run was interrupted; the audit log shows how far it got.",
) -> None:
    """Carry it out, and show how far it is and what came of it, in these stages; `broken` where nobody knows that."""
    ended = shown(stages[1], replace(job.view(), ended=broken, failed=True))
    try:
        view = await actions.jobs.follow(job, lambda view: actions.show_cleanup(shown(stages[0], view)))
        ended = shown(stages[1], view)
        actions.tell("cleanup", view.ended or "It has ended.", bad=view.failed)
    finally:
        actions.show_cleanup(ended)


async def _asked(actions: ActionController, key: KeyId, kind: str) -> ShrinkRequest | None:
    request = await actions.ask(ShrinkChoiceDialog(key, kind))
    if request is None or kind not in {"list", "zset"}:
        return request
    if kind == "list":
        end = await actions.ask(PickDialog("Where are its oldest elements?", "A list does not say.", _ENDS))
        return None if end is None else replace(request, oldest_end=ListEnd(end))
    if request.older_than_seconds is None:
        return request
    unit = await actions.ask(PickDialog("What are its scores?", "An age needs scores that are times.", _UNITS))
    return None if unit is None else replace(request, score_unit=ScoreUnit(unit) if unit else None)


async def _counted(
    actions: ActionController, planner: Job[_Plan, int], phase: str, things: str, nothing: Callable[[_Plan], str]
) -> _Plan | None:
    """What goes, counted; None where nothing does, which `nothing` says."""

    begun = actions.host.clock.monotonic()

    def publish(counted: int) -> None:
        took = actions.host.clock.monotonic() - begun
        view = PlanningView(scanned_keys=counted, phase=phase, elapsed_seconds=took)
        actions.show_cleanup(CleanupState(Stage.PLANNING, planning=view, things=things))

    ended = CleanupState()
    try:
        plan = await actions.jobs.follow(planner, publish)
        if plan.going:
            return plan
        ended = CleanupState(error=f"{nothing(plan)}.")
        return None
    finally:
        actions.show_cleanup(ended)
