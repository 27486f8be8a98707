"""What `hogs` says to scripts: one JSON document, or CSV. Names and units are a promise; what is not known is null."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.key_sizes import kind_of_sum
from redis_oom_tui.formatting.sanitize import glob_text, key_fields, safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.formatting.slots import slot_of
from redis_oom_tui.models.keys import KeyRow, SizeKind
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.scan import CURVE_SHARES, Comparison, Interval, PatternChange, PatternRow, ScanState, ScanView

_KEY_COLUMNS = (
    "key",
    "key_base64",
    "db",
    "type",
    "bytes",
    "ttl_seconds",
    "idle_seconds",
    "frequency",
    "encoding",
    "elements",
    "measured",
    "suspect",
    "node",
    "slot",
    "size_kind",
    "bytes_low",
    "bytes_high",
)
_PATTERN_COLUMNS = ("pattern", "match", "db", "level", "keys", "bytes", "share", "no_ttl_keys", "error", "select")


def hogs_document(
    view: ScanView, keys: Sequence[KeyRow] | None = None, comparison: Comparison | None = None
) -> dict[str, Any]:
    """What `hogs --json` prints; `keys` are the rows to print where they are not the view's own."""
    nothing = not view.scanned_keys and view.state is ScanState.FAILED
    document: dict[str, Any] = {
        "scanned_keys": view.scanned_keys,
        "total_keys": view.total_keys,
        "complete": view.complete,
        "state": view.state.value,
        "error": view.error,
        "notes": list(view.notes),
        "elapsed_seconds": round(view.elapsed_seconds, 3),
        "share_scanned": round(view.share_scanned, 4),
        "bytes": None if nothing else known_bytes(view.bytes_seen, view.scanned_keys),
        "size_kind": _kind((row.type for row in view.types), view.bytes_seen, view.scanned_keys, view),
        "estimated_bytes": _interval(view.estimated_bytes) if view.bytes_seen or not view.scanned_keys else None,
        "explained_share": None if view.explained_share is None else round(view.explained_share, 4),
        "contradiction": view.contradiction,
        "unsized_keys": view.unsized_keys,
        "volatile_keys": view.volatile_keys if view.ttls_told else None,
        "volatile_bytes": known_bytes(view.volatile_bytes, view.volatile_keys) if view.ttls_told else None,
        "vanished_keys": view.vanished_keys,
        "refused_keys": view.refused_keys,
        "server_share": None if view.brake.share is None else round(view.brake.share, 4),
        "keys": [key_document(row) for row in (view.top if keys is None else keys)],
        "patterns": pattern_documents(view),
        "types": [
            {
                "type": row.type,
                "keys": row.keys,
                "bytes": known_bytes(row.size, row.keys),
                "size_kind": _kind((row.type,), row.size, row.keys, view),
            }
            for row in view.types
        ],
    }
    if comparison is not None:
        document["comparison"] = comparison_document(comparison)
    return document


def _kind(types: Iterable[str], held: int, keys: int, view: ScanView, *, exact: bool = False) -> str:
    return kind_of_sum(types, known_bytes(held, keys), view, exact=exact).value


def key_document(row: KeyRow) -> dict[str, Any]:
    """One key."""
    text, base64 = key_fields(row.id.key)
    return {
        "key": text,
        "key_base64": base64,
        "db": row.id.db,
        "type": row.type,
        "bytes": row.size,
        "ttl_seconds": None if row.ttl_ms is None else row.ttl_ms / 1000,
        "idle_seconds": row.idle_seconds,
        "frequency": row.frequency,
        "encoding": row.encoding,
        "elements": row.elements,
        "measured": row.measured,
        "suspect": row.suspect,
        **size_fields(row),
        "node": row.id.node or None,
        "slot": slot_of(row.id.key) if row.id.node else None,
    }


def pattern_documents(view: ScanView) -> list[dict[str, Any]]:
    """All families of a scan, each with how many of the scanned keys its glob takes at least."""
    taken = pattern_text.keys_of_globs(view.patterns)

    def kind(row: PatternRow) -> str:
        return _kind((name for name, _ in row.types), row.size, row.keys, view, exact=row.sizes_exact)

    return [
        pattern_document(row, ttls_told=view.ttls_told) | {"match_keys": keys, "size_kind": kind(row)}
        for row, keys in zip(view.patterns, taken, strict=True)
    ]


