"""`limits`: how the server reacts when full, and, after a confirmation, otherwise."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.actions import acting, confirm, on_trial, require
from redis_oom_tui.cli.connecting import parse_host_port
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import READ_FILE, among
from redis_oom_tui.cli.policy_scan import SAMPLE, PolicyScan, age_line, loaded, policy_scan, scan_fields
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.formatting.settings import limit_lines, limits_document, result_lines, shown_value
from redis_oom_tui.formatting.sizes import parse_duration
from redis_oom_tui.models.action import Action, Limits
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.scan import SavedScan, ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.policies import KNOWN
from redis_oom_tui.rules.tuning import SETTINGS, as_typed, check_value, in_order

EXIT_NOT_TAKEN, EXIT_NOT_KNOWN = 1, 3
# A line to copy ends in shells' histories: it never holds what such a setting was.
_SECRET = ("pass", "auth")
REWRITES_ALL = "CONFIG REWRITE writes every setting that was changed at run time, not only this one."

_PERSISTED_ONLY = "It is so already: only the server's config file is written."


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
    how = _How(node, persist, yes, seconds, scan, loaded(saved_scan, scan=scan))
    shown, results, found = asyncio.run(_limits(invocation, asked, how))
    if json_wanted:
        print_document(limits_document(shown, results, scan_fields(found)))
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
    return "\n".join(limit_lines(shown, None if found is None else age_line(found)))


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
        found = await policy_scan(server, how.saved, scan=how.scan)
        how = how._replace(found=found)
        if len(asked) > 1 and (limit := dict(asked).get("maxmemory")) is not None:
            asked = in_order(asked, await _proposed(operator, "maxmemory", limit, how))
        if how.revert_after is None:
            results = await _change(operator, asked, how)
        else:
            results = await _tried(operator, await _agreed_to(operator, asked, how), how.revert_after)
        try:
            shown = await alone.settings.limits(_of(how))
        except TriageError:
            # What was done is told also where the server can no longer be asked.
            click.echo("\n".join(result_lines(results)) if results else "", err=True, nl=bool(results))
            raise
        if how.revert_after is not None:
            results = [_as_read_now(result, shown) for result in results]
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
        results += [
            _as_it_is(change)
            if change.is_so and not persist
            else await operator.settings.apply(change, persist=persist)
            for change in agreed_to
        ]
        if len(results) < number or not results[-1].took:
            return results
    return results


async def _tried(operator: LiveOperator, changes: Sequence[Change], seconds: int) -> list[ChangeResult]:
    """The changes on trial; those of what is so already are none, and nothing is waited for where there is no other."""
    done = [_as_it_is(change) for change in changes if change.is_so]
    others = [change for change in changes if not change.is_so]
    return [*done, *(await on_trial(operator, others, seconds) if others else [])]


def _as_read_now(result: ChangeResult, shown: Limits) -> ChangeResult:
    """A change that was kept, and that others have set again while it was on trial, did not take. Of a cluster one node
    is read here, which says nothing of the others.
    """
    name, reads = result.change.name, shown.value(result.change.name)
    if not result.took or result.nodes or result.change.node or reads in {None, result.now}:
        return result
    detail = f"it no longer reverts, but it is {shown_value(name, reads)} now: it was changed meanwhile"
    return replace(result, took=False, now=reads, detail=detail)


def _as_it_is(change: Change) -> ChangeResult:
    return ChangeResult(change, took=True, now=change.new)


async def _agreed_to(
    operator: LiveOperator, asked: Sequence[tuple[str, str]], how: _How, *, persist: bool = False
) -> list[Change]:
    """The changes, asked about one by one as they will be made one after the other; none where one is declined. Nobody
    is asked about what is so already, unless it is to be persisted."""
    changes: list[Change] = []
    for name, value in asked:
        change = await _proposed(operator, name, value, how, changes)
        if change.is_so:
            if not persist:
                changes.append(change)
                continue
            change = replace(change, consequence=_PERSISTED_ONLY, warnings=(), evicts=False)
        warnings = _warnings(change, persist=persist, reverts=how.revert_after is not None)
        if how.yes:
            for warning in warnings:
                click.echo(warning, err=True)
        elif not confirm([*_question(change), *warnings], change.word):
            click.echo(f"{change.name} was left unchanged.", err=True)
            return []
        changes.append(change)
    return changes


async def _proposed(operator: LiveOperator, name: str, value: str, how: _How, after: Sequence[Change] = ()) -> Change:
    if how.node is not None:
        return await operator.settings.propose_on(how.node, name, value, _of(how), after)
    return await operator.settings.propose(name, value, _of(how), after)


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
