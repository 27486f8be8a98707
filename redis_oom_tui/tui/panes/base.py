"""What a pane is, and how it gets its data."""

from typing import ClassVar, Protocol, cast

from textual.containers import Vertical
from textual.events import Key
from textual.widget import Widget

from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.tui.flows.controller import ActionController, FlowHost
from redis_oom_tui.tui.host import host_of as the_host_of


class PaneHost(FlowHost, Protocol):
    """The server on screen, as panes see it."""

    actions: ActionController


def host_of(widget: Widget) -> PaneHost:
    """The server on screen, for a widget of a pane."""
    return cast("PaneHost", the_host_of(widget))


class Pane(Vertical, can_focus=True):
    """One of the five panes.

    The app calls `show_state` with the frozen state at each tick, and `show_scan` with the scan as it stands (None
    before the first scan), but only while the pane is on screen; it calls both once more, then `entered`, when the pane
    comes back. So a pane keeps no copy of the server's state beyond what it draws, and a hidden pane costs nothing.
    What a pane wants done it posts as one of `tui.messages`.
    """

    pane: ClassVar[str] = ""
    title: ClassVar[str] = ""

    @property
    def host(self) -> PaneHost:
        """The server on screen."""
        return host_of(self)

    def show_state(self, state: ServerState) -> None:
        """Draw the figures of a tick."""

    def show_scan(self, view: ScanView | None) -> None:
        """Draw the scan as it stands."""

    def entered(self) -> None:
        """The pane has come on screen: put the focus where the hands expect it."""
        self.put_focus(self.main_widget)

    def put_focus(self, widget: Widget) -> None:
        """Give the focus to `widget` now: `Widget.focus` does it a moment later, and a key typed meanwhile is lost."""
        self.screen.set_focus(widget, scroll_visible=False)

    def show_remedy(self, remedy: Remedy) -> None:
        """Fill in what a finding proposes."""

    def take_criteria(self, criteria: Criteria, origin: str, *, hidden: int = 0) -> None:
        """Begin a plan that another pane asked for."""

    def why_not(self, action: str) -> str | None:
        """Why an action of this pane is greyed, in a sentence; None where it is not."""
        del action
        return None

    def why_no_scan(self) -> str | None:
        """Why keys cannot be scanned here, in a sentence; None where they can, or that is not known yet."""
        state = self.host.state
        reason = None if state is None else state.capabilities.why_not(Feature.SCAN)
        return None if reason is None else f"SCAN is refused here: {reason}"

    def why_nothing(self, action: str) -> str | None:
        """Why an action that is left out has nothing to act on, in a sentence; None where that needs no word."""
        del action
        return None

    def on_key(self, event: Key) -> None:
        """A key that is greyed or left out says why."""
        active = self.screen.active_bindings.get(event.key)
        if active is None:
            bindings = self._bindings.key_to_bindings.get(event.key, ())
            reason = next(filter(None, (self.why_nothing(one.action) for one in bindings)), None)
            if reason is not None:
                event.stop()
                self.host.tell(reason)
            return
        if active.node is not self or active.enabled:
            return
        reason = self.why_not(active.binding.action)
        if reason is not None:
            event.stop()
            self.host.tell(f"{reason}", bad=True)

    def refresh_bindings(self) -> None:
        """As Textual has it, but borne by a pane that has just been taken off: a last state may still come."""
        if self.is_attached:
            super().refresh_bindings()

    @property
    def marked(self) -> int:
        """How many rows are marked here."""
        return 0

    def actions_changed(self) -> None:
        """A cleanup, the settings or the audit file has moved on; called as `show_state` is."""

    def back(self) -> bool:
        """Undo one step inside the pane (a filter, a drill); False where there is none."""
        return False

    @property
    def main_widget(self) -> Widget:
        """What has the focus when the pane comes on screen."""
        return self
