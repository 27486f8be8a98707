"""The filling in of pane 4: what the form means is looked for, be it typed here or asked for by another pane."""

from textual import on
from textual.widgets import Input

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Operation
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.flows.state import CleanupState
from redis_oom_tui.tui.panes import cleanup_form
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.cleanup_edit import EditLine
from redis_oom_tui.tui.panes.cleanup_form import Form
from redis_oom_tui.tui.panes.cleanup_form_view import FormView

_BUSY = "A cleanup is under way: let it end, or stop it with Esc"


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

    def pull(self, lever: Remedy) -> None:
        """Fill in what a finding proposes; looking for it is left to the user."""
        if lever.match is not None or lever.pattern is not None:
            criteria = Criteria(
                patterns=(lever.match,) if lever.pattern is None and lever.match is not None else (),
                key_patterns=() if lever.pattern is None else (lever.pattern,),
                databases=None if lever.db is None else (lever.db,),
                ttl=lever.ttl,
                idle_over_seconds=lever.idle_over_seconds,
            )
            self._fill(cleanup_form.from_criteria(criteria, origin="a finding of Triage"))

    def take_criteria(self, criteria: Criteria, origin: str, *, hidden: int = 0) -> None:
        """Fill in what another pane asked for, and look for it."""
        if self._fill(cleanup_form.from_criteria(criteria, origin=origin, hidden=hidden)):
            self.action_look()

    def _fill(self, form: Form) -> bool:
        if self.state.working:
            self.host.tell(_BUSY, bad=True)
            return False
        self.edit.close()
        self.form_view.fill(form)
        self.post_message(messages.NewPlan())
        return True

    @on(FormView.Look)
    def action_look(self) -> None:
        """Look for what the form means; typed ahead of the server, it is done once that has come."""
        if not self.host.startup.over:
            self.host.startup.then(self.action_look)
            return
        form, refusal = self.form_view.form, self.why_not("look")
        if refusal is not None:
            self.form_view.wrong(f"Keys cannot be looked for: {refusal}")
            return
        try:
            ask = messages.BuildPlan(
                cleanup_form.criteria(form),
                deed=Operation(form.deed),
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
        """Type in the line, turn its choice, or begin the search."""
        self.form_view.begin()

    def action_anew(self) -> None:
        """An empty form."""
        self._fill(Form())
