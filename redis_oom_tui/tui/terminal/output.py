"""Where frames leave the app: through the diff, and never faster than the link takes them."""

from collections.abc import Callable

from textual._compositor import CompositorUpdate
from textual.app import App
from textual.screen import Screen
from textual.timer import Timer

from redis_oom_tui.tui.terminal.diff import SYSTEMS, FrameDiff
from redis_oom_tui.tui.terminal.driver import TriageDriver

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
            self._diff = FrameDiff(SYSTEMS[self._app.console.color_system])
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
