"""`cleanup --shrink` (elements of one key) and `--finished` (jobs): a plan, run in steps only when told --yes."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import click
from msgspec import Struct

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli import undo_command
from redis_oom_tui.cli.actions import acting, require
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.criteria import require_hash
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import Number, given_options
from redis_oom_tui.cli.process import followed, give_way, when_free
from redis_oom_tui.formatting.plan import finished_document, shrink_document
from redis_oom_tui.formatting.sanitize import escape_exact, from_glob, glob_text, safe_text, unescape_exact
from redis_oom_tui.formatting.sizes import parse_duration, progress
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.application import Application, FinishedWork, TimeUnit
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import RunView
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.stepped import FinishedPlan, FinishedRequest, ListEnd, ScoreUnit, ShrinkPlan, ShrinkRequest
from redis_oom_tui.ports.source import Job
from redis_oom_tui.rules import finished as finished_jobs
from redis_oom_tui.rules import shrinking
from redis_oom_tui.rules.shrinking import WholeKeyGoes

EXIT_INCOMPLETE, EXIT_INTERRUPTED = 1, 130
_Command = TypeVar("_Command", bound=Callable[..., Any])
_HOW = frozenset({"backup_path", "no_backup", "max_backup", "plan_hash", "yes", "json_wanted"})
_SHRINK = frozenset({"keep_last", "older_than", "fields", "oldest_end", "score_unit"})
_FINISHED = frozenset({"finished", "state", "older_than", "max_key_backup", "save_plan", "show_all"})
_CHOICES = (
    click.option("--shrink", metavar="KEY", help="Remove elements of this key, which stays; with the options below."),
    click.option("--keep-last", type=Number(1), metavar="N", help="All but the newest N go."),
    click.option("--older-than", metavar="TIME", help="Those older than this go, e.g. 7d."),
    click.option("--fields", metavar="GLOB", help="Fields of a hash, or members of a set, that match go."),
    click.option("--oldest-end", type=click.Choice(["left", "right"]), help="Where a list has its oldest elements."),
    click.option("--score-unit", type=click.Choice(["s", "ms"]), help="Scores are Unix times in this unit."),
    click.option(
        "--finished",
        metavar="APP[:QUEUE]",
        help="Delete finished jobs of an application, such as bullmq:mail, with --older-than.",
    ),
    click.option("--orphans", metavar="APP", help="Keys of an application that its own lists name no more."),
    click.option("--state", metavar="STATE", help="With --finished: which, e.g. completed or failed."),
)


def shrink_options(command: _Command) -> _Command:
    """The options of `--shrink` and `--finished`."""
    for option in reversed(_CHOICES):
        command = option(command)
    return command


def refuse_alone() -> None:
    """Raise BadInput for options that only --shrink or --finished go by, where these are not there."""
    options = given_options()
    if "shrink" in options:
        return
    if "finished" not in options and "state" in options:
        raise BadInput("--state requires --finished APP")
    alone = _SHRINK - {"older_than"} if "finished" in options else _SHRINK
    if lonely := [options[name] for name in options if name in alone]:
        raise BadInput(f"{lonely[0]} requires --shrink KEY: it says which elements of that key go")


_Plan = TypeVar("_Plan", ShrinkPlan, FinishedPlan)


class Stepped(Struct, Generic[_Plan], frozen=True):
    """How a plan is made, told and carried out; `things` are what it counts.

    `nothing` says that none of them go, `undo` leads to the command that restores them.
    """

    action: Action
    things: str
    planner: Callable[[LiveOperator], Job[_Plan, int]]
    consent: Callable[[_Plan], tuple[str, ...]]
    runner: Callable[[LiveOperator, _Plan], Job[RunView, RunView]]
    document: Callable[[_Plan, tuple[str, ...], RunView | None], Mapping[str, object]]
    nothing: Callable[[_Plan], str]
    undo: Callable[[_Plan], str] = lambda _plan: "Undo with"


class SteppedResult(Struct, Generic[_Plan], frozen=True):
    """What was planned, and what came of it where it ran."""

    plan: _Plan
    consent: tuple[str, ...]
    run: RunView | None = None
    stopped: bool = False

    @property
    def exit_code(self) -> int:
        """0 where all that was wanted was done."""
        if self.run is None or self.run.complete:
            return 0
        return EXIT_INTERRUPTED if self.stopped else EXIT_INCOMPLETE


class StepCommand(Struct, frozen=True):
    """One call of `cleanup`: its options by name, and how it is carried out."""

    invocation: Invocation
    given: dict[str, Any]
    backup: BackupChoice
    yes: bool
    json_wanted: bool

    def refuse_others(self, known: frozenset[str], why: str) -> None:
        """Raise BadInput for an option that is not `known` here."""
        if others := [option for name, option in given_options().items() if name not in known]:
            raise BadInput(f"{others[0]} cannot be given with {why}")


def shrink(command: StepCommand) -> int:
    """Plan it and print it; with `yes`, run exactly what was planned. Returns the exit code."""
    command.refuse_others(_SHRINK | _HOW | {"shrink"}, "--shrink: one key is made smaller, and no key is chosen")
    return _shrink_key(command, _shrink_request(command.invocation, command.given))


def finished(command: StepCommand) -> int | None:
    """Plan it and print it; with `yes`, run exactly what was planned. Returns the exit code; None where whole keys go,
    as each finished job is a key, or all that a key lists is old: `given` then has what chooses these, and an ordinary
    plan follows.
    """
    command.refuse_others(_HOW | _FINISHED, "--finished: the application's own lists choose")
    given = command.given
    if given["older_than"] is None:
        raise BadInput("--finished requires --older-than TIME: a job that has just ended may still be asked for")
    name, colon, queue = given["finished"].partition(":")
    if colon and not queue:
        raise BadInput(
            f"--finished {safe_text(given['finished'], 80)} names no queue: without the colon, all are meant"
        )
    application = finished_jobs.application_called(name)
    work = finished_jobs.work_of(application, given["state"])
    seconds = parse_duration(given["older_than"])
    if not work.index:
        _as_keys(given, application, work)
        return None
    db = command.invocation.connection.db or 0
    if not work.job:
        request = _as_elements(application, work, db, seconds)
        try:
            return _shrink_key(command, request)
        except WholeKeyGoes:
            given["names"], given["finished"] = (escape_exact(request.key.key),), None
            return None
    wanted = FinishedRequest(application.name, seconds, unescape_exact(queue) if queue else None, given["state"], db)
    return _finish_jobs(command, wanted)


def _shrink_request(invocation: Invocation, given: dict[str, Any]) -> ShrinkRequest:
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


def _as_keys(given: dict[str, Any], application: Application, work: FinishedWork) -> None:
    """Each finished job is a key of its own: those that nobody used for so long are an ordinary plan."""
    kind = application.kind(work.job)
    given["matches"] = tuple(glob_text(glob) for glob in finished_jobs.globs(kind))
    given["types"], given["idle_over"], given["finished"] = kind.types, given["older_than"], None


def _as_elements(application: Application, work: FinishedWork, db: int, seconds: int) -> ShrinkRequest:
    """The members of one key are the work itself. Raises BadInput where no time stands beside them."""
    keys = finished_jobs.names([application.kind(work.index)], {"prefix": application.prefix.encode()})
    if work.score is None or work.score_is != "finished" or len(keys) != 1:
        raise BadInput(
            f"Finished work of {application.name} tells no age: shrink its key with --shrink KEY --keep-last N"
        )
    unit = ScoreUnit.MILLISECONDS if work.score is TimeUnit.MILLISECONDS else ScoreUnit.SECONDS
    return ShrinkRequest(KeyId(db, keys[0][1]), older_than_seconds=seconds, score_unit=unit)


def _shrink_key(command: StepCommand, request: ShrinkRequest) -> int:
    stepped = Stepped(
        Action.SHRINK,
        "elements",
        lambda operator: operator.steps.plan_shrink(request),
        lambda plan: shrinking.consent(plan, command.backup),
        lambda operator, plan: operator.steps.run_shrink(plan, backup=command.backup),
        shrink_document,
        shrinking.nothing_goes,
        lambda plan: "Once the stream is gone, restore with" if plan.type == "stream" else "Undo with",
    )
    return _run(command, stepped)


def _finish_jobs(command: StepCommand, request: FinishedRequest) -> int:
    stepped = Stepped(
        Action.FINISH,
        "jobs",
        lambda operator: operator.steps.plan_finished(request),
        lambda plan: finished_jobs.consent(plan, command.backup),
        lambda operator, plan: operator.steps.run_finished(plan, backup=command.backup),
        finished_document,
        finished_jobs.nothing_goes,
    )
    return _run(command, stepped)


def _run(command: StepCommand, stepped: Stepped[_Plan]) -> int:
    result = asyncio.run(_carry_out(command, stepped))
    plan = result.plan
    if command.json_wanted:
        print_document(stepped.document(plan, result.consent, result.run))
    elif not plan.going:
        click.echo(f"{stepped.nothing(plan)}: there is nothing to do.")
    else:
        click.echo("\n".join(_result_lines(result, command.invocation.connection_args, stepped.undo(plan))))
    return result.exit_code


async def _carry_out(command: StepCommand, stepped: Stepped[_Plan]) -> SteppedResult[_Plan]:
    """Plan, and run where `yes`. Raises BadInput where the hash is another than the one given."""
    invocation, wanted_hash = command.invocation, command.given["plan_hash"]
    async with acting(invocation) as (_, operator):
        if command.yes:
            await require(operator, stepped.action, read_only=invocation.connection.read_only)
        give_way(Pace.NORMAL)
        begun = time.monotonic()

        def planning_words(counted: int) -> str:
            return f"reading: {progress(counted, 0, time.monotonic() - begun, stepped.things)}"

        plan, _ = await followed(stepped.planner(operator), planning_words)
        require_hash(plan.hash, wanted_hash)
        consent = stepped.consent(plan)
        if not command.yes or not plan.going:
            return SteppedResult(plan, consent)
        await when_free(operator.learn)
        run = stepped.runner(operator, plan)
        return SteppedResult(plan, consent, *await followed(run, lambda view: _progress(view, stepped.things)))


def _progress(view: RunView, things: str) -> str:
    return f"{view.phase}: {progress(view.done_keys, view.total_keys, view.elapsed_seconds, things)}"


def _result_lines(
    result: SteppedResult[ShrinkPlan] | SteppedResult[FinishedPlan], connection_args: tuple[str, ...], undo: str
) -> list[str]:
    """The plan that takes something, and its report where it ran, for people; `undo` says when it can be undone."""
    plan, run = result.plan, result.run
    lines = [safe_text(sentence) for sentence in result.consent]
    lines.append(f"Plan {plan.hash}")
    if run is None:
        return [*lines, f"Dry run. Add --yes to execute, with --hash {plan.hash[:12]} to remove nothing else."]
    return [*lines, "", str(run.ended), *undo_command.of_run(run, connection_args, undo)]
