"""The application: a server, the screen that shows it, and where each request goes."""

import gc
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.events import Event, Key, Resize
from textual.screen import ModalScreen, Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.poller import SeveralPollers
from redis_oom_tui.ports.operator import Operator, PendingServer
from redis_oom_tui.ports.source import Replayable, Source
from redis_oom_tui.rules.tuning import SETTINGS
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.commands import CommandSearch, commands
from redis_oom_tui.tui.flows import dispatch
from redis_oom_tui.tui.flows.profiles import NO_PROFILES, OVERVIEW
from redis_oom_tui.tui.glyphs import Appearance
from redis_oom_tui.tui.main_screen import MainScreen
from redis_oom_tui.tui.messages import Request
from redis_oom_tui.tui.profiles import Switchboard
from redis_oom_tui.tui.screens.details import DetailsScreen
from redis_oom_tui.tui.screens.overview import OverviewScreen
from redis_oom_tui.tui.screens.reader import ExplainScreen
from redis_oom_tui.tui.server_session import ServerSession
from redis_oom_tui.tui.terminal.app import TerminalApp
from redis_oom_tui.tui.themes import SCREEN_THEMES

_LOW_BELOW = 20
_MESSAGE_SECONDS = 10.0
_LEAP = 10


# Thresholds of Python's garbage collector while the screen is up: a collection takes a millisecond or two.
_COLLECTED_AFTER = 2_000, 10, 100