def size_fields(key: KeyRow | PlannedKey) -> dict[str, Any]:
    """How well the size of a key is known: its kind, and the least and the most that it may be."""
    exact_size = key.size if key.size_kind is SizeKind.EXACT else None
    return {
        "size_kind": key.size_kind.value,
        "bytes_low": key.size_low if exact_size is None else exact_size,
        "bytes_high": key.size_high if exact_size is None else exact_size,
    }


def pattern_document(row: PatternRow, *, ttls_told: bool = True) -> dict[str, Any]:
    """One family: `select` is what --pattern takes, null where it leaves out too many names to list; `match` is a glob
    for SCAN MATCH that takes all of it and may take more, with odd bytes as \\xNN.
    """
    idle = row.idle_quantiles
    held = known_bytes(row.size, row.keys)
    return {
        "pattern": key_fields(row.pattern)[0],
        "select": None if row.select is None else pattern_text.text(row.select),
        "match": glob_text(row.match),
        "db": row.db,
        "level": row.level,
        "parent": None if row.parent is None else key_fields(row.parent)[0],
        "keys": row.keys,
        "bytes": held,
        "share": None if held is None else round(row.share, 6),
        "no_ttl_keys": row.no_ttl_keys if ttls_told else None,
        "error": round(row.error, 6),
        "average_bytes": held // row.keys if row.keys and held is not None else None,
        "types": dict(row.types),
        "ttl_p10_seconds": _at(row.ttl_curve, 0.1),
        "ttl_p50_seconds": _at(row.ttl_curve, 0.5),
        "ttl_p90_seconds": _at(row.ttl_curve, 0.9),
        "idle_p10_seconds": None if idle is None else idle[0],
        "idle_p50_seconds": None if idle is None else idle[1],
        "idle_p90_seconds": None if idle is None else idle[2],
        "estimated_bytes": None if held is None else _interval(row.estimated_bytes),
        "estimated_keys": _interval(row.estimated_keys),
    }


def _at(curve: Sequence[int], share: float) -> int | None:
    return curve[CURVE_SHARES.index(share)] if curve else None


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """What changed between two scans."""
    return {
        "before_unix_seconds": comparison.before_at,
        "now_unix_seconds": comparison.now_at,
        "notes": list(comparison.notes),
        "all": _change(comparison.whole),
        "patterns": [_change(change) for change in comparison.patterns],
    }


def keys_csv(rows: Sequence[KeyRow]) -> str:
    """The keys as CSV with a header; empty where a fact is not known."""
    return _csv(_KEY_COLUMNS, [key_document(row) for row in rows])


def patterns_csv(rows: Sequence[PatternRow], *, ttls_told: bool = True) -> str:
    """The families as CSV with a header."""
    return _csv(_PATTERN_COLUMNS, [pattern_document(row, ttls_told=ttls_told) for row in rows])


def _change(change: PatternChange) -> dict[str, Any]:
    return {
        "pattern": key_fields(change.pattern)[0],
        "db": change.db,
        "keys_before": change.keys_before,
        "keys_now": change.keys_now,
        "keys_grown": change.keys_grown,
        "bytes_before": change.bytes_before,
        "bytes_now": change.bytes_now,
        "bytes_grown": change.bytes_grown,
        "certain": change.certain,
        "doubt": change.doubt or None,
        "select": None if change.select is None else pattern_text.text(change.select),
        "within": None if change.within is None else key_fields(change.within)[0],
    }


def _interval(interval: Interval | None) -> dict[str, int] | None:
    if interval is None:
        return None
    return {"value": round(interval.value), "low": round(interval.low), "high": round(interval.high)}


def _csv(columns: Sequence[str], documents: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(document[name]) for name in columns} for document in documents)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A cell that a spreadsheet takes for text or a number, never for a formula."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    text = safe_text(value)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text
