"""A setting on trial: it goes back by itself unless somebody at the terminal says that it may stay."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

import click

from redis_oom_tui.cli.acting import AnyOperator, stopping
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.words.settings import shown_value
from redis_oom_tui.words.sizes import duration

_KEEP = "keep"


async def on_trial(
    operator: AnyOperator, shown: AnyOperator, changes: Sequence[Change], seconds: int
) -> list[ChangeResult]:
    """Apply `changes`, wait for `keep`, and without it let the old values return, which `shown` then reads.

    What was taken back did not take; nor did what was kept too late. A signal, from the first change on, takes back at
    once. Raises BadInput, before anything is changed, where an old value is not known.
    """
    ways = [_way_back(change) for change in changes]
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    results: list[ChangeResult] = []
    with stopping(lambda: _settle(answer, kept=False)):
        for change, way in zip(changes, ways, strict=True):
            click.echo(way, err=True)
            result = await operator.apply(change, revert_after=seconds)
            results.append(result)
            if not result.took:
                break
            click.echo(f"{change.name} is {shown_value(change.name, result.now)} for now", err=True)
        if not any(result.reverts_in_seconds for result in results):
            return results
        if await _kept(answer, seconds):
            kept = [operator.keep(result) for result in results]
            if all(kept):
                return results
        await operator.close()
    now = {view.setting.name: view.setting.value for view in (await shown.limits()).settings}
    return [_taken_back(result, now.get(result.change.name)) for result in results]


def _way_back(change: Change) -> str:
    """What to send by hand to have the old value again, should this tool not live to do it."""
    if change.old is None:
        raise BadInput(f"{change.name} cannot be read here, so it could not go back: leave --revert-after out")
    return f"Should this tool not live to do it, the old value comes back with: CONFIG SET {change.name} {change.old}"


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
            click.echo(f"Type {_KEEP} to keep it", err=True)

    loop, watching = asyncio.get_running_loop(), sys.stdin.isatty()
    how = f"type {_KEEP} to keep it" if watching else "nobody can keep it here"
    click.echo(f"It goes back in {duration(seconds)}: {how}", err=True)
    if watching:
        loop.add_reader(sys.stdin, read)
    try:
        return await asyncio.wait_for(answer, seconds)
    except TimeoutError:
        return False
    finally:
        if watching:
            loop.remove_reader(sys.stdin)


def _taken_back(result: ChangeResult, now: str | None) -> ChangeResult:
    if not result.took:
        return result
    old = result.change.old
    if now == old:
        return replace(result, took=False, now=now, detail=f"it went back to {old}, since nobody kept it", nodes=())
    said = f"it was to go back to {old} and is {'?' if now is None else now}: look, and set it by hand"
    return replace(result, took=False, now=now, detail=said, nodes=())
