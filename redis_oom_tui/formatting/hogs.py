"""What `hogs` prints: a summary, tables and a line of progress for people, one JSON document or CSV for scripts.

The names and units of the documents are a promise; what is not known is null.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from redis_oom_tui.formatting import SCHEMA, pattern_text, sizes
from redis_oom_tui.formatting.applications import application_documents
from redis_oom_tui.formatting.columns import (
    KEY_CSV,
    field_names,
    key_columns,
    pattern_share,
    row_document,
    share_base,
    text_table,
)
from redis_oom_tui.formatting.keys import all_exact, kind_of_sum, mark_of_sum
from redis_oom_tui.formatting.pattern_columns import PATTERN_CSV, interval_fields, pattern_columns
from redis_oom_tui.formatting.sanitize import key_fields, safe_text
from redis_oom_tui.formatting.sizes import ago, count, known_bytes, number_of_keys, percent, short_size, size
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.keys import KeyRow, SizeKind
from redis_oom_tui.models.scan import Comparison, Interval, PatternChange, PatternRow, ScanState, ScanView

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.hogs import ComparisonFields, HogsDocument, HogsPattern, PatternChangeFields

_NAME = 200
_KEYS = key_columns()
_NONE_RECOGNIZED = Recognition()


def progress(view: ScanView) -> str:
    """The scan in one line while it runs."""
    cost = f", {view.throttle.words}" if view.throttle.words else ""
    return f"{percent(view.share_scanned)}: {scan_progress(view)}{cost}"


def scan_progress(view: ScanView, width: int | None = None) -> str:
    """How far the scan is, without its share; in `width` cells, where that is given."""
    return sizes.progress(
        view.scanned_keys,
        view.total_keys,
        view.elapsed_seconds,
        per_second=view.keys_per_second,
        remaining=view.remaining_seconds,
        width=width,
    )


def summary(view: ScanView) -> list[str]:
    """What was seen, how much of everything that is, and what was left out."""
    if not view.scanned_keys and view.state is ScanState.FAILED:
        return [f"none of {number_of_keys(view.total_keys)} was seen", *map(safe_text, view.notes)]
    if view.complete and not view.scanned_keys and view.total_keys and not (view.refused_keys or view.vanished_keys):
        return [f"none of the {number_of_keys(view.total_keys)} matches", *map(safe_text, view.notes)]
    held = known_bytes(view.bytes_seen, view.scanned_keys)
    about = mark_of_sum(kind_of_sum((row.type for row in view.types), held, view))
    lines = [f"{number_of_keys(view.scanned_keys)}, {about}{size(held)}, {_reach(view)}"]
    whole = _estimate(view)
    if whole is not None and view.bytes_seen:
        lines.append(
            f"estimated total {size(round(whole.value))} "
            f"(95% confidence: {size(round(whole.low))} to {size(round(whole.high))})"
        )
    if view.contradiction is not None:
        lines.append(safe_text(view.contradiction, 400))
    elif view.explained_share is not None:
        lines.append(f"{percent(view.explained_share)} of used_memory is in these keys")
    if view.scanned_keys and view.ttls_known:
        share = view.volatile_keys / view.scanned_keys
        expiring = size(known_bytes(view.volatile_bytes, view.volatile_keys))
        lines.append(f"with a TTL: {number_of_keys(view.volatile_keys)} ({percent(share)}), {expiring}")
    if view.types:
        kinds = ", ".join(
            f"{safe_text(row.type, 20)} {_sum((row.type,), row.size, row.keys, view)} in {count(row.keys)}"
            for row in view.types
        )
        lines.append(f"by type: {kinds}")
    if view.vanished_keys:
        lines.append(f"{number_of_keys(view.vanished_keys)} expired or were deleted during the scan")
    if view.refused_keys:
        lines.append(f"{number_of_keys(view.refused_keys)} may not be read by this user")
    return lines + [safe_text(note) for note in view.notes]


def _sum(types: Iterable[str], held: int, keys: int, view: ScanView) -> str:
    known = known_bytes(held, keys)
    return f"{mark_of_sum(kind_of_sum(types, known, view))}{size(known)}"


def not_ordered(by: str, view: ScanView) -> str | None:
    """Why `--sort` of that name leaves the keys in the order of their bytes; None where it orders them."""
    idle = any(row.idle_seconds is not None for row in view.top)
    frequencies = any(row.frequency is not None for row in view.top)
    known = {
        "idle": idle,
        "freq": frequencies,
        "ttl": view.ttls_known,
        "type": any(row.type != "?" for row in view.top),
    }
    if known.get(by, True) or not view.top:
        return None
    what = {"idle": "idle times", "freq": "access frequencies", "ttl": "TTLs", "type": "types"}[by]
    kept = ""
    if by == "freq" and idle:
        kept = ", the server keeps idle times instead (--sort idle)"
    if by == "idle" and frequencies:
        kept = ", the server keeps access frequencies instead (--sort freq)"
    return f"{what} are not known here{kept}: the keys are ordered by bytes"


def keys(rows: Sequence[KeyRow], view: ScanView) -> list[str]:
    """A table of keys. `~` marks an estimate, with its range in a column of its own; `!` one of which the server
    answered more than it uses in all; a `?` a key that does not tell its size.
    """
    columns = key_columns(
        share_base(view),
        databases=len({row.id.db for row in rows}) > 1,
        nodes=any(row.id.node for row in rows),
        ttls_known=view.ttls_known,
        ranges=any(row.size is not None and row.size_kind is SizeKind.ESTIMATED for row in rows),
    )
    return text_table(rows, columns)


def patterns(rows: Sequence[PatternRow], view: ScanView, recognition: Recognition) -> list[str]:
    """A table of patterns, each level indented under the one that holds it."""
    columns = pattern_columns(
        share_of=pattern_share(view),
        databases=len({row.db for row in rows}) > 1,
        ttls_known=view.ttls_known,
        exact=all_exact(view),
        idles=any(row.idle_quantiles is not None or row.frequency_curve for row in rows),
        recognition=recognition,
    )
    return text_table(rows, columns)


def changes(comparison: Comparison, top: int) -> list[str]:
    """What grew and what shrank since an earlier scan."""
    since = ago(comparison.now_at - comparison.before_at)
    lines = [f"since the earlier scan, {since}:", *(f"note: {safe_text(note)}" for note in comparison.notes)]
    lines.append(f"{'grown by':>9} {'keys':>12} {'bytes now':>9}  pattern")
    several = len({change.db for change in comparison.patterns}) > 1
    # The note names the pattern by which the others can be compared.
    comparable = [change for change in comparison.patterns if change.within is None]
    shown = (comparison.whole, *comparable[:top])
    return lines + [_changed(change, several=several and change.db is not None) for change in shown]


def _changed(change: PatternChange, *, several: bool) -> str:
    grown = "?" if change.bytes_grown is None else f"{'+' if change.bytes_grown > 0 else ''}{_signed(change)}"
    more = "?" if change.keys_grown is None else f"{change.keys_grown:+,}"
    doubt = f"  ({change.doubt})" if change.doubt else ""
    name = safe_text(change.pattern, _NAME) + (f" of db {change.db}" if several else "")
    return f"{grown:>9} {more:>12} {short_size(change.bytes_now):>9}  {name}{doubt}"


def _signed(change: PatternChange) -> str:
    grown = change.bytes_grown or 0
    return f"-{short_size(-grown)}" if grown < 0 else short_size(grown)


def _reach(view: ScanView) -> str:
    elapsed = f"scanned in {view.elapsed_seconds:.1f}s"
    if view.complete:
        return f"{'all that this user may read' if view.refused_keys else 'all of them'}, {elapsed}"
    # Of a scan that could not be gone on with, only the share is known.
    share = "under 1%" if 0 < (view.share_scanned or 0) < 0.005 else percent(view.share_scanned)
    of = f"{share} of {number_of_keys(view.total_keys) if view.total_keys else 'all'}, {elapsed}"
    if abs(view.share_scanned * view.total_keys - view.scanned_keys) > 1:
        # By the cursors, which tell how far a scan of some keys only has come.
        of = f"looked through about {of}"
    ended = {ScanState.SAMPLED: "a sample", ScanState.STOPPED: "stopped early", ScanState.FAILED: "interrupted"}.get(
        view.state, "so far"
    )
    return f"{ended}: {of}"


def hogs_document(
    view: ScanView,
    keys: Sequence[KeyRow] | None = None,
    comparison: Comparison | None = None,
    recognition: Recognition = _NONE_RECOGNIZED,
) -> "HogsDocument":
    """What `hogs --json` prints; `keys` are the rows to print where they are not the view's own."""
    nothing = not view.scanned_keys and view.state is ScanState.FAILED
    found: HogsDocument = {
        "schema": SCHEMA,
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
        "estimated_bytes": interval_fields(_estimate(view)) if view.bytes_seen or not view.scanned_keys else None,
        "explained_share": None if view.explained_share is None else round(view.explained_share, 4),
        "contradiction": view.contradiction,
        "unsized_keys": view.unsized_keys,
        "volatile_keys": view.volatile_keys if view.ttls_known else None,
        "volatile_bytes": known_bytes(view.volatile_bytes, view.volatile_keys) if view.ttls_known else None,
        "vanished_keys": view.vanished_keys,
        "refused_keys": view.refused_keys,
        "server_share": None if view.throttle.share is None else round(view.throttle.share, 4),
        "keys": [row_document(row, _KEYS) for row in (view.top if keys is None else keys)],
        "patterns": pattern_documents(view, recognition),
        "types": [
            {
                "type": row.type,
                "keys": row.keys,
                "bytes": known_bytes(row.size, row.keys),
                "size_kind": _kind((row.type,), row.size, row.keys, view),
            }
            for row in view.types
        ],
        "applications": application_documents(recognition),
    }
    if comparison is not None:
        found["comparison"] = comparison_document(comparison)
    return found


