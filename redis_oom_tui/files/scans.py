"""Scans kept on disk, to be opened again and compared with a later one."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyPattern, KeyRow
from redis_oom_tui.models.scan import Interval, Pace, PatternRow, SavedScan, ScanState, ScanView, TypeRow
from redis_oom_tui.words import pattern_text
from redis_oom_tui.words.hostile import safe_text

_FORMAT = "redis-oom-tui scan 1"
# Of a view, what is written as it is; the rest is made of other values.
_PLAIN = (
    "scanned_keys",
    "total_keys",
    "bytes_seen",
    "volatile_keys",
    "volatile_bytes",
    "elapsed_seconds",
    "keys_per_second",
    "vanished_keys",
    "refused_keys",
    "explained_share",
    "error",
    "walked_share",
)
_ROW = tuple(field.name for field in fields(KeyRow) if field.name != "id")
_PATTERN = ("keys", "size", "share", "no_ttl_keys", "db", "level", "error")


def save_scan(scan: SavedScan, path: Path) -> None:
    """Write `scan` to a new file at `path`, readable by its owner alone. Raises BadInput where that cannot be."""
    name = safe_text(str(path), 200)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(_document(scan), file)
            file.write("\n")
    except FileExistsError:
        raise BadInput(f"{name} exists already: a scan is saved to a new file") from None
    except OSError as error:
        raise BadInput(f"{name} cannot be written: {error.strerror}") from None


def load_scan(path: Path) -> SavedScan:
    """The scan that was saved at `path`. Raises BadInput for a file that is none."""
    name = safe_text(str(path), 200)
    try:
        found = json.loads(path.read_text(encoding="ascii"))
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise BadInput(f"{name} is not a scan that this tool saved")
        return _scan(found)
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise BadInput(f"{name} is not a scan that this tool saved, or it is damaged") from None


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
        "state": view.state.value,
        "pace": view.pace.value,
        "notes": list(view.notes),
        "estimated_bytes": _ends(view.estimated_bytes),
        "view": {name: getattr(view, name) for name in (*_PLAIN, "ttls_told")},
        "types": [[row.type, row.keys, row.size] for row in view.types],
        "top": [
            {"db": row.id.db, "key": _written(row.id.key), "node": row.id.node}
            | {name: getattr(row, name) for name in _ROW}
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


def _select(found: dict[str, Any] | None, lists: Sequence[tuple[bytes, ...]]) -> KeyPattern | None:
    if found is None:
        return None
    pattern = pattern_text.from_fields({**found, "others": []})
    others = tuple(None if place is None else lists[place] for place in found["others"])
    if len(others) not in (0, len(pattern.parts)):
        raise ValueError("not a pattern")
    return replace(pattern, others=others)


def _pattern_document(row: PatternRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _PATTERN} | {
        "pattern": _written(row.pattern),
        "match": _written(row.match),
        "parent": _written(row.parent),
        "types": [list(pair) for pair in row.types],
        "idle_quantiles": row.idle_quantiles,
        "estimated_bytes": _ends(row.estimated_bytes),
        "estimated_keys": _ends(row.estimated_keys),
    }


def _scan(found: dict[str, Any]) -> SavedScan:
    lists = [tuple(_bytes(name) for name in names) for names in found.get("left_out", ())]
    view = ScanView(
        state=ScanState(found["state"]),
        pace=Pace(found["pace"]),
        notes=tuple(found["notes"]),
        estimated_bytes=_interval(found["estimated_bytes"]),
        types=tuple(TypeRow(*row) for row in found["types"]),
        top=tuple(_row(row) for row in found["top"]),
        patterns=tuple(_pattern(row, lists) for row in found["patterns"]),
        **{name: found["view"][name] for name in _PLAIN},
        # Files of before it was written were made where TTLs were told.
        ttls_told=found["view"].get("ttls_told", True),
    )
    return SavedScan(
        view,
        found["taken_at"],
        found["server"],
        found["run_id"],
        _read(found["match"]),
        found["type"],
        # Files of before it was written have none.
        found.get("progress"),
        None if found.get("pattern") is None else pattern_text.from_fields(found["pattern"]),
    )


def _row(found: dict[str, Any]) -> KeyRow:
    return KeyRow(KeyId(found["db"], _bytes(found["key"]), found["node"]), **{name: found[name] for name in _ROW})


def _pattern(found: dict[str, Any], lists: Sequence[tuple[bytes, ...]]) -> PatternRow:
    idle = found["idle_quantiles"]
    return PatternRow(
        pattern=_bytes(found["pattern"]),
        match=_bytes(found["match"]),
        parent=_read(found["parent"]),
        types=tuple((kind, keys) for kind, keys in found["types"]),
        idle_quantiles=None if idle is None else (idle[0], idle[1], idle[2]),
        estimated_bytes=_interval(found["estimated_bytes"]),
        estimated_keys=_interval(found["estimated_keys"]),
        select=_select(found.get("select"), lists),
        **{name: found[name] for name in _PATTERN},
    )


def _written(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _read(text: str | None) -> bytes | None:
    return None if text is None else _bytes(text)


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.value, interval.low, interval.high]


def _interval(ends: list[float] | None) -> Interval | None:
    return None if ends is None else Interval(*ends)
