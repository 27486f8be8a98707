"""The screen on a recording: the same five panes, and keys to move along the time line."""

from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType

from redis_oom_tui.ports.source import Replayable
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

    async def action_rewind(self, polls: int) -> None:
        """Move by so many polls and stay there."""
        if isinstance(self.session.source, Replayable):
            self.session.source.hold(True)
            self.session.source.move(polls)
            await self._tell_where()

    async def action_leap(self, direction: int) -> None:
        """Move by a tenth of the whole."""
        if isinstance(self.session.source, Replayable):
            await self.action_rewind(direction * max(1, self.session.source.position[1] // _LEAP))

    async def action_hold(self) -> None:
        """Hold the time line, or let it run on."""
        if isinstance(self.session.source, Replayable):
            self.session.source.hold(not self.session.source.held)
            await self._tell_where()

    async def _tell_where(self) -> None:
        source, poller = self.session.source, self.session.poller
        if isinstance(source, Replayable) and poller is not None:
            self.session.publish(await poller.poll(), source)
            number, total = source.position
            then = datetime.fromtimestamp(source.wall()).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            self.tell(f"Replay: {then}, sample {number} of {total}, {'paused' if source.held else 'playing'}")
