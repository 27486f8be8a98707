"""The screen of the five panes: the header over them, the key line below, and the keys that move between them."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from redis_oom_tui.models.action import Action
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.ports.source import Replayable
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.header_model import PANES, HeaderModel, shown_verdict, tab_texts
from redis_oom_tui.tui.messages import BuildEmergency, PickProfile, ShowOverview, ShowPane, ShowUndoList
from redis_oom_tui.tui.panes.base import Pane, host_of
from redis_oom_tui.tui.panes.cleanup import CleanupPane
from redis_oom_tui.tui.panes.hogs import HogsPane
from redis_oom_tui.tui.panes.limits import LimitsPane
from redis_oom_tui.tui.panes.log import LogPane
from redis_oom_tui.tui.panes.triage import TriagePane
from redis_oom_tui.tui.screens.reader import HelpScreen, VerdictScreen
from redis_oom_tui.tui.widgets.keybar import KeyBar
from redis_oom_tui.tui.widgets.line_widget import LineWidget

_KINDS: tuple[type[Pane], ...] = (TriagePane, HogsPane, LimitsPane, CleanupPane, LogPane)


def _new_panes() -> dict[str, Pane]:
    return {kind.pane: kind(id=kind.pane) for kind in _KINDS}


class Header(LineWidget):
    """Five lines, three in a terminal of few: what they say is `HeaderModel`'s."""

    state: ServerState | None = None
    pane = "triage"
    frozen = False

    def on_mount(self) -> None:
        """Figures that are late show their age, second by second."""
        self.set_interval(1.0, self.redraw)

    def show(self, state: ServerState, pane: str, *, frozen: bool) -> None:
        """Draw this state of the server."""
        self.state, self.pane, self.frozen = state, pane, frozen
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        return () if self.state is None else self._top(self.state).lines(width, height)

    def _top(self, state: ServerState) -> HeaderModel:
        app = self.host
        return HeaderModel(
            state=state,
            pane=self.pane,
            frozen=self.frozen,
            profile=app.profile,
            thresholds=app.thresholds,
            style=self.style,
            now=app.clock.monotonic(),
            recorded=app.source.position if isinstance(app.source, Replayable) else None,
            interval=app.options.interval_seconds,
            returning=host_of(self).actions.limits.returning(app.clock.monotonic()),
        )

    async def on_click(self, event: events.Click) -> None:
        """A click on a pane's name shows it, one on the verdict all of that."""
        row = 1 if self.size.height >= 5 else 0
        if row < event.y < self.size.height - 1:
            await self.run_action("screen.show_verdict")
        if event.y != row:
            return
        x = 0
        for _, name, text in tab_texts(self.pane, self.size.width):
            if x <= event.x < x + len(text):
                self.post_message(ShowPane(name))
                return
            x += len(text)


