"""An output that may stall (Ctrl+S, a dead link, a full pipe) without the watch standing still."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from redis_oom_tui.models.errors import BadInput

# Hours of ticks, and less than a megabyte.
_MOST_LINES = 2000
_FAREWELL_SECONDS = 2.0


class BufferedOutput:
    """Lines go to the file descriptor by a thread of its own. Once too many wait, the oldest fall out.

    `missing` words how many did. It writes below Python's own buffers: a thread that is stuck in those would hold up
    the end of the process.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        encoding: str = "utf-8",
        most_lines: int = _MOST_LINES,
        missing: Callable[[int], str] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._encoding = encoding
        self._missing = missing
        self._waiting: deque[str] = deque()
        self._most = most_lines
        self._dropped = 0
        self._changed = threading.Condition()
        self._failure: OSError | None = None
        self._closing = False
        self._writing = False
        self._thread = threading.Thread(target=self._write_all, name="output", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Hand over one line, its newline included; never waits.

        Raises BrokenPipeError once the reader has gone, BadInput once it cannot be written for another reason.
        """
        with self._changed:
            if isinstance(self._failure, BrokenPipeError):
                raise self._failure
            if self._failure is not None:
                raise BadInput(f"standard output cannot be written: {self._failure.strerror}")
            if len(self._waiting) >= self._most:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(line)
            self._changed.notify_all()

    def close(self) -> None:
        """Wait a moment for what is still to be written. What a stalled reader has not taken by then is lost."""
        deadline = time.monotonic() + _FAREWELL_SECONDS
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while (self._waiting or self._writing) and self._failure is None and time.monotonic() < deadline:
                self._changed.wait(0.1)

    def _write_all(self) -> None:
        while (chunk := self._next()) is not None:
            failure: OSError | None = None
            try:
                self._write_whole(chunk.encode(self._encoding, "backslashreplace"))
            except OSError as error:
                failure = error
            with self._changed:
                self._writing = False
                self._failure = failure
                self._changed.notify_all()
            if failure is not None:
                return

    def _write_whole(self, left: bytes) -> None:
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # another process that shares the terminal has made it so
                select.select([], [self._descriptor], [])

    def _next(self) -> str | None:
        """All that waits, in one piece; None once nothing will come."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            lost = self._missing(self._dropped) if self._dropped and self._missing is not None else ""
            chunk = lost + "".join(self._waiting)
            self._waiting.clear()
            self._dropped = 0
            self._writing = True
            return chunk