def _kind(types: Iterable[str], held: int, keys: int, view: ScanView) -> str:
    return kind_of_sum(types, known_bytes(held, keys), view).value


def pattern_documents(view: ScanView, recognition: Recognition) -> "list[HogsPattern]":
    """All patterns of a scan, each with how many of the scanned keys its glob takes at least."""
    taken = pattern_text.keys_of_globs(view.patterns)
    exact = not view.scanned_keys or all_exact(view)
    columns = pattern_columns(ttls_known=view.ttls_known, exact=exact, recognition=recognition)
    # What was counted whole needs no estimate, and its sizes may be estimates that a range of one figure would hide.
    whole = {"estimated_bytes": None, "estimated_keys": None} if view.complete else {}
    return [
        row_document(row, columns) | {"match_keys": keys} | whole
        for row, keys in zip(view.patterns, taken, strict=True)
    ]


def _estimate(view: ScanView) -> Interval | None:
    """What all keys would come to, of a partial scan: with the ranges of the sizes that were estimated themselves."""
    if view.complete or view.estimated_bytes is None:
        return None
    whole = view.estimated_bytes
    below = sum(row.size - row.size_low for row in view.top if row.size is not None and row.size_low is not None)
    above = sum(row.size_high - row.size for row in view.top if row.size is not None and row.size_high is not None)
    return Interval(whole.value, max(0.0, whole.low - below), whole.high + above)


def comparison_document(comparison: Comparison) -> "ComparisonFields":
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
    names = field_names(_KEYS, KEY_CSV)
    return _csv(names, [row_document(row, _KEYS, names) for row in rows])


def patterns_csv(rows: Sequence[PatternRow], recognition: Recognition, *, ttls_known: bool = True) -> str:
    """The patterns as CSV with a header."""
    columns = pattern_columns(ttls_known=ttls_known, recognition=recognition)
    return _csv(PATTERN_CSV, [row_document(row, columns, PATTERN_CSV) for row in rows])


def _change(change: PatternChange) -> "PatternChangeFields":
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
