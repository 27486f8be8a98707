"""A cleanup after its form: the search, the frozen list, the run, its report, the restoring."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from redis_oom_tui.models.plan import KeyOutcome, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.cluster import of_node
from redis_oom_tui.tui.dialogs.reader import ReadDialog, name_lines
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.panes import cleanup_draw
from redis_oom_tui.tui.panes.base import host_of
from redis_oom_tui.tui.panes.cleanup_draw import PlanSums
from redis_oom_tui.tui.widgets.cursor_list import CursorList


class StageView(CursorList[PlannedKey | KeyOutcome]):
    """Draws whatever stage the cleanup is at; where there is a list, the cursor moves in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "name", "full name", id="cleanup.name", tooltip="Show the full key name (escaped bytes)"),
        Binding("space", "page(1)", "Page down", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sums: tuple[Plan, Snapshot | None, PlanSums] | None = None

    @property
    def state(self) -> CleanupState:
        """Where the cleanup is."""
        return host_of(self).actions.cleanup

    @property
    def items(self) -> Sequence[PlannedKey | KeyOutcome]:
        """The keys of the plan; after a run, those that were left alone."""
        state = self.state
        if state.stage is Stage.PREVIEW and state.plan is not None:
            return state.plan.keys
        return state.outcomes

    def above(self, width: int, height: int) -> Sequence[Line]:
        """As `cleanup_draw` has it; the budget of a plan is taken from the latest figures."""
        state, actions = self.state, host_of(self).actions
        if state.stage is Stage.PLANNING:
            return cleanup_draw.planning_lines(state.planning, width, self.style, things=state.things or "keys")
        sums = None if state.plan is None else self._summed(state.plan, actions.snapshot)
        if state.stage is Stage.PREVIEW and state.plan is not None and sums is not None:
            return cleanup_draw.plan_head(state.plan, sums, width, height, self.style, hidden=state.hidden)
        if state.stage in {Stage.RESTORING, Stage.RESTORED}:
            return cleanup_draw.restore_lines(state.restoring, width, self.style)
        snapshot, node = actions.snapshot, "" if state.plan is None else state.plan.criteria.node
        memory = None if snapshot is None else of_node(snapshot, node).memory
        estimated = sums is not None and not sums.low == sums.size == sums.high
        return cleanup_draw.run_lines(
            state, memory, width, height, self.style, estimated=estimated, target=actions.target
        )

    def row(self, item: PlannedKey | KeyOutcome, width: int, *, here: bool) -> Sequence[Line]:
        if isinstance(item, PlannedKey):
            return [cleanup_draw.key_line(item, width, self.style, here=here)]
        return [cleanup_draw.outcome_line(item, width, self.style, here=here)]

    def below(self, width: int, height: int) -> Sequence[Line]:
        one = self.current
        if not isinstance(one, KeyOutcome):
            return ()
        return cleanup_draw.whole_reason(one, width, height - len(self.above(width, height)))

    def _summed(self, plan: Plan, snapshot: Snapshot | None) -> PlanSums:
        """What is summed over all keys: a tenth of a second for the largest plan, so not at every key press."""
        known = self._sums
        if known is None or known[0] is not plan or known[1] is not snapshot:
            last = known[2] if known is not None and known[0] is plan else PlanSums(plan.size, None, *plan.size_range)
            budget = last.budget
            if snapshot is not None:
                actions = host_of(self).actions
                budget = actions.operator.budget(plan, snapshot, before=last.budget, target=actions.target)
            known = self._sums = (plan, snapshot, PlanSums(last.size, budget, last.low, last.high))
        return known[2]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        del parameters
        return action != "name" or bool(self.items)

    def action_name(self) -> None:
        one = self.current
        if one is None:
            return
        facts = cleanup_draw.facts(one) if isinstance(one, PlannedKey) else (f"{one.outcome.value}. {one.detail}",)
        self.app.push_screen(ReadDialog("One key", partial(name_lines, one.id, facts)))
