"""Where the actions stand, and what their flows share: the operator, the questions, the jobs, what panes are shown."""

import asyncio
import functools
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from textual.widget import Widget
from textual.worker import WorkType

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import role_of
from redis_oom_tui.formatting.sizes import number_of
from redis_oom_tui.models.action import TARGET, Action
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.monitor.state import AlertHistory
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.ports.source import Job
from redis_oom_tui.tui.deferred_startup import DeferredStartup
from redis_oom_tui.tui.dialogs.base import NOTICE_SECONDS, Dialog, waiting
from redis_oom_tui.tui.flows.farewell import farewell
from redis_oom_tui.tui.flows.late_escape import LateEscape
from redis_oom_tui.tui.flows.state import CleanupState, LimitsState, LogState, ShardScan
from redis_oom_tui.tui.host import Host, Workers
from redis_oom_tui.tui.messages import ReadHistory, Request
from redis_oom_tui.tui.profiles import ProfileSession, Switchboard
from redis_oom_tui.tui.scan_controller import ScanController

_Result = TypeVar("_Result")
_View = TypeVar("_View")

_POLL_SECONDS = 0.5
_LEAVE_SECONDS = 1.5

_ENDED = "It had ended already: Esc again leaves what is shown"
_NO_OPERATOR = "Nothing can be changed from this screen: it is read-only"


class FlowHost(Host, Protocol):
    """What flows know of the server on screen."""

    scanner: ScanController
    startup: DeferredStartup
    timeline: AlertHistory

    async def go_to(self, target: ProfileSession) -> None:
        """Show another server."""


class ShownPane(Protocol):
    """The pane on screen, as flows see it."""

    def actions_changed(self) -> None:
        """What the controller holds has moved on."""


class FlowScreen(Protocol):
    """The screen of the panes, as flows see it."""

    pane: str

    @property
    def active_pane(self) -> ShownPane:
        """The pane on screen."""

    @property
    def marked(self) -> int:
        """How many rows are marked, in all panes."""

    def action_show_pane(self, pane: str) -> None:
        """Switch to a pane."""


class FlowApp(Workers, Protocol):
    """What flows have done by the app."""

    switchboard: Switchboard | None
    stays: str
    opening: object

    @property
    def screen(self) -> Widget:
        """What is on top: a dialog, where one is open."""

    @property
    def main(self) -> FlowScreen:
        """The screen of the panes."""

    def post_message(self, message: Request) -> bool:
        """Ask for something else."""

    async def push_screen_wait(self, screen: Dialog[_Result]) -> _Result | None:
        """Show a dialog and wait for its answer."""

    def copy_to_clipboard(self, text: str) -> None:
        """Copy by OSC 52."""

    def leave_overview(self, *, opened: bool) -> None:
        """Show the panes again; `opened`: on a server that was chosen there, and Escape leads back."""

    def exit(self, result: int) -> None:
        """Leave."""


class BackgroundJobs:
    """The jobs under way: they outlive the dialog that began them, and are waited for when the app is left."""

    def __init__(self) -> None:
        self._jobs: dict[asyncio.Task[object], Job[object, object]] = {}
        # Whoever followed them was cancelled, as all workers are by an app that ends.
        self._left: list[Job[object, object]] = []

    def __bool__(self) -> bool:
        """Whether a job goes on."""
        return bool(self._jobs)

    async def follow(self, job: Job[_Result, _View], publish: Callable[[_View], None]) -> _Result:
        """Run a job to its end, publishing how far it is twice a second; where that fails, the job is stopped."""
        task = asyncio.create_task(job.run())
        self._jobs[task] = job
        task.add_done_callback(lambda done: self._jobs.pop(done, None))
        try:
            while not task.done():
                publish(job.view())
                await asyncio.wait({task}, timeout=_POLL_SECONDS)
        finally:
            if task.done():
                self._jobs.pop(task, None)
            else:
                self._left.append(job)
                job.stop()
        return task.result()

    def stop(self) -> None:
        """End every job at its next edge."""
        for job in list(self._jobs.values()):
            job.stop()

    async def close(self) -> list[object]:
        """End them in a known state, and wait a moment for that; returns what became of those under way."""
        self.stop()
        jobs = {id(job): job for job in (*self._left, *self._jobs.values())}
        if self._jobs:
            await asyncio.wait(set(self._jobs), timeout=_LEAVE_SECONDS)
        return [job.view() for job in jobs.values()]


