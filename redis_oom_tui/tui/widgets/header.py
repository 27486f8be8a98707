"""The top of every pane, on the screen."""

from collections.abc import Sequence

from textual import events

from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.ports.source import Replayable
from redis_oom_tui.tui.drawing import Line
from redis_oom_tui.tui.header_model import HeaderModel, tab_texts
from redis_oom_tui.tui.messages import ShowPane
from redis_oom_tui.tui.widgets.line_widget import LineWidget


class Header(LineWidget):
    """Five lines, three in a terminal of few: what they say is `HeaderModel`'s."""

    reading: ServerState | None = None
    pane = "triage"
    frozen = False

    def show(self, reading: ServerState, pane: str, *, frozen: bool) -> None:
        """Draw this reading."""
        self.reading, self.pane, self.frozen = reading, pane, frozen
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        return () if self.reading is None else self._top(self.reading).lines(width, height)

    def _top(self, reading: ServerState) -> HeaderModel:
        app = self.host
        return HeaderModel(
            reading=reading,
            pane=self.pane,
            frozen=self.frozen,
            profile=app.profile,
            thresholds=app.thresholds,
            pen=self.pen,
            now=app.clock.monotonic(),
            recorded=app.source.position if isinstance(app.source, Replayable) else None,
            interval=app.options.interval_seconds,
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
