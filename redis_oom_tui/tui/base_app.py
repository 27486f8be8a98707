"""What the application is to any terminal: looks, what goes down the line, messages to the user, and how it ends."""

from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.driver import Driver
from textual.events import Event, Key
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.glyphs import FULL, glyphs
from redis_oom_tui.tui.options import Appearance
from redis_oom_tui.tui.terminal.output import TerminalOutput
from redis_oom_tui.tui.terminal.splash import SplashScreen
from redis_oom_tui.tui.themes import LOOKS, ScreenTheme
from redis_oom_tui.tui.widgets.keybar import KeyBar

_MESSAGE_SECONDS = 10.0


class BaseApp(App[int]):
    """An app that knows nothing of servers: `ServerSession` stands on it."""

    CSS_PATH = Path(__file__).with_name("styles.tcss")
    TITLE = "redis-oom-tui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "repaint", "Paint the screen anew", show=False, priority=True, id="repaint"),
        Binding("ctrl+z", "suspend_process", "Suspend to the shell", show=False, id="suspend"),
    ]

    def __init__(
        self,
        *,
        options: ScreenOptions | None = None,
        appearance: Appearance | None = None,
        clock: Clock | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        self.appearance = appearance or Appearance()
        look = LOOKS[self.appearance.look]
        # Said at construction: a look of the terminal's own colours set later is black on black under NO_COLOR.
        super().__init__(driver_class=driver_class, ansi_color=look.theme.ansi)
        for known in LOOKS.values():
            self.register_theme(known.theme)
        self.theme = self.appearance.look
        self.options = options or ScreenOptions()
        self.clock = clock or Clock()
        self.output = TerminalOutput(self, enabled=self.options.diff, is_laid_out=lambda: self.is_laid_out)
        self.splash: SplashScreen | None = None
        self.keys = KeyBar()
        self._message_timer: Timer | None = None
        self._glyphs = glyphs(self.appearance.glyphs)

    def on_mount(self) -> None:
        """After a suspension the terminal shows something else."""
        self.app_resume_signal.subscribe(self, lambda _: self.action_repaint())

    @property
    def is_laid_out(self) -> bool:
        """Whether there is anything to show: Textual's first frame is empty, and would wipe out the splash's."""
        return True

    @property
    def look(self) -> ScreenTheme:
        """The look in use."""
        return LOOKS.get(self.theme, LOOKS["dark"])

    @property
    def pen(self) -> DrawStyle:
        """What bars are drawn with."""
        return DrawStyle(self._glyphs, self.look.tracks and self._glyphs is FULL)

    def action_repaint(self) -> None:
        """Paint everything anew, for when something else wrote over it."""
        self.output.forget()
        self.refresh(layout=True)

    def action_command_palette(self) -> None:
        """Open the palette, without a blinking cursor: each blink is a frame."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="Search for commands", id="--command-palette"))
            self.call_after_refresh(self._still_cursors)

    def _still_cursors(self) -> None:
        for line in self.screen.query(Input):
            line.cursor_blink = False

    def set_theme(self, look: str) -> None:
        """Change the look."""
        self.ansi_color = LOOKS[look].theme.ansi
        self.theme = look

    @property
    def crash(self) -> BaseException | None:
        """The defect that ended the app."""
        return self._exception

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Send what changed; Textual's own way where that is not to be had."""
        if not self.output.display(screen, renderable):
            super()._display(screen, renderable)

    def leave(self, code: int) -> None:
        """End in good order, from any thread or a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: self.exit(code, return_code=code))

    def panic(self, *renderables: object) -> None:
        """End after a defect. What Textual would print holds the values of variables, so it is not kept."""
        del renderables
        self._return_code = 1
        self._close_messages_no_wait()

    def _fatal_error(self) -> None:
        self.panic()

    def tell(self, sentence: str, *, bad: bool = False) -> None:
        """Answer an action of the user in one sentence, shown until the next key, ten seconds at most."""
        self.keys.say(sentence, "crit" if bad else "ok")
        if self._message_timer is not None:
            self._message_timer.stop()
        self._message_timer = self.set_timer(_MESSAGE_SECONDS, self.keys.hush)

    async def on_event(self, event: Event) -> None:
        """Any key ends a message, then does what it does."""
        if isinstance(event, Key) and self._message_timer is not None:
            self._message_timer.stop()
            self._message_timer = None
            self.keys.hush()
        await super().on_event(event)
