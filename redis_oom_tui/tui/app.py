"""The application: its keys, and where what the panes ask for goes."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import ModalScreen, Screen

from redis_oom_tui.models.action import Action
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.commands import commands
from redis_oom_tui.tui.flows import dispatch
from redis_oom_tui.tui.header_model import PANES, shown_verdict
from redis_oom_tui.tui.messages import COMMANDS, BuildEmergency, PickProfile, Request
from redis_oom_tui.tui.screens.details import DetailsScreen
from redis_oom_tui.tui.screens.help import HelpScreen
from redis_oom_tui.tui.screens.reader import VerdictScreen
from redis_oom_tui.tui.server_session import ServerSession
from redis_oom_tui.tui.themes import LOOKS

_LOW_BELOW = 20


class TriageApp(ServerSession):
    """Five panes over one server, and the keys to act on what they show."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"show_pane('{name}')", f"Show {name}", show=False, id=f"pane.{name}")
            for number, name in enumerate(PANES, 1)
        ),
        Binding("right_square_bracket", "next_pane(1)", "Next pane", show=False, id="pane.next"),
        Binding("left_square_bracket", "next_pane(-1)", "Previous pane", show=False, id="pane.previous"),
        Binding("f", "freeze", "freeze", id="freeze", tooltip="Hold the screen still; polling goes on"),
        Binding("E", "emergency", "emergency", id="emergency", tooltip="The prepared cleanup, to look at; asks later"),
        Binding("E", "no_emergency", "Why there is no emergency cleanup", show=False, id="emergency.none"),
        Binding("P", "profiles", "Another server", show=False, id="profiles", tooltip="Go to the server of a profile"),
        Binding("V", "show_verdict", "Verdict in full", show=False, id="verdict", tooltip="The verdict in full"),
        Binding("question_mark,f1", "show_help", "help", id="help", tooltip="All keys, and the safety rules"),
        Binding("q", "quit", "quit", id="quit", tooltip="Leave; the terminal comes back as it was"),
        Binding("escape", "back", "Back one step", show=False, id="back"),
        Binding("ctrl+c", "interrupt", "Leave, or cancel a dialog", show=False, priority=True, id="interrupt"),
    ]

    def on_resize(self, event: Resize) -> None:
        """In a terminal of few lines the header gives way first."""
        # Also where it has the size of before again: it may have had another meanwhile, and lost what stood there.
        self.output.forget()
        # The event's own size: the app's is still the one before.
        self.screen_stack[0].set_class(event.size.height < _LOW_BELOW, "-low")

    def action_next_pane(self, step: int) -> None:
        """Switch to the neighbouring pane, round the corner too."""
        self.action_show_pane(PANES[(PANES.index(self.pane) + step) % len(PANES)])

    @on(Request)
    def _requested(self, request: Request) -> None:
        match request:
            case messages.ShowPane():
                self.action_show_pane(request.pane)
            case messages.ApplyRemedy():
                if not dispatch.close_client(self.actions, request.lever):
                    self.action_show_pane(request.lever.pane)
                    self.active_pane.pull(request.lever)
            case messages.MakePlan():
                self.action_show_pane("cleanup")
                self.active_pane.take_criteria(request.criteria, request.origin, hidden=request.hidden)
            case messages.LookAtNode():
                self.look_at(request.name)
            case messages.ShowDetails():
                self.push_screen(DetailsScreen(request.key))
            case _:
                self._act_on(request)

    def _act_on(self, request: Request) -> None:
        match request:
            case messages.StartScan():
                self.startup.then(lambda: self.scanner.start(request.options))
            case messages.PauseScan():
                self.scanner.pause_or_resume()
            case messages.StopScan():
                self.scanner.stop()
            case messages.SetPace():
                self.scanner.set_pace(request.pace)
            case _ if self.screen_stack:  # there is none once the app is being left
                self.startup.then(lambda: dispatch.handle(self.actions, request))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer shows the emergency key only where a plan is prepared; elsewhere the key says why not."""
        del parameters
        if action in {"emergency", "no_emergency"}:
            return (self.actions.why_not(Action.EMERGENCY) is None) == (action == "emergency")
        return True

    def action_no_emergency(self) -> None:
        """Say why."""
        self.action_emergency()

    def action_emergency(self) -> None:
        """Look for what the prepared cleanup would take; running it is another question."""
        self.post_message(BuildEmergency())

    def action_profiles(self) -> None:
        """Pick the server of another profile."""
        self.post_message(PickProfile())

    async def action_quit(self) -> None:
        """Leave, but not in the middle of an operation without a question."""
        dispatch.leave(self.actions)

    def action_freeze(self) -> None:
        """Hold the screen still, or let it go on."""
        self.frozen = not self.frozen
        if self.reading is not None:
            self.header.show(self.reading, self.pane, frozen=self.frozen)
            self.active_pane.show_reading(self.reading)
            self.active_pane.show_scan(self.scan)

    def action_show_help(self) -> None:
        """All keys, and the safety rules."""
        self.push_screen(HelpScreen())

    def action_show_verdict(self) -> None:
        """The verdict in full: what the header may have to cut."""
        if self.header.reading is not None:
            self.push_screen(VerdictScreen(shown_verdict(self.header.reading)))

    async def action_back(self) -> None:
        """Undo one step inside the pane."""
        self.active_pane.back()

    def action_interrupt(self) -> None:
        """Ctrl+C: cancels a dialog, or leaves."""
        if isinstance(self.screen, ModalScreen):
            self.simulate_key("escape")
        else:
            dispatch.leave(self.actions)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the command palette offers: everything that has a key here, what panes offer, and the looks."""
        yield from commands(self, screen)
        if self.appearance.color:
            for name in LOOKS:
                yield SystemCommand(f"Look: {name}", "Change the colours", partial(self.set_theme, name))
        for title, words, ask in COMMANDS:
            if ask.local or self.actions.why_not(ask().needs) is None:
                yield SystemCommand(title, words, lambda ask=ask: self.post_message(ask()))
