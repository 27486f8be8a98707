"""The small operations: closing a client, purging, reaping, and looking at the audit file."""

import asyncio
from functools import partial

from redis_oom_tui.formatting.key_sizes import hot_lines
from redis_oom_tui.formatting.sanitize import escape_exact, safe_text
from redis_oom_tui.formatting.sizes import count, short_size
from redis_oom_tui.models.action import Done
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.monitor.state import Link
from redis_oom_tui.ports.source import TellsHotKeys
from redis_oom_tui.rules.clients import only_own, others
from redis_oom_tui.tui import messages
from redis_oom_tui.tui.dialogs.answers import Option, PickDialog
from redis_oom_tui.tui.dialogs.questions import (
    ConfirmDialog,
    ReadDialog,
    kill_question,
    paragraphs,
    purge_question,
    reap_question,
)
from redis_oom_tui.tui.drawing import Line, clip
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.flows.state import LogState
from redis_oom_tui.tui.host import dated

_OFFERED = 20


async def run_flow(actions: ActionController, request: messages.Request) -> None:
    """Ask, act, tell."""
    old = partial(dated, actions.host)
    match request:
        case messages.KillClient():
            await kill(actions, request.client)
        case messages.PickClient():
            client = await pick(actions)
            if client is not None:
                await kill(actions, client)
        case messages.PurgeMemory():
            if await actions.ask(ConfirmDialog(purge_question(actions.where, actions.snapshot, old))):
                _tell(actions, await actions.perform(actions.operator.purge()))
        case messages.ShowHotKeys():
            await _show_hot_keys(actions)
        case messages.ReapExpired():
            if await actions.ask(ConfirmDialog(reap_question(actions.where, actions.snapshot, old))):
                _tell(actions, await actions.perform(actions.operator.reap()))
    await read(actions)


async def _show_hot_keys(actions: ActionController) -> None:
    source = actions.host.source
    if not isinstance(source, TellsHotKeys):
        raise BadInput("Hot keys are read from a server, not from a recording, and not while one is made")
    lines = hot_lines(await actions.answered(source.hot_keys()), _OFFERED)

    def text(width: int) -> list[Line]:
        # Sentences are wrapped, rows of a table cut.
        wrapped = [paragraphs([(line, "text")], width) if line.endswith(".") else [((line, "text"),)] for line in lines]
        return [clip(line, width) for each in wrapped for line in each]

    await actions.ask(ReadDialog("Hot keys", text))


async def pick(actions: ActionController) -> ClientBuffer | None:
    """One of the clients that hold most, as last listed; it is closed later by what was shown of it."""
    state = actions.host.state
    listed = state.clients if state is not None else None
    if state is not None and state.link is not Link.LIVE:
        raise BadInput("No client can be shown: the server does not answer now")
    if listed is None:
        refusal = None if state is None else state.why_no_clients
        reason = "CLIENT LIST has not answered yet, try again in a moment" if refusal is None else refusal
        raise BadInput(f"No client can be shown: {reason}")
    known = others(listed)
    if not known:
        raise BadInput(only_own(len(listed)))
    # By their places: two nodes of a cluster may give the same ID.
    options = [Option(str(place), _label(hog.client)) for place, hog in enumerate(known[:_OFFERED])]
    most = f"The {_OFFERED} of {count(len(known))} that hold most. " if len(known) > _OFFERED else ""
    picked = await actions.ask(PickDialog("Which client?", f"{most}You will be asked to confirm.", options))
    return None if picked is None else known[int(picked)].client


def _label(client: ClientBuffer) -> str:
    name = f'"{escape_exact(client.name)}"' if client.name else "no name"
    # Over a unix socket, the server tells the socket's own path for everybody.
    address = "" if "/" in client.address else f"{safe_text(client.address, 60)}  "
    node = f" on {safe_text(client.node, 60)}" if client.node else ""
    held = f"{short_size(client.total_bytes):>7}"
    return f"{held}  ID {client.id}{node}  {address}{name}  {escape_exact(client.command)}"


async def kill(actions: ActionController, client: ClientBuffer) -> None:
    """Ask, and close the connection."""
    state, snapshot = actions.host.state, actions.snapshot
    large = () if state is None else state.large
    now = 0.0 if snapshot is None else snapshot.taken_at + (snapshot.clock_skew_seconds or 0.0)
    if await actions.ask(ConfirmDialog(kill_question(client, actions.where, large, now, partial(dated, actions.host)))):
        _tell(actions, await actions.perform(actions.operator.kill_client(client)))


def _tell(actions: ActionController, done: Done) -> None:
    actions.host.tell(done.sentence, bad=not done.ok)


async def read(actions: ActionController) -> None:
    """Read the audit file's end: beside the loop, for the file may be large and its disk slow."""
    entries = await asyncio.to_thread(actions.operator.history)
    skipped, unread_before = actions.operator.history_gaps()
    actions.show_log(LogState(entries, skipped, unread_before))
