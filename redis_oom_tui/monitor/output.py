"""Where the watch writes: lines for people, for journald, or JSON for machines."""

import time
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

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
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.state import ServerState

_COLOURS = {Level.WARNING: "33", Level.CRITICAL: "31", Level.OOM: "1;31", Level.UNKNOWN: "35"}
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
    """For people: the time of day first; under journald, which has its own clock, a priority instead."""

    def __init__(
        self, stream: Writer, *, journal: bool = False, colour: bool = False, bell: Writer | None = None
    ) -> None:
        self._stream = stream
        self._colour = colour
        self._journal = journal
        self._bell = bell

    def tick(self, state: ServerState) -> None:
        """One tick, in one line."""
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
        self._write(f"{note.kind}: {safe_text(note.text)}", note.at, note.level)

    def _write(self, line: str, at: float, level: Level) -> None:
        start = priority(level) if self._journal else time.strftime("%H:%M:%S  ", time.localtime(at))
        if self._colour and level in _COLOURS:
            line = f"\x1b[{_COLOURS[level]}m{line}\x1b[0m"
        self._stream.write(f"{start}{line}\n")


class JsonLines:
    """For machines: one object a line, `type` says which."""

    def __init__(self, stream: Writer, *, address: Address, bell: Writer | None = None) -> None:
        self._stream = stream
        self._address = address
        self._bell = bell

    def tick(self, state: ServerState) -> None:
        """One tick, as `check --json` has it."""
        if state.answer is not None:
            self._write(tick_object(state.answer, state.verdict_now, state.gained, state.forecast, alert=state.alert))
        elif isinstance(state.sample, Silence):
            self._write(silence_object(state.sample, state.silent_seconds, address=self._address, alert=state.alert))

    def event(self, event: Event) -> None:
        """An event, as hooks are given it."""
        self._write(event_object(event))
        if self._bell is not None and event.kind in _RINGS:
            self._bell.write("\a")

    def note(self, note: Note) -> None:
        """Anything else, with its figures."""
        start = {"type": note.kind, "at": iso(note.at), "level": note.level.value, "text": safe_text(note.text)}
        self._write({**start, **note.figures})

    def _write(self, value: dict[str, object]) -> None:
        self._stream.write(json_line(value) + "\n")
