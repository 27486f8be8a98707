"""A cleanup on the screen: the form with its choices, then the search, the frozen list, the run, and its report."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import KeyOutcome, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.cluster import of_node
from redis_oom_tui.tui.dialogs.questions import ReadDialog, name_lines
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.host import dated, is_live
from redis_oom_tui.tui.panes import cleanup_draw, cleanup_form
from redis_oom_tui.tui.panes.base import host_of
from redis_oom_tui.tui.panes.cleanup_draw import PlanSums, form_head, form_hint, form_line
from redis_oom_tui.tui.panes.cleanup_form import Entry, Form
from redis_oom_tui.tui.widgets.cursor_list import CursorList
from redis_oom_tui.tui.widgets.fields import Field, LabelledField


class EditLine(LabelledField):
    """Open while a line of the form is typed; Enter and Tab keep, Escape drops."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "keep", "Keep", show=False)]
    DEFAULT_CSS = """
    EditLine { display: none; }
    EditLine.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", Field(id="edit"), role="key")
        self.entry: Entry | None = None

    def open(self, entry: Entry, text: str) -> None:
        """Type into that line."""
        self.entry = entry
        self.label.put(f" {entry.label}:")
        self.field.value = text
        self.field.cursor_position = len(text)
        self.field.placeholder = entry.hint
        self.add_class("-open")
        self.field.focus()

    def topics(self) -> Sequence[str]:
        """What the line that is typed means."""
        return [] if self.entry is None else [f"form.{self.entry.field}"]

    def action_keep(self) -> None:
        """As Enter does: the focus never leaves a line that is still open."""
        self.field.post_message(Field.Submitted(self.field, self.field.value))

    def close(self) -> None:
        """Hide it."""
        self.entry = None
        self.remove_class("-open")

    @property
    def is_open(self) -> bool:
        """Whether something is being typed."""
        return self.entry is not None


_LEAST_HINT = 3


class FormView(CursorList[Entry | None]):
    """Draws the form and moves in it; what is typed comes from the pane's line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "unmark", "clear marks", id="cleanup.unmark", tooltip="Clear marks (use the whole keyspace)"),
        Binding("delete,backspace", "clear", "Clear the field", show=False, id="cleanup.clear"),
        Binding("right,space,l", "turn(1)", "Next option", show=False),
        Binding("left,h", "turn(-1)", "Previous option", show=False),
    ]

    class PreviewRequested(Message):
        """Look for what the form means."""

    class Edit(Message):
        """Type into that line."""

        def __init__(self, entry: Entry, text: str) -> None:
            super().__init__()
            self.entry = entry
            self.text = text

    def __init__(self) -> None:
        super().__init__()
        self.form = Form()
        self.error = ""
        self.unseen: str | None = None

    @property
    def items(self) -> Sequence[Entry | None]:
        return (*cleanup_form.entries(self.form), None)

    def topics(self) -> Sequence[str]:
        return [f"form.{'' if self.current is None else self.current.field}"]

    def above(self, width: int, height: int) -> Sequence[Line]:
        """What is wrong, what is refused, where the form comes from."""
        actions = host_of(self).actions
        error, refused = self.error or actions.cleanup.error, actions.why_not(Action.DELETE)
        return form_head(self.form, width, height, error=error, refused=refused, unseen=self.unseen)

    def row(self, item: Entry | None, width: int, *, here: bool) -> Sequence[Line]:
        return [form_line(self.form, item, width, self.style, here=here)]

    def below(self, width: int, height: int) -> Sequence[Line]:
        """What may be typed, where there is room for it."""
        hint = form_hint(self.current, width)
        left = height - len(self.above(width, height)) - len(self.items)
        return hint if left >= _LEAST_HINT else ()

    def fill(self, form: Form) -> None:
        """Another form."""
        self.form, self.error = form, ""
        self.go_to(0)

    def wrong(self, sentence: str) -> None:
        """Say what is wrong with the form; '' where nothing is."""
        self.error = sentence
        self.redraw()

    def take(self, entry: Entry, text: str) -> bool:
        """Put `text` into that line; False, with the reason shown, where it means nothing there."""
        try:
            self.form = cleanup_form.with_value(self.form, entry, text)
        except BadInput as error:
            self.wrong(str(error))
            return False
        self.wrong("")
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Marks are forgotten where there are some."""
        del parameters
        return action != "unmark" or bool(self.form.marks)

    def begin(self) -> None:
        """Type, turn, or begin the search: whatever the line is for."""
        entry = self.current
        if entry is None:
            self.post_message(self.PreviewRequested())
        elif entry.choices:
            self.action_turn(1)
        else:
            self.post_message(self.Edit(entry, cleanup_form.value(self.form, entry)))

    def action_turn(self, by: int) -> None:
        entry = self.current
        if entry is not None and entry.choices:
            self.form = cleanup_form.turned(self.form, entry, by)
            self.redraw()

    def action_clear(self) -> None:
        entry = self.current
        if entry is not None and not entry.choices:
            self.take(entry, "")

    def action_unmark(self) -> None:
        """Look at all keys, not only at marked ones."""
        self.fill(Form())
        self.screen.refresh_bindings()

    def clicked(self, times: int) -> None:
        if self.current is None and times == 1:
            self.post_message(self.PreviewRequested())
        elif self.current is not None:
            super().clicked(times)


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
            if sums.budget is not None:
                sums = replace(sums, budget=replace(sums.budget, words=dated(self.host, sums.budget.words)))
            return cleanup_draw.plan_head(state.plan, sums, width, height, self.style, hidden=state.hidden)
        if state.stage in {Stage.RESTORING, Stage.RESTORED}:
            return cleanup_draw.restore_lines(state.restoring, width, self.style)
        snapshot, node = actions.snapshot, "" if state.plan is None else state.plan.criteria.node
        memory = None if snapshot is None or not is_live(self.host) else of_node(snapshot, node).memory
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
