"""Changing settings: value, confirmation, change, read-back, and the way back."""

import asyncio
from typing import TYPE_CHECKING

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import shown_value, value_before, value_now
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.action import Action, SettingView
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Change, ChangeResult, Setting
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports import ActsOnNodes
from redis_oom_tui.rules.tuning import as_typed
from redis_oom_tui.tui.dialogs.change import ChangeDialog
from redis_oom_tui.tui.dialogs.keep_setting import KeepDialog
from redis_oom_tui.tui.dialogs.pick import Option, PickDialog
from redis_oom_tui.tui.dialogs.value import ValueDialog
from redis_oom_tui.tui.flows import messages

if TYPE_CHECKING:
    from redis_oom_tui.tui.flows.controller import ActionController


_LOOK_SECONDS = 0.25
# The timer that takes a setting back is another than the one that tells of it.
_GRACE_SECONDS = 1.0


async def deed(desk: "ActionController", ask: messages.ActionRequest) -> None:
    """What was asked for about settings; they are read again also where it was refused."""
    try:
        match ask:
            case messages.ChangeSetting():
                await change(desk, ask.name, ask.value)
            case messages.UndoSetting():
                await undo(desk)
            case messages.KeepSetting():
                await keep(desk)
    except TriageError:
        await read(desk)
        raise
    await read(desk)


async def read(desk: "ActionController") -> None:
    """Read settings and policies; what was known stays where that fails."""
    try:
        found = await desk.operator.limits(desk.scan)
    except TriageError as error:
        desk.show_limits(replace(desk.limits, error=str(error)))
    else:
        desk.show_limits(replace(desk.limits, limits=found, error=""))


async def change(desk: "ActionController", name: str, value: str | None) -> None:
    """From the wish to the change, with every question in between."""
    proposed = await _proposal(desk, name, value)
    if proposed is None:
        return
    alone = await _alone(desk, proposed)
    if proposed.new == proposed.old and alone is None:
        _notice(desk, f"{name} is {shown_value(name, proposed.old)} already")
        return
    choice = await desk.ask(
        ChangeDialog(proposed, where=desk.where, why_not_persist=desk.operator.why_not(Action.REWRITE), alone=alone)
    )
    if choice is None:
        return
    result = await desk.operator.apply(choice.change, persist=choice.persist, revert_after=choice.revert_after)
    _tell(desk, result)
    if not (result.took or result.partly):
        return
    desk.show_limits(replace(desk.limits, changes=(*desk.limits.changes, result)))
    if result.reverts_in_seconds is not None:
        until = desk.app.clock.monotonic() + result.reverts_in_seconds
        desk.show_limits(replace(desk.limits, reverting=result, reverts_at=until))
        await read(desk)
        if await desk.ask(KeepDialog(result, until)):
            await keep(desk)
        else:
            await _see_it_back(desk, result, until)


async def _alone(desk: "ActionController", change: Change) -> Change | None:
    """The same change for the node of a cluster that is shown, and for no other; None without a cluster."""
    node = "" if desk.snapshot is None else desk.snapshot.server.node
    if not node or not isinstance(desk.operator, ActsOnNodes):
        return None
    return await desk.operator.propose_on(node, change.name, as_typed(change.name, change.new), desk.scan)


async def _proposal(desk: "ActionController", name: str, value: str | None) -> Change | None:
    if value is not None:
        return await desk.operator.propose(name, value, desk.scan)
    view = _view(desk, name)
    if view.choices:
        options = [Option(choice, choice) for choice in view.choices]
        at = view.choices.index(view.setting.value) if view.setting.value in view.choices else 0
        picked = await desk.ask(PickDialog(f"New value of {name}", view.sentence, options, at=at))
        return None if picked is None else await desk.operator.propose(name, picked, desk.scan)

    async def propose(text: str) -> Change:
        return await desk.operator.propose(name, text, desk.scan)

    return await desk.ask(ValueDialog(view, propose, _hints(desk, name)))


