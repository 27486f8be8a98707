"""Writing to a terminal that may be slow, or not there any more, without waiting for it."""

import contextlib
import os
import queue
import threading
from typing import TextIO

_CLOSE_SECONDS = 1.5


class LinkWriter(threading.Thread):
    """Writes to the terminal from a queue without an end, so that a stalled link holds nobody up.

    What does not fit the terminal's encoding becomes `?`; once the terminal is gone, everything is dropped.
    """

    def __init__(self, file: TextIO) -> None:
        super().__init__(daemon=True, name="terminal-output")
        self._fd = file.fileno()
        self.encoding = file.encoding or "ascii"
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Bytes that the terminal has not taken yet."""
        return self._waiting

    def write(self, text: str) -> None:
        """Queue it; returns at once."""
        data = text.encode(self.encoding, "replace")
        with self._lock:
            self._waiting += len(data)
        self._queue.put(data)

    def flush(self) -> None:
        """Nothing to do: the thread writes as fast as the link takes it."""

    def start(self) -> None:
        """Begin; again does nothing."""
        if self.ident is None:
            super().start()

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


def write_what_fits(data: bytes) -> None:
    """A stalled link must not hold the end up: what it does not take now is let go."""
    with contextlib.suppress(OSError):
        os.set_blocking(2, False)
        os.write(2, data)
        os.set_blocking(2, True)
