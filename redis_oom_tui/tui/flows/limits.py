"""Changing settings: value, confirmation, change, read-back, and the way back."""

import asyncio

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import changed_elsewhere_words, shown_value, value_before, value_now
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.action import Action, SettingView
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Change, ChangeResult, Setting
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.state import Link
from redis_oom_tui.rules.tuning import as_typed
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.answers import Option, PickDialog
from redis_oom_tui.tui.dialogs.change import ChangeDialog, ValueDialog
from redis_oom_tui.tui.dialogs.questions import KeepDialog
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.host import is_live

_POLL_SECONDS = 0.25
# So often the settings are read again as long as one is to revert.
_READ_SECONDS = 2.0
# The timer that takes a setting back is another than the one that tells of it.
_GRACE_SECONDS = 1.0


async def run_flow(actions: ActionController, request: messages.Request) -> None:
    """What was asked for about settings; they are read again also where it was refused."""
    try:
        match request:
            case messages.ChangeSetting():
                await change(actions, request.name, request.value)
            case messages.UndoSetting():
                await undo_last(actions)
            case messages.KeepSetting():
                await keep(actions)
    except TriageError:
        await read(actions)
        raise
    await read(actions)


async def read(actions: ActionController) -> None:
    """Read settings and policies; what was known stays where that fails."""
    try:
        found = await actions.operator.settings.limits(actions.scan)
        held = actions.limits.reverting
        nodes = {} if held is None else await actions.operator.settings.values_by_node(held)
    except TriageError as error:
        actions.show_limits(replace(actions.limits, error=str(error)))
    else:
        before = actions.limits.changed_elsewhere
        held_now = nodes if actions.limits.reverting is held else {}
        actions.show_limits(replace(actions.limits, limits=found, error="", held_now=held_now))
        held, elsewhere = actions.limits.reverting, actions.limits.changed_elsewhere
        if held is not None and elsewhere is not None and elsewhere != before:
            actions.tell("limits", changed_elsewhere_words(held, elsewhere), bad=True)


async def change(actions: ActionController, name: str, value: str | None) -> None:
    """From the request to the change, with every question in between."""
    proposed = await _proposal(actions, name, value)
    if proposed is None:
        return
    alone = await _alone(actions, proposed)
    if proposed.is_so and alone is None:
        actions.host.tell(f"{name} is {shown_value(name, proposed.old)} already")
        return
    choice = await actions.ask(
        ChangeDialog(
            proposed, where=actions.where, why_not_persist=actions.operator.why_not(Action.REWRITE), alone=alone
        )
    )
    if choice is None:
        return
    result = await actions.perform(
        actions.operator.settings.apply(choice.change, persist=choice.persist, revert_after=choice.revert_after)
    )
    _tell(actions, result)
    if not result.may_stand:
        return
    actions.show_limits(replace(actions.limits, changes=(*actions.limits.changes, result)))
    if result.reverts_in_seconds is not None:
        until = actions.host.clock.monotonic() + result.reverts_in_seconds
        # First what was read before the change goes.
        await read(actions)
        actions.show_limits(replace(actions.limits, reverting=result, reverts_at=until))
        actions.begin("watch a timed return", lambda: _watch(actions, result))
        if await actions.ask(KeepDialog(result, until, lambda: actions.limits.changed_elsewhere)):
            await keep(actions)
        else:
            if actions.host.clock.monotonic() >= until:
                actions.late_escape.expect(actions.app.main.pane, "The question had ended already: its time was up")
            await _see_it_back(actions, result, until)


async def _alone(actions: ActionController, change: Change) -> Change | None:
    """The same change for the node of a cluster that is shown, and for no other; None without a cluster."""
    node = "" if actions.snapshot is None else actions.snapshot.server.node
    if not node:
        return None
    typed = as_typed(change.name, change.new)
    return await actions.answered(actions.operator.settings.propose_on(node, change.name, typed, actions.scan))


async def _proposal(actions: ActionController, name: str, value: str | None) -> Change | None:
    async def propose(text: str) -> Change:
        return await actions.operator.settings.propose(name, text, actions.scan)

    if value is not None:
        return await actions.answered(propose(value))
    view = _view(actions, name)
    if view.choices:
        options = [Option(choice, choice) for choice in view.choices]
        at = view.choices.index(view.setting.value) if view.setting.value in view.choices else 0
        picked = await actions.ask(PickDialog(f"New value of {name}", view.sentence, options, at=at))
        return None if picked is None else await actions.answered(propose(picked))
    return await actions.ask(ValueDialog(view, propose, _hints(actions, name)))


def _view(actions: ActionController, name: str) -> SettingView:
    found = actions.limits.limits
    for view in found.settings if found is not None else ():
        if view.setting.name == name:
            return view
    return SettingView(Setting(name, None), "")


def _hints(actions: ActionController, name: str) -> list[str]:
    if name != "maxmemory":
        return []
    hints = ["A size with its unit, e.g. 4gb or 512mb; unlimited removes the limit."]
    found = actions.limits.limits
    if found is not None and found.host_memory.words:
        hints.append(found.host_memory.words)
    if actions.snapshot is not None:
        when = "In use now" if is_live(actions.host) else "In use when it last answered"
        hints.append(f"{when}: {size(actions.snapshot.memory.counted_bytes)}.")
    return hints


