"""Recordings: what was polled and scanned, one JSON object a line, to be looked at again without a server.

No password and no value is in one; names of keys are, so the file is for its owner only.
"""

import contextlib
import os
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, overload

import msgspec
from msgspec import Struct

from redis_oom_tui.files.disk import LONGEST_LINE, cannot_be_read, identity, lines, open_plain, shown, was_replaced
from redis_oom_tui.files.recorded_values import decode, encode
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.typed import Damaged, Number, UnixTime, decoded, encoded
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace

FORMAT = "redis-oom-tui recording"
VERSION = 1
_GAPS_TOLD_BY = 20
# A poll takes about 1.5 KB: this is days at one a second, and stops a forgotten one from filling the disk.
_MAX_BYTES = 512 * 2**20
_TOP_KEPT = 200
_CLIENTS_KEPT = 50
_LONGEST_HEAD = 65536
_KIND = re.compile(rb'\{"monotonic":([-+.0-9eE]{1,30}),"at":([-+.0-9eE]{1,30}),"([a-z]{1,30})":')


class _Format(Struct):
    """What tells a recording from any other file, and which version wrote it."""

    format: str
    version: Any = None


class _Head(Struct):
    """The first line."""

    address: dict[str, Any]
    made_at: UnixTime


class _Times(Struct):
    """When a moment was."""

    monotonic: Number
    at: UnixTime


class Moment(Struct, frozen=True):
    """One line of a recording: when (monotonic and Unix seconds), and one of the things that may be there then."""

    monotonic: float
    at: float
    snapshot: Snapshot | None = None
    clients: tuple[ClientBuffer, ...] | None = None
    scan: ScanView | None = None
    capabilities: Capabilities | None = None
    settings: Mapping[str, str] | None = None
    samples: tuple[PatternSample, ...] | None = None
    replicas: tuple[NodeView, ...] | None = None
    lost: str | None = None


_format_decoder = msgspec.json.Decoder(_Format)
_head_decoder = msgspec.json.Decoder(_Head)
_any_decoder = msgspec.json.Decoder()
_times_decoder = msgspec.json.Decoder(_Times)


class Recorder:
    """Appends moments to a new file. Raises BadInput where not even its first line can be written.

    `ended_early` says why nothing more is written, on a full disk or at `max_bytes`; '' while all is.
    """

    def __init__(self, path: Path, address: Address, *, max_bytes: int = _MAX_BYTES) -> None:
        self.path = path
        self.ended_early = ""
        self._left = max_bytes
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise BadInput(f"{path} cannot be written as a new file: {error.strerror or error}") from None
        self._file: BinaryIO | None = os.fdopen(descriptor, "wb")
        head = {"format": FORMAT, "version": VERSION, "address": encode(address), "made_at": time.time()}
        self._write(head)
        if self.ended_early:
            path.unlink(missing_ok=True)
            raise BadInput(f"{path} cannot be written: {self.ended_early}")

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
            file, self._file = self._file, None
            file.close()

    def _write(self, data: dict[str, Any]) -> None:
        line = encoded(data) + b"\n"
        if self._file is None:
            return
        self._left -= len(line)
        if self._left < 0:
            self._end("it is as large as a recording may be")
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            # A full disk ends the recording; the incident at hand goes on.
            self._end(error.strerror or str(error))

    def _end(self, why: str) -> None:
        self.ended_early = why
        with contextlib.suppress(OSError):
            # What could not be written is tried again by the close, and its failure was told already.
            self.close()


class LinePlace(NamedTuple):
    """Where a moment stands in its file, and what is known of it without reading all of it."""

    number: int
    offset: int
    size: int
    kind: str
    monotonic: float
    at: float

    def begins(self, raw: bytes) -> bool:
        """Whether what stands there now begins as it did."""
        head = _KIND.match(raw)
        try:
            return head is not None and (float(head[1]), float(head[2])) == (self.monotonic, self.at)
        except ValueError:
            return False


