"""A setting on trial: it goes back by itself unless somebody at the terminal says that it may stay."""

import asyncio
import sys
from collections.abc import Sequence

import click

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.process import stopping
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value, value_before, value_now
from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.structs import replace

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
        for change, way in zip(changes, ways, strict=True):
            click.echo(way, err=True)
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
