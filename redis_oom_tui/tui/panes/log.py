"""Pane: The timeline of states, alerts and actions, and the audit trail."""

from textual.app import ComposeResult

from redis_oom_tui.tui.panes.base import Pane, Words


class LogPane(Pane):
    """The timeline of states, alerts and actions, and the audit trail."""

    pane = "log"
    title = "Log"

    def compose(self) -> ComposeResult:
        """What it will hold."""
        yield Words("The timeline of states, alerts and actions, and the audit trail.")
