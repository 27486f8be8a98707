"""The session: one server at a time, polled and shown, and let go of for another."""

import contextlib
import functools
from typing import Protocol

from textual.worker import Worker, WorkerCancelled, WorkerFailed, WorkType, get_current_worker
from textual.worker_manager import WorkerManager

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.details import Details
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import AlertHistory, Link, ServerState, first_state
from redis_oom_tui.ports.operator import Operator, PendingServer
from redis_oom_tui.ports.source import ClusteredSource, Replayable, Source
from redis_oom_tui.tui.deferred_startup import DeferredStartup, PlaceholderSource
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.flows.controller import ActionController, FlowApp
from redis_oom_tui.tui.main_screen import MainScreen
from redis_oom_tui.tui.messages import ReadLimits
from redis_oom_tui.tui.profiles import ProfileSession
from redis_oom_tui.tui.scan_controller import ScanController
from redis_oom_tui.tui.themes import ScreenTheme

_OF_A_SERVER = frozenset({"poll", "scan", "values", "actions"})


class SessionApp(FlowApp, Protocol):
    """The app as the session sees it: where it shows what it learns, and how it has work done."""

    options: ScreenOptions

    @property
    def main(self) -> MainScreen:
        """The screen of the panes."""

    @property
    def screen_theme(self) -> ScreenTheme:
        """The theme in use."""

    @property
    def style(self) -> DrawStyle:
        """What bars are drawn with."""

    @property
    def workers(self) -> WorkerManager:
        """Everything that runs."""

    def tell(self, sentence: str, *, bad: bool = False) -> None:
        """Show a sentence on the bottom line."""

    def refresh_bindings(self) -> None:
        """What keys may do has changed."""


