"""`--on-critical`: an unattended cleanup, put together only where option and configuration both arm it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from redis_oom_tui.actions.cluster.operator import ClusterOperator
from redis_oom_tui.cli import undo_command
from redis_oom_tui.cli.actions import acting
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import plan_names
from redis_oom_tui.files.plans import load_plan
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.config import NamedPlan
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.monitor.emergency import EmergencyJob, armed
from redis_oom_tui.ports import Operator


def arming_options(function: Any) -> Any:
    """The options of the armed cleanup."""
    plan = click.option(
        "--on-critical",
        "on_critical",
        metavar="PLAN",
        shell_complete=plan_names,
        help="Run this plan once the state has been critical for a while. The configuration must arm it as well.",
    )
    dry_run = click.option("--dry-run", is_flag=True, help="With --on-critical: only say what it would do.")
    return plan(dry_run(function))


def job_from(invocation: Invocation, given: dict[str, Any]) -> EmergencyJob | None:
    """What may be done unattended; None where nothing is asked for. Raises BadInput where it is not fully armed."""
    option: str | None = given["on_critical"]
    dry_run: bool = given["dry_run"]
    emergency = invocation.profile.emergency
    if option is None and dry_run:
        raise BadInput("--dry-run says what --on-critical would do: name a plan there")
    if not armed(option, emergency, dry_run=dry_run, read_only=invocation.connection.read_only) or option is None:
        return None
    if given["once"] and not dry_run:
        raise BadInput("--once does not wait for anything to last: leave out --on-critical, or add --dry-run")

    plan = _plan(invocation, option)
    if invocation.connection.cluster and isinstance(plan, Plan):
        raise BadInput("with -c, --on-critical takes a plan of the configuration: a saved one is no node's own")

    @contextlib.asynccontextmanager
    async def hire(node: str) -> AsyncIterator[Operator]:
        async with acting(invocation) as (_, operator):
            # Only the node that is critical gives up keys: the others have no need to.
            yield operator.on(node) if isinstance(operator, ClusterOperator) else operator

    def undo(path: str) -> str:
        return undo_command.line(invocation.connection_args, "restore", path)

    return EmergencyJob(option, plan, emergency, hire, dry_run=dry_run, undo=undo)


def _plan(invocation: Invocation, option: str) -> NamedPlan | Plan:
    plans = invocation.configuration.settings.plans
    if option in plans:
        return plans[option]
    if "/" in option:
        return load_plan(Path(option))
    there = ", ".join(safe_text(name, 40) for name in sorted(plans)) or "none"
    raise BadInput(
        f"--on-critical: there is no plan {safe_text(option, 60)!r}; the configuration has {there}, and a saved plan is"
        " named by its path"
    )