class Moments(Sequence[Moment]):
    """The moments of a recording, each read when it is looked at: hours of polls take no memory. The file may grow.

    Looking raises BadInput for a line that cannot be read, and where the file is not the one of that `identity`.
    """

    def __init__(self, path: Path, places: Sequence[LinePlace], same: tuple[int, ...]) -> None:
        self._path = path
        self._places = places
        self._same = same

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Moment: ...
    @overload
    def __getitem__(self, index: slice) -> "Moments": ...
    def __getitem__(self, index: int | slice) -> "Moment | Moments":
        if isinstance(index, slice):
            return Moments(self._path, self._places[index], self._same)
        place = self._places[index]
        with open_plain(self._path) as file:
            try:
                device, inode, size, _ = identity(file)
                file.seek(place.offset)
                raw = file.read(place.size)
            except OSError as error:
                raise cannot_be_read(self._path, error) from None
        if (device, inode) != self._same[:2] or size < self._same[2] or not place.begins(raw):
            raise was_replaced(self._path)
        try:
            return decode(Moment, decoded(_any_decoder, raw))
        except Damaged as error:
            raise BadInput(f"{shown(self._path)}, line {place.number}, a {place.kind}: {error}") from None

    def place(self, index: int) -> LinePlace:
        """What is known of a moment without reading all of it."""
        return self._places[index]

    def where(self, *kinds: str) -> list[int]:
        """The places of those that hold one of `kinds`: the names of a moment's fields."""
        return [index for index, place in enumerate(self._places) if place.kind in kinds]


class Recording(Struct, frozen=True):
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

    @property
    def usual_gap_seconds(self) -> float:
        """How far apart its first polls are; 0 where there is one."""
        places = self.moments.where("snapshot", "lost")[:_GAPS_TOLD_BY]
        times = [self.moments[place].monotonic for place in places]
        return statistics.median(b - a for a, b in pairwise(times)) if len(times) > 1 else 0.0


def load(path: Path) -> Recording:
    """The recording in `path`. Raises BadInput, with file and line, for anything else."""
    try:
        with open_plain(path) as file:
            address, made_at = _head(file.readline(_LONGEST_HEAD), path)
            same = identity(file)
            places, whole = _places(file, path)
    except OSError as error:
        raise cannot_be_read(path, error) from None
    moments = Moments(path, places, same)
    polls = moments.where("snapshot")
    if not polls:
        raise BadInput(f"{shown(path)} holds no poll that could be shown")
    # One look tells a file of another making from ours before a screen is opened on it.
    _ = moments[polls[0]]
    return Recording(address, made_at, moments, whole)


def _head(line: bytes, path: Path) -> tuple[Address, float]:
    try:
        found = decoded(_format_decoder, line)
    except Damaged:
        found = _Format("")
    if found.format != FORMAT:
        raise BadInput(f"{shown(path)} is not a recording made by this tool")
    if found.version != VERSION:
        version = safe_text(str(found.version), 20)
        raise BadInput(f"{shown(path)} was made by another version of this tool (format {version}, not {VERSION})")
    try:
        head = decoded(_head_decoder, line)
        return decode(Address, head.address), head.made_at
    except Damaged as error:
        raise BadInput(f"{shown(path)}, line 1: {error}") from None


def _places(file: BinaryIO, path: Path) -> tuple[list[LinePlace], bool]:
    """Each line with the kind of what it holds, which stands right behind its two times."""
    places: list[LinePlace] = []
    for line in lines(file, LONGEST_LINE, number=2):
        if not line.whole:
            return places, False
        if line.raw is None:
            raise BadInput(f"{shown(path)}, line {line.number}: it is longer than a line of a recording can be")
        kind = _KIND.match(line.raw)
        if kind is None:
            raise BadInput(f"{shown(path)}, line {line.number}: it is not a line of a recording")
        try:
            times = decoded(_times_decoder, b'{"monotonic":%b,"at":%b}' % (kind[1], kind[2]))
        except Damaged as error:
            raise BadInput(f"{shown(path)}, line {line.number}: {error}") from None
        places.append(
            LinePlace(line.number, line.offset, line.size, kind[3].decode("ascii"), times.monotonic, times.at)
        )
    return places, True


def _shortened(scan: ScanView) -> ScanView:
    """Fewer keys; and no list of names that a pattern leaves out, which may be long and stand at many patterns."""
    patterns = tuple(
        replace(row, select=None) if row.select is not None and row.select.others else row for row in scan.patterns
    )
    return replace(scan, top=scan.top[:_TOP_KEPT], patterns=patterns)
