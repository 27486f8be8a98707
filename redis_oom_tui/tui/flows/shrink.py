"""A key made smaller: what goes, counted; the confirmation; the run and its report."""

from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.action import PlanningView
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import RunView
from redis_oom_tui.models.shrink import ListEnd, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.shrinking import WORDS
from redis_oom_tui.tui.dialogs.pick import Option, PickDialog
from redis_oom_tui.tui.dialogs.shrink import ShrinkChoiceDialog, ShrinkDialog
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.flows.state import CleanupState, Stage

_ENDS = (
    Option("left", "left", "RPUSH adds new elements at the right"),
    Option("right", "right", "LPUSH adds new elements at the left"),
)
_UNITS = (
    Option("", "decide by their size", "refused where they do not look like times"),
    Option("s", "Unix seconds"),
    Option("ms", "Unix milliseconds"),
)


async def run_flow(actions: ActionController, key: KeyId, kind: str) -> None:
    """Ask what goes, count it, confirm, remove, and show what came of it."""
    request = await _asked(actions, key, kind)
    if request is None:
        return
    actions.app.main.action_show_pane("cleanup")
    plan = await _planned(actions, request)
    if plan is None:
        return
    choice = await actions.ask(ShrinkDialog(plan))
    if choice is None:
        return
    job = actions.operator.run_shrink(plan, backup=choice)

    def publish(view: RunView) -> None:
        actions.show_cleanup(CleanupState(Stage.RUNNING, shrink=plan, run=view))

    broken = replace(job.view(), ended="The run was interrupted; the audit log shows how far it got.", failed=True)
    ended = CleanupState(Stage.REPORT, shrink=plan, run=broken)
    try:
        view = await actions.jobs.follow(job, publish)
        ended = CleanupState(Stage.REPORT, shrink=plan, run=view)
        actions.tell("cleanup", view.ended or "The run has ended.", bad=view.failed)
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


async def _planned(actions: ActionController, request: ShrinkRequest) -> ShrinkPlan | None:
    """What goes, counted; None where nothing does."""

    def publish(counted: int) -> None:
        view = PlanningView(scanned_keys=counted, phase="reading the elements of the key")
        actions.show_cleanup(CleanupState(Stage.PLANNING, planning=view))

    ended = CleanupState()
    try:
        plan = await actions.jobs.follow(actions.operator.plan_shrink(request), publish)
        if plan.going:
            return plan
        ended = CleanupState(error=f"None of the {count(plan.elements)} {WORDS[plan.type]} is to go.")
        return None
    finally:
        actions.show_cleanup(ended)
