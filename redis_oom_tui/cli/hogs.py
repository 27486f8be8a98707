"""`hogs`: the scan without a screen; the largest keys and patterns, in words, JSON or CSV."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.instant import hot, instant, show_before_the_scan
from redis_oom_tui.cli.options import (
    KEY_TYPES,
    NEW_FILE,
    READ_FILE,
    Number,
    among,
    choice,
    given_options,
    refuse_beside,
)
from redis_oom_tui.cli.process import Ticker, give_way, heeded, when_free
from redis_oom_tui.cli.rdb import of_server_or_dump, rdb_options
from redis_oom_tui.cli.way_to_plan import way_to_plan
from redis_oom_tui.files.scans import load_scan, save_scan
from redis_oom_tui.formatting import hogs as text
from redis_oom_tui.formatting.applications import application_lines
from redis_oom_tui.formatting.hogs import hogs_document, keys_csv, patterns_csv
from redis_oom_tui.formatting.sanitize import from_glob, safe_text
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.errors import BadInput, CommandRefused, TriageError
from redis_oom_tui.models.keys import KeyRow, PatternSample
from redis_oom_tui.models.scan import Comparison, Pace, SavedScan, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import GoesOn, KeepsItsPlace, SamplesValues, Scan, Source
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.compare import compare
from redis_oom_tui.rules.headroom import type_called
from redis_oom_tui.rules.key_patterns import read

_KEPT = 1000
_UNSIZED_SHOWN = 5
_EXIT_FAILED = 3
_EXIT_INTERRUPTED = 130
_SORTS: dict[str, Callable[[KeyRow], Any]] = {
    "bytes": lambda row: -(row.size or 0),
    "idle": lambda row: (row.idle_seconds is None, -(row.idle_seconds or 0)),
    "freq": lambda row: (row.frequency is None, row.frequency or 0),
    "ttl": lambda row: (row.ttl_ms is not None, -(row.ttl_ms or 0)),
    "type": lambda row: (row.type, -(row.size or 0)),
    "key": lambda row: (row.id.key, row.id.db),
}


class _Listing(Struct, frozen=True):
    """What to print."""

    top: int
    sort: str
    patterns: bool
    form: str


@click.command()
@click.option("--top", type=Number(1, 100_000), default=20, show_default=True, help="How many rows to print.")
@click.option("--sort", type=click.Choice(list(_SORTS)), default="bytes", show_default=True)
@click.option("--match", metavar="GLOB", help="Only keys that match; odd bytes as \\xNN.")
@click.option("--pattern", metavar="PATTERN", help="Only keys of a pattern, exactly those it counts, e.g. 'user:<id>'.")
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    shell_complete=among(KEY_TYPES),
    help="Only keys of this type: string, hash, list, set, zset, stream or a module's.",
)
@click.option("--patterns", is_flag=True, help="Group by key pattern.")
@click.option("--sample", type=Number(1), metavar="N", help="Stop after N keys; figures are then estimates.")
@click.option("--instant", is_flag=True, help="Only the server's own count of key sizes, without a scan (Redis 8.0+).")
@click.option("--hot", is_flag=True, help="Only the hottest keys, where the server tracks them (Redis 8.6+): no scan.")
@click.option("--replicas", is_flag=True, help="With -c: scan a replica of each primary, where it has one.")
@click.option("--idle", is_flag=True, help="Idle times (or frequencies) of all keys, for the patterns too.")
@click.option("--delimiter", default=":", show_default=True, help=r"What separates name parts; odd bytes as \xNN.")
@choice("form", ("--json", "json", "Print one JSON document."), ("--csv", "csv", "Print CSV."))
@click.option("--save", type=NEW_FILE, metavar="FILE", help="Save the scan to a new file.")
@click.option("--compare", "older", type=READ_FILE, metavar="FILE", help="Compare with a saved scan.")
@click.option("--resume", type=READ_FILE, metavar="FILE", help="Resume an interrupted scan.")
@choice(
    "pace",
    ("--gentle", Pace.GENTLE.value, "Minimal load."),
    ("--normal", Pace.NORMAL.value, "Moderate load (default)."),
    ("--full-speed", Pace.FULL_SPEED.value, "Maximum speed."),
)
@rdb_options
@click.pass_obj
def hogs(invocation: Invocation, /, **given: Any) -> int:
    """The largest keys, and the patterns that hold the memory.

    Leaves no trace in idle times or frequencies. A signal such as Ctrl+C ends it and prints what was found so far.
    """
    if given["instant"]:
        return instant(invocation, given)
    if given["hot"]:
        return hot(invocation, given)
    _refuse_what_has_no_effect(invocation, given)
    older = None if given["older"] is None else load_scan(given["older"])
    listing = _Listing(given["top"], given["sort"], given["patterns"], given["form"] or "words")
    options = _options(invocation, given)
    broken_off = None if given["resume"] is None else _broken_off(invocation, given)
    if broken_off is not None:
        pace = options.pace if given["pace"] else broken_off.view.pace
        options = replace(
            options,
            match=broken_off.match,
            type=broken_off.type,
            pattern=broken_off.pattern,
            databases=broken_off.databases,
            pace=pace,
        )
    with contextlib.ExitStack() as stack:
        invocation, notes = of_server_or_dump(invocation, given["rdb"], given["server_binary"], stack)
        scan, recognition = asyncio.run(_scan(invocation, options, broken_off))
    if notes:
        scan = replace(scan, view=replace(scan.view, notes=(*notes, *scan.view.notes)))
    comparison = None if older is None else compare(older, scan)
    if scan.view.error is not None:
        click.echo(f"redis-oom-tui: {scan.view.error}", err=True)
    try:
        if given["save"] is not None:
            _saved(scan, given["save"], invocation.connection_args)
    finally:
        # What took hours to find is told, even where it cannot be kept.
        of_a_dump = given["rdb"] is not None
        to_plan = [] if of_a_dump else way_to_plan(scan.view, recognition, options, invocation.connection_args)
        _print(scan.view, recognition, comparison, listing, to_plan)
    return _exit_code(scan.view)


def _print(
    view: ScanView, recognition: Recognition, comparison: Comparison | None, listing: _Listing, to_plan: Sequence[str]
) -> None:
    keys = _first_rows(view, listing)
    unordered = text.not_ordered(listing.sort, view)
    if unordered is not None:
        click.echo(f"redis-oom-tui: {unordered}", err=True)
    if listing.form == "json":
        view = view if unordered is None else replace(view, notes=(*view.notes, unordered))
        print_document(hogs_document(view, keys, comparison, recognition))
    elif listing.form == "csv":
        click.echo(as_csv(view, recognition, keys, listing), nl=False)
    else:
        click.echo(as_text(view, recognition, keys, comparison, listing, to_plan), nl=False)


def _refuse_what_has_no_effect(invocation: Invocation, given: dict[str, Any]) -> None:
    if given["form"] == "csv" and given["older"] is not None:
        raise BadInput("--csv cannot be given with --compare: the comparison is printed in words or by --json")
    if given["replicas"] and not invocation.connection.cluster:
        raise BadInput("--replicas requires -c: to scan a replica, connect to it")
    if given["form"] != "json" and given["sort"] != "bytes":
        reason = "it orders keys, and patterns are always ordered by bytes"
        for decisive in ("patterns", "older"):
            refuse_beside(decisive, given_options(), {"sort"}, reason)


def _saved(scan: SavedScan, path: Path, connection_args: Sequence[str]) -> None:
    save_scan(scan, path)
    if scan.progress is not None:
        name, resume = safe_text(str(path), 200), command_line(connection_args, "hogs", "--resume", str(path))
        click.echo(f"redis-oom-tui: what was found so far is in {name}. To continue it: {resume}", err=True)


def _options(invocation: Invocation, given: dict[str, Any]) -> ScanOptions:
    if given["match"] is not None and not given["match"]:
        raise BadInput("--match needs a glob such as 'user:*'")
    db = invocation.connection.db
    delimiters = from_glob(given["delimiter"])
    return ScanOptions(
        databases=None if db is None else (db,),
        match=None if given["match"] is None else from_glob(given["match"]),
        type=None if given["kind"] is None else type_called(given["kind"]),
        pace=Pace(given["pace"] or Pace.NORMAL.value),
        top=max(_KEPT, given["top"]),
        sample=given["sample"],
        idle=given["idle"],
        replicas=given["replicas"],
        delimiters=delimiters,
        pattern=None if given["pattern"] is None else read(given["pattern"], delimiters),
    )


def _broken_off(invocation: Invocation, given: dict[str, Any]) -> SavedScan:
    """The scan to go on with: what it scans and asks was said when it began. Raises BadInput where it cannot go on."""
    name = safe_text(str(given["resume"]), 200)
    options = {"--match": "match", "--pattern": "pattern", "--type": "kind", "--idle": "idle", "--replicas": "replicas"}
    extra = [option for option, place in options.items() if given[place]]
    extra += ["--delimiter"] if given["delimiter"] != ":" else []
    extra += ["-n"] if invocation.connection.db is not None else []
    if extra:
        raise BadInput(f"--resume continues the scan in {name}: leave {' and '.join(extra)} out")
    saved = load_scan(given["resume"])
    if saved.view.complete:
        raise BadInput(f"the scan in {name} is complete: there is nothing to resume")
    if saved.progress is None:
        raise BadInput(f"{name} does not say where its scan was interrupted: start a new one")
    if saved.of_cluster is not invocation.connection.cluster:
        says = "of a cluster: give -c" if saved.of_cluster else "of one server: leave -c out"
        raise BadInput(f"the scan in {name} is {says}")
    if saved.of_cluster and given["sample"] is not None:
        raise BadInput("--resume continues a cluster's scan to its end: leave --sample out")
    return saved


async def _scan(
    invocation: Invocation, options: ScanOptions, broken_off: SavedScan | None
) -> tuple[SavedScan, Recognition]:
    """The scan, and the applications that are recognized in it."""
    from redis_oom_tui.server.open_source import source_for

    server = source_for(invocation.connection)
    scan = _begun(server, options, broken_off)
    try:
        await when_free(server.open)
        seen, refusal = await _seen(server)
        if seen is not None:
            show_before_the_scan(seen, invocation.connection.db)
        loop = asyncio.get_running_loop()
        for number in heeded((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
            loop.add_signal_handler(number, _once(loop, number, scan.stop))
        # Not before: what starts slowly looks as if it hung.
        give_way(options.pace)
        async with Ticker(lambda: text.progress(scan.view())):
            view = await scan.run()
        if refusal is not None and view.state is ScanState.FAILED and not view.total_keys:
            raise refusal
        recognition = recognize(view, await _samples(server, view))
    finally:
        await server.close()
    progress = scan.progress() if isinstance(scan, KeepsItsPlace) else None
    saved = SavedScan(
        view,
        time.time(),
        str(server.address),
        None if seen is None else seen.server.run_id,
        options.match,
        options.type,
        progress,
        options.pattern,
        options.databases,
    )
    return saved, recognition


async def _samples(server: Source, view: ScanView) -> tuple[PatternSample, ...]:
    """What tells more of the applications in a complete scan."""
    if not view.complete or not isinstance(server, SamplesValues):
        return ()
    with contextlib.suppress(TriageError):
        return await server.samples(view, applications_only=True)
    return ()


async def _seen(server: Source) -> tuple[Snapshot | None, CommandRefused | None]:
    """The server as it is now; or why it refuses INFO: its keys may be scanned all the same."""
    try:
        return await when_free(server.snapshot), None
    except CommandRefused as refusal:
        return None, refusal


def _begun(server: Source, options: ScanOptions, broken_off: SavedScan | None) -> Scan:
    if broken_off is None or not isinstance(server, GoesOn):
        return server.scan(options)
    return server.resumed(broken_off.progress or {}, pace=options.pace, sample=options.sample)


def _once(loop: asyncio.AbstractEventLoop, number: signal.Signals, stop: Callable[[], None]) -> Callable[[], None]:
    """The first signal ends the scan, a second one the process."""

    def asked() -> None:
        stop()
        loop.remove_signal_handler(number)

    return asked


def _first_rows(view: ScanView, listing: _Listing) -> list[KeyRow]:
    """The rows to print. By bytes a few of those come first that tell no size: what may be enormous is not left out."""
    rows = sorted(view.top, key=_SORTS[listing.sort])
    if listing.sort == "bytes" and view.unsized_keys:
        unsized = [row for row in rows if row.size is None][:_UNSIZED_SHOWN]
        rows = unsized + [row for row in rows if row not in unsized]
    return rows[: listing.top]


def as_csv(view: ScanView, recognition: Recognition, keys: Sequence[KeyRow], listing: _Listing) -> str:
    """The keys or the patterns."""
    if not listing.patterns:
        return keys_csv(keys)
    return patterns_csv(view.patterns[: listing.top], recognition, ttls_known=view.ttls_known)


def as_text(
    view: ScanView,
    recognition: Recognition,
    keys: Sequence[KeyRow],
    comparison: Comparison | None,
    listing: _Listing,
    to_plan: Sequence[str],
) -> str:
    """A summary, and a table of what was asked for; `to_plan` stands under patterns."""
    lines = text.summary(view)
    if recognition.found:
        lines += ["", *application_lines(recognition, view)]
    if comparison is not None:
        lines += ["", *text.changes(comparison, listing.top)]
    elif listing.patterns:
        lines += ["", *text.patterns(view.patterns[: listing.top], view, recognition), *to_plan]
    else:
        lines += ["", *text.keys(keys, view)]
    return "\n".join(lines) + "\n"


def _exit_code(view: ScanView) -> int:
    if view.state is ScanState.FAILED:
        return _EXIT_FAILED
    return _EXIT_INTERRUPTED if view.state is ScanState.STOPPED else 0
