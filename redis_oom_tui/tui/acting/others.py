"""The small deeds: closing a client, purging, reaping, and looking at the audit file."""

import asyncio
from typing import TYPE_CHECKING

from redis_oom_tui.models.action import Done
from redis_oom_tui.tui.acting import intents
from redis_oom_tui.tui.acting.state import LogState
from redis_oom_tui.tui.dialogs.kill import KillDialog
from redis_oom_tui.tui.dialogs.purge import PurgeDialog
from redis_oom_tui.tui.dialogs.reap import ReapDialog

if TYPE_CHECKING:
    from redis_oom_tui.tui.acting.desk import ActionDesk


async def deed(desk: "ActionDesk", ask: intents.Ask) -> None:
    """Ask, act, tell."""
    match ask:
        case intents.KillClient():
            if await desk.ask(KillDialog(ask.client, desk.where)):
                _tell(desk, await desk.operator.kill_client(ask.client))
        case intents.PurgeMemory():
            if await desk.ask(PurgeDialog(desk.where, desk.snapshot)):
                _tell(desk, await desk.operator.purge())
        case intents.ReapExpired():
            if await desk.ask(ReapDialog(desk.where, desk.snapshot)):
                _tell(desk, await desk.operator.reap())
    await read(desk)


def _tell(desk: "ActionDesk", done: Done) -> None:
    desk.app.tell(done.sentence, bad=not done.ok)


async def read(desk: "ActionDesk") -> None:
    """Read the audit file's end: beside the loop, for the file may be large and its disk slow."""
    desk.show_log(LogState(entries=await asyncio.to_thread(desk.operator.history)))
