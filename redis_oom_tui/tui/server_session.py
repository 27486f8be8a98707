"""The session: one server at a time, polled and drawn in five panes, and let go of for another."""

import contextlib
import functools
from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.driver import Driver
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import ContentSwitcher
from textual.worker import Worker, WorkerCancelled, WorkerFailed, WorkerState, WorkType, get_current_worker

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
from redis_oom_tui.ports import Fleet, Operator, PendingServer, Source
from redis_oom_tui.tui.base_app import BaseApp
from redis_oom_tui.tui.deferred_startup import DeferredStartup, PlaceholderSource
from redis_oom_tui.tui.flows.controller import NO_OPERATOR, NOT_YET, ActionController
from redis_oom_tui.tui.header_model import PANES
from redis_oom_tui.tui.messages import ReadLimits
from redis_oom_tui.tui.options import Appearance
from redis_oom_tui.tui.panes.base import Pane
from redis_oom_tui.tui.panes.cleanup import CleanupPane
from redis_oom_tui.tui.panes.hogs import HogsPane
from redis_oom_tui.tui.panes.limits import LimitsPane
from redis_oom_tui.tui.panes.log import LogPane
from redis_oom_tui.tui.panes.triage import TriagePane
from redis_oom_tui.tui.profiles import ProfileSession, Switchboard
from redis_oom_tui.tui.scan_controller import ScanController
from redis_oom_tui.tui.widgets.header import Header

_OF_A_SERVER = frozenset({"poll", "scan", "values", "actions"})


class StatePolled(Message):
    """A tick's reading, from the poller of the server called `source` to the screen."""

    def __init__(self, reading: ServerState, source: Source) -> None:
        super().__init__()
        self.reading = reading
        self.source = source


