"""What the commands that change a server share: the operator, the question before, and a change on trial."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import click

from redis_oom_tui.actions.cluster import Cluster
from redis_oom_tui.actions.deployment import Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.process import stopping, when_free
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value, value_before, value_now
from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.errors import BadInput, CommandMissing, ReadOnlyMode
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.settings import Change, ChangeResult
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


_KEEP = "keep"


async def on_trial(operator: LiveOperator, changes: Sequence[Change], seconds: int) -> list[ChangeResult]:
    """Apply `changes`, wait for `keep`, and without it let the old values return, and tell how that ended.

    What was taken back did not take; nor did what was kept too late. A signal, from the first change on, takes back at
    once. Raises BadInput, before anything is changed, where an old value is not known.
    """
    ways = [_way_back(change) for change in changes]
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    results: list[ChangeResult] = []
    with stopping(lambda: _settle(answer, kept=False)):
        # The last change is undone first: else an old policy could evict under the new limit.
        for way in reversed(ways):
            click.echo(way, err=True)
        for change in changes:
            result = await operator.settings.apply(change, revert_after=seconds)
            results.append(result)
            if result.unread:
                click.echo(f"{change.name}: {result.detail}", err=True)
            elif result.reverts_in_seconds is not None:
                click.echo(f"{change.name} is {value_now(result)} for now", err=True)
            if not result.took:
                break
        if not any(result.reverts_in_seconds for result in results):
            return results
        stays = await _kept(answer, seconds)
        kept = [stays and operator.settings.keep(result) for result in results]
        if not all(kept):
            await operator.settings.close()
    return [
        result
        if stays or result.reverts_in_seconds is None
        else _taken_back(result, await operator.settings.returned(result))
        for result, stays in zip(results, kept, strict=True)
    ]


def _way_back(change: Change) -> str:
    """What to send by hand to have the old value again, should this tool not live to do it."""
    olds = dict(change.olds) or {"": change.old}
    lost = [f" on {safe_text(node, 80)}" if node else "" for node, old in olds.items() if old is None]
    if lost:
        raise BadInput(f"{change.name} cannot be read{lost[0]}, so it could not be reverted: leave --revert-after out")
    commands: dict[str, list[str]] = {}
    for node, old in olds.items():
        commands.setdefault(f"CONFIG SET {change.name} {old}", []).append(safe_text(node, 80))
    one = len(commands) == 1
    how = "; ".join(command if one else f"{command} on {', '.join(nodes)}" for command, nodes in commands.items())
    everywhere = " on each node" if one and len(olds) > 1 else ""
    return f"If this tool is killed before that, undo with: {how}{everywhere}"


def _settle(answer: asyncio.Future[bool], *, kept: bool) -> None:
    if not answer.done():
        answer.set_result(kept)


async def _kept(answer: asyncio.Future[bool], seconds: int) -> bool:
    """Whether somebody typed `keep` within `seconds`, unless `answer` is there before; the end of input means no."""

    def read() -> None:
        line = sys.stdin.readline()
        if not line or line.strip() == _KEEP:
            _settle(answer, kept=bool(line))
        else:
            click.echo(f'Type "{_KEEP}" to keep the change', err=True)

    loop, watching = asyncio.get_running_loop(), sys.stdin.isatty()
    how = f'type "{_KEEP}" to keep the change' if watching else "not a terminal, so nobody can keep it"
    click.echo(f"It reverts in {duration(seconds)}: {how}", err=True)
    if watching:
        loop.add_reader(sys.stdin, read)
    try:
        return await asyncio.wait_for(answer, seconds)
    except TimeoutError:
        return False
    finally:
        if watching:
            loop.remove_reader(sys.stdin)


def _taken_back(result: ChangeResult, ended: ChangeResult) -> ChangeResult:
    if ended.took:
        outcome = f"it reverted to {value_now(ended)}"
    else:
        reads = "its value is unknown" if ended.now is None else f"it is {shown_value(result.change.name, ended.now)}"
        why = f" ({ended.detail.rstrip('.')})" if ended.detail else ""
        came = "whether it reverted to {} is not known" if ended.unread else "it did not revert to {}"
        outcome = f"{came.format(value_before(result))}{why}: {reads}; check it, and set it by hand"
    return replace(result, took=False, now=ended.now, detail=outcome, nodes=(), unread=ended.unread)
