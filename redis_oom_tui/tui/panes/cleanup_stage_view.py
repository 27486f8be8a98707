"""A cleanup after its form: the search, the frozen list, the run, its report, the putting back."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.tui.dialogs.controls import WheelScroll
from redis_oom_tui.tui.dialogs.name import NameDialog
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.panes import cleanup_draw
from redis_oom_tui.tui.panes.cleanup_draw import PlanSums


class StageView(WheelScroll, can_focus=True):
    """Draws whatever stage the cleanup is at; where there is a list, the cursor moves in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "name", "whole name", id="cleanup.name", tooltip="The whole name of the key, by its bytes"),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self._sums: tuple[Plan, Snapshot | None, PlanSums] | None = None

    @property
    def state(self) -> CleanupState:
        """Where the cleanup is."""
        return self.host.actions.cleanup

    @property
    def listed(self) -> int:
        """How many rows the cursor may stand on."""
        state = self.state
        if state.stage is Stage.PREVIEW and state.plan is not None:
            return len(state.plan.keys)
        return len(state.outcomes)

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """As `cleanup_draw` has it; the budget of a plan is taken from the latest figures."""
        state, deeds = self.state, self.host.actions
        if state.stage is Stage.PLANNING:
            return cleanup_draw.planning_lines(state.planning, width, self.pen)
        if state.stage is Stage.PREVIEW and state.plan is not None:
            sums = self._summed(state.plan, deeds.snapshot)
            return cleanup_draw.plan_lines(state.plan, sums, self.at, width, height, self.pen, hidden=state.hidden)
        if state.stage in {Stage.RESTORING, Stage.RESTORED}:
            return cleanup_draw.restore_lines(state.restoring, width, self.pen)
        memory = deeds.snapshot.memory if deeds.snapshot is not None else None
        plan_sums = None if state.plan is None else self._summed(state.plan, deeds.snapshot)
        estimated = plan_sums is not None and not plan_sums.low == plan_sums.size == plan_sums.high
        return cleanup_draw.run_lines(state, memory, self.at, width, height, self.pen, estimated=estimated)

    def _summed(self, plan: Plan, snapshot: Snapshot | None) -> PlanSums:
        """What is summed over all keys: a tenth of a second for the largest plan, so not at every key press."""
        known = self._sums
        if known is None or known[0] is not plan or known[1] is not snapshot:
            last = known[2] if known is not None and known[0] is plan else PlanSums(plan.size, None, *plan.size_range)
            budget = last.budget
            if snapshot is not None:
                budget = self.host.actions.operator.budget(plan, snapshot, before=last.budget)
            known = self._sums = (plan, snapshot, PlanSums(last.size, budget, last.low, last.high))
        return known[2]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A name needs a list."""
        del parameters
        return action != "name" or self.listed > 0

    def wheel(self, by: int) -> None:
        """As the keys do."""
        self.action_move(by)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.at = max(0, min(self.listed - 1, self.at + by))
        self.redraw()

    def action_page(self, pages: int) -> None:
        """Move by what fits on the screen."""
        self.action_move(pages * max(1, self.size.height - 5))

    def action_name(self) -> None:
        """The whole name of the key under the cursor."""
        state = self.state
        if state.stage is Stage.PREVIEW and state.plan is not None:
            key = state.plan.keys[min(self.at, len(state.plan.keys) - 1)]
            self.app.push_screen(NameDialog(key.id, cleanup_draw.facts(key)))
        else:
            one = state.outcomes[min(self.at, len(state.outcomes) - 1)]
            self.app.push_screen(NameDialog(one.id, (f"{one.outcome.value}. {one.detail}",)))
