"""The patterns that `cleanup --pattern` names, taken from the rows of a saved scan."""

from collections.abc import Sequence
from pathlib import Path

from redis_oom_tui.files.scans import load_scan
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.structs import replace


def of_rows(criteria: Criteria, typed: Sequence[str], saved: Path, db: int | None) -> Criteria:
    """`criteria`, for the keys of the rows called so, of database `db` where it is given. Raises BadInput."""
    if not typed:
        raise BadInput("--saved-scan goes with --pattern, which names a row of that scan")
    scan = load_scan(saved)
    name = safe_text(str(saved), 200)
    if scan.pattern is not None or scan.match is not None or scan.type is not None:
        raise BadInput(f"{name} is a scan of some keys only, and its patterns count no others: save one of all keys")
    rows = [row for pattern in typed for row in _called(scan.view, pattern, db, name)]
    databases = {row.db for row in rows if row.db is not None}
    if len(databases) > 1:
        raise BadInput(f"{name} has {' and '.join(typed)} in several databases: choose one with -n")
    selects = tuple(row.select for row in rows if row.select is not None)
    return replace(criteria, key_patterns=selects, databases=tuple(databases) or None)


def _called(view: ScanView, pattern: str, db: int | None, name: str) -> list[PatternRow]:
    found = [
        row
        for row in view.patterns
        if row.select is not None and safe_text(row.pattern) == pattern and (db is None or row.db == db)
    ]
    if not found:
        raise BadInput(f"{pattern!r} is no pattern of {'' if db is None else f'database {db} in '}the scan in {name}")
    return found
