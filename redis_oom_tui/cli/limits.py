"""`limits`: how the server reacts when full, and, after a confirmation, otherwise."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from redis_oom_tui.actions.cluster.operator import ClusterOperator
from redis_oom_tui.cli import undo_command
from redis_oom_tui.cli.actions import AnyOperator, acting, confirm, require
from redis_oom_tui.cli.connecting import parse_host_port
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.limits_scan import SAMPLE, PolicyScan, age_line, loaded, policy_scan, scan_fields
from redis_oom_tui.cli.options import READ_FILE
from redis_oom_tui.cli.timed_change import on_trial
from redis_oom_tui.formatting.plan_document import limits_document
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys, parse_duration, size
from redis_oom_tui.models.action import Action, Limits, PolicyView, SettingView
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import SavedScan, ScanView
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.policies import UNKNOWN
from redis_oom_tui.rules.tuning import as_typed, check_value

EXIT_NOT_TAKEN = 1
# A line to copy ends in shells' histories: it never holds what such a setting was.
_SECRET = ("pass", "auth")
_TO_SCAN = "Bytes and families that go first are not known: limits --scan looks at some keys for them."
_SAMPLED = (
    "Which go first is likely, not certain: an eviction compares as many keys as maxmemory-samples says, not all."
)
REWRITES_ALL = "CONFIG REWRITE writes every setting that was changed at run time, not only this one."


class _How(NamedTuple):
    """On which node alone; whether it goes into the file, is asked about, and after how many seconds it goes back; and
    what bytes and families are told by.
    """

    node: str | None
    persist: bool
    yes: bool
    revert_after: int | None
    scan: bool = False
    saved: SavedScan | None = None
    found: PolicyScan | None = None


@click.command()
@click.option("--maxmemory", metavar="SIZE", help="Set the limit, such as 4gb; unlimited for none.")
@click.option("--policy", metavar="NAME", help="Set the eviction policy.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Set another setting (repeatable).")
@click.option("--node", metavar="HOST:PORT", help="With -c: on this node alone, a primary or a replica.")
@click.option("--persist", is_flag=True, help="Then write the server's settings to its file (CONFIG REWRITE).")
@click.option("--revert-after", metavar="SPAN", help="Put the old value back after so long (60s) unless it is kept.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--scan",
    is_flag=True,
    help=f"First look at up to {SAMPLE:,} keys: bytes that each policy may evict, families first.",
)
@click.option(
    "--saved-scan",
    type=READ_FILE,
    metavar="FILE",
    help="Take bytes and families from hogs --save FILE.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
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
    as_json: bool,
) -> int:
    """Show the limit, the policies and what each may evict here; change settings after a confirmation.

    How many keys a policy may evict is counted by the server. How many bytes they hold, and which families lose keys
    first, is known with --scan or --saved-scan alone, and null in --json without.
    """
    wanted = [("maxmemory", maxmemory), ("maxmemory-policy", policy), *map(_pair, pairs)]
    asked = [(name, value) for name, value in wanted if value is not None]
    for name, value in asked:
        check_value(name, value)
    if persist and not asked:
        raise BadInput("--persist goes with a change: --maxmemory, --policy or --set")
    if node is not None:
        if not invocation.connection.cluster:
            raise BadInput("--node picks a node of a cluster: add -c before limits, or connect to the node itself")
        node = str(parse_host_port(node, 6379))
    seconds = _seconds(revert_after, asked, persist=persist)
    how = _How(node, persist, yes, seconds, scan, loaded(saved_scan, scan=scan))
    shown, results, found = asyncio.run(_limits(invocation, asked, how))
    if as_json:
        print_document(limits_document(shown, results) | {"scan": scan_fields(found)})
    else:
        click.echo("\n".join(_said(results, how, invocation) if asked else _lines(shown, found)))
    return 0 if len(results) == len(asked) and all(result.took for result in results) else EXIT_NOT_TAKEN


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"{text!r} is not KEY=VALUE")
    return name.strip().lower(), value.strip()


def _seconds(text: str | None, asked: Sequence[tuple[str, str]], *, persist: bool) -> int | None:
    if text is None:
        return None
    if not asked:
        raise BadInput("--revert-after goes with a change: --maxmemory, --policy or --set")
    if persist:
        raise BadInput("--revert-after and --persist exclude each other: what goes back must not stay in the file")
    seconds = parse_duration(text)
    if not seconds:
        raise BadInput("--revert-after 0 would change nothing: give it some seconds, such as 60s")
    return seconds


async def _limits(
    invocation: Invocation, asked: Sequence[tuple[str, str]], how: _How
) -> tuple[Limits, list[ChangeResult], PolicyScan | None]:
    async with acting(invocation) as (server, operator):
        alone = operator.on(how.node) if how.node is not None and isinstance(operator, ClusterOperator) else operator
        if asked:
            await require(alone, Action.SET, read_only=invocation.connection.read_only)
        found = await policy_scan(server, how.saved, scan=how.scan)
        how = how._replace(found=found)
        if how.revert_after is None:
            results = await _change(operator, asked, how)
        else:
            results = await on_trial(operator, await _agreed_to(operator, asked, how), how.revert_after)
        shown = await alone.limits(_of(how))
        return shown if how.node is None else replace(shown, node=how.node), results, found


def _of(how: _How) -> ScanView | None:
    """The scan, of the one node where there is one."""
    view = None if how.found is None else how.found.view
    return view if view is None or how.node is None else view.on(how.node)


async def _change(operator: AnyOperator, asked: Sequence[tuple[str, str]], how: _How) -> list[ChangeResult]:
    """Each change that was agreed to; the first that is declined or does not take ends it."""
    results: list[ChangeResult] = []
    for number, each in enumerate(asked, start=1):
        persist = how.persist and number == len(asked)
        agreed_to = await _agreed_to(operator, [each], how, persist=persist)
        results += [await operator.apply(change, persist=persist) for change in agreed_to]
        if len(results) < number or not results[-1].took:
            return results
    return results


async def _agreed_to(
    operator: AnyOperator, asked: Sequence[tuple[str, str]], how: _How, *, persist: bool = False
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
            click.echo(f"{change.name} was left as it is.", err=True)
            return []
        changes.append(change)
    return changes


async def _proposed(operator: AnyOperator, name: str, value: str, how: _How) -> Change:
    if how.node is not None and isinstance(operator, ClusterOperator):
        return await operator.propose_on(how.node, name, value, _of(how))
    return await operator.propose(name, value, _of(how))


def _question(change: Change) -> list[str]:
    name = change.name
    return [f"{name}: {_shown(name, change.old)} -> {_shown(name, change.new)}", change.consequence]


def _warnings(change: Change, *, persist: bool, reverts: bool) -> list[str]:
    """What has to be seen even where nobody is asked."""
    freezes = change.freezes or (REWRITES_ALL,) if persist else ()
    returns = change.returns if reverts else ()
    return [f"! {sentence}" for sentence in (*change.warnings, *freezes, *returns)]


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return "?"
    if name == "maxmemory" and value.isdigit():
        return f"{value} ({size(int(value))})" if int(value) else "0 (no limit)"
    return value


def _result_lines(results: Sequence[ChangeResult]) -> list[str]:
    lines = []
    for result in results:
        change = result.change
        if result.nodes:
            lines += _node_lines(result)
        elif result.took:
            was = "already" if result.now == change.old else f"now; it was {_shown(change.name, change.old)}"
            lines.append(f"{change.name} is {_shown(change.name, result.now)} {was}.")
        else:
            what = "was not changed" if result.reverts_in_seconds is None else "is not kept"
            lines.append(f"{change.name} {what}: {result.detail}")
        if result.persisted is not None:
            lines.append(f"CONFIG REWRITE: {result.persisted}")
    return lines or ["Nothing was changed."]


def _node_lines(result: ChangeResult) -> list[str]:
    """What became of it on each node: every one was read back by itself."""
    name, took = result.change.name, sum(node.took for node in result.nodes)
    lines = [f"{name}: {count(took)} of {count(len(result.nodes))} nodes took {_shown(name, result.change.new)}."]
    for node in result.nodes:
        said = f"{_shown(name, node.now)} now; it was {_shown(name, node.old)}" if node.took else "NOT changed"
        lines.append(f"  {safe_text(node.node, 80)}  {said}{f': {node.detail}' if node.detail else ''}")
    return lines


def _said(results: Sequence[ChangeResult], how: _How, invocation: Invocation) -> list[str]:
    return [*_result_lines(results), *_back(results, how, invocation.connection_args)]


def _back(results: Sequence[ChangeResult], how: _How, connection_args: Sequence[str]) -> list[str]:
    """A line to copy for each value that was another before; a node by itself where the nodes' were not all one."""
    lines: dict[str, None] = {}
    for result in results:
        name = result.change.name
        if not (result.took or result.partly) or any(word in name for word in _SECRET):
            continue
        was: list[tuple[str | None, str | None]] = [(node.node, node.old) for node in result.nodes if node.took]
        was = was or [(how.node, result.change.old)]
        one = how.node is None and len({old for _, old in was}) == 1
        for node, old in was:
            if old is None or old == result.change.new:
                continue
            where = () if one or node is None else ("--node", node)
            lines[
                undo_command.line(
                    connection_args,
                    "limits",
                    *where,
                    "--set",
                    f"{name}={as_typed(name, old)}",
                    *(["--persist"] * how.persist),
                )
            ] = None
    return ["To put it back:", *lines] if lines else []


