"""What the commands that change a server share: the operator, and the question before."""

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import click

from redis_oom_tui.actions.cluster import Cluster
from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.process import when_free
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.errors import CommandMissing, ReadOnlyMode
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.open_source import source_for

if TYPE_CHECKING:
    from redis_oom_tui.server.cluster.source import ClusterSource

_YES = "yes"


@contextlib.asynccontextmanager
async def acting(invocation: Invocation) -> AsyncIterator[tuple["LiveServer | ClusterSource", LiveOperator]]:
    """A connected server and its operator, let go of at the end."""
    server = source_for(invocation.connection)
    operator = make_operator(invocation, server)
    try:
        await when_free(server.open)
        yield server, operator
    finally:
        await operator.close()
        await server.close()


async def require(operator: LiveOperator, action: Action, *, read_only: bool) -> None:
    """Raise, for exit code 3, where `action` cannot be used here; under --read-only before anything is asked."""
    if not read_only:
        await when_free(operator.learn)
    reason = operator.why_not(action)
    if reason is not None:
        raise (ReadOnlyMode if read_only else CommandMissing)(reason)


def confirm(sentences: Sequence[str], word: str | None = None) -> bool:
    """Show `sentences` and ask for a typed word; False, with the reason shown, where nobody is there to type it."""
    for sentence in sentences:
        click.echo(sentence, err=True)
    if not sys.stdin.isatty():
        click.echo("Not a terminal: add --yes to confirm", err=True)
        return False
    wanted = word or _YES
    answer: str = click.prompt(f'Type "{wanted}" to confirm', default="", show_default=False, err=True)
    return answer.strip() == wanted


def make_operator(invocation: Invocation, server: "LiveServer | ClusterSource") -> LiveOperator:
    """The operator of one server, or of a cluster."""
    deployment = Standalone(server) if isinstance(server, LiveServer) else Cluster(server)
    return LiveOperator(deployment, audit_path=invocation.audit_path, emergency=emergency_plan(invocation))


def emergency_plan(invocation: Invocation) -> NamedPlan | None:
    """The plan that the configuration names for emergencies, held to the caps it sets; None where it names none."""
    emergency = invocation.profile.emergency
    named = invocation.configuration.settings.plans.get(emergency.plan or "")
    if named is None:  # or it names a saved plan by its path, which only `watch` runs
        return None
    return replace(named, criteria=_capped(named, emergency))


def _capped(named: NamedPlan, emergency: Emergency) -> Criteria:
    criteria = named.criteria
    return replace(
        criteria,
        max_keys=min(criteria.max_keys or emergency.max_keys, emergency.max_keys),
        max_bytes=min(criteria.max_bytes or emergency.max_bytes, emergency.max_bytes),
    )
