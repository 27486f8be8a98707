"""Textual's Linux driver, made safe for bad links: writing never blocks the app, and a hangup ends it."""

import codecs
import contextlib
import os
import queue
import selectors
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from redis_oom_tui.tui.shell import Shell

HANGUP_CODE = 129
_CLOSE_SECONDS = 1.5
_SELECT_SECONDS = 0.1
_READ_BYTES = 4096


class LinkWriter(threading.Thread):
    """Writes to the terminal from a queue without an end, so that a stalled link holds nobody up.

    What does not fit the terminal's encoding becomes `?`; once the terminal is gone, everything is dropped.
    """

    def __init__(self, file: TextIO) -> None:
        super().__init__(daemon=True, name="terminal-output")
        self._fd = file.fileno()
        self._encoding = file.encoding or "ascii"
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Bytes that the terminal has not taken yet."""
        return self._waiting

    def write(self, text: str) -> None:
        """Queue it; returns at once."""
        data = text.encode(self._encoding, "replace")
        with self._lock:
            self._waiting += len(data)
        self._queue.put(data)

    def flush(self) -> None:
        """Nothing to do: the thread writes as fast as the link takes it."""

    def run(self) -> None:
        """Write until told to stop, or until there is no terminal any more."""
        gone = False
        while (data := self._queue.get()) is not None:
            whole = len(data)
            while data and not gone:
                try:
                    data = data[os.write(self._fd, data) :]
                except OSError:
                    gone = True
            with self._lock:
                self._waiting -= whole

    def stop(self) -> None:
        """End after what is queued, but do not wait for a link that does not move."""
        self._queue.put(None)
        self.join(_CLOSE_SECONDS)


class TriageDriver(LinuxDriver):
    """What the stock driver does, but for a blocking queue, a strict decoder and a deaf ear to hangups."""

    _asleep = False

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
        """Start, then write through a queue that never blocks.

        Reports of the window's focus are switched off: one that comes in parts over a slow link is typed in as keys.
        """
        super().start_application_mode()  # type: ignore[no-untyped-call]
        stock: Any = self._writer_thread
        if stock is not None:
            stock.stop()
            writer: Any = LinkWriter(cast("TextIO", self._file))
            writer.start()
            self._writer_thread = writer
            self.write("\x1b[?1004l")

    def stop_application_mode(self) -> None:
        """Stop; also what the stock driver leaves on."""
        self.write("\x1b[?1002l\x1b[?1016l\x1b[0m")
        super().stop_application_mode()

    def _sigtstp_application(self, *args: object) -> None:
        self._asleep = True
        super()._sigtstp_application(*args)

    def _sigcont_application(self, *args: object) -> None:
        # After a SIGSTOP from outside the terminal was never given back, so there is nothing to take again.
        if self._asleep:
            self._asleep = False
            super()._sigcont_application(*args)

    def run_input_thread(self) -> None:
        """Read keys until the end; bytes that are no UTF-8 become a replacement character."""
        parser = XTermParser(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_SELECT_SECONDS):
                    data = self._read()
                    if not data:
                        self._on_loop(lambda app: app.leave(HANGUP_CODE))
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

    def _on_loop(self, act: "Callable[[Shell], None]") -> None:
        act(cast("Shell", self._app))
