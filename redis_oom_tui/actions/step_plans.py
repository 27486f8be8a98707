"""What goes in steps: elements of a key that stays, and finished jobs; each planned, then run."""

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.deployment import Deployment, Place
from redis_oom_tui.actions.finished import FinishedPlanner, FinishedRun
from redis_oom_tui.actions.shrink import ShrinkRun
from redis_oom_tui.actions.shrink_planning import ShrinkPlanner
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.finished import FinishedPlan, FinishedRequest
from redis_oom_tui.models.shrink import ShrinkPlan, ShrinkRequest


class StepPlans:
    """Implements `ports.SteppedCleanups`. A run is refused with ReadOnlyMode or CommandMissing where it may not be."""

    def __init__(self, context: ActionContext, deployment: Deployment) -> None:
        self._context = context
        self._deployment = deployment

    def plan_shrink(self, request: ShrinkRequest) -> ShrinkPlanner:
        """A plan to shrink one key that has not been looked for yet; raises BadInput for one that means nothing."""
        return ShrinkPlanner(self._context, self._deployment, request)

    def run_shrink(self, plan: ShrinkPlan, *, backup: BackupChoice) -> ShrinkRun:
        """A run of `plan` that has not started yet."""
        self._must(Action.SHRINK)
        return ShrinkRun(self._context, self._deployment, plan, backup)

    def plan_finished(self, request: FinishedRequest) -> FinishedPlanner:
        """A plan of finished jobs that were not looked for yet; raises BadInput where nothing is known of such work."""
        return FinishedPlanner(self._context, self._deployment, request)

    def run_finished(self, plan: FinishedPlan, *, backup: BackupChoice) -> FinishedRun:
        """A run of `plan` that has not started yet."""
        self._must(Action.FINISH)
        return FinishedRun(self._context, self._deployment, plan, backup)

    def _must(self, action: Action) -> None:
        self._deployment.node(Place(self._deployment.shown)).rights.must(action)
