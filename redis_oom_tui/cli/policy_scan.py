"""What `limits` tells bytes and patterns by: a scan of its own, or a saved one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from redis_oom_tui.cli.process import followed, give_way
from redis_oom_tui.files.scans import load_scan
from redis_oom_tui.formatting.hogs import progress
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import ago, count, number_of, number_of_keys
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.scan import SavedScan, ScanOptions, ScanState, ScanView
from redis_oom_tui.ports.source import Source
from redis_oom_tui.rules.cluster import origin_notes

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.settings import ScanUsed

SAMPLE = 100_000
"""So many keys are looked at: enough for patterns that matter, and seconds of a server."""


class PolicyScan(NamedTuple):
    """What the what-if goes by: the view, when it was taken (Unix seconds), and what makes it doubtful."""

    view: ScanView
    taken_at: float
    notes: tuple[str, ...] = ()


def loaded(path: Path | None, *, scan: bool) -> SavedScan | None:
    """The saved scan to go by. Raises BadInput for one that tells only of some keys; databases are looked at later."""
    if path is None:
        return None
    if scan:
        raise BadInput("--scan and --saved-scan cannot be combined")
    saved = load_scan(path)
    if saved.match is not None or saved.type is not None or saved.pattern is not None:
        raise BadInput(f"{safe_text(str(path), 200)} is a scan of some keys only: a policy may evict any")
    return saved


async def policy_scan(server: Source, saved: SavedScan | None, *, scan: bool) -> PolicyScan | None:
    """The new scan of up to `SAMPLE` keys, or the saved one; None where neither was asked for."""
    if saved is not None:
        return PolicyScan(saved.view, saved.taken_at, await _doubts(server, saved))
    return await _scanned(server) if scan else None


async def _scanned(server: Source) -> PolicyScan | None:
    options = ScanOptions(idle=True, sample=SAMPLE)
    give_way(options.pace)
    view, _ = await followed(server.scan(options), progress)
    if view.state is ScanState.FAILED or not view.scanned_keys:
        reason = view.error or ("there are no keys" if view.complete else "no key was seen")
        click.echo(f"redis-oom-tui: the scan shows nothing: {safe_text(reason)}", err=True)
        return None
    return PolicyScan(view, time.time())


async def _doubts(server: Source, saved: SavedScan) -> tuple[str, ...]:
    """Why the saved scan may not be what this server holds. Raises BadInput where it lacks databases with keys."""
    address = str(server.address)
    try:
        snapshot = await server.snapshot()
    except TriageError:
        notes = origin_notes(saved, "saved", address, None)
        return (*notes, *([] if saved.databases is None else [_only_of(saved.databases)]))
    if saved.databases is not None:
        others = {database.db for database in snapshot.databases if database.keys} - {*saved.databases}
        if others:
            left_out = number_of(len(others), "other database")
            raise BadInput(f"{_only_of(saved.databases)}, without the keys of {left_out}: a policy may evict any")
    return origin_notes(saved, "saved", address, snapshot.server.run_id)


def _only_of(databases: Sequence[int]) -> str:
    return f"the saved scan is of database {', '.join(map(str, databases))} only"


def age_line(found: PolicyScan) -> str:
    view = found.view
    reach = "all" if view.complete else "a sample of"
    keys = number_of_keys(view.scanned_keys if view.complete else view.total_keys)
    seen = "" if view.complete else f" ({count(view.scanned_keys)} seen)"
    age = ago(time.time() - found.taken_at)
    return "; ".join((f"Bytes and patterns: from a scan of {reach} {keys}{seen}, {age}", *found.notes)) + "."


def scan_fields(found: PolicyScan | None) -> "ScanUsed | None":
    """The same for JSON."""
    if found is None:
        return None
    return {
        "taken_at_unix_seconds": found.taken_at,
        "age_seconds": round(max(0.0, time.time() - found.taken_at), 3),
        "complete": found.view.complete,
        "scanned_keys": found.view.scanned_keys,
        "total_keys": found.view.total_keys,
        "notes": list(found.notes),
    }
