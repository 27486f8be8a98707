"""Recordings: what was polled and scanned, one JSON object a line, to be looked at again without a server.

No password and no value is in one; names of keys are, so the file is for its owner only.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from redis_oom_tui.files.codec import decode, encode
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import ClientBuffer, Snapshot
from redis_oom_tui.models.values import FamilySample

FORMAT = "redis-oom-tui recording"
VERSION = 1
# A poll takes about 1.5 KB: this is days at one a second, and stops a forgotten one from filling the disk.
_MAX_BYTES = 512 * 2**20
_TOP_KEPT = 200
_CLIENTS_KEPT = 50


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
            moment = replace(moment, scan=replace(moment.scan, top=moment.scan.top[:_TOP_KEPT]))
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


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording read back. `whole` is False where its last line was cut off, as by a crash."""

    address: Address
    made_at: float
    moments: tuple[Moment, ...]
    whole: bool = True

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The polls, in order."""
        return tuple(moment.snapshot for moment in self.moments if moment.snapshot is not None)


def load(path: Path) -> Recording:
    """The recording in `path`. Raises BadInput, with file and line, for anything else."""
    try:
        with path.open(encoding="utf-8") as file:
            head = _head(file.readline(), path)
            moments, whole = _moments(file, path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(f"{path} cannot be read: {reason}") from None
    if not any(moment.snapshot for moment in moments):
        raise BadInput(f"{path} holds no poll that could be shown")
    return Recording(decode(Address, head["address"]), float(head["made_at"]), tuple(moments), whole)


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


def _moments(lines: TextIO, path: Path) -> tuple[list[Moment], bool]:
    moments: list[Moment] = []
    for number, line in enumerate(lines, 2):
        if not line.endswith("\n"):
            return moments, False
        try:
            moments.append(decode(Moment, json.loads(line)))
        except (ValueError, BadInput) as error:
            raise BadInput(f"{path}, line {number}: {error}") from None
    return moments, True
