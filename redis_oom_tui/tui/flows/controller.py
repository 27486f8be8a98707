"""Takes what the panes ask for, refuses what cannot be, and runs the rest in workers of the app."""

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from textual.worker import WorkType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import value_before
from redis_oom_tui.formatting.sizes import number_of
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.ports import Operator
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.confirm import ConfirmDialog, Question
from redis_oom_tui.tui.flows import admin_commands, cleanup, limits, messages, profiles, report, scans
from redis_oom_tui.tui.flows.jobs import BackgroundJobs
from redis_oom_tui.tui.flows.state import CleanupState, LimitsState, LogState, Stage

if TYPE_CHECKING:
    from redis_oom_tui.tui.server_session import ServerSession

_R = TypeVar("_R")

NO_OPERATOR = "nothing can be changed from this screen, it only looks"
NOT_YET = "the server has only just been reached, try again in a moment"


class ActionController:
    """The app's side of every deed. `operator` is None where nothing can be changed.

    A deed is a coroutine that asks its questions and then acts; it runs in a worker of the app, so that no dialog takes
    it along. What goes on for a while is one of `jobs`.
    """

    def __init__(self, app: "ServerSession", operator: Operator | None) -> None:
        self.app = app
        self._operator = operator
        self._absent = NO_OPERATOR if app.startup.over else NOT_YET
        self.cleanup = CleanupState()
        self.limits = LimitsState()
        self.log = LogState()
        self._looked = False
        self._asking = False
        self.jobs = BackgroundJobs()

    @property
    def operator(self) -> Operator:
        """The operator, where there is one: `why_not` has been asked before."""
        if self._operator is None:
            raise TriageError(f"{self._absent.capitalize()}.")
        return self._operator

    def take(self, operator: Operator) -> None:
        """The operator has come, after the screen."""
        self._operator = operator

    def why_not(self, action: Action | None) -> str | None:
        """Why `action` cannot be used here, in a sentence; None where it can."""
        if self._operator is None:
            return self._absent.capitalize()
        return None if action is None else self._operator.why_not(action)

    @property
    def where(self) -> str:
        """The server, for a question: address, role and kind."""
        address = safe_text(str(self.app.source.address), 80)
        snapshot = self.snapshot
        if snapshot is None:
            return address
        server, fleet = snapshot.server, snapshot.fleet
        if fleet is not None:
            copies = number_of(len(fleet.replicas), "replica")
            return f"the cluster of {address} ({len(fleet.primaries)} primaries, {copies})"
        return (
            f"{address} ({safe_text(server.role, 12)}, {safe_text(server.flavour, 12)} {safe_text(server.version, 12)})"
        )

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest figures."""
        return self.app.reading.snapshot if self.app.reading is not None else None

    @property
    def scan(self) -> ScanView | None:
        """The scan as it stands, or None before the first."""
        return self.app.scan

    def handle(self, ask: messages.ActionRequest) -> None:
        """Begin what was asked for, or say why not."""
        reason = self.why_not(ask.needs)
        if reason is not None and not ask.local:
            if not isinstance(ask, messages.ReadLimits | messages.ReadHistory):
                self.app.tell(f"{reason}", bad=True)
            return
        if isinstance(ask, messages.StopWork):
            self.jobs.stop()
        elif isinstance(ask, messages.NewPlan):
            self.show_cleanup(CleanupState())
        elif isinstance(ask, messages.LeavePlan):
            self.show_cleanup(replace(self.cleanup, stage=Stage.FORM))
        elif isinstance(ask, messages.ShowPlan):
            self.show_cleanup(replace(self.cleanup, stage=Stage.PREVIEW))
        elif not isinstance(self.app.screen, Dialog):
            self._begin(type(ask).__name__, lambda: _deed(self, ask))

    def pull(self, lever: Remedy) -> bool:
        """Begin the closing of the client that a finding is about; False where it is about something else."""
        if lever.client_id is None:
            return False
        reading = self.app.reading
        known = reading.clients if reading is not None and reading.clients else ()
        client = next((one for one in known if one.id == lever.client_id), None)
        if client is None:
            self.app.tell(f"Client {lever.client_id} is gone already")
        else:
            self.handle(messages.KillClient(client))
        return True

    def _begin(self, name: str, deed: Callable[[], Coroutine[object, object, None]]) -> None:
        # Not a coroutine: an app that is being left drops it, and Python would complain at the user's prompt.
        work: WorkType[None] = functools.partial(self._told, deed, reading=name == messages.ReadHistory.__name__)
        self.app.run_worker(work, name=name, group="deeds", exit_on_error=False)

    async def _told(self, deed: Callable[[], Coroutine[object, object, None]], *, reading: bool) -> None:
        try:
            await deed()
        except TriageError as error:
            self.app.tell(str(error), bad=True)
        # Who looks at the log while a deed ends sees its end there.
        if not reading and self.app.active_pane.pane == "log":
            self.handle(messages.ReadHistory())

    async def ask(self, dialog: Dialog[_R]) -> _R | None:
        """Show a dialog and wait for its answer; None at once where another question is open already."""
        if self._asking:
            return None
        self._asking = True
        try:
            return await self.app.push_screen_wait(dialog)
        finally:
            self._asking = False

    def leave(self) -> None:
        """Leave the app; while a job or a scan goes on, or a setting waits to go back, only after a question."""
        if not self.jobs and not self.app.scanner.active and self.limits.reverting is None:
            self.app.exit(0)
        elif not isinstance(self.app.screen, Dialog):
            self._begin("leave", lambda: _leave(self))

    @property
    def acts(self) -> bool:
        """Whether there is an operator at all."""
        return self._operator is not None

    async def close(self) -> None:
        """The app is being left: end what goes on in a known state."""
        await self.jobs.close()
        if self._operator is not None:
            await self._operator.close()

    def tell(self, pane: str, sentence: str, *, bad: bool = False) -> None:
        """Say what came of a deed, unless the pane that shows it is the one on screen."""
        if self.app.pane != pane:
            self.app.tell(sentence, bad=bad)

    def first_look(self) -> None:
        """The server has answered for the first time: find out what may be changed here."""
        if not self._looked and self.app.startup.over:
            self._looked = True
            self.handle(messages.ReadLimits())

    def show_cleanup(self, state: CleanupState) -> None:
        """The cleanup has moved on."""
        self.cleanup = state
        self.app.active_pane.actions_changed()

    def show_limits(self, state: LimitsState) -> None:
        """The settings, or what is known of them, have changed."""
        self.limits = state
        self.app.active_pane.actions_changed()

    def show_log(self, state: LogState) -> None:
        """The audit file was read."""
        self.log = state
        self.app.active_pane.actions_changed()


def _deed(desk: ActionController, ask: messages.ActionRequest) -> Coroutine[object, object, None]:
    match ask:
        case messages.ReadLimits() | messages.ChangeSetting() | messages.UndoSetting() | messages.KeepSetting():
            return limits.deed(desk, ask)
        case messages.BuildPlan() | messages.BuildEmergency() | messages.RunPlan() | messages.RestoreBackup():
            return cleanup.deed(desk, ask)
        case messages.ExportReport():
            return report.export(desk)
        case messages.SaveScan():
            return scans.save(desk)
        case messages.ScanAgain():
            return scans.again(desk)
        case messages.OpenScan():
            return scans.open_saved(desk)
        case messages.PickProfile():
            return profiles.switch(desk)
        case _:
            return admin_commands.deed(desk, ask)


async def _leave(desk: ActionController) -> None:
    title, act, lines = "Leave?", "Leave", list[str]()
    if desk.jobs:
        title, act = "Stop it and leave?", "Stop and leave"
        lines.append("Something is under way. It ends at the edge of its batch, in a known state that is written down.")
    if desk.app.scanner.active:
        lines.append(
            f"{scans.standing(desk.app.scan)} Leaving ends the scan. To save it: Esc, e to end it, w to save it."
        )
    if desk.limits.reverting is not None:
        name, old = desk.limits.reverting.change.name, value_before(desk.limits.reverting)
        lines.append(f"{name} goes back to {old} at once: nobody has kept it. To keep it: Esc, and s in Limits.")
    if await desk.ask(ConfirmDialog(Question(title, tuple(lines), act))):
        desk.app.exit(0)