async def undo_last(actions: ActionController) -> None:
    """Undo what was changed last by this run, with what that would mean."""
    if not actions.limits.changes:
        actions.host.tell("Nothing to undo: no setting was changed here yet")
        return
    await undo(actions, actions.limits.changes[-1])


async def undo(actions: ActionController, change: ChangeResult) -> None:
    """Undo `change`, with what that would mean."""
    back = await actions.answered(actions.operator.settings.propose_back(change, actions.scan))
    dialog = ChangeDialog(back, where=actions.where, undo=True, persisted=change.persisted == "OK")
    if await actions.ask(dialog) is None:
        return
    result = await actions.perform(actions.operator.settings.undo(change))
    _tell(actions, result)
    if not result.took:
        return
    changes = tuple(one for one in actions.limits.changes if not _same(one, change))
    actions.show_limits(replace(actions.limits, changes=changes))
    held = actions.limits.reverting
    if held is not None and held.change.name == change.change.name:
        actions.show_limits(replace(actions.limits, reverting=None, reverts_at=None))


def _same(one: ChangeResult, other: ChangeResult) -> bool:
    """Whether both are the same change, as this run made it and as the audit file has it."""
    return (one.change.name, one.change.old, one.change.new) == (other.change.name, other.change.old, other.change.new)


async def keep(actions: ActionController) -> None:
    """Call off the timed return; where that comes too late, tell how it ended."""
    held = actions.limits.reverting
    if held is None:
        return
    if not actions.operator.settings.keep(held):
        await gone_back(actions)
        return
    actions.show_limits(replace(actions.limits, reverting=None, reverts_at=None))
    await read(actions)
    name = held.change.name
    reads = actions.limits.value(name)
    # Somebody else may have set it since. Of a cluster one node is read here, which says nothing of the others.
    if actions.limits.error or held.nodes or held.change.node or reads is None:
        _notice(actions, f"{name} no longer reverts")
    elif reads == held.now:
        _notice(actions, f"{name} stays {value_now(held)}, read back")
    else:
        words = f"{name} no longer reverts, but it is {shown_value(name, reads)} now, not {value_now(held)}"
        _notice(actions, f"{words}: it was changed since", bad=True)


async def _watch(actions: ActionController, held: ChangeResult) -> None:
    """Read the settings again for as long as one is to revert: others may set it meanwhile."""
    read_at = actions.host.clock.monotonic()
    while actions.limits.reverting is held:
        await asyncio.sleep(_POLL_SECONDS)
        now, state = actions.host.clock.monotonic(), actions.host.state
        if now - read_at >= _READ_SECONDS and state is not None and state.link is Link.LIVE:
            read_at = now
            await read(actions)


async def _see_it_back(actions: ActionController, held: ChangeResult, until: float) -> None:
    """Wait until it has gone back, was kept or undone, and tell it whichever pane is on screen."""
    while actions.limits.reverting is held:
        await asyncio.sleep(_POLL_SECONDS)
        if actions.host.clock.monotonic() >= until + _GRACE_SECONDS:
            await gone_back(actions)


async def gone_back(actions: ActionController) -> None:
    """The time is up: tell how the return of the old value ended; once it is back, there is nothing left to undo."""
    held = actions.limits.reverting
    if held is None:
        return
    name = held.change.name
    old, elsewhere = value_before(held), actions.limits.changed_elsewhere
    notice = f"{name} is reverting to {old}"
    actions.show_limits(replace(actions.limits, reverting=None, reverts_at=None, notice=notice))
    ended = await actions.operator.settings.returned(held)
    if ended.took:
        left = tuple(one for one in actions.limits.changes if one is not held)
        actions.show_limits(replace(actions.limits, changes=left))
        _notice(actions, f"{name} {'reverted to' if elsewhere is None else 'was changed elsewhere, and is'} {old}")
        return
    why = f" ({ended.detail.rstrip('.')})" if ended.detail else ""
    reads = "its value is unknown" if ended.now is None else f"it is {shown_value(name, ended.now)}"
    came = f"whether {name} reverted to {old} is not known" if ended.unread else f"{name} did not revert to {old}"
    _notice(actions, f"{came}{why}: {reads}; set it by hand if needed", bad=True)


def _tell(actions: ActionController, result: ChangeResult) -> None:
    name = safe_text(result.change.name, 40)
    if result.took:
        arrow = f"{shown_value(name, result.change.old)} {actions.host.style.glyphs.right} {value_now(result)}"
        notice = f"{name}: {arrow}, read back" + _places(result)
    elif result.unread:
        notice = f"Whether {name} was changed is not known"
    else:
        notice = f"{name} was not changed" if not result.partly else f"{name} was changed on some nodes only"
        notice += f": it reads {shown_value(name, result.now)}" if result.now is not None else ""
    if result.detail:
        notice += f"; {result.detail}"
    if result.persisted is not None:
        notice += f"; CONFIG REWRITE answered: {result.persisted}"
    _notice(actions, notice, bad=not result.took)


def _places(result: ChangeResult) -> str:
    if result.change.node:
        return f" on {safe_text(result.change.node, 80)} alone"
    if len(result.nodes) == 1:
        return " on the only node"
    return f" on all {len(result.nodes)} nodes" if result.nodes else ""


def _notice(actions: ActionController, notice: str, *, bad: bool = False) -> None:
    actions.show_limits(replace(actions.limits, notice=notice, went_wrong=bad))
    actions.tell("limits", notice, bad=bad)
