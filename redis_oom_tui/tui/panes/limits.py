"""Pane: The eviction policy, maxmemory and the settings that decide what a full server does."""

from textual.app import ComposeResult

from redis_oom_tui.tui.panes.base import Pane, Words


class LimitsPane(Pane):
    """The eviction policy, maxmemory and the settings that decide what a full server does."""

    pane = "limits"
    title = "Limits"

    def compose(self) -> ComposeResult:
        """What it will hold."""
        yield Words("The eviction policy, maxmemory and the settings that decide what a full server does.")
