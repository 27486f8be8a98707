"""`limits`: how the server reacts when full, and, after a confirmation, otherwise."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.actions import acting, confirm, on_trial, require
from redis_oom_tui.cli.connecting import parse_host_port
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import READ_FILE, among
from redis_oom_tui.cli.process import followed, give_way
from redis_oom_tui.files.scans import load_scan
from redis_oom_tui.formatting.hogs import progress
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.formatting.settings import limit_lines, limits_document, result_lines, shown_value
from redis_oom_tui.formatting.sizes import ago, count, number_of, number_of_keys, parse_duration
from redis_oom_tui.models.action import Action, Limits
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.scan import SavedScan, ScanOptions, ScanState, ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import Source
from redis_oom_tui.rules.cluster import origin_notes
from redis_oom_tui.rules.policies import KNOWN
from redis_oom_tui.rules.tuning import SETTINGS, as_typed, check_value, in_order

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.settings import ScanUsed

EXIT_NOT_TAKEN, EXIT_NOT_KNOWN = 1, 3
# A line to copy ends in shells' histories: it never holds what such a setting was.
_SECRET = ("pass", "auth")
REWRITES_ALL = "CONFIG REWRITE writes every setting that was changed at run time, not only this one."


SAMPLE = 100_000
"""So many keys are looked at: enough for patterns that matter, and seconds of a server."""


class PolicyScan(NamedTuple):
    """What the what-if goes by: the view, when it was taken (Unix seconds), and what makes it doubtful."""

    view: ScanView
    taken_at: float
    notes: tuple[str, ...] = ()


class _How(NamedTuple):
    """On which node alone; whether it goes into the file, is asked about, and after how many seconds it goes back; and
    what bytes and patterns are told by.
    """

    node: str | None
    persist: bool
    yes: bool
    revert_after: int | None
    scan: bool = False
    saved: SavedScan | None = None
    found: PolicyScan | None = None


@click.command()
@click.option("--maxmemory", metavar="SIZE", help="Set the limit, e.g. 4gb; unlimited for none.")
@click.option("--policy", metavar="NAME", shell_complete=among(KNOWN), help="Set the eviction policy.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=among([f"{name}=" for name in SETTINGS]),
    help="Set another setting (repeatable).",
)
@click.option("--node", metavar="HOST:PORT", help="With -c: on this node alone, a primary or a replica.")
@click.option("--persist", is_flag=True, help="Also persist with CONFIG REWRITE.")
@click.option("--revert-after", metavar="SPAN", help="Revert after SPAN (e.g. 60s) unless confirmed.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.option(
    "--scan",
    is_flag=True,
    help=f"First sample up to {SAMPLE:,} keys: bytes that each policy may evict, and which patterns first.",
)
@click.option("--saved-scan", type=READ_FILE, metavar="FILE", help="Take bytes and patterns from hogs --save FILE.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def limits(
    invocation: Invocation,
    /,
    *,
    scan: bool,
    saved_scan: Path | None,
    maxmemory: str | None,
    policy: str | None,
    pairs: tuple[str, ...],
    node: str | None,
    persist: bool,
    revert_after: str | None,
    yes: bool,
    json_wanted: bool,
) -> int:
    """Show the limit, the policies and what each may evict here; change settings after a confirmation.

    How many keys a policy may evict is counted by the server. How many bytes they hold, and which patterns lose keys
    first, is known with --scan or --saved-scan alone, and null in --json without.
    """
    wanted = [("maxmemory", maxmemory), ("maxmemory-policy", policy), *map(_pair, pairs)]
    asked = [(name, value) for name, value in wanted if value is not None]
    for name, value in asked:
        check_value(name, value)
    if twice := [name for name, uses in Counter(name for name, _ in asked).items() if uses > 1]:
        raise BadInput(f"{twice[0]} is given twice: give each setting one value")
    if persist and not asked:
        raise BadInput("--persist requires a change: --maxmemory, --policy or --set")
    if node is not None:
        if not invocation.connection.cluster:
            raise BadInput("--node picks a node of a cluster: add -c before limits, or connect to the node itself")
        node = str(parse_host_port(node, 6379))
    seconds = _seconds(revert_after, asked, persist=persist)
    how = _How(node, persist, yes, seconds, scan, _loaded(saved_scan, scan=scan))
    shown, results, found = asyncio.run(_limits(invocation, asked, how))
    if json_wanted:
        print_document(limits_document(shown, results, _scan_fields(found)))
    elif asked:
        click.echo("\n".join([*result_lines(results), *_back(results, how, invocation.connection_args)]))
    else:
        click.echo(as_text(shown, found))
    return _exit_code(asked, results)


def _exit_code(asked: Sequence[tuple[str, str]], results: Sequence[ChangeResult]) -> int:
    """What was refused, declined or not persisted counts before what could not be read back."""
    if any(not result.complete and not result.unread for result in results):
        return EXIT_NOT_TAKEN
    if any(result.unread for result in results):
        return EXIT_NOT_KNOWN
    return 0 if len(results) == len(asked) else EXIT_NOT_TAKEN


def as_text(shown: Limits, found: PolicyScan | None) -> str:
    """The same for people, where nothing is changed."""
    return "\n".join(limit_lines(shown, None if found is None else _age_line(found)))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"{text!r} is not KEY=VALUE")
    return name.strip().lower(), value.strip()


def _seconds(text: str | None, asked: Sequence[tuple[str, str]], *, persist: bool) -> int | None:
    if text is None:
        return None
    if not asked:
        raise BadInput("--revert-after requires a change: --maxmemory, --policy or --set")
    if persist:
        raise BadInput(
            "--revert-after and --persist cannot be combined: a value that reverts must not stay in the file"
        )
    seconds = parse_duration(text)
    if not seconds:
        raise BadInput("--revert-after 0 would change nothing: give it some seconds, e.g. 60s")
    return seconds


async def _limits(
    invocation: Invocation, asked: Sequence[tuple[str, str]], how: _How
) -> tuple[Limits, list[ChangeResult], PolicyScan | None]:
    async with acting(invocation) as (server, operator):
        alone = operator.on(how.node) if how.node is not None else operator
        if asked:
            await require(alone, Action.SET, read_only=invocation.connection.read_only)
        found = await _policy_scan(server, how.saved, scan=how.scan)
        how = how._replace(found=found)
        if len(asked) > 1 and (limit := dict(asked).get("maxmemory")) is not None:
            asked = in_order(asked, await _proposed(operator, "maxmemory", limit, how))
        if how.revert_after is None:
            results = await _change(operator, asked, how)
        else:
            results = await on_trial(operator, await _agreed_to(operator, asked, how), how.revert_after)
        try:
            shown = await alone.settings.limits(_of(how))
        except TriageError:
            # What was done is told also where the server can no longer be asked.
            click.echo("\n".join(result_lines(results)) if results else "", err=True, nl=bool(results))
            raise
        return shown if how.node is None else replace(shown, node=how.node), results, found


def _of(how: _How) -> ScanView | None:
    view = None if how.found is None else how.found.view
    return view if view is None or how.node is None else view.on(how.node)


async def _change(operator: LiveOperator, asked: Sequence[tuple[str, str]], how: _How) -> list[ChangeResult]:
    """Each change that was agreed to; the first that is declined or does not take ends it."""
    results: list[ChangeResult] = []
    for number, each in enumerate(asked, start=1):
        persist = how.persist and number == len(asked)
        agreed_to = await _agreed_to(operator, [each], how, persist=persist)
        results += [await operator.settings.apply(change, persist=persist) for change in agreed_to]
        if len(results) < number or not results[-1].took:
            return results
    return results


async def _agreed_to(
    operator: LiveOperator, asked: Sequence[tuple[str, str]], how: _How, *, persist: bool = False
) -> list[Change]:
    """The changes, asked about one by one; none where one is declined."""
    changes = []
    for name, value in asked:
        change = await _proposed(operator, name, value, how)
        warnings = _warnings(change, persist=persist, reverts=how.revert_after is not None)
        if how.yes:
            for warning in warnings:
                click.echo(warning, err=True)
        elif not confirm([*_question(change), *warnings], change.word):
            click.echo(f"{change.name} was left unchanged.", err=True)
            return []
        changes.append(change)
    return changes


async def _proposed(operator: LiveOperator, name: str, value: str, how: _How) -> Change:
    if how.node is not None:
        return await operator.settings.propose_on(how.node, name, value, _of(how))
    return await operator.settings.propose(name, value, _of(how))


def _question(change: Change) -> list[str]:
    name = change.name
    return [f"{name}: {shown_value(name, change.old)} -> {shown_value(name, change.new)}", change.consequence]


def _warnings(change: Change, *, persist: bool, reverts: bool) -> list[str]:
    """What has to be seen even where nobody is asked."""
    freezes = change.freezes or (REWRITES_ALL,) if persist else ()
    returns = change.returns if reverts else ()
    return [f"! {sentence}" for sentence in (*change.warnings, *freezes, *returns)]


def _back(results: Sequence[ChangeResult], how: _How, connection_args: Sequence[str]) -> list[str]:
    """A line to copy for each value that was another before, the last first, as an old policy may evict under a new
    limit; a node by itself where the nodes' were not all one.
    """
    lines: dict[str, None] = {}
    for result in reversed(results):
        name = result.change.name
        if not result.may_stand or any(word in name for word in _SECRET):
            continue
        was: list[tuple[str | None, str | None]] = [(node.node, node.old) for node in result.nodes if node.may_stand]
        was = was or [(how.node, result.change.old)]
        one = how.node is None and len({old for _, old in was}) == 1
        for node, old in was:
            if old is None or old == result.change.new:
                continue
            where = () if one or node is None else ("--node", node)
            lines[
                command_line(
                    connection_args,
                    "limits",
                    *where,
                    "--set",
                    f"{name}={as_typed(name, old)}",
                    *(["--persist"] * how.persist),
                )
            ] = None
    return ["Undo with:", *lines] if lines else []


def _loaded(path: Path | None, *, scan: bool) -> SavedScan | None:
    """The saved scan to go by. Raises BadInput for one that tells only of some keys; databases are looked at later."""
    if path is None:
        return None
    if scan:
        raise BadInput("--scan and --saved-scan cannot be combined")
    saved = load_scan(path)
    if saved.match is not None or saved.type is not None or saved.pattern is not None:
        raise BadInput(f"{safe_text(str(path), 200)} is a scan of some keys only: a policy may evict any")
    return saved


async def _policy_scan(server: Source, saved: SavedScan | None, *, scan: bool) -> PolicyScan | None:
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


def _age_line(found: PolicyScan) -> str:
    view = found.view
    reach = "all" if view.complete else "a sample of"
    keys = number_of_keys(view.scanned_keys if view.complete else view.total_keys)
    seen = "" if view.complete else f" ({count(view.scanned_keys)} seen)"
    age = ago(time.time() - found.taken_at)
    return "; ".join((f"Bytes and patterns: from a scan of {reach} {keys}{seen}, {age}", *found.notes)) + "."


def _scan_fields(found: PolicyScan | None) -> "ScanUsed | None":
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
