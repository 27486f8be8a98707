"""The terminal is given back clean, however the app ends: by key, by signal, by a crash, by a link that stalled."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

from redis_oom_tui.formatting.sanitize import crash_report
from redis_oom_tui.tui.terminal.link import write_what_fits
from redis_oom_tui.tui.terminal.splash import SplashScreen

# Everything that Textual or this product may have switched on, off again. Leaving ?1016h on garbles the next program's
# mouse; the keyboard protocol is popped before the alternate screen is left.
RESTORE = (
    b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[<u\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?2048l"
    b"\x1b[?1004l\x1b[0m\x1b[?1049l\x1b[?25h"
)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_GRACE_SECONDS = 2.0


class SafeApp(Protocol):
    """An app as the terminal and the safe run see it."""

    splash: SplashScreen | None
    farewell: list[str]
    """What to say at the prompt, once the screen is gone."""

    @property
    def crash(self) -> BaseException | None:
        """The defect that ended it."""

    async def serve(self, *, mouse: bool) -> None:
        """Run until it ends."""

    def leave(self, code: int) -> None:
        """End in good order, from any thread; does not wait."""

    @property
    def return_code(self) -> int | None:
        """What it ended with."""


def run(app: SafeApp, *, mouse: bool = True, saved: list[Any] | None = None) -> int:
    """Run the app and return its exit code: 0, 1 after a crash, 128 + n after signal n.

    `saved` is how the terminal was set before anything of ours; as it is now, where nobody has touched it.
    """
    saved = saved or _attributes()
    code: list[int] = []
    with _signals(app, code, saved):
        asyncio.run(app.serve(mouse=mouse))
    signal.setitimer(signal.ITIMER_REAL, 0)
    _give_back(saved)
    if app.farewell:
        write_what_fits("".join(f"{line}\n" for line in app.farewell).encode())
    if app.crash is not None:
        sys.stderr.write(f"{crash_report(app.crash)}\n")
        return 1
    return code[0] if code else (app.return_code or 0)


@contextlib.contextmanager
def _signals(app: SafeApp, code: list[int], saved: list[Any] | None) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        del frame
        code.append(128 + number)
        signal.setitimer(signal.ITIMER_REAL, _GRACE_SECONDS)
        app.leave(128 + number)

    def give_up(number: int, frame: FrameType | None) -> None:
        del number, frame
        write_what_fits(RESTORE)
        _give_back(saved)
        os._exit(code[0] if code else 1)

    # Under nohup a hangup is ignored; the end of the input is then what tells of it.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(signal.SIGALRM, signal.signal(signal.SIGALRM, give_up))]
    before += [(number, signal.signal(number, end)) for number in heeded]
    try:
        yield
    finally:
        for known, handler in before:
            signal.signal(known, handler)


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None


def _give_back(saved: list[Any] | None) -> None:
    if saved is not None:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSANOW, saved)
