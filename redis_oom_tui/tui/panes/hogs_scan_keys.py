"""The keys by which a scan is begun, paused, ended, and made to lean more or less on the server."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from redis_oom_tui.models.scan import Pace
from redis_oom_tui.tui.messages import OpenScan, PauseScan, SaveScan, ScanAgain, SetPace, StopScan
from redis_oom_tui.tui.panes.base import Pane

_PACES = (Pace.GENTLE, Pace.NORMAL, Pace.FULL_SPEED)


class ScanKeys(Pane):
    """A pane that can scan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "scan", "scan", id="hogs.scan", tooltip="Scan the keyspace, or again"),
        Binding("p", "pause", "pause", id="hogs.pause", tooltip="Pause the scan, or go on"),
        Binding("e", "end", "end", id="hogs.end", tooltip="End the scan and keep what it found"),
        Binding("plus,equals_sign", "pace(1)", "Lean harder on the server", show=False, id="hogs.faster"),
        Binding("minus", "pace(-1)", "Lean less on the server", show=False, id="hogs.slower"),
        Binding("w", "save", "Save the scan", show=False, id="hogs.save", tooltip="Keep the scan in a new file"),
        Binding(
            "o", "open", "Open a saved scan", show=False, id="hogs.open", tooltip="Go on with it, or see what grew"
        ),
    ]

    def why_not(self, action: str) -> str | None:
        """Why no scan can be begun here."""
        return self.why_no_scan() if action == "scan" else None

    def action_scan(self) -> None:
        """Scan, from the start; never in place of a scan under way, and of one that has ended only after a question."""
        if self.host.scanner.active:
            self.host.tell("A scan is under way: p pauses it or goes on, e ends it; then r begins a new one.")
            return
        self.post_message(ScanAgain())

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.post_message(PauseScan())

    def action_end(self) -> None:
        """End the scan and keep what it found."""
        self.post_message(StopScan())

    def action_save(self) -> None:
        """Keep the scan in a new file."""
        self.post_message(SaveScan())

    def action_open(self) -> None:
        """Open a scan that was saved: to go on with it, or to see what grew since."""
        self.post_message(OpenScan())

    def action_pace(self, by: int) -> None:
        """Lean harder, or less hard, on the server."""
        at = _PACES.index(self.host.scanner.options.pace) + by
        self.post_message(SetPace(_PACES[max(0, min(at, len(_PACES) - 1))]))
