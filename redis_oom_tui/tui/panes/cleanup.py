"""Pane 4: a plan, its preview with every key, its confirmation, its run, its report and its undo."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Deed
from redis_oom_tui.models.verdict import Lever
from redis_oom_tui.tui.acting import intents
from redis_oom_tui.tui.acting.state import CleanupState, Stage
from redis_oom_tui.tui.dialogs.name import NameDialog
from redis_oom_tui.tui.draw import Line
from redis_oom_tui.tui.panes import cleanup_draw, cleanup_form
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.cleanup_edit import EditLine
from redis_oom_tui.tui.panes.cleanup_form import Form
from redis_oom_tui.tui.reading import Reading
from redis_oom_tui.tui.widgets.canvas import Canvas

_LISTS = frozenset({Stage.PREVIEW, Stage.REPORT})
_UNDOABLE = frozenset({Stage.FORM, Stage.REPORT, Stage.RESTORED})


class CleanupView(Canvas, can_focus=True):
    """Whatever stage the cleanup is at, drawn from frozen values."""

    def __init__(self) -> None:
        super().__init__()
        self.form = Form()
        self.form_at = 0
        self.list_at = 0
        self.error = ""

    @property
    def state(self) -> CleanupState:
        """Where the cleanup is."""
        return self.triage.deeds.cleanup

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """As `cleanup_draw` has it."""
        state = self.state
        if state.stage is Stage.FORM:
            self.form_at = max(0, min(self.form_at, len(cleanup_form.entries(self.form))))
            error = self.error or state.error
            refused = self.triage.deeds.why_not(Action.DELETE)
            return cleanup_draw.form_lines(
                self.form, self.form_at, width, height, self.pen, error=error, refused=refused
            )
        if state.stage is Stage.PLANNING:
            return cleanup_draw.planning_lines(state.planning, width, self.pen)
        if state.stage is Stage.PREVIEW and state.plan is not None:
            deeds = self.triage.deeds
            budget = deeds.operator.budget(state.plan, deeds.snapshot) if deeds.snapshot is not None else None
            return cleanup_draw.plan_lines(
                state.plan, budget, self.list_at, width, height, self.pen, hidden=state.hidden
            )
        if state.stage in {Stage.RESTORING, Stage.RESTORED}:
            return cleanup_draw.restore_lines(state.restoring, width, self.pen)
        return cleanup_draw.run_lines(state, self.list_at, width, height, self.pen)

    def on_click(self, event: events.Click) -> None:
        """A click on a line of the form moves there; on a choice or the button it does what Enter does."""
        text = "".join(piece for piece, _ in self._drawn[event.y]) if event.y < len(self._drawn) else ""
        if self.state.stage is not Stage.FORM:
            return
        lines = cleanup_form.entries(self.form)
        for n, entry in enumerate(lines):
            if entry.label in text[:20]:
                self.form_at = n
        if "Look for these keys" in text:
            self.form_at = len(lines)
        self.redraw()


class CleanupPane(Pane):
    """Make room: look for keys, read the list, say yes once, watch, and put back what should have stayed."""

    pane = "cleanup"
    title = "Cleanup"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "look", "look", id="cleanup.look", tooltip="Look for these keys and list them; touches nothing"),
        Binding("x", "run", "run it", id="cleanup.run", tooltip="Do it to exactly the keys of this list; asks first"),
        Binding("enter", "edit", "edit", id="cleanup.edit", tooltip="Edit the line, or turn its choice"),
        Binding("enter", "name", "whole name", id="cleanup.name", tooltip="The whole name of the key, by its bytes"),
        Binding("escape", "stop", "stop", id="cleanup.stop", tooltip="End what goes on at its next edge"),
        Binding("escape", "leave", "back", id="cleanup.leave", tooltip="Back to the form, which stays as it is"),
        Binding("z", "undo", "put back", id="cleanup.undo", tooltip="Put a backup's keys back; asks first"),
        Binding("n", "anew", "new", id="cleanup.anew", tooltip="Begin with an empty form"),
        Binding("u", "unmark", "forget marks", id="cleanup.unmark", tooltip="Look at all keys, not only marked ones"),
        Binding("e", "reap", "expired", id="cleanup.reap", tooltip="Remove expired keys; asks first"),
        Binding("delete,backspace", "clear", "Empty the line", show=False, id="cleanup.clear"),
        Binding("right,space", "turn(1)", "Next choice", show=False),
        Binding("left", "turn(-1)", "Previous choice", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.view = CleanupView()
        self.edit = EditLine()
        self._stage = Stage.FORM

    def compose(self) -> ComposeResult:
        """The view, and the line to type in."""
        yield self.view
        yield self.edit

    @property
    def main_widget(self) -> Widget:
        """The view."""
        return self.edit.field if self.edit.is_open else self.view

    @property
    def stage(self) -> Stage:
        """Where the cleanup is."""
        return self.view.state.stage

    def show_reading(self, reading: Reading) -> None:
        """The budget of a plan follows the server."""
        del reading
        self.view.redraw()

    def deeds_changed(self) -> None:
        """Another stage, or further in this one."""
        if self.stage is not self._stage:
            self._stage, self.view.list_at = self.stage, 0
        self.view.redraw()
        self.refresh_bindings()

    def pull(self, lever: Lever) -> None:
        """Fill in what a finding proposes; looking for it is left to the user."""
        if self.view.state.working:
            self.triage.tell("A cleanup is under way: let it end, or stop it with Esc", bad=True)
        elif lever.match is not None:
            self._fill(cleanup_form.from_criteria(Criteria(patterns=(lever.match,)), origin="a finding of Triage"))

    def take_criteria(self, criteria: Criteria, origin: str, *, hidden: int = 0) -> None:
        """Fill in what another pane asked for, and look for it."""
        if self.view.state.working:
            self.triage.tell("A cleanup is under way: let it end, or stop it with Esc", bad=True)
            return
        self._fill(cleanup_form.from_criteria(criteria, origin=origin, hidden=hidden))
        self._look()

    def _fill(self, form: Form) -> None:
        self.edit.close()
        self.view.form, self.view.form_at, self.view.error = form, 0, ""
        self.post_message(intents.NewPlan())

    def _look(self) -> None:
        form = self.view.form
        try:
            ask = intents.BuildPlan(
                cleanup_form.criteria(form),
                deed=Deed(form.deed),
                expire_seconds=cleanup_form.expire_seconds(form),
                hidden=form.hidden,
            )
        except BadInput as error:
            self._wrong(str(error))
        else:
            self._wrong("")
            self.post_message(ask)

    def _wrong(self, sentence: str) -> None:
        self.view.error = sentence
        self.view.redraw()

    def back(self) -> bool:
        """Close the line, stop what goes on, or put away what was done; the form stays as it was filled in."""
        if self.edit.is_open:
            self._close_edit()
        elif self.view.state.working:
            self.post_message(intents.StopWork())
        elif self.stage is not Stage.FORM:
            self.post_message(intents.NewPlan())
        else:
            return False
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each key where it means something, greyed where the server or --read-only forbids it."""
        del parameters
        if self.edit.is_open or not self.is_mounted:
            return False
        stage, working = self.stage, self.view.state.working
        here = {
            "edit": stage is Stage.FORM,
            "name": stage in _LISTS and self._listed() > 0,
            "look": stage is Stage.FORM,
            "run": stage is Stage.PREVIEW,
            "stop": working,
            "leave": not working and stage is not Stage.FORM,
            "undo": stage in _UNDOABLE and self._undo_makes_sense(),
            "anew": not working,
            "unmark": stage is Stage.FORM and bool(self.view.form.marks),
            "reap": not working,
            "clear": stage is Stage.FORM,
            "turn": stage is Stage.FORM,
        }.get(action, True)
        if here and self.why_not(action) is not None:
            return None
        return here

    def _undo_makes_sense(self) -> bool:
        run = self.view.state.run
        return self.stage is not Stage.REPORT or (run is not None and run.backup_path is not None)

    def why_not(self, action: str) -> str | None:
        """Why a key is greyed, in a sentence; None where it is not."""
        plan = self.view.state.plan
        needs = {"undo": Action.RESTORE, "reap": Action.REAP}.get(action)
        if action == "run":
            needs = Action.EXPIRE if plan is not None and plan.deed is Deed.EXPIRE else Action.DELETE
        if needs is None and action != "look":
            return None
        return self.triage.deeds.why_not(needs)

    def action_move(self, by: int) -> None:
        """Move the cursor in the form or the list."""
        view = self.view
        if self.stage is Stage.FORM:
            view.form_at = max(0, min(len(cleanup_form.entries(view.form)), view.form_at + by))
        else:
            view.list_at = max(0, min(self._listed() - 1, view.list_at + by))
        view.redraw()

    def _listed(self) -> int:
        state = self.view.state
        if self.stage is Stage.PREVIEW and state.plan is not None:
            return len(state.plan.keys)
        return len(state.outcomes)

    def action_page(self, pages: int) -> None:
        """Move by what fits on the screen."""
        self.action_move(pages * max(1, self.view.size.height - 5))

    def action_edit(self) -> None:
        """Edit the line, turn the choice, or begin the search."""
        view = self.view
        lines = cleanup_form.entries(view.form)
        if view.form_at >= len(lines):
            self._look()
        elif lines[view.form_at].choices:
            self.action_turn(1)
        else:
            entry = lines[view.form_at]
            self.edit.open(entry, cleanup_form.value(view.form, entry))
            self.refresh_bindings()

    def action_name(self) -> None:
        """The whole name of the key under the cursor."""
        state = self.view.state
        if self.stage is Stage.PREVIEW and state.plan is not None:
            key = state.plan.keys[min(self.view.list_at, len(state.plan.keys) - 1)]
            self.app.push_screen(NameDialog(key.id, cleanup_draw.facts(key)))
        elif state.outcomes:
            one = state.outcomes[min(self.view.list_at, len(state.outcomes) - 1)]
            self.app.push_screen(NameDialog(one.id, (f"{one.outcome.value}. {one.detail}",)))

    def action_turn(self, by: int) -> None:
        """The next choice of a line that has some."""
        view = self.view
        lines = cleanup_form.entries(view.form)
        if view.form_at < len(lines) and lines[view.form_at].choices:
            view.form = cleanup_form.turned(view.form, lines[view.form_at], by)
            view.redraw()

    def action_clear(self) -> None:
        """Empty the line."""
        view = self.view
        lines = cleanup_form.entries(view.form)
        if view.form_at < len(lines) and not lines[view.form_at].choices:
            self._take(lines[view.form_at], "")

    def action_unmark(self) -> None:
        """Look at all keys, not only at marked ones."""
        self._fill(Form())

    def action_anew(self) -> None:
        """An empty form."""
        self._fill(Form())

    def action_look(self) -> None:
        """Look for the keys."""
        self._look()

    def action_run(self) -> None:
        """Ask, and run exactly the plan that is shown."""
        state = self.view.state
        if state.plan is not None:
            self.post_message(intents.RunPlan(state.plan, hidden=state.hidden))

    def action_stop(self) -> None:
        """End what goes on."""
        self.back()

    def action_leave(self) -> None:
        """Back to the form."""
        self.back()

    def action_undo(self) -> None:
        """Put the backup of this run back, or pick one."""
        state = self.view.state
        path = state.run.backup_path if state.run is not None else None
        if state.restoring is not None:
            path = state.restoring.path
        self.post_message(intents.RestoreBackup(Path(path) if path is not None else None))

    def action_reap(self) -> None:
        """Remove expired keys."""
        self.post_message(intents.ReapExpired())

    @on(Input.Submitted, "#edit")
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        if self.edit.entry is not None and self._take(self.edit.entry, message.value):
            self._close_edit()
            self.action_move(1)

    def _take(self, entry: cleanup_form.Entry, text: str) -> bool:
        try:
            self.view.form = cleanup_form.with_value(self.view.form, entry, text)
        except BadInput as error:
            self._wrong(str(error))
            return False
        self._wrong("")
        return True

    def _close_edit(self) -> None:
        self.edit.close()
        self.view.error = ""
        self.view.focus()
        self.view.redraw()
        self.refresh_bindings()