class ActionController:
    """The screen's side of every action. `operator` is None where nothing can be changed, or where it is still to come.

    A flow is a coroutine that asks its questions and then acts; it runs in a worker of the app, so that no dialog takes
    it along. What goes on for a while is one of `jobs`.
    """

    def __init__(self, app: FlowApp, host: FlowHost, operator: Operator | None) -> None:
        self.app = app
        self.host = host
        self._operator = operator
        self.cleanup = CleanupState()
        self.limits = LimitsState()
        self.log = LogState()
        self._asking = False
        self._changes = 0
        self.jobs = BackgroundJobs()
        self.late_escape = LateEscape(app)
        self.shard_scan: ShardScan | None = None
        """The scan of one shard from which nothing was proposed yet."""
        self.target = TARGET
        """The share of maxmemory that cleanups aim for."""

    @property
    def operator(self) -> Operator:
        """The operator, where there is one: `why_not` has been asked before."""
        if self._operator is None:
            raise TriageError(f"{_NO_OPERATOR}.")
        return self._operator

    @property
    def acts(self) -> bool:
        """Whether there is an operator at all."""
        return self._operator is not None

    def take(self, operator: Operator) -> None:
        """The operator has come, after the screen."""
        self._operator = operator

    def why_not(self, action: Action | None) -> str | None:
        """Why `action` cannot be used here, in a sentence; None where it can, or that is not known yet."""
        if self._operator is None:
            return _NO_OPERATOR if self.host.startup.over else None
        return None if action is None else self._operator.why_not(action)

    @property
    def where(self) -> str:
        """The server, for a question: address, role and kind."""
        address = safe_text(str(self.host.source.address), 80)
        snapshot = self.snapshot
        if snapshot is None:
            return address
        server, cluster = snapshot.server, snapshot.cluster
        if cluster is not None:
            primaries = "1 primary" if len(cluster.primaries) == 1 else f"{len(cluster.primaries)} primaries"
            copies = number_of(len(cluster.replicas), "replica")
            return f"the cluster of {address} ({primaries}, {copies})"
        role, flavour = role_of(server), safe_text(server.flavour, 12)
        return f"{address} ({role}, {flavour} {safe_text(server.version, 12)})"

    def new_file(self, form: str) -> Path:
        """A file to propose: the server and the time stand for `{}` in its name."""
        server = re.sub(r"[^A-Za-z0-9.-]+", "-", str(self.host.source.address)).strip("-")
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.host.clock.wall()))
        return Path(form.format(f"{server[:40]}-{stamp}"))

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest figures."""
        return self.host.state.snapshot if self.host.state is not None else None

    @property
    def scan(self) -> ScanView | None:
        """The scan as it stands, or None before the first."""
        return self.host.scan

    def begin(self, name: str, flow: Callable[[], Awaitable[object]], *, reads_log: bool = False) -> None:
        """Run a flow in a worker."""
        # Not a coroutine: an app that is being left drops it, and Python would complain at the user's prompt.
        work: WorkType[None] = functools.partial(self._run, flow, reads_log=reads_log)
        self.app.run_worker(work, name=name, group="actions", exit_on_error=False)

    async def _run(self, flow: Callable[[], Awaitable[object]], *, reads_log: bool) -> None:
        try:
            await flow()
        except TriageError as error:
            self.host.tell(str(error), bad=True)
        # Who looks at the log while a flow ends sees its end there.
        if not reads_log and self.app.main.pane == "log":
            self.app.post_message(ReadHistory())

    async def ask(self, dialog: Dialog[_Result]) -> _Result | None:
        """Show a dialog and wait for its answer; None at once where another question is open already."""
        if self._asking:
            return None
        self._asking = True
        try:
            return await self.app.push_screen_wait(dialog)
        finally:
            self._asking = False

    @property
    def is_changing(self) -> bool:
        """Whether a command that changes the server is still unanswered."""
        return self._changes > 0

    async def perform(self, change: Awaitable[_Result]) -> _Result:
        """Wait for what changes the server: nobody goes to another one before its reply was read."""
        self._changes += 1
        try:
            return await self.answered(change)
        finally:
            self._changes -= 1

    async def answered(self, question: Awaitable[_Result]) -> _Result:
        """Wait for what the server is asked, and say so where its answer takes its time."""
        notices: list[str] = []

        def notice() -> None:
            notices.append(waiting(self.host))
            self.host.tell(notices[-1])

        timer = self.app.set_timer(NOTICE_SECONDS, notice)
        try:
            return await question
        finally:
            timer.stop()
            if notices:
                self.host.tell("")

    async def close(self) -> list[str]:
        """The server is being let go of: end what goes on in a known state; returns what to say of that."""
        ended = await self.jobs.close()
        if self._operator is not None:
            await self._operator.close()
        return [words for view in ended for words in farewell(view, self.host.profile.connection_args)]

    def tell(self, pane: str, sentence: str, *, bad: bool = False) -> None:
        """Say what came of an action, unless the pane that shows it is the one on screen."""
        if self.app.main.pane != pane:
            self.host.tell(sentence, bad=bad)

    def show_cleanup(self, state: CleanupState) -> None:
        """The cleanup has moved on."""
        if self.cleanup.working and not state.working:
            self.late_escape.expect("cleanup", _ENDED)
        self.cleanup = state
        self.host.scanner.outdated |= state.changed_keys
        self.app.main.active_pane.actions_changed()

    def show_limits(self, state: LimitsState) -> None:
        """The settings, or what is known of them, have changed."""
        self.limits = state
        self.app.main.active_pane.actions_changed()

    def show_log(self, state: LogState) -> None:
        """The audit log was read."""
        self.log = state
        self.app.main.active_pane.actions_changed()
