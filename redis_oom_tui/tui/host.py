"""What widgets, dialogs and flows may know of the server on screen, and of the app that they run in."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkType

from redis_oom_tui.models.config import Profile, ScreenOptions
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.ports.source import Replayable, Source
from redis_oom_tui.tui.drawing import DrawStyle
from redis_oom_tui.tui.header_model import is_overdue
from redis_oom_tui.tui.themes import ScreenTheme

_R = TypeVar("_R")


class Workers(Protocol):
    """The app as those see it who only have work done and time kept by it."""

    def run_worker(self, work: WorkType[_R], *, name: str, group: str, exit_on_error: bool) -> Worker[_R]:
        """Run it beside the rest, until it ends or the app does."""

    def set_interval(self, interval: float, callback: Callable[[], None]) -> Timer:
        """Call it every so many seconds."""

    def set_timer(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call it once, after so many seconds."""

    def call_later(self, callback: Callable[..., None], *args: object) -> bool:
        """Call it in turn, after what is being done."""


class Host(Protocol):
    """The server on screen, how things are drawn there, and a way to tell the user."""

    clock: Clock
    options: ScreenOptions
    profile: Profile
    source: Source
    thresholds: Thresholds

    @property
    def screen_theme(self) -> ScreenTheme:
        """The theme in use."""

    @property
    def style(self) -> DrawStyle:
        """What bars are drawn with."""

    @property
    def state(self) -> ServerState | None:
        """The state of the server as it is shown; None before the first."""

    @property
    def scan(self) -> ScanView | None:
        """The scan as it stands; None before the first."""

    def tell(self, sentence: str, *, bad: bool = False) -> None:
        """Show a sentence on the bottom line until the next key; '' ends the one that is shown."""


def is_live(host: Host) -> bool:
    """Whether the figures on screen are of now: the server answers."""
    return host.state is not None and host.state.link is Link.LIVE


def dated(host: Host, words: str) -> str:
    """`words` on the server's memory; where it does not answer now, they say of when they are."""
    state = host.state
    if not words or state is None or state.snapshot is None:
        return words
    late = is_overdue(state, host.clock.monotonic(), host.options.interval_seconds)
    if is_live(host) and (not late or isinstance(host.source, Replayable)):
        return words
    at = time.strftime("%H:%M:%S", time.localtime(state.snapshot.taken_at))
    return f"By its last answer, at {at}: {words}"


class _App(Protocol):
    session: Host


def host_of(widget: Widget) -> Host:
    """The server on screen, for a widget in it."""
    return cast("_App", widget.app).session
