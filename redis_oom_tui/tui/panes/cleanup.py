"""Pane: A plan, its preview, its confirmation, its run and its undo."""

from textual.app import ComposeResult

from redis_oom_tui.tui.panes.base import Pane, Words


class CleanupPane(Pane):
    """A plan, its preview, its confirmation, its run and its undo."""

    pane = "cleanup"
    title = "Cleanup"

    def compose(self) -> ComposeResult:
        """What it will hold."""
        yield Words("A plan, its preview, its confirmation, its run and its undo.")
