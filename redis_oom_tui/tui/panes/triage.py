"""Pane: Is it out of memory, why, and what next."""

from textual.app import ComposeResult

from redis_oom_tui.tui.panes.base import Pane, Words


class TriagePane(Pane):
    """Is it out of memory, why, and what next."""

    pane = "triage"
    title = "Triage"

    def compose(self) -> ComposeResult:
        """What it will hold."""
        yield Words("Is it out of memory, why, and what next.")