def _lines(shown: Limits, found: PolicyScan | None) -> list[str]:
    where = f"On {safe_text(shown.node, 80)}: " if shown.node else ""
    lines = [f"{where}maxmemory {_limit(shown)}, {_policy(shown)}", "", "A write comes this way:"]
    lines += [f"  {'>' if step.lit else ' '} {step.question} {step.answer}" for step in shown.path]
    lines += ["", "Policies:"]
    for view in shown.policies:
        lines += _policy_lines(view, scanned=found is not None)
    lines.append(_TO_SCAN if found is None else age_line(found))
    if any(view.first_to_go for view in shown.policies):
        lines.append(_SAMPLED)
    lines += ["", "Settings:"]
    for setting in shown.settings:
        lines.append(f"  {setting.setting.name} {_setting(shown, setting)}: {setting.sentence}")
    reasons = {setting.setting.why: None for setting in shown.settings if setting.setting.why is not None}
    lines += [f"  ? is not told: {reason}" for reason in reasons]
    lines += ["", shown.room.words]
    lines += [f"! {sentence}" for sentence in shown.unreturned]
    return [*lines, shown.refused] if shown.refused else lines


def _setting(shown: Limits, view: SettingView) -> str:
    name, value = view.setting.name, view.setting.value
    if name == "maxmemory" and value == "0" and shown.limit_source is LimitSource.NOT_REPORTED:
        return "0 by CONFIG GET, and not reported by INFO"
    return _shown(name, "?" if value is None else value)


