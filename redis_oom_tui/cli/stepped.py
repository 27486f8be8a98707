"""What `cleanup --shrink` and `cleanup --finished` share: a plan printed, and run in steps only when told --yes."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

import click
from msgspec import Struct

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli import undo_command
from redis_oom_tui.cli.actions import acting, require
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.process import Ticker, give_way, stopping, when_free
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import progress
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import RunView
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.ports.source import Job

EXIT_INCOMPLETE, EXIT_INTERRUPTED = 1, 130


class HashedPlan(Protocol):
    """A frozen plan."""

    @property
    def hash(self) -> str:
        """What --hash compares."""

    @property
    def going(self) -> int:
        """How many go."""


_Plan = TypeVar("_Plan", bound=HashedPlan)


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


def run_stepped(
    invocation: Invocation, stepped: Stepped[_Plan], wanted_hash: str | None, *, yes: bool, json_wanted: bool
) -> int:
    """Plan it and print it; with `yes`, run exactly what was planned. Returns the exit code."""
    result = asyncio.run(_carry_out(invocation, stepped, wanted_hash, yes=yes))
    plan = result.plan
    if json_wanted:
        print_document(stepped.document(plan, result.consent, result.run))
    elif not plan.going:
        click.echo(f"{stepped.nothing(plan)}: there is nothing to do.")
    else:
        click.echo("\n".join(_result_lines(result, invocation.connection_args, stepped.undo(plan))))
    return result.exit_code


async def _carry_out(
    invocation: Invocation, stepped: Stepped[_Plan], wanted_hash: str | None, *, yes: bool
) -> SteppedResult[_Plan]:
    """Plan, and run where `yes`. Raises BadInput where the hash is another than `wanted_hash`."""
    async with acting(invocation) as (_, operator):
        if yes:
            await require(operator, stepped.action, read_only=invocation.connection.read_only)
        give_way(Pace.NORMAL)
        planner = stepped.planner(operator)
        begun = time.monotonic()
        with stopping(planner.stop):
            async with Ticker(
                lambda: f"reading: {progress(planner.view(), 0, time.monotonic() - begun, stepped.things)}"
            ):
                plan = await planner.run()
        if wanted_hash and not plan.hash.startswith(wanted_hash.lower()):
            raise BadInput(f"The plan's hash is {plan.hash[:12]}..., not {wanted_hash}: nothing was done")
        consent = stepped.consent(plan)
        if not yes or not plan.going:
            return SteppedResult(plan, consent)
        await when_free(operator.learn)
        run = stepped.runner(operator, plan)
        with stopping(run.stop) as came:
            async with Ticker(lambda: _progress(run.view(), stepped.things)):
                view = await run.run()
        return SteppedResult(plan, consent, view, signal.SIGINT in came)


def _progress(view: RunView, things: str) -> str:
    return f"{view.phase}: {progress(view.done_keys, view.total_keys, view.elapsed_seconds, things)}"


def _result_lines(result: SteppedResult[_Plan], connection_args: tuple[str, ...], undo: str) -> list[str]:
    """The plan that takes something, and its report where it ran, for people; `undo` says when it can be undone."""
    plan, run = result.plan, result.run
    lines = [safe_text(sentence) for sentence in result.consent]
    lines.append(f"Plan {plan.hash}")
    if run is None:
        return [*lines, f"Dry run. Add --yes to execute, with --hash {plan.hash[:12]} to remove nothing else."]
    return [*lines, "", str(run.ended), *undo_command.of_run(run, connection_args, undo)]
