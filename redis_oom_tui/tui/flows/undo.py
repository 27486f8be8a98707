"""The undo list: what can be undone here, and from there into the question that undoes it."""

import asyncio
from pathlib import Path

from redis_oom_tui.formatting.sizes import duration, number_of
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.rules.cluster import servers_in
from redis_oom_tui.rules.undoing import ServerNow, Undoable, is_from_here, kept_elsewhere, undo_list
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.answers import Option, PickDialog
from redis_oom_tui.tui.drawing import pad
from redis_oom_tui.tui.flows import cleanup, limits
from redis_oom_tui.tui.flows.controller import ActionController

_LISTED = 100
_AGO_CELLS = 11
_INTRO = "Newest first. Enter shows what it would do, and asks."
_NOTHING = "Nothing to undo here: the audit log has no change of a setting that stands, and there is no backup of {}."


async def show_list(actions: ActionController) -> None:
    """List what can be undone, and begin the flow that undoes what was picked: that asks first."""
    await limits.read(actions)
    here = _server_now(actions)
    rows, elsewhere = await asyncio.to_thread(_rows, actions, here)
    options = [_option(str(place), row, here.now) for place, row in enumerate(rows[:_LISTED])]
    intro = _INTRO if rows else _NOTHING.format(actions.host.source.address)
    if len(rows) > _LISTED:
        intro += f" {number_of(len(rows) - _LISTED, 'older one')} not listed: see the Log."
    if elsewhere:
        intro += f" {number_of(elsewhere, 'backup')} of other addresses: b in the Log lists them."
    first = next((place for place, row in enumerate(rows[:_LISTED]) if not row.refused and not row.done), 0)
    picked = await actions.ask(PickDialog("Undo", intro, options, at=first, enter="review"))
    if picked is not None:
        await _undo(actions, rows[int(picked)])


def _server_now(actions: ActionController) -> ServerNow:
    snapshot, known = actions.snapshot, actions.limits
    found = None if known.error else known.limits
    values = {} if found is None else {view.setting.name: view.setting.value for view in found.settings}
    if found is not None:
        values.setdefault("maxmemory-policy", found.policy)
    return ServerNow(
        names=servers_in(snapshot, str(actions.host.source.address)),
        now=actions.host.clock.wall(),
        snapshot=snapshot,
        values=values,
        node="" if found is None else found.node,
        former=actions.host.timeline.former,
        why_no_setting=actions.why_not(Action.SET),
        why_no_restore=actions.why_not(Action.RESTORE),
    )


def _rows(actions: ActionController, here: ServerNow) -> tuple[tuple[Undoable, ...], int]:
    """What can be undone here, and how many backups are of other addresses: the same server may have two of them."""
    history = actions.operator.history()
    backups = actions.operator.backups(*map(Path, kept_elsewhere(history, here)))
    return undo_list(history, backups, here), sum(not is_from_here(backup, here) for backup in backups)


def _option(value: str, row: Undoable, now: float) -> Option:
    since = f"{duration(now - row.at)} ago"
    return Option(
        value,
        f"{pad(since, _AGO_CELLS)}  {row.what}",
        row.needs,
        badge="not now" if row.refused else row.done,
        badge_role="warn" if row.refused else "dim",
        warnings=(row.refused,) if row.refused else row.warnings,
    )


async def _undo(actions: ActionController, row: Undoable) -> None:
    """Into the question of what was picked; what is refused says why."""
    if row.change is not None and not row.refused:
        try:
            await limits.undo(actions, row.change)
        finally:
            await limits.read(actions)
    elif row.path and not row.refused:
        await cleanup.run_flow(actions, messages.RestoreBackup(Path(row.path)))
    else:
        raise TriageError(row.refused)
