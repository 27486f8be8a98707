"""`cleanup --shrink`: fewer elements in a key that stays; printed, and run only when told --yes."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import Struct

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli import undo_command
from redis_oom_tui.cli.actions import acting, require
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import given_options
from redis_oom_tui.cli.process import Ticker, give_way, stopping, when_free
from redis_oom_tui.formatting.sanitize import from_glob, safe_text, unescape_exact
from redis_oom_tui.formatting.shrink import shrink_document
from redis_oom_tui.formatting.sizes import count, parse_duration
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import RunView
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.shrink import ListEnd, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.rules import shrinking

_Command = TypeVar("_Command", bound=Callable[..., Any])
OPTIONS = frozenset({"keep_last", "older_than", "fields", "oldest_end", "score_unit"})
_BESIDE = OPTIONS | {"shrink", "backup_path", "no_backup", "max_backup", "plan_hash", "yes", "json_wanted"}
_INCOMPLETE, _INTERRUPTED = 1, 130

_CHOICES = (
    click.option("--shrink", metavar="KEY", help="Remove elements of this key, which stays; with the options below."),
    click.option("--keep-last", type=click.IntRange(1), metavar="N", help="All but the newest N go."),
    click.option("--older-than", metavar="TIME", help="Those older than this go (streams; scores that are times)."),
    click.option("--fields", metavar="GLOB", help="Fields of a hash, or members of a set, that match go."),
    click.option("--oldest-end", type=click.Choice(["left", "right"]), help="Where a list has its oldest elements."),
    click.option("--score-unit", type=click.Choice(["s", "ms"]), help="Scores are Unix times in this unit."),
)


def shrink_options(command: _Command) -> _Command:
    """The options of `--shrink`."""
    for option in reversed(_CHOICES):
        command = option(command)
    return command


class ShrinkResult(Struct, frozen=True):
    """What was planned, and what came of it where it ran."""

    plan: ShrinkPlan
    consent: tuple[str, ...]
    run: RunView | None = None
    stopped: bool = False


def refuse_alone() -> None:
    """Raise BadInput for options that only --shrink goes by, where it is not there."""
    options = given_options()
    if "shrink" not in options and (lonely := [options[name] for name in options if name in OPTIONS]):
        raise BadInput(f"{lonely[0]} requires --shrink KEY: it says which elements of that key go")


def shrink(invocation: Invocation, given: dict[str, Any], backup: BackupChoice, *, yes: bool, json_wanted: bool) -> int:
    """Plan it and print it; with `yes`, run exactly what was planned. Returns the exit code."""
    options = given_options()
    if others := [option for name, option in options.items() if name not in _BESIDE]:
        raise BadInput(f"{others[0]} cannot be given with --shrink: one key is made smaller, and no key is chosen")
    result = asyncio.run(_shrink(invocation, _request(invocation, given), given["plan_hash"], backup, yes=yes))
    if json_wanted:
        print_document(shrink_document(result.plan, result.consent, result.run))
    else:
        click.echo("\n".join(_lines(result, invocation.connection_args)))
    if result.run is None or result.run.complete:
        return 0
    return _INTERRUPTED if result.stopped else _INCOMPLETE


def _request(invocation: Invocation, given: dict[str, Any]) -> ShrinkRequest:
    request = ShrinkRequest(
        KeyId(invocation.connection.db or 0, unescape_exact(given["shrink"])),
        keep_last=given["keep_last"],
        older_than_seconds=None if given["older_than"] is None else parse_duration(given["older_than"]),
        matching=None if given["fields"] is None else from_glob(given["fields"]),
        oldest_end=None if given["oldest_end"] is None else ListEnd(given["oldest_end"]),
        score_unit=None if given["score_unit"] is None else ScoreUnit(given["score_unit"]),
    )
    shrinking.check(request)
    return request


async def _shrink(
    invocation: Invocation, request: ShrinkRequest, wanted_hash: str | None, backup: BackupChoice, *, yes: bool
) -> ShrinkResult:
    async with acting(invocation) as (_, operator):
        if yes:
            await require(operator, Action.SHRINK, read_only=invocation.connection.read_only)
        give_way(Pace.NORMAL)
        planner = operator.plan_shrink(request)
        with stopping(planner.stop):
            async with Ticker(lambda: f"reading the key: {count(planner.view())} elements"):
                plan = await planner.run()
        if wanted_hash and not plan.hash.startswith(wanted_hash.lower()):
            raise BadInput(f"The plan's hash is {plan.hash[:12]}..., not {wanted_hash}: nothing was done")
        result = ShrinkResult(plan, shrinking.consent(plan, backup))
        return await _run(operator, result, backup) if yes and plan.going else result


async def _run(operator: LiveOperator, result: ShrinkResult, backup: BackupChoice) -> ShrinkResult:
    await when_free(operator.learn)
    run = operator.run_shrink(result.plan, backup=backup)
    with stopping(run.stop) as came:
        async with Ticker(lambda: _progress(run.view())):
            view = await run.run()
    return ShrinkResult(result.plan, result.consent, view, signal.SIGINT in came)


def _progress(view: RunView) -> str:
    return f"{view.phase}: {count(view.done_keys)} of {count(view.total_keys)} elements, {view.keys_per_second:,.0f}/s"


def _lines(result: ShrinkResult, connection_args: tuple[str, ...]) -> list[str]:
    plan, run = result.plan, result.run
    if not plan.going:
        words = shrinking.WORDS[plan.type]
        return [f"None of the {count(plan.elements)} {words} is to go: there is nothing to do."]
    lines = [safe_text(sentence) for sentence in result.consent]
    lines.append(f"Plan {plan.hash}")
    if run is None:
        return [*lines, f"Dry run. Add --yes to execute, with --hash {plan.hash[:12]} to remove nothing else."]
    lines += ["", str(run.ended)]
    for path in run.backup_files:
        lines += [f"Backup: {safe_text(path)}", f"Undo with: {undo_command.line(connection_args, 'restore', path)}"]
    return lines
