"""The small deeds: closing a client, purging, reaping, and looking at the audit file."""

import asyncio
from typing import TYPE_CHECKING

from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import short_size
from redis_oom_tui.models.action import Done
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import ClientBuffer
from redis_oom_tui.rules.breakdown import others
from redis_oom_tui.tui.dialogs.kill import KillDialog
from redis_oom_tui.tui.dialogs.pick import Option, PickDialog
from redis_oom_tui.tui.dialogs.purge import PurgeDialog
from redis_oom_tui.tui.dialogs.reap import ReapDialog
from redis_oom_tui.tui.flows import messages
from redis_oom_tui.tui.flows.state import LogState

if TYPE_CHECKING:
    from redis_oom_tui.tui.flows.controller import ActionController


_OFFERED = 20


async def deed(desk: "ActionController", ask: messages.ActionRequest) -> None:
    """Ask, act, tell."""
    match ask:
        case messages.KillClient():
            await kill(desk, ask.client)
        case messages.PickClient():
            client = await pick(desk)
            if client is not None:
                await kill(desk, client)
        case messages.PurgeMemory():
            if await desk.ask(PurgeDialog(desk.where, desk.snapshot)):
                _tell(desk, await desk.operator.purge())
        case messages.ReapExpired():
            if await desk.ask(ReapDialog(desk.where, desk.snapshot)):
                _tell(desk, await desk.operator.reap())
    await read(desk)


async def pick(desk: "ActionController") -> ClientBuffer | None:
    """One of the clients that hold most, as last listed; it is closed later by what was shown of it."""
    reading = desk.app.reading
    listed = reading.clients if reading is not None else None
    if listed is None:
        refusal = reading.capabilities.why_not(Feature.CLIENT_LIST) if reading is not None else None
        told = "has not answered yet, try again in a moment" if refusal is None else f"is refused here: {refusal}"
        raise BadInput(f"No client can be shown: CLIENT LIST {told}")
    known = others(listed)[:_OFFERED]
    if not known:
        raise BadInput("No other client is connected")
    clients = {str(hog.client.id): hog.client for hog in known}
    options = [Option(number, _label(client)) for number, client in clients.items()]
    picked = await desk.ask(PickDialog("Which client?", "Nothing is closed before another question.", options))
    return None if picked is None else clients[picked]


def _label(client: ClientBuffer) -> str:
    name = f'"{escape_exact(client.name)}"' if client.name else "no name"
    return f"{short_size(client.total_bytes):>7}  {client.address}  {name}  {escape_exact(client.command)}"


async def kill(desk: "ActionController", client: ClientBuffer) -> None:
    """Ask, and close the connection."""
    if await desk.ask(KillDialog(client, desk.where)):
        _tell(desk, await desk.operator.kill_client(client))


def _tell(desk: "ActionController", done: Done) -> None:
    desk.app.tell(done.sentence, bad=not done.ok)


async def read(desk: "ActionController") -> None:
    """Read the audit file's end: beside the loop, for the file may be large and its disk slow."""
    entries = await asyncio.to_thread(desk.operator.history)
    desk.show_log(LogState(entries=entries, skipped=desk.operator.history_skipped()))