class MainScreen(Screen[None]):
    """Draws what is known of the server in the pane that is shown; the others are drawn when they come back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"show_pane('{name}')", f"Go to {name.title()}", show=False, id=f"pane.{name}")
            for number, name in enumerate(PANES, 1)
        ),
        Binding("right_square_bracket", "next_pane(1)", "Next pane", show=False, id="pane.next"),
        Binding("left_square_bracket", "next_pane(-1)", "Previous pane", show=False, id="pane.previous"),
        Binding("f", "freeze(True)", "freeze", id="freeze", tooltip="Freeze the display; polling continues"),
        Binding("f", "freeze(False)", "unfreeze", id="freeze", tooltip="Show what is polled again"),
        Binding(
            "E",
            "emergency(True)",
            "emergency",
            id="emergency",
            tooltip="Preview the emergency cleanup plan (confirms before running)",
        ),
        Binding("E", "emergency(False)", "Emergency cleanup (not configured): why?", show=False, id="emergency.none"),
        Binding("O", "overview(True)", "overview", id="overview", tooltip="Overview of all servers"),
        Binding("O", "overview(False)", "Overview", show=False, id="overview.all", tooltip="Overview of all servers"),
        Binding("P", "profiles", "Switch server", show=False, id="profiles", tooltip="Switch server (profile)"),
        Binding(
            "U",
            "undo_list",
            "Undo list",
            show=False,
            id="undo",
            tooltip="What can be undone, settings and deletions, newest first; asks first",
        ),
        Binding("V", "show_verdict", "Verdict in full", show=False, id="verdict", tooltip="The verdict in full"),
        Binding("question_mark", "show_help", "help", id="help", tooltip="Help: keys and safety rules"),
        Binding("escape", "back", "Back one step", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.pane = PANES[0]
        self.frozen = False
        self.from_overview = False
        """Whether Escape leads to the overview in the end."""
        self.header, self.keys = Header(), KeyBar()
        self.switcher = ContentSwitcher(initial=PANES[0])
        self.panes = _new_panes()

    def widgets(self) -> ComposeResult:
        """Header, panes, keys: composed by the app, so that all are there before it begins."""
        yield self.header
        with self.switcher:
            yield from self.panes.values()
        yield self.keys

    @property
    def focus_chain(self) -> list[Widget]:
        """Where Tab goes: into what a pane holds, never onto the pane, where no arrow key moves anything."""
        return [widget for widget in super().focus_chain if not isinstance(widget, Pane)]

    @property
    def active_pane(self) -> Pane:
        """The pane on screen."""
        return self.panes[self.pane]

    @property
    def marked(self) -> int:
        """How many rows are marked, in all panes."""
        return sum(pane.marked for pane in self.panes.values())

    def show_state(self, state: ServerState) -> None:
        """Draw a new state of the server, unless the screen is frozen and the server answers."""
        if self.frozen and state.link is Link.LIVE:
            return
        with self.app.batch_update():
            self.header.show(state, self.pane, frozen=self.frozen)
            self.active_pane.show_state(state)

    def show_scan(self, view: ScanView | None) -> None:
        """Draw the scan as it stands, unless the screen is frozen."""
        if not self.frozen:
            self.active_pane.show_scan(view)

    def _redraw(self) -> None:
        host = host_of(self)
        if host.state is not None:
            self.header.show(host.state, self.pane, frozen=self.frozen)
            self.active_pane.show_state(host.state)
        self.active_pane.show_scan(host.scan)

    async def renew(self) -> None:
        """Put new panes in the place of these, which are of another server."""
        self.panes, self.frozen = _new_panes(), False
        for name, pane in self.panes.items():
            pane.display = name == self.pane
        await self.switcher.remove_children()
        await self.switcher.mount(*self.panes.values())

    def action_show_pane(self, pane: str) -> None:
        """Switch to a pane."""
        self.pane = self.switcher.current = pane
        self._redraw()
        self.active_pane.entered()

    def action_next_pane(self, step: int) -> None:
        """Switch to the neighbouring pane, round the corner too."""
        self.action_show_pane(PANES[(PANES.index(self.pane) + step) % len(PANES)])

    def action_freeze(self, frozen: bool) -> None:
        """Hold the screen still, or let it go on."""
        self.frozen = frozen
        self.refresh_bindings()
        self._redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer shows the emergency key only where a plan is prepared; elsewhere the key says why not."""
        if action == "emergency":
            actions = host_of(self).actions
            return parameters == (actions.acts and actions.why_not(Action.EMERGENCY) is None,)
        if action == "overview":
            return parameters == (self.from_overview,)
        if action == "freeze":
            return parameters == (not self.frozen,)
        return super().check_action(action, parameters)

    def action_emergency(self, prepared: bool) -> None:
        """Look for what the prepared cleanup would take; running it is another question. Without one, say why."""
        del prepared
        self.post_message(BuildEmergency())

    def action_overview(self, shown: bool) -> None:
        """The servers of all profiles."""
        del shown
        self.post_message(ShowOverview())

    def action_profiles(self) -> None:
        """Pick the server of another profile."""
        self.post_message(PickProfile())

    def action_undo_list(self) -> None:
        """What can be undone here."""
        self.post_message(ShowUndoList())

    def action_show_help(self) -> None:
        """All keys, and the safety rules."""
        self.app.push_screen(HelpScreen())

    def action_show_verdict(self) -> None:
        """The verdict in full: what the header may have to cut."""
        if self.header.state is not None:
            self.app.push_screen(VerdictScreen(shown_verdict(self.header.state), host_of(self).actions.where))

    async def action_back(self) -> None:
        """Undo one step inside the pane; where there is none, back to the overview if one came from there."""
        host = host_of(self)
        if late := host.actions.late_escape.taken(self.pane):
            host.tell(late)
        elif not self.active_pane.back() and self.from_overview:
            self.post_message(ShowOverview())
