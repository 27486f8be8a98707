"""What the options of `cleanup` choose: keys by name, pattern, type, age and size, or what may go for a target."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis_oom_tui.cli.process import followed, when_free
from redis_oom_tui.files.scans import load_scan
from redis_oom_tui.formatting.hogs import progress
from redis_oom_tui.formatting.sanitize import from_glob, safe_text, unescape_exact
from redis_oom_tui.formatting.sizes import parse_duration, parse_size
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Order, Proposal, TtlFilter
from redis_oom_tui.models.scan import PatternRow, ScanOptions, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.headroom import type_called
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.key_patterns import read
from redis_oom_tui.rules.proposals import fullest_shard, needed_bytes, on_shard, propose, why_in_vain
from redis_oom_tui.rules.selection import check
from redis_oom_tui.server.live import LiveServer

if TYPE_CHECKING:
    from redis_oom_tui.server.cluster.source import ClusterSource


def criteria_of(given: Mapping[str, Any]) -> Criteria:
    """What the options choose, by their names. Raises BadInput where they mean nothing."""
    if given["no_ttl"] and given["with_ttl"]:
        raise BadInput("--no-ttl and --with-ttl cannot be combined")
    ttl = TtlFilter.WITHOUT if given["no_ttl"] else TtlFilter.WITH if given["with_ttl"] else TtlFilter.ANY
    criteria = Criteria(
        patterns=tuple(from_glob(pattern) for pattern in given["matches"]),
        types=tuple(map(type_called, given["types"])),
        idle_over_seconds=None if given["idle_over"] is None else parse_duration(given["idle_over"]),
        ttl=ttl,
        larger_than_bytes=None if given["larger_than"] is None else parse_size(given["larger_than"]),
        keys=tuple(KeyId(given["db"] or 0, unescape_exact(name)) for name in given["names"]),
        max_keys=given["max_keys"],
        max_bytes=None if given["max_bytes"] is None else parse_size(given["max_bytes"]),
        order=Order.OLDEST if given["oldest"] else Order.LARGEST,
    )
    if given["saved_scan"] is not None:
        return _of_rows(criteria, given["key_patterns"], given["saved_scan"], given["db"])
    delimiters = from_glob(given["delimiter"])
    criteria = replace(criteria, key_patterns=tuple(read(pattern, delimiters) for pattern in given["key_patterns"]))
    check(criteria)
    return criteria


def require_hash(found: str, wanted: str | None) -> None:
    """Raise BadInput where the plan of hash `found` is not the one whose hash begins as `wanted` says; None: any."""
    if wanted is not None and not (wanted and found.startswith(wanted.lower())):
        raise BadInput(f"The plan's hash is {found[:12]}..., not {safe_text(wanted, 80)!r}: nothing was done")


def _of_rows(criteria: Criteria, typed: Sequence[str], saved: Path, db: int | None) -> Criteria:
    """`criteria`, for the keys of the rows called so, of database `db` where it is given. Raises BadInput."""
    if not typed:
        raise BadInput("--saved-scan requires --pattern, which names a row of that scan")
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
    """The rows of a table that show `pattern`, else those that count exactly its keys. Raises BadInput for none."""
    rows = [row for row in view.patterns if row.select is not None and (db is None or row.db == db)]
    found = [row for row in rows if safe_text(row.pattern) == pattern] or [row for row in rows if _counts(row, pattern)]
    if not found:
        raise BadInput(
            f"{pattern!r} is not a pattern of {'' if db is None else f'database {db} in '}the scan in {name}"
        )
    return found


def _counts(row: PatternRow, pattern: str) -> bool:
    with contextlib.suppress(BadInput):
        return row.select is not None and read(pattern, row.select.delimiters) == row.select
    return False


async def of_one_server(
    server: "LiveServer | ClusterSource", target: float, db: int | None, connection_args: Sequence[str]
) -> tuple[LiveServer, Proposal]:
    """What may go to reach `target`: on the server, or on the fullest shard of a cluster, which comes with it.

    Raises as `proposed` does, and BadInput where no shard has a limit.
    """
    if isinstance(server, LiveServer):
        return server, await proposed(server, target, db, connection_args)
    cluster = await when_free(server.cluster)
    name = fullest_shard(cluster).name
    shard = server.node(name)
    return shard, on_shard(await proposed(shard, target, db, connection_args), name, cluster)


async def proposed(server: LiveServer, target: float, db: int | None, connection_args: Sequence[str]) -> Proposal:
    """What may go to reach `target`, by a scan of all keys; no scan where it is reached already, or no deletion helps.

    Raises BadInput without a limit, ServerUnreachable where the scan failed.
    """
    snapshot, settings, clients, _ = await when_free(server.read_closely)
    snapshot = with_settings(with_clients(snapshot, clients), settings)
    needed = needed_bytes(snapshot, target)
    in_vain = why_in_vain(snapshot, clients)
    if not needed or in_vain:
        return Proposal(target, needed, snapshot.memory.pressure or 0.0, cause=in_vain if needed else "")
    scan = server.scan(ScanOptions(databases=None if db is None else (db,), idle=True))
    view, _ = await followed(scan, progress)
    if view.error is not None:
        raise ServerUnreachable(view.error)
    return propose(view, await when_free(server.snapshot), target, await server.samples(view), connection_args)
