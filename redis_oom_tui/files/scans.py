"""Scans kept on disk, to be opened again and compared with a later one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from redis_oom_tui.files.disk import MIB, cannot_be_read, open_plain, read_small, shown, write_whole
from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.typed import (
    Count,
    Damaged,
    Database,
    KeyRecord,
    Number,
    UnixTime,
    Whole,
    converted,
    decoded,
    encoded,
    key_fields,
)
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import CURVE_SHARES, Interval, Pace, PatternRow, SavedScan, ScanState, ScanView, TypeRow
from redis_oom_tui.models.structs import replace

_FORMAT = "redis-oom-tui scan 1"
# The most of a file that is read, and how far in it says what it is.
_LARGEST = 256 * MIB
_LONGEST_START = 200
_Ends = tuple[Number, Number, Number] | None


class _View(Struct):
    """Of a view, what is written as it is; the rest is made of other values."""

    scanned_keys: Whole
    total_keys: Whole
    bytes_seen: Whole
    volatile_keys: Whole
    volatile_bytes: Whole
    elapsed_seconds: Number
    keys_per_second: Number
    vanished_keys: Whole
    refused_keys: Whole
    explained_share: Number | None
    error: str | None
    scanned_share: Number | None = field(name="walked_share")
    # Files of before these were written were made where TTLs were told, and counted no key without a size.
    ttls_known: bool = field(name="ttls_told", default=True)
    unsized_keys: Whole = 0
    contradiction: str | None = None


class _Pattern(Struct, kw_only=True):
    """A pattern's row, its names in base64. `select` leaves out lists of names by their places in `left_out`."""

    pattern: bytes
    match: bytes
    parent: bytes | None
    keys: Whole
    size: Whole
    share: Number
    no_ttl_keys: Whole
    db: Database | None
    level: Whole
    error: Number
    types: tuple[tuple[str, Whole], ...]
    idle_quantiles: tuple[Number, Number, Number] | None
    estimated_bytes: _Ends
    estimated_keys: _Ends
    # Files of before they were written have none.
    select: dict[str, Any] | None = None
    idle_curve: tuple[Whole, ...] = ()
    ttl_curve: tuple[Whole, ...] = ()
    frequency_curve: tuple[Whole, ...] = ()
    no_ttl_bytes: Whole | None = None


class _File(Struct, kw_only=True):
    """All of a saved scan. The format stands first: it tells a scan from any other file before all of it is read."""

    format: str
    taken_at: UnixTime
    server: str
    run_id: str | None
    match: bytes | None
    type: str | None
    # What has a default is not in the files of some earlier versions.
    pattern: dict[str, Any] | None = None
    databases: tuple[Database, ...] | None = None
    state: ScanState
    pace: Pace
    notes: tuple[str, ...]
    estimated_bytes: _Ends
    view: _View
    types: tuple[tuple[str, Whole, Whole], ...]
    top: tuple[KeyRecord, ...]
    left_out: tuple[tuple[bytes, ...], ...] = ()
    patterns: tuple[_Pattern, ...]
    progress: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_File)
# What a row of the file has as a row of the view has it.
_PLAIN = tuple(
    name for name in _Pattern.__struct_fields__ if name not in ("estimated_bytes", "estimated_keys", "select")
)


def save_scan(scan: SavedScan, path: Path) -> None:
    """Write `scan` to a new file at `path`, readable by its owner alone. Raises BadInput where that cannot be."""
    written = encoded(_document(scan)) + b"\n"
    if len(written) > _LARGEST:
        raise BadInput(f"{shown(path)} would be larger than a saved scan can be: scan with a smaller --top")
    try:
        write_whole(path, [written])
    except FileExistsError:
        raise BadInput(f"{shown(path)} exists already: a scan is saved to a new file") from None
    except OSError as error:
        raise BadInput(f"{shown(path)} cannot be written: {error.strerror}") from None


def load_scan(path: Path) -> SavedScan:
    """The scan that was saved at `path`. Raises BadInput for a file that is none."""
    with open_plain(path) as file:
        try:
            start = file.read(_LONGEST_START)
        except OSError as error:
            raise cannot_be_read(path, error) from None
    # Seen before all of a large file is read: the format is the first that is written.
    if _FORMAT.encode("ascii") not in start:
        raise BadInput(f"{shown(path)} is not a scan that this tool saved")
    raw, _ = read_small(path, _LARGEST)
    try:
        found = decoded(_decoder, raw)
        del raw
        if found.format != _FORMAT:
            raise BadInput(f"{shown(path)} is not a scan that this tool saved")
        return _scan(found)
    except Damaged as error:
        raise BadInput(f"{shown(path)}, line 1: {error}: the scan is damaged") from None