def _collect_briefly() -> None:
    """Collect garbage in short steps from now on: with what a start sets, a key may wait 130 ms for one collection.

    What the start made stays, and is not gone through again.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


class TriageApp(TerminalApp):
    """Five panes over one server. `operator` acts on it; None where nothing can be changed."""

    COMMANDS = {CommandSearch}  # noqa: RUF012 - as Textual declares it
    CSS_PATH = Path(__file__).with_name("styles.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit", id="quit", tooltip="Quit"),
        Binding("colon", "command_palette", "Palette", show=False, id="palette", tooltip="Every action by name"),
        Binding("f1", "explain", "Explain", show=False, id="explain", tooltip="Explain what has the focus"),
        # Textual binds no key of its own where one is bound here.
        Binding("ctrl+p", "command_palette", "Palette", show=False, priority=True, system=True),
        Binding("ctrl+c", "interrupt", "Quit, or cancel the dialog", show=False, priority=True, id="interrupt"),
    ]

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
        super().__init__(options or ScreenOptions(), appearance or Appearance(), driver_class=driver_class)
        self.switchboard: Switchboard | None = None
        self.stays = ""
        self.overview: OverviewScreen | None = None
        self.begins_at_overview = False
        """Whether no server is open until one is chosen there."""
        self.opening: object = None
        """Stands for the server that was chosen last in the overview; None once it was given up."""
        self._keys_given = dict(keymap or {})
        self._message_timer: Timer | None = None
        self.main = MainScreen()
        self.session = ServerSession(self, source, operator, profile or Profile(""), clock or Clock())

    def get_default_screen(self) -> Screen[None]:
        """The panes."""
        return self.main

    def compose(self) -> ComposeResult:
        """What the panes' screen holds."""
        yield from self.main.widgets()

    async def serve(self, *, mouse: bool) -> None:
        """Open the source, then show the screen until it is left.

        In this order, so that a refused login is a sentence at the prompt, and no late answer of the terminal to a
        screen that ended at once is typed into the shell.
        """
        await self.session.open()
        self.session.startup.then(_collect_briefly)
        await self.run_async(mouse=mouse)

    def on_mount(self) -> None:
        """Start polling after the first paint, which does not wait for the server."""
        self.session.show_first()
        self.set_keymap(self._keys_given)
        self.main.active_pane.entered()
        if self.begins_at_overview:
            self._show_overview()
        else:
            self.call_after_refresh(self.session.start)

    @property
    def is_laid_out(self) -> bool:
        """From when the header has drawn itself."""
        return self.main.header.is_drawn or (self.overview is not None and self.overview.is_drawn)

    async def on_unmount(self) -> None:
        """End what goes on in a known state, and let go of the server."""
        self.farewell = await self.session.close()
        if self.overview is not None:
            await self.overview.close()

    def on_resize(self, event: Resize) -> None:
        """In a terminal of few lines the header gives way first; the app's own size is still the one before."""
        self.main.set_class(event.size.height < _LOW_BELOW, "-low")

    def tell(self, sentence: str, *, bad: bool = False) -> None:
        """Answer an action of the user in one sentence, shown until the next key, ten seconds at most; '' ends it."""
        self._clear_message()
        if not sentence:
            return
        keys = self.overview.keys if self.overview is not None and self.at_overview else self.main.keys
        keys.say(sentence, "crit" if bad else "ok")
        self._message_timer = self.set_timer(_MESSAGE_SECONDS, self._clear_message)

    def _clear_message(self) -> None:
        if self._message_timer is not None:
            self._message_timer.stop()
            self._message_timer = None
            for screen in (self.main, self.overview):
                if screen is not None:
                    screen.keys.clear_message()

    @property
    def at_overview(self) -> bool:
        """Whether the overview covers the panes."""
        return self.overview in self.screen_stack

    def _show_overview(self) -> None:
        """The servers of several profiles, over the panes; they are polled from now on."""
        board = self.switchboard
        if self.stays or board is None or not board.profiles:
            self.tell(self.stays or NO_PROFILES, bad=True)
            return
        if self.overview is None:
            sources = {each.name: board.polled(each.name) for each in board.profiles}
            settings = {each.name: each.watch for each in board.profiles}
            polls = SeveralPollers(sources, settings, self.session.clock)
            self.overview = OverviewScreen(board.profiles, polls, is_outermost=self.begins_at_overview)
            self.install_screen(self.overview, "overview")
        if not self.at_overview:
            self.overview.poll()
            self.push_screen(self.overview)

    def leave_overview(self, *, opened: bool) -> None:
        """Show the panes again; `opened`: on a server that was chosen there, and Escape leads back from now on."""
        overview, opening = self.overview, self.opening
        self.opening = None
        if overview is None or self.screen is not overview:
            return
        if not opened and ((opening is None and overview.drop_filter()) or overview.is_outermost):
            return
        if opened:
            self.main.from_overview = overview.is_outermost = True
        else:
            overview.poll_no_more()
        self.pop_screen()

    async def on_event(self, event: Event) -> None:
        """Any key ends a message, then does what it does."""
        if isinstance(event, Key):
            self._clear_message()
        await super().on_event(event)

    @on(Request)
    def _requested(self, request: Request) -> None:
        match request:
            case messages.ShowPane():
                self.main.action_show_pane(request.pane)
            case messages.ApplyRemedy():
                if not dispatch.begin_remedy(self.session.actions, request.remedy):
                    self.main.action_show_pane(request.remedy.pane)
                    self.main.active_pane.show_remedy(request.remedy)
            case messages.MakePlan():
                self.main.action_show_pane("cleanup")
                self.main.active_pane.take_criteria(request.criteria, request.origin, hidden=request.hidden)
            case messages.ShowOverview():
                self._show_overview()
            case messages.LeaveOverview():
                if late := self.session.actions.late_escape.taken(OVERVIEW):
                    self.tell(late)
                else:
                    self.leave_overview(opened=False)
            case messages.ShowDetails():
                self.push_screen(DetailsScreen(request.key))
            case _:
                _act_on(self.session, request, leaving=not self.screen_stack)

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """The one place where a failed worker comes to light."""
        if event.state is WorkerState.ERROR:
            self.session.worker_failed(event.worker)

    def action_explain(self) -> None:
        """What has the focus, explained over what is on screen."""
        self.push_screen(ExplainScreen(self.screen))

    async def action_quit(self) -> None:
        """Leave, but not in the middle of an action without a question."""
        dispatch.leave(self.session.actions)

    def action_interrupt(self) -> None:
        """Ctrl+C: cancels a dialog, or leaves."""
        if isinstance(self.screen, ModalScreen):
            self.simulate_key("escape")
        else:
            dispatch.leave(self.session.actions)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the command palette offers: everything that has a key here, what panes offer, and the themes."""
        yield from commands(self, screen)
        if self.appearance.color:
            for name in SCREEN_THEMES:
                yield SystemCommand(f"Theme: {name}", "Change the color theme", partial(self.set_theme, name))
        if isinstance(screen, OverviewScreen):
            # What acts, acts on the server that is open: not here, where it is not seen.
            return
        if self.session.actions.why_not(Action.SET) is None:
            for name, setting in SETTINGS.items():
                change = partial(self.post_message, messages.ChangeSetting(name))
                yield SystemCommand(f"Change {name}", f"{setting.sentence} Asks first", change, discover=False)
        for title, words, kind in messages.COMMANDS:
            if kind.local or self.session.actions.why_not(kind().needs) is None:
                yield SystemCommand(title, words, lambda kind=kind: self.post_message(kind()))


def _act_on(session: ServerSession, request: Request, *, leaving: bool) -> None:
    match request:
        case messages.LookAtNode():
            session.show_node(request.name, or_worst=request.or_worst)
        case messages.StartScan():
            begin = partial(session.scanner.start, request.options, asked_for=request.asked_for)
            dispatch.once_connected(session, request, begin)
        case messages.PauseScan():
            session.scanner.pause_or_resume()
        case messages.StopScan():
            session.scanner.stop()
        case messages.SetPace():
            session.scanner.set_pace(request.pace)
        case _ if not leaving:
            dispatch.handle(session.actions, request)


class ReplayApp(TriageApp):
    """What was, as it was shown then; nothing can be changed in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "rewind(-1)", "prev", id="replay.back", tooltip="Previous poll (pauses)"),
        Binding("full_stop", "rewind(1)", "next", id="replay.on", tooltip="Next poll (pauses)"),
        Binding("left_curly_bracket", "leap(-1)", "Back 10%", show=False, id="replay.leap_back"),
        Binding("right_curly_bracket", "leap(1)", "Forward 10%", show=False, id="replay.leap_on"),
        # In Hogs, t is the picture.
        Binding("t,ctrl+t", "hold", "play/pause", id="replay.hold", tooltip="Play / pause"),
    ]

    async def action_rewind(self, polls: int) -> None:
        """Move by so many polls and stay there."""
        if isinstance(self.session.source, Replayable):
            self.session.source.hold(True)
            self.session.source.move(polls)
            await self._tell_where()

    async def action_leap(self, direction: int) -> None:
        """Move by a tenth of the whole."""
        if isinstance(self.session.source, Replayable):
            await self.action_rewind(direction * max(1, self.session.source.position[1] // _LEAP))

    async def action_hold(self) -> None:
        """Hold the time line, or let it run on."""
        if isinstance(self.session.source, Replayable):
            self.session.source.hold(not self.session.source.held)
            await self._tell_where()

    async def _tell_where(self) -> None:
        source, poller = self.session.source, self.session.poller
        if isinstance(source, Replayable) and poller is not None:
            self.session.publish(await poller.poll(), source)
            number, total = source.position
            then = datetime.fromtimestamp(source.wall()).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            self.tell(f"Replay: {then}, sample {number} of {total}, {'paused' if source.held else 'playing'}")
