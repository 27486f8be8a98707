"""The frame before the screen: drawn while Textual, which draws all others, is still being loaded.

It is the top of the screen in the very cells in which Textual will draw it, with the verdict as soon as the server has
answered. From the first byte on the terminal is given back clean, however this ends; keys are neither echoed
nor lost; and nothing waits for a link that does not take what is sent.
"""

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self, TextIO, cast

from msgspec import Struct
from rich.segment import Segment
from rich.style import Style

from redis_oom_tui.models.config import Profile
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.ports.operator import PendingServer
from redis_oom_tui.tui.drawing import DrawStyle, width
from redis_oom_tui.tui.glyphs import FULL, Appearance, glyphs
from redis_oom_tui.tui.header_model import PANES, HeaderModel, height_for
from redis_oom_tui.tui.palette import palette_of
from redis_oom_tui.tui.terminal.diff import SYSTEMS, FrameDiff, sgr
from redis_oom_tui.tui.terminal.environment import color_system
from redis_oom_tui.tui.terminal.link import LinkWriter, write_what_fits

ALTERNATE = "\x1b[?1049h"
# A terminal without an alternate screen shows what follows from the top, not amid the frame.
_LEAVE = "\x1b[0m\x1b[H\x1b[J\x1b[?1049l\x1b[?25h"
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PATIENCE_SECONDS = 1.0
# As Textual sets it, but that Ctrl+C and Ctrl+Z still are signals: nobody reads keys yet.
_INPUT_OFF = termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR
_LOCAL_OFF = termios.ECHO | termios.ICANON


class SplashFrame(Struct, frozen=True):
    """How the top of the screen looks here."""

    profile: Profile
    appearance: Appearance

    def rows(self, state: ServerState, columns: int, lines: int) -> list[list[Segment]]:
        """Its rows, each of them `columns` wide."""
        ink, kind = palette_of(self.appearance.theme), glyphs(self.appearance.glyphs)
        top = HeaderModel(
            state=state,
            pane=PANES[0],
            frozen=False,
            profile=self.profile,
            thresholds=self.profile.watch.thresholds,
            style=DrawStyle(kind, ink.own and kind is FULL),
            now=time.monotonic(),
        )
        styles, base = ink.styles, self.ground
        rows = []
        for line in top.lines(columns, height_for(lines)):
            rest = " " * max(0, columns - width(line))
            row = [Segment(kind.fitted(text), self._seen(base + styles[role])) for text, role in line]
            rows.append([*row, Segment(rest, base)] if rest else row)
        return rows

    @property
    def ground(self) -> Style:
        """What all text stands on."""
        return self._seen(palette_of(self.appearance.theme).base)

    def _seen(self, style: Style) -> Style:
        return style if self.appearance.color else style + Style(color="default", bgcolor="default")


class SplashScreen:
    """Holds the terminal until Textual takes it. To be entered in the main thread."""

    def __init__(self, scene: SplashFrame, pending: PendingServer) -> None:
        self._frame_model = scene
        self._pending = pending
        self._state = ServerState(address=pending.address)
        self._writer = LinkWriter(cast("TextIO", sys.__stderr__))
        self._diff = FrameDiff(SYSTEMS[color_system(os.environ)])
        self._lock = threading.RLock()
        self._holds_terminal = False
        self._before: dict[int, Any] = {}
        self.saved: list[Any] | None = None

    def __enter__(self) -> Self:
        """Draw what is known without the server, then what it says, if need be from a thread of its own."""
        with contextlib.suppress(termios.error):
            self.saved = termios.tcgetattr(0)
        for number in _ENDS:
            # Under nohup a hangup is ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._end)
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self.sleep)
        self._holds_terminal = True
        try:
            self._writer.start()
            self._disable_echo()
            self._writer.write(self._enter_sequence() + self._frame())
            if not self._draw_first(0.0):
                threading.Thread(target=self._draw_first, args=(_PATIENCE_SECONDS,), name="splash", daemon=True).start()
        except BaseException:
            self._restore_terminal()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back where Textual has not taken it."""
        self._restore_terminal()

    def hand_over(self) -> LinkWriter | None:
        """From now on the terminal is the caller's, and so is the one that writes to it; None where it was before."""
        with self._lock:
            mine, self._holds_terminal = self._holds_terminal, False
        return self._writer if mine else None

    def sleep(self, number: int = signal.SIGTSTP, frame: FrameType | None = None) -> None:
        """Stop as a shell's user asked for, and draw again when that goes on."""
        del number, frame
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        with self._lock:
            self._diff.forget()
            self._disable_echo()
            write_what_fits((self._enter_sequence() + self._frame()).encode(self._writer.encoding, "replace"))

    def _draw_first(self, patience: float) -> bool:
        """Draw what the server says, once it has said it; whether it has."""
        # Judging is loaded when there is a frame to look at.
        from redis_oom_tui.monitor.state import first_state  # noqa: PLC0415

        first = self._pending.first(patience)
        if first is None:
            return False
        self._state = first_state(first, self._frame_model.profile.watch.thresholds)
        with self._lock:
            if self._holds_terminal:
                self._writer.write(self._frame())
        return True

    def _enter_sequence(self) -> str:
        ground = sgr(self._frame_model.ground, SYSTEMS[color_system(os.environ)])
        return f"{ALTERNATE}\x1b[?25l\x1b[{ground}m\x1b[2J"

    def _frame(self) -> str:
        with self._lock:
            return self._diff.encode(self._frame_model.rows(self._state, *shutil.get_terminal_size()))

    def _disable_echo(self) -> None:
        if self.saved is None:
            return
        quiet = [*self.saved]
        quiet[0] &= ~_INPUT_OFF
        quiet[3] &= ~_LOCAL_OFF
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSANOW, quiet)

    def _restore_terminal(self) -> None:
        if self.hand_over() is not None:
            self._writer.write(_LEAVE)
            self._writer.stop()
            self._enable_echo()
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _enable_echo(self) -> None:
        if self.saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self.saved)

    def _give_back(self) -> None:
        write_what_fits(_LEAVE.encode())
        self._enable_echo()

    def _end(self, number: int, frame: FrameType | None) -> None:
        """A signal that ends the program, as it would have without us, but for the terminal."""
        del frame
        self._give_back()
        handler = self._before[number]
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.kill(os.getpid(), number)
