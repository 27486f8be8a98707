"""Scans kept on disk, to be opened again and compared with a later one."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis_oom_tui.files.durable import write_whole
from redis_oom_tui.files.reading import MIB, cannot_be_read, open_plain, read_small, shown
from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.typed import (
    KEY_ROW,
    KEY_ROW_LATER,
    Check,
    Damaged,
    all_taken,
    base64_bytes,
    database,
    flag,
    given,
    key_row,
    members,
    moment,
    number,
    one_of,
    optional,
    parse,
    row,
    several,
    taken,
    tally,
    text,
    whole,
)
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyPattern, KeyRow
from redis_oom_tui.models.scan import CURVE_SHARES, Interval, Pace, PatternRow, SavedScan, ScanState, ScanView, TypeRow
from redis_oom_tui.models.structs import replace

_FORMAT = "redis-oom-tui scan 1"
# The most of a file that is read, and how far in it says what it is.
_LARGEST = 256 * MIB
_LONGEST_START = 200
# Of a view, what is written as it is; the rest is made of other values.
_PLAIN: Mapping[str, Check[Any]] = {
    "scanned_keys": whole,
    "total_keys": whole,
    "bytes_seen": whole,
    "volatile_keys": whole,
    "volatile_bytes": whole,
    "elapsed_seconds": number,
    "keys_per_second": number,
    "vanished_keys": whole,
    "refused_keys": whole,
    "explained_share": optional(number),
    "error": optional(text),
    "walked_share": optional(number),
}
_NO_CURVE: tuple[int, ...] = ()
_CURVES = ("idle_curve", "ttl_curve", "frequency_curve")
_PATTERN: Mapping[str, Check[Any]] = {
    "keys": whole,
    "size": whole,
    "share": number,
    "no_ttl_keys": whole,
    "db": optional(database),
    "level": whole,
    "error": number,
}


def save_scan(scan: SavedScan, path: Path) -> None:
    """Write `scan` to a new file at `path`, readable by its owner alone. Raises BadInput where that cannot be."""
    written = json.dumps(_document(scan)) + "\n"
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
        found = members(parse(raw))
        del raw
        if found.get("format") != _FORMAT:
            raise BadInput(f"{shown(path)} is not a scan that this tool saved")
        return _scan(found)
    except Damaged as error:
        raise BadInput(f"{shown(path)}, line 1: {error}: the scan is damaged") from None


def _document(scan: SavedScan) -> dict[str, Any]:
    view = scan.view
    return {
        "format": _FORMAT,
        "taken_at": scan.taken_at,
        "server": scan.server,
        "run_id": scan.run_id,
        "match": _written(scan.match),
        "type": scan.type,
        "pattern": None if scan.pattern is None else pattern_text.fields(scan.pattern),
        "databases": scan.databases,
        "state": view.state.value,
        "pace": view.pace.value,
        "notes": list(view.notes),
        "estimated_bytes": _ends(view.estimated_bytes),
        "view": {name: getattr(view, name) for name in (*_PLAIN, "ttls_told", "unsized_keys", "contradiction")},
        "types": [[kind.type, kind.keys, kind.size] for kind in view.types],
        "top": [
            {"db": row.id.db, "key": _written(row.id.key), "node": row.id.node}
            | {name: getattr(row, name) for name in (*KEY_ROW, *KEY_ROW_LATER)}
            for row in view.top
        ],
        **_patterns_document(view.patterns),
        "progress": scan.progress,
    }


def _patterns_document(rows: Sequence[PatternRow]) -> dict[str, Any]:
    """The rows, and once for all of them the lists of names that some leave out: many rows share one."""
    lists = dict.fromkeys(names for row in rows if row.select is not None for names in row.select.others)
    lists.pop(None, None)
    places: dict[tuple[bytes, ...] | None, int | None] = {names: place for place, names in enumerate(lists)}
    return {
        "left_out": [[_written(name) for name in names or ()] for names in lists],
        "patterns": [_pattern_document(row) | {"select": _select_document(row.select, places)} for row in rows],
    }


def _select_document(
    select: KeyPattern | None, places: Mapping[tuple[bytes, ...] | None, int | None]
) -> dict[str, Any] | None:
    if select is None:
        return None
    others = [places.get(names) for names in select.others]
    return pattern_text.fields(replace(select, others=())) | {"others": others}


def _select(value: object, lists: Sequence[tuple[bytes, ...]]) -> KeyPattern | None:
    if value is None:
        return None
    found = members(value)
    pattern = pattern_text.checked({**found, "others": []})
    places = taken(found, "others", several(optional(tally)))
    if len(places) not in (0, len(pattern.parts)) or any(place is not None and place >= len(lists) for place in places):
        raise Damaged("is not a pattern")
    return replace(pattern, others=tuple(None if place is None else lists[place] for place in places))


def _pattern_document(row: PatternRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _PATTERN} | {
        "pattern": _written(row.pattern),
        "match": _written(row.match),
        "parent": _written(row.parent),
        "types": [list(pair) for pair in row.types],
        "idle_quantiles": row.idle_quantiles,
        **{name: list(getattr(row, name)) for name in _CURVES},
        "estimated_bytes": _ends(row.estimated_bytes),
        "estimated_keys": _ends(row.estimated_keys),
    }


def _scan(found: dict[str, Any]) -> SavedScan:
    sums = taken(found, "view", members)
    lists: tuple[tuple[bytes, ...], ...] = given(found, "left_out", several(several(base64_bytes)), ())
    view = ScanView(
        state=taken(found, "state", one_of(ScanState)),
        pace=taken(found, "pace", one_of(Pace)),
        notes=taken(found, "notes", several(text)),
        estimated_bytes=taken(found, "estimated_bytes", _interval),
        types=taken(found, "types", several(_type_row)),
        top=taken(found, "top", several(_row)),
        patterns=taken(found, "patterns", several(lambda value: _pattern(value, lists))),
        **all_taken(sums, _PLAIN),
        # Files of before it was written were made where TTLs were told.
        ttls_told=given(sums, "ttls_told", flag, True),
        # Files of before it was written did not count them.
        unsized_keys=given(sums, "unsized_keys", whole, 0),
        contradiction=given(sums, "contradiction", optional(text), None),
    )
    return SavedScan(
        view,
        taken(found, "taken_at", moment),
        taken(found, "server", text),
        taken(found, "run_id", optional(text)),
        taken(found, "match", optional(base64_bytes)),
        taken(found, "type", optional(text)),
        # Files of before it was written have none.
        given(found, "progress", optional(members), None),
        given(found, "pattern", optional(pattern_text.checked), None),
        given(found, "databases", optional(several(database)), None),
    )


def _row(value: object) -> KeyRow:
    found = members(value)
    key = KeyId(taken(found, "db", database), taken(found, "key", base64_bytes), taken(found, "node", text))
    return KeyRow(key, **key_row(found))


def _type_row(value: object) -> TypeRow:
    return TypeRow(*row(text, whole, whole)(value))


def _pattern(value: object, lists: Sequence[tuple[bytes, ...]]) -> PatternRow:
    found = members(value)
    return PatternRow(
        pattern=taken(found, "pattern", base64_bytes),
        match=taken(found, "match", base64_bytes),
        parent=taken(found, "parent", optional(base64_bytes)),
        types=taken(found, "types", several(row(text, whole))),
        idle_quantiles=taken(found, "idle_quantiles", optional(row(number, number, number))),
        estimated_bytes=taken(found, "estimated_bytes", _interval),
        estimated_keys=taken(found, "estimated_keys", _interval),
        select=given(found, "select", lambda select: _select(select, lists), None),
        # Files of before they were written have none.
        idle_curve=given(found, "idle_curve", _curve, _NO_CURVE),
        ttl_curve=given(found, "ttl_curve", _curve, _NO_CURVE),
        frequency_curve=given(found, "frequency_curve", _curve, _NO_CURVE),
        **all_taken(found, _PATTERN),
    )


def _curve(value: object) -> tuple[int, ...]:
    values = several(whole)(value)
    if len(values) not in (0, len(CURVE_SHARES)):
        raise Damaged("is not a curve")
    return values


def _interval(value: object) -> Interval | None:
    return None if value is None else Interval(*row(number, number, number)(value))


def _written(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode("ascii")


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.value, interval.low, interval.high]
