"""The one way to the screen for what this product draws: lines of (text, role), of which only changed ones repaint."""

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from redis_oom_tui.rules.guarded import NotJudged, attempt
from redis_oom_tui.tui.drawing import DrawStyle, Line
from redis_oom_tui.tui.host import Host, host_of
from redis_oom_tui.tui.themes import ScreenTheme


class LineWidget(Widget):
    """A widget that says what its lines are; it never causes a layout.

    A subclass implements `lines` and calls `redraw` when its data changed. Stock Label and Static lay the screen out
    again at every update, 12 KB at 80x24; this costs the changed lines.
    """

    ALLOW_SELECT = False
    _drawn: tuple[Line, ...] = ()

    @property
    def host(self) -> Host:
        """The server on screen."""
        return host_of(self)

    @property
    def screen_theme(self) -> ScreenTheme:
        """The theme in use."""
        return self.host.screen_theme

    @property
    def style(self) -> DrawStyle:
        """What bars are drawn with here."""
        return self.host.style

    @property
    def is_drawn(self) -> bool:
        """Whether it has had a place to draw in."""
        return bool(self._drawn)

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """What the widget shows in `width` by `height` cells; fewer lines than `height` leave the rest empty."""
        del width, height
        return ()

    def redraw(self) -> None:
        """Draw again, and repaint the lines that came out different."""
        width, height = self.size
        if not width or not height:
            return
        drawn = attempt("this part is", lambda: tuple(self.lines(width, height))[:height], self._undrawn)
        drawn += ((),) * (height - len(drawn))
        before, self._drawn = self._drawn, drawn
        if len(before) != height:
            self.refresh()
            return
        changed = [Region(0, y, width, 1) for y in range(height) if before[y] != drawn[y]]
        if changed:
            self.refresh(*changed)

    @staticmethod
    def _undrawn(fault: NotJudged) -> tuple[Line, ...]:
        return (((f" {fault.words}", "warn"),),)

    def render_line(self, y: int) -> Strip:
        """One line, in the colors of the theme."""
        base = self.rich_style
        line = self._drawn[y] if y < len(self._drawn) else ()
        style, fitted = self.screen_theme.style, self.style.glyphs.fitted
        strip = Strip([Segment(fitted(text), base + style(role)) for text, role in line])
        return strip.adjust_cell_length(self.size.width, base)

    def on_resize(self, _: events.Resize) -> None:
        """Another size means other lines."""
        self._drawn = ()
        self.redraw()

    def watch_has_focus(self, has_focus: bool) -> None:
        """What has the focus may look different; only here is `has_focus` true to what has just happened."""
        super().watch_has_focus(has_focus)
        self.redraw()

    def on_show(self, _: events.Show) -> None:
        self.redraw()
