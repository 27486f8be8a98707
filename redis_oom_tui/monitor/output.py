"""Where a watch writes: lines for people, journald or machines, by threads where it may stall."""

import asyncio
import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol, TypeVar

from msgspec import Struct, field

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.watch_lines import (
    event_line,
    event_object,
    iso,
    json_line,
    priority,
    silence_line,
    silence_object,
    tick_line,
    tick_object,
)
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import Event, EventKind, Silence
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.state import ServerState

_T = TypeVar("_T")

_COLORS = {Level.WARNING: "33", Level.CRITICAL: "31", Level.OOM: "1;31", Level.UNKNOWN: "35"}
_RINGS = frozenset({EventKind.WARNING, EventKind.CRITICAL, EventKind.OOM, EventKind.LOST})


class Note(Struct, frozen=True):
    """Anything else that belongs into the log: a delivery, a cleanup, the end. `figures` are for machines."""

    kind: str
    text: str
    at: float
    level: Level = Level.OK
    figures: Mapping[str, object] = field(default_factory=dict)


class TickOutput(Protocol):
    """What the watch has to say. Raises BrokenPipeError once nobody reads it, BadInput where it cannot be written."""

    def tick(self, state: ServerState) -> None:
        """A tick has passed."""

    def event(self, event: Event) -> None:
        """Something that is told once."""

    def note(self, note: Note) -> None:
        """Something else has happened."""


class Writer(Protocol):
    """Where lines go, one whole line at a time."""

    def write(self, line: str, /) -> object:
        """Take one line, its newline included."""


class TextLines:
    """For people: the time of day first; under journald, which has its own clock, a priority instead.

    Where the output is that of several servers, `label` names this one: ticks that repeat the level are left out, and
    so is the last line of each.
    """

    def __init__(
        self,
        stream: Writer,
        *,
        journal: bool = False,
        color: bool = False,
        bell: Writer | None = None,
        label: str | None = None,
    ) -> None:
        self._label = label
        self._level: Level | None = None
        self._stream = stream
        self._color = color
        self._journal = journal
        self._bell = bell

    def tick(self, state: ServerState) -> None:
        """One tick, in one line."""
        level = Level.UNKNOWN if state.answer is None else state.verdict_now.level
        repeated, self._level = level is self._level, level
        if repeated and self._label is not None:
            return
        if state.answer is not None:
            verdict = state.verdict_now
            line = tick_line(state.answer, verdict, state.gained, state.forecast)
            self._write(line, state.answer.taken_at, verdict.level)
        elif isinstance(state.sample, Silence):
            self._write(silence_line(state.sample, state.silent_seconds), state.sample.at, Level.UNKNOWN)

    def event(self, event: Event) -> None:
        """An event, and the bell where it calls for one."""
        self._write(event_line(event), event.at, event.level)
        if self._bell is not None and event.kind in _RINGS:
            self._bell.write("\a")

    def note(self, note: Note) -> None:
        """A line that names its kind."""
        if note.kind == "end" and self._label is not None:
            return
        self._write(f"{note.kind}: {safe_text(note.text)}", note.at, note.level)

    def _write(self, line: str, at: float, level: Level) -> None:
        start = priority(level) if self._journal else time.strftime("%H:%M:%S  ", time.localtime(at))
        if self._label is not None:
            line = f"{self._label}  {line}"
        if self._color and level in _COLORS:
            line = f"\x1b[{_COLORS[level]}m{line}\x1b[0m"
        self._stream.write(f"{start}{line}\n")


class JsonLines:
    """For machines: one object a line, `type` says which."""

    def __init__(
        self, stream: Writer, *, address: Address, bell: Writer | None = None, profile: str | None = None
    ) -> None:
        self._profile = {} if profile is None else {"profile": safe_text(profile)}
        self._stream = stream
        self._address = address
        self._bell = bell

    def tick(self, state: ServerState) -> None:
        """One tick, as `check --json` has it."""
        if state.answer is not None:
            self._write(tick_object(state.answer, state.verdict_now, state.gained, state.forecast, alert=state.alert))
        elif isinstance(state.sample, Silence):
            where = self._address if state.snapshot is None else state.snapshot.server.address
            self._write(silence_object(state.sample, state.silent_seconds, address=where, alert=state.alert))

    def event(self, event: Event) -> None:
        """An event, as hooks are given it."""
        self._write(event_object(event))
        if self._bell is not None and event.kind in _RINGS:
            self._bell.write("\a")

    def note(self, note: Note) -> None:
        """Anything else, with its figures."""
        start = {
            "schema": SCHEMA,
            "type": note.kind,
            "at": iso(note.at),
            "level": note.level.value,
            "text": safe_text(note.text),
        }
        self._write({**start, **note.figures})

    def _write(self, value: Mapping[str, object]) -> None:
        self._stream.write(json_line({**value, **self._profile}) + "\n")


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


async def aside(work: Callable[[], _T], *, name: str, expected: tuple[type[Exception], ...]) -> _T:
    """What `work` returns, or raises of the `expected` errors, from a daemon thread.

    When the caller gives up waiting the thread is left to itself: unlike an executor's, it cannot hold up the exit.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            result = work()
        except expected as error:
            _settle(done, error=error)
        else:
            _settle(done, result)
        finally:
            # Anything else is a defect: threading prints it, and the caller must not wait for ever.
            if not done.done():
                _settle(done, error=RuntimeError(f"{name} failed unexpectedly"))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)


def _settle(done: Future[_T], result: _T | None = None, *, error: Exception | None = None) -> None:
    """Hand over the outcome, unless the caller has given up, or its loop has closed, meanwhile."""
    with contextlib.suppress(RuntimeError):
        if not done.set_running_or_notify_cancel():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]