def _document(scan: SavedScan) -> _File:
    view = scan.view
    left_out, patterns = _patterns_written(view.patterns)
    return _File(
        format=_FORMAT,
        taken_at=scan.taken_at,
        server=scan.server,
        run_id=scan.run_id,
        match=scan.match,
        type=scan.type,
        pattern=None if scan.pattern is None else pattern_text.fields(scan.pattern),
        databases=scan.databases,
        state=view.state,
        pace=view.pace,
        notes=view.notes,
        estimated_bytes=_ends(view.estimated_bytes),
        view=_View(*(getattr(view, name) for name in _View.__struct_fields__)),
        types=tuple((kind.type, kind.keys, kind.size) for kind in view.types),
        top=tuple(KeyRecord(db=row.id.db, key=row.id.key, node=row.id.node, **key_fields(row)) for row in view.top),
        left_out=left_out,
        patterns=patterns,
        progress=None if scan.progress is None else dict(scan.progress),
    )


def _patterns_written(rows: Sequence[PatternRow]) -> tuple[tuple[tuple[bytes, ...], ...], tuple[_Pattern, ...]]:
    """Once for all of the rows the lists of names that some leave out, as many rows share one; and the rows."""
    lists = dict.fromkeys(names for row in rows if row.select is not None for names in row.select.others)
    lists.pop(None, None)
    places: dict[tuple[bytes, ...] | None, int | None] = {names: place for place, names in enumerate(lists)}
    patterns = tuple(
        _Pattern(
            **{name: getattr(row, name) for name in _PLAIN},
            estimated_bytes=_ends(row.estimated_bytes),
            estimated_keys=_ends(row.estimated_keys),
            select=_select_fields(row.select, places),
        )
        for row in rows
    )
    return tuple(names or () for names in lists), patterns


def _select_fields(
    select: KeyPattern | None, places: Mapping[tuple[bytes, ...] | None, int | None]
) -> dict[str, Any] | None:
    if select is None:
        return None
    others = [places.get(names) for names in select.others]
    return pattern_text.fields(replace(select, others=())) | {"others": others}


def _scan(found: _File) -> SavedScan:
    view = ScanView(
        state=found.state,
        pace=found.pace,
        notes=found.notes,
        estimated_bytes=_interval(found.estimated_bytes),
        types=tuple(TypeRow(*kind) for kind in found.types),
        top=tuple(record.row() for record in found.top),
        patterns=tuple(_pattern(row, found.left_out) for row in found.patterns),
        **msgspec.structs.asdict(found.view),
    )
    return SavedScan(
        view,
        found.taken_at,
        found.server,
        found.run_id,
        found.match,
        found.type,
        found.progress,
        None if found.pattern is None else pattern_text.from_fields(found.pattern),
        found.databases,
    )


def _pattern(row: _Pattern, lists: Sequence[tuple[bytes, ...]]) -> PatternRow:
    if any(len(curve) not in (0, len(CURVE_SHARES)) for curve in (row.idle_curve, row.ttl_curve, row.frequency_curve)):
        raise Damaged("a pattern in it has no curve")
    return PatternRow(
        **{name: getattr(row, name) for name in _PLAIN},
        estimated_bytes=_interval(row.estimated_bytes),
        estimated_keys=_interval(row.estimated_keys),
        select=_select(row.select, lists),
    )


def _select(found: dict[str, Any] | None, lists: Sequence[tuple[bytes, ...]]) -> KeyPattern | None:
    if found is None:
        return None
    pattern = pattern_text.from_fields({**found, "others": []})
    places = converted(found.get("others"), tuple[Count | None, ...])
    if len(places) not in (0, len(pattern.parts)) or any(place is not None and place >= len(lists) for place in places):
        raise Damaged("a pattern in it leaves out names that are not there")
    return replace(pattern, others=tuple(None if place is None else lists[place] for place in places))


def _interval(ends: _Ends) -> Interval | None:
    return None if ends is None else Interval(*ends)


def _ends(interval: Interval | None) -> _Ends:
    return None if interval is None else (interval.value, interval.low, interval.high)