def _limit(shown: Limits) -> str:
    if shown.maxmemory_bytes is not None:
        return f"{size(shown.maxmemory_bytes)}{' (stated)' if shown.limit_source is LimitSource.OPERATOR else ''}"
    return "?" if shown.limit_source is LimitSource.NOT_REPORTED else "no limit"


def _policy(shown: Limits) -> str:
    return "policy ?" if shown.policy == UNKNOWN else shown.policy


def _policy_lines(view: PolicyView, *, scanned: bool) -> list[str]:
    mark = "*" if view.current else " "
    held = f", {size(view.evictable_bytes)}" if view.evictable_bytes is not None else ""
    can = (
        "?"
        if view.evictable_keys is None
        else "nothing"
        if not view.evictable_keys
        else f"up to {number_of_keys(view.evictable_keys)}{held}"
    )
    lines = [f"{mark} {view.name}: {view.evicts} Here: {can}."]
    if view.first_to_go:
        names = ", ".join(safe_text(name, 60) for name in view.first_to_go)
        lines.append(f"    likely first, by {view.first_by}: {names}")
    elif view.first_by:
        lines.append(f"    no family goes first, by {view.first_by}")
    elif view.first_unknown and scanned and view.evictable_keys:
        lines.append(f"    which go first is not known: {view.first_unknown}")
    return [*lines, *(f"    ! {warning}" for warning in view.warnings)]
