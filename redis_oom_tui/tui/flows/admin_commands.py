"""The small operations: closing a client, purging, reaping, and looking at the audit file."""

import asyncio

from redis_oom_tui.formatting.key_sizes import hot_lines
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import short_size
from redis_oom_tui.models.action import Done
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.ports.source import TellsHotKeys
from redis_oom_tui.rules.clients import others
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.pick import Option, PickDialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, kill_question, purge_question, reap_question
from redis_oom_tui.tui.dialogs.reader import ReadDialog, paragraphs
from redis_oom_tui.tui.drawing import Line, clip
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.flows.state import LogState

_OFFERED = 20


async def run_flow(actions: ActionController, request: messages.Request) -> None:
    """Ask, act, tell."""
    match request:
        case messages.KillClient():
            await kill(actions, request.client)
        case messages.PickClient():
            client = await pick(actions)
            if client is not None:
                await kill(actions, client)
        case messages.PurgeMemory():
            if await actions.ask(ConfirmDialog(purge_question(actions.where, actions.snapshot))):
                _tell(actions, await actions.perform(actions.operator.purge()))
        case messages.ShowHotKeys():
            await _show_hot_keys(actions)
        case messages.ReapExpired():
            if await actions.ask(ConfirmDialog(reap_question(actions.where, actions.snapshot))):
                _tell(actions, await actions.perform(actions.operator.reap()))
    await read(actions)


async def _show_hot_keys(actions: ActionController) -> None:
    source = actions.host.source
    if not isinstance(source, TellsHotKeys):
        raise BadInput("Only a single server that answers now tells its hot keys: open the node by its own address")
    lines = hot_lines(await source.hot_keys(), _OFFERED)

    def text(width: int) -> list[Line]:
        # Sentences are wrapped, rows of a table cut.
        wrapped = [paragraphs([(line, "text")], width) if line.endswith(".") else [((line, "text"),)] for line in lines]
        return [clip(line, width) for each in wrapped for line in each]

    await actions.ask(ReadDialog("Hot keys", text))


async def pick(actions: ActionController) -> ClientBuffer | None:
    """One of the clients that hold most, as last listed; it is closed later by what was shown of it."""
    state = actions.host.state
    listed = state.clients if state is not None else None
    if listed is None:
        refusal = None if state is None else state.why_no_clients
        reason = "CLIENT LIST has not answered yet, try again in a moment" if refusal is None else refusal
        raise BadInput(f"No client can be shown: {reason}")
    known = others(listed)[:_OFFERED]
    if not known:
        raise BadInput("No other client is connected")
    clients = {str(hog.client.id): hog.client for hog in known}
    options = [Option(number, _label(client)) for number, client in clients.items()]
    picked = await actions.ask(PickDialog("Which client?", "You will be asked to confirm.", options))
    return None if picked is None else clients[picked]


def _label(client: ClientBuffer) -> str:
    name = f'"{escape_exact(client.name)}"' if client.name else "no name"
    return f"{short_size(client.total_bytes):>7}  {client.address}  {name}  {escape_exact(client.command)}"


async def kill(actions: ActionController, client: ClientBuffer) -> None:
    """Ask, and close the connection."""
    state, snapshot = actions.host.state, actions.snapshot
    large = () if state is None else state.large
    now = 0.0 if snapshot is None else snapshot.taken_at + (snapshot.clock_skew_seconds or 0.0)
    if await actions.ask(ConfirmDialog(kill_question(client, actions.where, large, now))):
        _tell(actions, await actions.perform(actions.operator.kill_client(client)))


def _tell(actions: ActionController, done: Done) -> None:
    actions.host.tell(done.sentence, bad=not done.ok)


async def read(actions: ActionController) -> None:
    """Read the audit file's end: beside the loop, for the file may be large and its disk slow."""
    entries = await asyncio.to_thread(actions.operator.history)
    actions.show_log(LogState(entries=entries, skipped=actions.operator.history_skipped()))
