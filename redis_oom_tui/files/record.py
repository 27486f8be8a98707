"""Recordings: what was polled and scanned, one JSON object a line, to be looked at again without a server.

No password and no value is in one; names of keys are, so the file is for its owner only.
"""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO, overload

from redis_oom_tui.files.codec import decode, encode
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.fleet import NodeView
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.values import FamilySample

FORMAT = "redis-oom-tui recording"
VERSION = 1
# A poll takes about 1.5 KB: this is days at one a second, and stops a forgotten one from filling the disk.
_MAX_BYTES = 512 * 2**20
_TOP_KEPT = 200
_CLIENTS_KEPT = 50
_KIND = re.compile(r'\{"monotonic":[^,]+,"at":[^,]+,"(\w+)":')


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a recording: when (monotonic and Unix seconds), and one of the things that may be there then."""

    monotonic: float
    at: float
    snapshot: Snapshot | None = None
    clients: tuple[ClientBuffer, ...] | None = None
    scan: ScanView | None = None
    capabilities: Capabilities | None = None
    settings: Mapping[str, str] | None = None
    samples: tuple[FamilySample, ...] | None = None
    replicas: tuple[NodeView, ...] | None = None
    lost: str | None = None


class Recorder:
    """Appends moments to a new file. Raises BadInput where it cannot be written; stops quietly at its size limit."""

    def __init__(self, path: Path, address: Address, *, max_bytes: int = _MAX_BYTES) -> None:
        self.path = path
        self._left = max_bytes
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise BadInput(f"{path} cannot be written as a new file: {error.strerror or error}") from None
        self._file: TextIO | None = os.fdopen(descriptor, "w", encoding="ascii")
        head = {"format": FORMAT, "version": VERSION, "address": encode(address), "made_at": time.time()}
        self._write(head)

    def add(self, moment: Moment) -> None:
        """Write one moment down; the flush makes it outlive a crash of the tool."""
        if moment.scan is not None:
            moment = replace(moment, scan=_shortened(moment.scan))
        if moment.clients is not None:
            moment = replace(moment, clients=moment.clients[:_CLIENTS_KEPT])
        self._write(encode(moment))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, data: dict[str, Any]) -> None:
        line = json.dumps(data, separators=(",", ":")) + "\n"
        if self._file is None:
            return
        self._left -= len(line)
        if self._left < 0:
            self.close()
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError:
            # A full disk ends the recording; the incident at hand goes on.
            self.close()


class Moments(Sequence[Moment]):
    """The lines of a recording, each decoded when it is looked at: hours of polls fit in memory as text alone.

    Looking raises BadInput for a line that cannot be read.
    """

    def __init__(self, path: Path, lines: list[tuple[str, str]]) -> None:
        self._path = path
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> Moment: ...
    @overload
    def __getitem__(self, index: slice) -> "Moments": ...
    def __getitem__(self, index: int | slice) -> "Moment | Moments":
        if isinstance(index, slice):
            return Moments(self._path, self._lines[index])
        try:
            return decode(Moment, json.loads(self._lines[index][1]))
        except (ValueError, BadInput) as error:
            raise BadInput(f"{self._path}, a {self._lines[index][0]} in it: {error}") from None

    def where(self, *kinds: str) -> list[int]:
        """The places of those that hold one of `kinds`: the names of a moment's fields."""
        return [place for place, (kind, _) in enumerate(self._lines) if kind in kinds]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording read back. `whole` is False where its last line was cut off, as by a crash."""

    address: Address
    made_at: float
    moments: Moments
    whole: bool = True

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The polls, in order."""
        polls = (self.moments[place] for place in self.moments.where("snapshot"))
        return tuple(moment.snapshot for moment in polls if moment.snapshot is not None)


def load(path: Path) -> Recording:
    """The recording in `path`. Raises BadInput, with file and line, for anything else."""
    try:
        with path.open(encoding="utf-8") as file:
            head = _head(file.readline(), path)
            lines, whole = _lines(file, path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(f"{path} cannot be read: {reason}") from None
    moments = Moments(path, lines)
    polls = moments.where("snapshot")
    if not polls:
        raise BadInput(f"{path} holds no poll that could be shown")
    # One look tells a file of another making from ours before a screen is opened on it.
    _ = moments[polls[0]]
    return Recording(decode(Address, head["address"]), float(head["made_at"]), moments, whole)


def _head(line: str, path: Path) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadInput(f"{path} is no recording of this tool")
    if head.get("version") != VERSION:
        raise BadInput(f"{path} was made by another version of this tool (format {head.get('version')}, not {VERSION})")
    return head


def _lines(file: TextIO, path: Path) -> tuple[list[tuple[str, str]], bool]:
    """Each line with the kind of what it holds, which stands right behind its two times."""
    lines: list[tuple[str, str]] = []
    for number, line in enumerate(file, 2):
        if not line.endswith("\n"):
            return lines, False
        kind = _KIND.match(line)
        if kind is None:
            raise BadInput(f"{path}, line {number}: it is no moment of a recording")
        lines.append((kind[1], line))
    return lines, True


def _shortened(scan: ScanView) -> ScanView:
    """Fewer keys; and no list of names that a pattern leaves out, which may be long and stand at many patterns."""
    patterns = tuple(
        replace(row, select=None) if row.select is not None and row.select.others else row for row in scan.patterns
    )
    return replace(scan, top=scan.top[:_TOP_KEPT], patterns=patterns)