class ServerSession(BaseApp):
    """An app that looks at one server: it knows what is shown of it, and nothing of keys. `TriageApp` stands on it.

    `operator` acts on the server; None where nothing can be changed. A `PendingServer` that answers is shown at once,
    and brings its own operator after the first paint. `first` is a sample of the server that was taken already.
    """

    reading: reactive[ServerState | None] = reactive(None, init=False)
    scan: reactive[ScanView | None] = reactive(None, init=False)

    def __init__(
        self,
        source: Source | PendingServer,
        *,
        operator: Operator | None = None,
        options: ScreenOptions | None = None,
        profile: Profile | None = None,
        keymap: Mapping[str, str] | None = None,
        appearance: Appearance | None = None,
        clock: Clock | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        super().__init__(options=options, appearance=appearance, clock=clock, driver_class=driver_class)
        self.switchboard: Switchboard | None = None
        self.stays = ""
        self._keys_given = dict(keymap or {})
        self.frozen = False
        self.startup = DeferredStartup(
            self, source if isinstance(source, PendingServer) else None, show=self.start_polling, act=self._act
        )
        if isinstance(source, PendingServer):
            source = PlaceholderSource(source.address)
        self._opened = isinstance(source, PlaceholderSource)
        self.first: Snapshot | None = None
        self._known: ServerState | None = None
        self.pane = PANES[0]
        self.header, self.switcher = Header(), ContentSwitcher(initial=PANES[0])
        self._begin(ProfileSession(source, operator, profile or Profile("")))

    def _begin(self, session: ProfileSession) -> None:
        """Everything that is of one server, as it is before its first answer."""
        self.source, self.profile = session.source, session.profile
        absent = NO_OPERATOR if self.startup.over else NOT_YET
        self.actions = ActionController(self, self, session.operator, absent=absent)
        self.scanner = ScanController(self, self)
        self._limits_read = False
        self.thresholds = self.profile.watch.thresholds
        alerts = replace(self.profile.watch, interval_seconds=self.options.interval_seconds)
        self.timeline = AlertHistory(str(self.source.address), alerts, self.clock)
        self._pinned: str | None = None
        self.poller: Poller | None = None
        kinds: tuple[type[Pane], ...] = (TriagePane, HogsPane, LimitsPane, CleanupPane, LogPane)
        self.panes: dict[str, Pane] = {kind.pane: kind(id=kind.pane) for kind in kinds}

    async def serve(self, *, mouse: bool) -> None:
        """Open the source, then show the screen until it is left.

        In this order, so that a refused login is a sentence at the prompt, and no late answer of the terminal to a
        screen that ended at once is typed into the shell.
        """
        if not self._opened:
            try:
                await self.source.open()
            except TriageError:
                await self.source.close()
                raise
            self._opened = True
        await self.run_async(mouse=mouse)

    def compose(self) -> ComposeResult:
        """Header, panes, keys."""
        yield self.header
        with self.switcher:
            yield from self.panes.values()
        yield self.keys

    def on_mount(self) -> None:
        """Start polling after the first paint, which does not wait for the server."""
        self._known = None if self.first is None else first_state(self.first, self.thresholds)
        self.reading = self._known or ServerState(address=self.source.address)
        self.set_keymap(self._keys_given)
        self.set_interval(1.0, self._count_on)
        self.call_after_refresh(self.start_polling if self.startup.over else self.startup.begin)
        self.active_pane.entered()

    @property
    def is_laid_out(self) -> bool:
        """From when the header has drawn itself."""
        return self.header.is_drawn

    async def on_unmount(self) -> None:
        """End at an edge what goes on, and let go of the server."""
        await self.actions.close()
        await self.source.close()

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
            details=Details(source),
            known=known,
            shared=True,
            opened=self._opened,
        )
        polling: WorkType[None] = functools.partial(self.poller.run, lambda state: self.publish(state, source))
        self.run_worker(polling, name="poll", group="poll", exit_on_error=False)

    def publish(self, reading: ServerState, source: Source) -> None:
        """Show a state that the poller of `source` came to."""
        self.startup.seen()
        self.post_message(StatePolled(reading, source))

    async def go_to(self, session: ProfileSession) -> None:
        """Let go of this server, and show that one, which is open already, from the beginning."""
        await self._let_go()
        self._begin(session)
        self._opened = True
        for name, pane in self.panes.items():
            pane.display = name == self.pane
        await self.switcher.remove_children()
        await self.switcher.mount(*self.panes.values())
        self.scan, self.frozen = None, False
        self.reading = ServerState(address=self.source.address)
        self.start_polling()
        self.action_show_pane(self.pane)

    async def _let_go(self) -> None:
        """End all that asks this server; what changes it has ended before."""
        mine = get_current_worker()
        for worker in [one for one in self.workers if one.group in _OF_A_SERVER and one is not mine]:
            worker.cancel()
            with contextlib.suppress(WorkerFailed, WorkerCancelled):
                await worker.wait()
        self.scanner.close()
        await self.actions.close()
        await self.source.close()

    @on(StatePolled)
    def _polled(self, message: StatePolled) -> None:
        if message.source is not self.source:
            return
        self.timeline.observe(message.reading)
        self.reading = message.reading
        snapshot = message.reading.snapshot
        if snapshot is not None and snapshot.notes and message.reading.link is Link.LIVE:
            self.tell("; ".join(safe_text(note, 200) for note in snapshot.notes))

    def watch_reading(self, reading: ServerState | None) -> None:
        """Draw a new reading, unless the screen is frozen and the server answers."""
        if reading is not None and reading.link is Link.LIVE and self.startup.over and not self._limits_read:
            self._limits_read = True
            self.post_message(ReadLimits())
        if reading is None or (self.frozen and reading.link is Link.LIVE):
            return
        with self.batch_update():
            self.header.show(reading, self.pane, frozen=self.frozen)
            self.active_pane.show_reading(reading)

    def _act(self, operator: Operator) -> None:
        """The operator has come: what it may do here is asked, and the panes are drawn with it."""
        self.actions.take(operator)
        self.refresh_bindings()
        self.watch_reading(self.reading)

    def watch_scan(self, view: ScanView | None) -> None:
        """Draw the scan as it stands, unless the screen is frozen."""
        if not self.frozen:
            self.active_pane.show_scan(view)

    def _count_on(self) -> None:
        """Figures that are late show their age, second by second; a header that says the same costs nothing."""
        self.header.redraw()

    @property
    def marked(self) -> int:
        """How many rows are marked, in all panes."""
        return sum(pane.marked for pane in self.panes.values())

    @property
    def active_pane(self) -> Pane:
        """The pane on screen."""
        return self.panes[self.pane]

    def action_show_pane(self, pane: str) -> None:
        """Switch to a pane."""
        self.pane = pane
        self.switcher.current = pane
        active = self.active_pane
        if self.reading is not None:
            self.header.show(self.reading, pane, frozen=self.frozen)
            active.show_reading(self.reading)
        active.show_scan(self.scan)
        active.entered()

    def look_at(self, node: str) -> None:
        """Show this node of the cluster, or the worst again where it is shown by choice already."""
        if not isinstance(self.source, Fleet):
            self.tell("A recording shows the node that was shown then")
            return
        self._pinned = None if node == self._pinned else node
        self.source.pin(self._pinned)
        self.tell("The worst is shown" if self._pinned is None else f"{safe_text(node, 80)} is shown")

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """The one place where a failed worker comes to light."""
        if event.state is not WorkerState.ERROR:
            return
        error = event.worker.error
        sentence = f"{event.worker.name} stopped: {type(error).__name__}: {error}"
        self.tell(sentence, bad=True)
        self.scanner.failed(event.worker, sentence)
        if event.worker.name == "poll":
            self.set_timer(5.0, self.start_polling)
