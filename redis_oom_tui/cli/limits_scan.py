"""The scan that tells what each policy would evict in bytes, and from which family first: a new one, or from a file."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from redis_oom_tui.cli.process import Ticker, give_way, stopping
from redis_oom_tui.files.scans import load_scan
from redis_oom_tui.formatting.hogs import progress
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, duration, number_of
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.scan import SavedScan, ScanOptions, ScanState, ScanView
from redis_oom_tui.ports import Source

SAMPLE = 100_000
"""So many keys are looked at: enough for families that matter, and seconds of a server."""


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
        raise BadInput("--scan and --saved-scan exclude each other")
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
    walk = server.scan(options)
    with stopping(walk.stop):
        async with Ticker(lambda: progress(walk.view())):
            view = await walk.run()
    if view.state is ScanState.FAILED or not view.scanned_keys:
        reason = view.error or ("there are no keys" if view.complete else "no key was seen")
        click.echo(f"redis-oom-tui: the scan tells nothing: {safe_text(reason)}", err=True)
        return None
    return PolicyScan(view, time.time())


async def _doubts(server: Source, saved: SavedScan) -> tuple[str, ...]:
    """Why the saved scan may not be what this server holds. Raises BadInput where it lacks databases with keys."""
    elsewhere = saved.server != str(server.address)
    notes = [f"the saved scan is of another address, {safe_text(saved.server, 200)}"] if elsewhere else []
    try:
        snapshot = await server.snapshot()
    except TriageError:
        return (*notes, *([] if saved.databases is None else [_only_of(saved.databases)]))
    if saved.databases is not None:
        others = {database.db for database in snapshot.databases if database.keys} - {*saved.databases}
        if others:
            left_out = number_of(len(others), "other database")
            raise BadInput(f"{_only_of(saved.databases)}, without the keys of {left_out}: a policy may evict any")
    if not elsewhere and snapshot.server.run_id != saved.run_id:
        notes.append("the server has restarted since the saved scan")
    return tuple(notes)


def _only_of(databases: Sequence[int]) -> str:
    return f"the saved scan is of database {', '.join(map(str, databases))} only"


def age_line(found: PolicyScan) -> str:
    """Of what the bytes and families are, and how old that is."""
    view = found.view
    reach = "all" if view.complete else "a sample of"
    keys = count(view.scanned_keys if view.complete else view.total_keys)
    seen = "" if view.complete else f" ({count(view.scanned_keys)} seen)"
    age = duration(max(0.0, time.time() - found.taken_at))
    return "; ".join((f"Bytes and families: from a scan of {reach} {keys} keys{seen}, {age} ago", *found.notes)) + "."


def scan_fields(found: PolicyScan | None) -> dict[str, Any] | None:
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
