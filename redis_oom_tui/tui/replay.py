"""The screen on a recording: the same five panes, and keys to move along the time line."""

from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType

from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.ports import Replayable
from redis_oom_tui.tui.app import TriageApp

_LEAP = 10


class ReplayApp(TriageApp):
    """What was, as it was shown then; nothing can be changed in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "rewind(-1)", "prev", id="replay.back", tooltip="Previous poll (pauses)"),
        Binding("full_stop", "rewind(1)", "next", id="replay.on", tooltip="Next poll (pauses)"),
        Binding("left_curly_bracket", "leap(-1)", "Back 10%", show=False, id="replay.leap_back"),
        Binding("right_curly_bracket", "leap(1)", "Forward 10%", show=False, id="replay.leap_on"),
        Binding("t", "hold", "play/pause", id="replay.hold", tooltip="Play / pause"),
    ]

    def watch_reading(self, reading: ServerState | None) -> None:
        """With the figures comes the scan that was known by then."""
        if isinstance(self.source, Replayable):
            self.scanner.values = self.source.samples_so_far()
            known = self.source.scan_so_far()
            if known is not self.scan:
                self.scan = known
        super().watch_reading(reading)

    async def action_rewind(self, polls: int) -> None:
        """Move by so many polls and stay there."""
        if isinstance(self.source, Replayable):
            self.source.hold(True)
            self.source.move(polls)
            await self._tell_where()

    async def action_leap(self, direction: int) -> None:
        """Move by a tenth of the whole."""
        if isinstance(self.source, Replayable):
            await self.action_rewind(direction * max(1, self.source.position[1] // _LEAP))

    async def action_hold(self) -> None:
        """Hold the time line, or let it run on."""
        if isinstance(self.source, Replayable):
            self.source.hold(not self.source.held)
            await self._tell_where()

    async def _tell_where(self) -> None:
        if isinstance(self.source, Replayable) and self.poller is not None:
            self.publish(await self.poller.poll(), self.source)
            number, total = self.source.position
            then = datetime.fromtimestamp(self.source.wall()).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            self.tell(f"Replay: {then}, sample {number} of {total}, {'paused' if self.source.held else 'playing'}")