class ServerSession:
    """What is known of one server, who asks it, and who acts on it. Implements `Host`, `FlowHost` and `PaneHost`.

    A `PendingServer` that answers is shown at once, and brings its own operator after the first paint. `first` is a
    sample of the server that was taken already.
    """

    def __init__(
        self, app: SessionApp, source: Source | PendingServer, operator: Operator | None, profile: Profile, clock: Clock
    ) -> None:
        self.app = app
        self.options, self.clock = app.options, clock
        pending = source if isinstance(source, PendingServer) else None
        self.startup = DeferredStartup(app, pending, show=self.start_polling, act=self._act)
        self.opened = pending is not None
        self.first: Snapshot | None = None
        if isinstance(source, PendingServer):
            source = PlaceholderSource(source.address)
        self._begin(source, operator, profile)

    def _begin(self, source: Source, operator: Operator | None, profile: Profile) -> None:
        """Everything as it is before the first answer."""
        self.source, self.profile, self.thresholds = source, profile, profile.watch.thresholds
        self.actions = ActionController(self.app, self, operator)
        self.scanner = ScanController(self, self.app)
        alerts = replace(profile.watch, interval_seconds=self.options.interval_seconds)
        self.timeline = AlertHistory(str(source.address), alerts, self.clock)
        self.poller: Poller | None = None
        self._limits_read = False
        self._pinned: str | None = None
        self._known: ServerState | None = None
        self._state: ServerState | None = None
        self._scan: ScanView | None = None

    @property
    def screen_theme(self) -> ScreenTheme:
        return self.app.screen_theme

    @property
    def style(self) -> DrawStyle:
        return self.app.style

    def tell(self, sentence: str, *, bad: bool = False) -> None:
        self.app.tell(sentence, bad=bad)

    @property
    def state(self) -> ServerState | None:
        """The state of the server as last polled; setting it draws it."""
        return self._state

    @state.setter
    def state(self, state: ServerState) -> None:
        self._state = state
        if isinstance(self.source, Replayable):
            # With the figures of a recording comes what was known of its keys by then.
            self.scanner.values = self.source.samples_so_far()
            self.scan = self.source.scan_so_far()
        if state.link is Link.LIVE and state.snapshot is not None:
            self.scanner.polled(state.snapshot)
        if state.link is Link.LIVE and self.startup.over and not self._limits_read:
            self._limits_read = True
            self.app.post_message(ReadLimits())
        self.app.main.show_state(state)

    @property
    def scan(self) -> ScanView | None:
        """The scan as it stands; setting it draws it."""
        return self._scan

    @scan.setter
    def scan(self, view: ScanView | None) -> None:
        if view != self._scan:
            self._scan = view
            self.app.main.show_scan(view)

    async def open(self) -> None:
        """Connect, where that has not been done. Raises TriageError with nothing left open."""
        if self.opened:
            return
        try:
            await self.source.open()
        except TriageError:
            await self.source.close()
            raise
        self.opened = True

    def show_first(self) -> None:
        """Show what is known before the first poll."""
        self._known = None if self.first is None else first_state(self.first, self.thresholds)
        self.state = self._known or ServerState(address=self.source.address)

    def start(self) -> None:
        """Start polling, which does not hold up the first paint."""
        if self.startup.over:
            self.start_polling()
        else:
            self.startup.begin()

    def start_polling(self, source: Source | None = None) -> None:
        """Run the poller in a worker of its own; of `source`, where that has only now come."""
        self.source = source = source or self.source
        known, self._known = self._known, None
        book = self.timeline.book
        self.poller = Poller(
            source,
            book.settings,
            self.clock,
            book=book,
            details=Details(source, lambda: self._scan),
            known=known,
            shared=True,
            opened=self.opened,
        )
        self.poller.ours = lambda snapshot: self.actions.acts and self.actions.operator.at_work(snapshot)
        polling: WorkType[None] = functools.partial(self.poller.run, lambda state: self.publish(state, source))
        self.app.run_worker(polling, name="poll", group="poll", exit_on_error=False)

    def publish(self, state: ServerState, source: Source) -> None:
        """Show a state that the poller of `source` came to."""
        self.startup.seen()
        self.app.call_later(self._polled, state, source)

    def _polled(self, state: ServerState, source: Source) -> None:
        if source is not self.source:
            return
        self.timeline.observe(state)
        self.state = state
        snapshot = state.snapshot
        if snapshot is not None and snapshot.notes and state.link is Link.LIVE:
            self.tell("; ".join(safe_text(note, 200) for note in snapshot.notes))

    def _act(self, operator: Operator) -> None:
        """The operator has come: what it may do here is asked, and the panes are drawn with it."""
        self.actions.take(operator)
        self.app.refresh_bindings()
        if self.state is not None:
            self.state = self.state

    async def go_to(self, target: ProfileSession) -> None:
        """Let go of this server, and show that one, which is open already, from the beginning."""
        mine = get_current_worker()
        for worker in [one for one in self.app.workers if one.group in _OF_A_SERVER and one is not mine]:
            worker.cancel()
            with contextlib.suppress(WorkerFailed, WorkerCancelled):
                await worker.wait()
        self.scanner.close()
        await self.close()
        self._begin(target.source, target.operator, target.profile)
        self.opened = True
        await self.app.main.renew()
        self.state = ServerState(address=self.source.address)
        self.start_polling()
        self.app.main.action_show_pane(self.app.main.pane)

    async def close(self) -> list[str]:
        """End what goes on in a known state, and let go of the server; returns what to say of what was ended."""
        sentences = await self.actions.close()
        await self.source.close()
        return sentences

    def show_node(self, node: str, *, or_worst: bool) -> None:
        """Show this node of the cluster; with `or_worst` the worst again where it is shown by choice already."""
        if not isinstance(self.source, ClusteredSource):
            self.tell("A recording shows the node that was shown then")
            return
        self._pinned = None if or_worst and node == self._pinned else node
        self.source.pin(self._pinned)
        self.tell("The worst is shown" if self._pinned is None else f"{safe_text(node, 80)} is shown")

    def worker_failed(self, worker: Worker[object]) -> None:
        """A worker met a defect of ours: tell it, and go on; a poller that ended is started again in a moment."""
        sentence = f"{worker.name} stopped: {type(worker.error).__name__}: {worker.error}"
        self.tell(sentence, bad=True)
        self.scanner.failed(worker, sentence)
        if worker.name == "poll":
            self.app.set_timer(5.0, self.start_polling)
