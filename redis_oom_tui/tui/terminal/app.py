"""An app that sends only what changed, wears its themes, and gives the terminal back however it ends."""

import os
from collections.abc import Callable
from typing import ClassVar

from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.driver import Driver
from textual.events import Event, Key, Paste, Resize
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from redis_oom_tui.models.config import ScreenOptions
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.glyphs import FULL, Appearance, glyphs
from redis_oom_tui.tui.terminal.diff import SYSTEMS, FrameDiff
from redis_oom_tui.tui.terminal.driver import KeyQueue, TriageDriver
from redis_oom_tui.tui.terminal.environment import erases_in_color
from redis_oom_tui.tui.terminal.splash import SplashScreen
from redis_oom_tui.tui.themes import SCREEN_THEMES, ScreenTheme

# More than this on its way, and a frame is left out: the next one will say where things stand then.
_MOST_WAITING = 2048
_RETRY_SECONDS = 0.1


class TerminalOutput:
    """Sends frames as differences. While the link is full, frames are left out and none is queued behind it.

    Nothing is sent before `is_laid_out`: Textual's first frame is empty, and would wipe out the splash screen's.
    """

    def __init__(self, app: App[int], *, enabled: bool, is_laid_out: Callable[[], bool]) -> None:
        self._app = app
        self._is_laid_out = is_laid_out
        self._enabled = enabled
        self._diff: FrameDiff | None = None
        self._retry: Timer | None = None

    def forget(self) -> None:
        """What the terminal shows is not known any more."""
        if self._diff is not None:
            self._diff.forget()

    def display(self, screen: Screen[object], renderable: object) -> bool:
        """Send this frame, or leave it out for now; False where Textual must do it itself."""
        driver = self._app._driver
        if not self._enabled or not isinstance(driver, TriageDriver) or not isinstance(renderable, CompositorUpdate):
            return False
        if self._app._batch_count or not self._app.is_running or screen is not self._app.screen:
            return True
        # After a resize the new layout comes a moment later: a frame of the old size would wrap, and scroll the screen.
        if not self._is_laid_out() or screen._compositor.size != self._app.size:
            return True
        if driver.waiting > _MOST_WAITING:
            self._try_later()
            return True
        self._send(screen, driver)
        self._app.post_display_hook()
        return True

    def _send(self, screen: Screen[object], driver: TriageDriver) -> None:
        if self._diff is None:
            self._diff = FrameDiff(SYSTEMS[self._app.console.color_system], erases=erases_in_color(os.environ))
        changes = self._diff.encode(screen._compositor.render_strips())
        if changes:
            self._app._begin_update()
            driver.write(changes)
            self._app._end_update()

    def _try_later(self) -> None:
        if self._retry is None:
            self._retry = self._app.set_timer(_RETRY_SECONDS, self._again)

    def _again(self) -> None:
        self._retry = None
        self._app.screen.refresh()


class ActionPalette(CommandPalette):
    """Textual's, with the F1 that every other screen has."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1", "app.explain", "Explain", show=False, id="explain")]


class TerminalApp(App[int]):
    """Knows the terminal and how things look there, and nothing of servers. All of `safe_run.SafeApp` but `serve`."""

    TITLE = "redis-oom-tui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "repaint", "Redraw the screen", show=False, priority=True, id="repaint"),
        Binding("ctrl+z", "suspend_process", "Suspend to the shell", show=False, id="suspend"),
    ]

    def __init__(
        self, options: ScreenOptions, appearance: Appearance, *, driver_class: type[Driver] | None = None
    ) -> None:
        self.options, self.appearance = options, appearance
        # Given at construction: a theme of the terminal's own colors set later is black on black under NO_COLOR.
        super().__init__(driver_class=driver_class, ansi_color=SCREEN_THEMES[appearance.theme].theme.ansi)
        for known in SCREEN_THEMES.values():
            self.register_theme(known.theme)
        self.theme = appearance.theme
        self.output = TerminalOutput(self, enabled=options.diff, is_laid_out=lambda: self.is_laid_out)
        self.splash: SplashScreen | None = None
        self.farewell: list[str] = []
        self._keys = KeyQueue(self, super().on_event)
        self._glyphs = glyphs(appearance.glyphs)

    def on_mount(self) -> None:
        """After a suspension the terminal shows something else."""
        self.app_resume_signal.subscribe(self, lambda _: self.action_repaint())

    async def on_event(self, event: Event) -> None:
        """Handle an event; what is typed or pasted in its order, one by one."""
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            await self._keys.put(event)
        else:
            await super().on_event(event)

    def on_resize(self, event: Resize) -> None:
        """Also where it has the size of before again: it may have had another meanwhile, and lost what stood there."""
        del event
        self.output.forget()
        self.refresh()

    @property
    def is_laid_out(self) -> bool:
        """Whether there is anything to show: Textual's first frame is empty, and would wipe out the splash's."""
        return True

    @property
    def screen_theme(self) -> ScreenTheme:
        """The theme in use."""
        return SCREEN_THEMES.get(self.theme, SCREEN_THEMES["dark"])

    @property
    def style(self) -> DrawStyle:
        """What bars are drawn with."""
        return DrawStyle(self._glyphs, self.screen_theme.tracks and self._glyphs is FULL)

    def set_theme(self, name: str) -> None:
        """Change the theme."""
        self.ansi_color = SCREEN_THEMES[name].theme.ansi
        self.theme = name

    def action_repaint(self) -> None:
        """Paint everything again, for when something else wrote over it."""
        self.output.forget()
        self.refresh(layout=True)

    def action_command_palette(self) -> None:
        """Open the palette, without a blinking cursor: each blink is a frame."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(ActionPalette(placeholder="Search for commands", id="--command-palette"))
            self.call_after_refresh(self._still_cursors)

    def _still_cursors(self) -> None:
        for line in self.screen.query(Input):
            line.cursor_blink = False

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Send what changed; Textual's own way where that is not to be had."""
        if not self.output.display(screen, renderable):
            super()._display(screen, renderable)

    @property
    def crash(self) -> BaseException | None:
        """The defect that ended the app."""
        return self._exception

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