def _view(desk: "ActionController", name: str) -> SettingView:
    found = desk.limits.limits
    for view in found.settings if found is not None else ():
        if view.setting.name == name:
            return view
    return SettingView(Setting(name, None), "")


def _hints(desk: "ActionController", name: str) -> list[str]:
    if name != "maxmemory":
        return []
    hints = ["A size with its unit, as 4gb or 512mb; unlimited lifts the limit."]
    found = desk.limits.limits
    if found is not None and found.room.words:
        hints.append(found.room.words)
    if desk.snapshot is not None:
        hints.append(f"In use now: {size(desk.snapshot.memory.counted_bytes)}.")
    return hints


async def undo(desk: "ActionController") -> None:
    """Put the last change back, with what that would mean."""
    if not desk.limits.changes:
        _notice(desk, "Nothing was changed from here yet")
        return
    *before, last = desk.limits.changes
    back = await desk.operator.propose_back(last, desk.scan)
    if await desk.ask(ChangeDialog(back, where=desk.where, undo=True, persisted=last.persisted == "OK")) is None:
        return
    result = await desk.operator.undo(last)
    _tell(desk, result)
    if result.took:
        desk.show_limits(replace(desk.limits, changes=tuple(before), reverting=None, reverts_at=None))


async def keep(desk: "ActionController") -> None:
    """Call off the timed return; where that comes too late, tell how it ended."""
    held = desk.limits.reverting
    if held is None:
        return
    if not desk.operator.keep(held):
        await gone_back(desk)
        return
    now = value_now(held)
    desk.show_limits(replace(desk.limits, reverting=None, reverts_at=None, notice=f"{held.change.name} stays {now}"))


async def _see_it_back(desk: "ActionController", held: ChangeResult, until: float) -> None:
    """Wait until it has gone back, was kept or undone, and tell it whichever pane is on screen."""
    while desk.limits.reverting is held:
        await asyncio.sleep(_LOOK_SECONDS)
        if desk.app.clock.monotonic() >= until + _GRACE_SECONDS:
            await gone_back(desk)


async def gone_back(desk: "ActionController") -> None:
    """The time is up: tell how the return of the old value ended; once it is back, there is nothing left to undo."""
    held = desk.limits.reverting
    if held is None:
        return
    name = held.change.name
    old = value_before(held)
    desk.show_limits(replace(desk.limits, reverting=None, reverts_at=None, notice=f"{name} goes back to {old}"))
    ended = await desk.operator.returned(held)
    if ended.took:
        left = tuple(one for one in desk.limits.changes if one is not held)
        desk.show_limits(replace(desk.limits, changes=left))
        _notice(desk, f"{name} went back to {old}")
        return
    why = f" ({ended.detail.rstrip('.')})" if ended.detail else ""
    reads = "nobody knows what it is" if ended.now is None else f"it is {shown_value(name, ended.now)}"
    _notice(desk, f"{name} did not go back to {old}{why}: {reads}; set it by hand if need be", bad=True)


def _tell(desk: "ActionController", result: ChangeResult) -> None:
    name = safe_text(result.change.name, 40)
    if result.took:
        arrow = f"{shown_value(name, result.change.old)} {desk.app.pen.glyphs.right} {value_now(result)}"
        notice = f"{name}: {arrow}, read back" + _places(result)
    else:
        notice = f"{name} was not changed" if not result.partly else f"{name} was changed on some nodes only"
        notice += f": it reads {shown_value(name, result.now)}" if result.now is not None else ""
    if result.detail:
        notice += f"; {result.detail}"
    if result.persisted is not None:
        notice += f"; CONFIG REWRITE answered: {result.persisted}"
    _notice(desk, notice, bad=not result.took)


def _places(result: ChangeResult) -> str:
    if result.change.node:
        return f" on {safe_text(result.change.node, 80)} alone"
    return f" on all {len(result.nodes)} nodes" if result.nodes else ""


def _notice(desk: "ActionController", notice: str, *, bad: bool = False) -> None:
    desk.show_limits(replace(desk.limits, notice=notice, went_wrong=bad))
    desk.tell("limits", notice, bad=bad)
