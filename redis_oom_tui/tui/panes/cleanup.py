"""Pane 4: a form, the plan that it means, its preview with every key, its confirmation, run, report and undo."""

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from redis_oom_tui.formatting.sizes import typed_span
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Operation
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.plan_warnings import why_unchecked
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.panes import cleanup_form
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.cleanup_form import Form
from redis_oom_tui.tui.panes.cleanup_views import EditLine, FormView, StageView

_BUSY = "A cleanup is running: let it end, or stop it with Esc"


class FillingPane(Pane):
    """A pane with the form of a cleanup and the line to type in; `CleanupPane` adds what follows."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.form_view = FormView()
        self.edit = EditLine()

    @property
    def state(self) -> CleanupState:
        """Where the cleanup is."""
        return self.host.actions.cleanup

    def show_remedy(self, remedy: Remedy) -> None:
        """Fill in what a finding proposes; looking for it is left to the user."""
        if remedy.match is not None or remedy.pattern is not None:
            criteria = Criteria(
                patterns=(remedy.match,) if remedy.pattern is None and remedy.match is not None else (),
                key_patterns=() if remedy.pattern is None else (remedy.pattern,),
                databases=None if remedy.db is None else (remedy.db,),
                ttl=remedy.ttl,
                idle_over_seconds=remedy.idle_over_seconds,
            )
            form = cleanup_form.from_criteria(criteria, origin="a finding of Triage")
            if remedy.expire_seconds is not None:
                form = replace(form, operation=Operation.EXPIRE.value, within=typed_span(remedy.expire_seconds))
            self._fill(form)

    def take_criteria(self, criteria: Criteria, origin: str, *, hidden: int = 0) -> None:
        """Fill in what another pane asked for, and look for it."""
        if self._fill(cleanup_form.from_criteria(criteria, origin=origin, hidden=hidden)):
            self.action_preview()

    def _fill(self, form: Form) -> bool:
        if self.state.working:
            self.host.tell(_BUSY, bad=True)
            return False
        self.edit.close()
        self.form_view.fill(form)
        self.post_message(messages.NewPlan())
        return True

    @on(FormView.PreviewRequested)
    def action_preview(self) -> None:
        """Look for what the form means; typed ahead of the server, it is done once that has come."""
        if not self.host.startup.over:
            self.host.tell("The search begins as soon as the server is there")
            self.host.startup.then(self.action_preview)
            return
        form, refusal = self.form_view.form, self.why_not("preview")
        if refusal is not None:
            self.form_view.wrong(f"Keys cannot be searched: {refusal}")
            return
        try:
            ask = messages.BuildPlan(
                cleanup_form.criteria(form),
                operation=Operation(form.operation),
                expire_seconds=cleanup_form.expire_seconds(form),
                hidden=form.hidden,
            )
        except BadInput as error:
            self.form_view.wrong(str(error))
        else:
            self.form_view.wrong("")
            self.post_message(ask)

    @on(FormView.Edit)
    def _edit(self, message: FormView.Edit) -> None:
        self.edit.open(message.entry, message.text)
        self.refresh_bindings()

    @on(Input.Submitted, "#edit")
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        if self.edit.entry is not None and self.form_view.take(self.edit.entry, message.value):
            self.close_edit()
            self.form_view.action_move(1)

    def close_edit(self) -> None:
        """Away with the line, back to the form."""
        self.edit.close()
        self.form_view.wrong("")
        self.form_view.focus()
        self.refresh_bindings()

    def action_edit(self) -> None:
        self.form_view.begin()

    def action_clear_form(self) -> None:
        self._fill(Form())


_UNDOABLE = frozenset({Stage.FORM, Stage.REPORT, Stage.RESTORED})


class CleanupPane(FillingPane):
    """Make room: look for keys, read the list, say yes once, watch, and put back what should have stayed."""

    pane = "cleanup"
    title = "Cleanup"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "preview", "preview", id="cleanup.look", tooltip="Preview matching keys; deletes nothing"),
        Binding("enter", "edit", "edit", id="cleanup.edit", tooltip="Edit the field, or change its choice"),
        Binding("x", "run", "run…", id="cleanup.run", tooltip="Run the plan on exactly these keys; asks first"),
        Binding("escape", "stop", "stop", id="cleanup.stop", tooltip="Stop after the current batch"),
        Binding("escape", "leave", "back", id="cleanup.leave", tooltip="Back to the form (kept as is)"),
        Binding("v", "again", "last plan", id="cleanup.again", tooltip="Reopen the last plan"),
        Binding("z", "undo", "restore…", id="cleanup.undo", tooltip="Restore keys from a backup; asks first"),
        Binding("n", "clear_form", "clear form", id="cleanup.anew", tooltip="Clear the form"),
        Binding("e", "reap", "purge expired…", id="cleanup.reap", tooltip="Remove keys that have expired; asks first"),
    ]

    def __init__(self, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.stage_view = StageView()
        self._stage = Stage.FORM

    def compose(self) -> ComposeResult:
        self.stage_view.display = False
        yield self.form_view
        yield self.stage_view
        yield self.edit

    @property
    def main_widget(self) -> Widget:
        if self.edit.is_open:
            return self.edit.field
        return self.form_view if self.state.stage is Stage.FORM else self.stage_view

    def entered(self) -> None:
        self.actions_changed()
        super().entered()

    def show_state(self, state: ServerState) -> None:
        self.form_view.unseen = self.why_no_scan() or why_unchecked(state.capabilities)
        self.form_view.redraw()
        self.stage_view.redraw()

    def actions_changed(self) -> None:
        """Another stage, or further in this one."""
        stage = self.state.stage
        if stage is not self._stage:
            self._stage = stage
            self.stage_view.go_to(0)
            self.form_view.display = stage is Stage.FORM
            self.stage_view.display = stage is not Stage.FORM
            if self.has_focus_within:
                self.main_widget.focus()
        self.form_view.redraw()
        self.stage_view.redraw()
        self.refresh_bindings()

    def back(self) -> bool:
        """Close the line, stop what goes on, or put away what was done; the form stays as it was filled in."""
        if self.edit.is_open:
            self.close_edit()
        elif self.state.working:
            self.post_message(messages.StopWork())
        elif self.state.stage is Stage.PREVIEW:
            self.post_message(messages.LeavePlan())
        elif self.state.stage is not Stage.FORM:
            self.post_message(messages.NewPlan())
        else:
            return False
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each key where it means something, greyed where the server or --read-only forbids it."""
        del parameters
        if self.edit.is_open or not self.is_attached:
            return False
        stage, working = self.state.stage, self.state.working
        here = {
            "preview": stage is Stage.FORM,
            "edit": stage is Stage.FORM,
            "run": stage is Stage.PREVIEW,
            "stop": working,
            "leave": not working and stage is not Stage.FORM,
            "again": stage is Stage.FORM and self.state.plan is not None,
            "undo": stage in _UNDOABLE and self._undo_makes_sense(),
            "clear_form": not working,
            "reap": not working,
        }.get(action, True)
        return None if here and self.why_not(action) is not None else here

    def _undo_makes_sense(self) -> bool:
        run = self.state.run
        return self.state.stage is not Stage.REPORT or (run is not None and run.backup_path is not None)

    def why_not(self, action: str) -> str | None:
        plan = self.state.plan
        needs = {"undo": Action.RESTORE, "reap": Action.REAP}.get(action)
        if action == "run":
            needs = Action.EXPIRE if plan is not None and plan.operation is Operation.EXPIRE else Action.DELETE
        if action == "preview" and not self.form_view.form.marks:
            return self.host.actions.why_not(None) or self.why_no_scan()
        return None if needs is None and action != "preview" else self.host.actions.why_not(needs)

    def action_again(self) -> None:
        self.post_message(messages.ShowPlan())

    def action_run(self) -> None:
        plan = self.state.plan
        if plan is not None:
            self.post_message(messages.RunPlan(plan, hidden=self.state.hidden))

    def action_stop(self) -> None:
        self.back()

    def action_leave(self) -> None:
        """Away from what is shown, but not in the moment in which it comes: that Escape was to stop the work."""
        if late := self.host.actions.late_escape.taken(self.pane):
            self.host.tell(late)
        else:
            self.back()

    def action_undo(self) -> None:
        state = self.state
        files = state.run.backup_files if state.run is not None else ()
        path = files[0] if len(files) == 1 else None
        if state.restoring is not None:
            path = state.restoring.path
        self.post_message(messages.RestoreBackup(Path(path) if path is not None else None))

    def action_reap(self) -> None:
        self.post_message(messages.ReapExpired())
