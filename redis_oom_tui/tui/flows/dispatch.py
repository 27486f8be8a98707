"""From a request to its flow: refuses what cannot be, and runs the rest in workers of the app."""

from collections.abc import Awaitable, Callable

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import changed_elsewhere_words, value_before
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Remedy
from redis_oom_tui.rules.clients import on_shown_node
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question
from redis_oom_tui.tui.flows import admin_commands, cleanup, limits, profiles, report, scans, undo
from redis_oom_tui.tui.flows.controller import ActionController, FlowHost
from redis_oom_tui.tui.flows.state import CleanupState, Stage
from redis_oom_tui.tui.host import is_live


def handle(actions: ActionController, request: messages.Request) -> None:
    """Begin what was asked for, or say why not: once the server is there; what is about another one, at once."""
    if isinstance(request, messages.PickProfile):
        _handle(actions, request)
        return
    once_connected(actions.host, request, lambda: _handle(actions, request))


def once_connected(host: FlowHost, request: messages.Request, act: Callable[[], None]) -> None:
    """Do it now; where the server is still to come, say so and do it then: of what the user asked for, the last."""
    if host.startup.over:
        act()
    elif not request.asked_for:
        host.startup.then(act, in_place_of=type(request))
    else:
        connecting = f"Connecting to {safe_text(str(host.source.address), 80)} first"
        host.tell(f"{'Getting ready to act' if is_live(host) else connecting}; then it is done")
        host.startup.then(lambda: _end_wait(host, act), in_place_of=messages.Request)


def _end_wait(host: FlowHost, act: Callable[[], None]) -> None:
    host.tell("")
    act()


def _handle(actions: ActionController, request: messages.Request) -> None:
    reason = actions.why_not(request.needs)
    if reason is not None and not request.local:
        if request.asked_for:
            actions.host.tell(reason, bad=True)
        return
    match request:
        case messages.StopWork():
            actions.jobs.stop()
        case messages.NewPlan():
            actions.show_cleanup(CleanupState())
        case messages.LeavePlan():
            actions.show_cleanup(replace(actions.cleanup, stage=Stage.FORM))
        case messages.ShowPlan():
            actions.show_cleanup(replace(actions.cleanup, stage=Stage.PREVIEW))
        case _ if not isinstance(actions.app.screen, Dialog):
            reads_log = isinstance(request, messages.ReadHistory)
            actions.begin(type(request).__name__, lambda: _flow(actions, request), reads_log=reads_log)


def _flow(actions: ActionController, request: messages.Request) -> Awaitable[None]:
    match request:
        case messages.ReadLimits() | messages.ChangeSetting() | messages.UndoSetting() | messages.KeepSetting():
            return limits.run_flow(actions, request)
        case (
            messages.BuildPlan()
            | messages.BuildEmergency()
            | messages.RunPlan()
            | messages.RestoreBackup()
            | messages.ShrinkKey()
            | messages.DeleteFinished()
            | messages.PlanOrphans()
            | messages.ProposeCleanup()
        ):
            return cleanup.run_flow(actions, request)
        case messages.ShowUndoList():
            return undo.show_list(actions)
        case messages.ExportReport() | messages.CopyForChat():
            return report.run_flow(actions, request)
        case messages.SaveScan():
            return scans.save(actions)
        case messages.ScanAgain():
            return scans.again(actions, request.match)
        case messages.OpenScan():
            return scans.open_saved(actions)
        case messages.PickProfile():
            return profiles.switch(actions)
        case messages.OpenProfile():
            return profiles.open_profile(actions, request.name, request.node)
        case _:
            return admin_commands.run_flow(actions, request)


def begin_remedy(actions: ActionController, remedy: Remedy) -> bool:
    """Begin what a finding leads to where that is a flow of its own; False where a pane is to be filled in."""
    if remedy.client_id is not None:
        _close_client(actions, remedy.client_id)
    elif remedy.jobs is not None:
        handle(actions, messages.DeleteFinished(remedy.jobs))
    elif remedy.orphans_of is not None:
        handle(actions, messages.PlanOrphans(remedy.orphans_of, remedy.db or 0))
    elif remedy.key is not None:
        handle(actions, messages.ShrinkKey(remedy.key, remedy.kind))
    else:
        return False
    return True


def _close_client(actions: ActionController, client_id: int) -> None:
    """Begin the closing of the client that a finding is about: one of the node that is shown, for others may have given
    the same ID.
    """
    state = actions.host.state
    known = state.clients if state is not None and state.clients else ()
    if state is not None and state.snapshot is not None:
        known = on_shown_node(known, state.snapshot)
    client = next((one for one in known if one.id == client_id), None)
    if client is None:
        actions.host.tell(f"Client {client_id} has already disconnected")
    else:
        handle(actions, messages.KillClient(client))


def leave(actions: ActionController) -> None:
    """Leave the app; while an action or a scan goes on, or a setting waits to go back, only after a question."""
    at_work = actions.jobs or actions.is_changing or _scans(actions)
    if not at_work and actions.limits.reverting is None:
        actions.app.exit(0)
    elif not isinstance(actions.app.screen, Dialog):
        actions.begin("leave", lambda: _leave(actions))


def _scans(actions: ActionController) -> bool:
    return actions.host.scanner.active and actions.host.scanner.asked_for


async def _leave(actions: ActionController) -> None:
    title, act, lines = "Quit?", "Quit", list[str]()
    if actions.jobs:
        title, act = "Stop it and quit?", "Stop and quit"
        lines.append("An action is running. It will stop after the current batch and be recorded.")
    if actions.is_changing:
        lines.append(
            "A change was sent and is not answered yet. Quitting does not undo it, and the audit log will not know"
            " whether it was made."
        )
    if _scans(actions):
        standing = scans.standing(actions.scan)
        lines.append(f"{standing} Quitting stops the scan. To save it: Esc, then e to stop it and w to save it.")
    if actions.limits.reverting is not None:
        name, old = actions.limits.reverting.change.name, value_before(actions.limits.reverting)
        elsewhere = actions.limits.changed_elsewhere
        if elsewhere is not None:
            lines.append(f"{changed_elsewhere_words(actions.limits.reverting, elsewhere)}.")
        else:
            lines.append(
                f"{name} will revert to {old} now, because it was not kept. To keep it: Esc, then s in Limits."
            )
    if await actions.ask(ConfirmDialog(Question(title, tuple(lines), act))):
        actions.app.exit(0)
