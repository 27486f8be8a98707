"""Textual's Linux driver, made safe for bad links: writing never blocks the app, and a hangup ends it."""

import codecs
import contextlib
import os
import selectors
from typing import Any, TextIO, cast

from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver

from redis_oom_tui.tui.terminal.keys import KeyParser, is_typing
from redis_oom_tui.tui.terminal.link import LinkWriter
from redis_oom_tui.tui.terminal.safe_run import SafeApp
from redis_oom_tui.tui.terminal.splash import ALTERNATE, SplashScreen

HANGUP_CODE = 129
_SELECT_SECONDS = 0.1
_READ_BYTES = 4096


class TriageDriver(LinuxDriver):
    """What the stock driver does, but for a blocking queue, a strict decoder and a deaf ear to hangups."""

    _asleep = False
    _on_stage = False

    @property
    def waiting(self) -> int:
        """Bytes that the terminal has not taken yet."""
        writer: Any = self._writer_thread
        return writer.waiting if isinstance(writer, LinkWriter) else 0

    def _enable_mouse_support(self) -> None:
        """Clicks, drags and the wheel: reports of each movement would only fill the line."""
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1002h\x1b[?1015h\x1b[?1006h")

    def start_application_mode(self) -> None:
        """Start, writing through a queue that never blocks: the splash's where one hangs, whose frame then stays.

        Reports of the window's focus are switched off: one that comes in parts over a slow link is typed in as keys.
        """
        textual: Any = linux_driver
        stock = textual.WriterThread
        textual.WriterThread = self._link_writer
        try:
            super().start_application_mode()  # type: ignore[no-untyped-call]
        finally:
            textual.WriterThread = stock
        if self._writer_thread is not None:
            self.write("\x1b[?1004l")
        if self._splash is not None and self._splash.saved is not None:
            self.attrs_before = self._splash.saved

    def _link_writer(self, file: TextIO) -> LinkWriter:
        writer = None if self._splash is None else self._splash.hand_over()
        self._on_stage = writer is not None
        return writer or LinkWriter(file)

    @property
    def _splash(self) -> SplashScreen | None:
        return cast("SafeApp", self._app).splash

    def write(self, data: str) -> None:
        """Queue it. The alternate screen is not entered twice: some terminals would clear it."""
        if self._on_stage and data == ALTERNATE:
            self._on_stage = False
        else:
            super().write(data)

    def stop_application_mode(self) -> None:
        """Stop; also what the stock driver leaves on."""
        self.write("\x1b[?1002l\x1b[?1016l\x1b[0m")
        super().stop_application_mode()

    def _sigtstp_application(self, *args: object) -> None:
        if self._writer_thread is None and self._splash is not None:
            self._splash.sleep()
            return
        self._asleep = True
        super()._sigtstp_application(*args)

    def _sigcont_application(self, *args: object) -> None:
        # After a SIGSTOP from outside the terminal was never given back, so there is nothing to take again.
        if self._asleep:
            self._asleep = False
            super()._sigcont_application(*args)

    def run_input_thread(self) -> None:
        """Read keys until the end; bytes that are no UTF-8 become a replacement character."""
        parser = KeyParser(self._debug, typing=lambda: is_typing(self._app))
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_SELECT_SECONDS):
                    data = self._read()
                    if not data:
                        cast("SafeApp", self._app).leave(HANGUP_CODE)
                        return
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _read(self) -> bytes:
        """What was typed; nothing once the terminal has hung up."""
        with contextlib.suppress(OSError):
            return os.read(self.fileno, _READ_BYTES)
        return b""
