"""Pane: What holds the memory: keys and patterns, by bytes."""

from textual.app import ComposeResult

from redis_oom_tui.tui.panes.base import Pane, Words


class HogsPane(Pane):
    """What holds the memory: keys and patterns, by bytes."""

    pane = "hogs"
    title = "Hogs"

    def compose(self) -> ComposeResult:
        """What it will hold."""
        yield Words("What holds the memory: keys and patterns, by bytes.")
