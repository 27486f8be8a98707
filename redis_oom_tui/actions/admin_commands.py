"""Small commands to a server: closing a client's connection, MEMORY PURGE, and reaping keys that have expired."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from redis_oom_tui.actions.context import ActionContext, patiently, snapshot_until_lost
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import number_of, size
from redis_oom_tui.models.action import Action, Done
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.latency_monitor import throttled
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import settings
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.resp import ScanCommand
from redis_oom_tui.server.scan.connection import PatientConnection
from redis_oom_tui.server.tasks import until_lost

# A server measures its RSS ten times a second, with `hz 1` once (server.c, cronUpdateMemoryStats).
_RSS_MEASURED_SECONDS = 1.1
_UNCOUNTED = "How many expired keys were removed is not known: the server restarted, or its counters were reset"


async def kill_client(context: ActionContext, server: LiveServer, client: ClientBuffer) -> Done:
    """CLIENT KILL by id, if that id still is at the address that was shown."""
    who = f"{client.id} ({safe_text(client.address, 60)}, {safe_text(client.name, 40) or 'no name'})"

    async def act() -> Done:
        now = await server.client_by_id(client.id)
        if now is None or now.address != client.address:
            return Done(Action.KILL_CLIENT, False, f"Client {who} has already disconnected; nothing was done.")
        killed = await settings.kill_client(server, client.id)
        if killed is None:
            return await _kill_read_back(server, now, who)
        if not killed:
            return Done(Action.KILL_CLIENT, False, f"Client {who} disconnected before it could be killed.")
        return _gone(now, f"Client {who} was killed")

    return await _recorded(context, server, Action.KILL_CLIENT, f"kill client {who}", act)


async def _kill_read_back(server: LiveServer, client: ClientBuffer, who: str) -> Done:
    """Whether `client` is still there, where the reply to its CLIENT KILL was lost."""
    try:
        now = await until_lost(lambda: server.client_by_id(client.id), superseded=server.superseded)
    except TriageError as error:
        words = f"The reply to CLIENT KILL was lost: client {who} may have been killed; that is not known: {error}"
        return Done(Action.KILL_CLIENT, False, words)
    if now is not None and now.address == client.address:
        words = f"The reply to CLIENT KILL was lost: client {who} is still there, as was read back."
        return Done(Action.KILL_CLIENT, False, words)
    return _gone(client, f"The reply to CLIENT KILL was lost: client {who} is gone now, perhaps by this")


def _gone(client: ClientBuffer, words: str) -> Done:
    held = client.total_bytes
    return Done(Action.KILL_CLIENT, True, f"{words}; it held {size(held)}.", {"held_bytes": held})


async def purge(context: ActionContext, server: LiveServer) -> Done:
    """MEMORY PURGE: gives free pages back to the system, and does not lower what maxmemory counts."""

    async def act() -> Done:
        before = (await server.snapshot()).memory.rss_bytes
        await settings.purge(server)
        try:
            after = await _rss_after(server, before)
        except TriageError as error:
            # It has run: only what came of it is not known.
            words = f"MEMORY PURGE has run; what RSS is now is not known: {error}"
            return Done(Action.PURGE, True, words, {"rss_before_bytes": before, "rss_after_bytes": None})
        figures = {"rss_before_bytes": before, "rss_after_bytes": after}
        if before is None or after is None:
            return Done(Action.PURGE, True, "MEMORY PURGE has run.", figures)
        went = f"went from {size(before)} to {size(after)}"
        words = f"RSS {went if size(before) != size(after) else f'stays at {size(after)}'}"
        words += "; MEMORY PURGE does not lower used_memory."
        return Done(Action.PURGE, True, words, figures)

    return await _recorded(context, server, Action.PURGE, "MEMORY PURGE", act)


async def _rss_after(server: LiveServer, before: int | None) -> int | None:
    """RSS once the server has measured it again: what INFO tells right after a purge may be of the time before it."""
    after = (await server.snapshot()).memory.rss_bytes
    if before is not None and after is not None and (after >= before or size(after) == size(before)):
        await asyncio.sleep(_RSS_MEASURED_SECONDS)
        after = (await server.snapshot()).memory.rss_bytes
    return after


async def reap(context: ActionContext, server: LiveServer) -> Done:
    """SCAN every database once, throttled as a deletion is: a master drops the expired keys that it meets."""

    async def act() -> Done:
        before = await patiently(server, server.snapshot)
        async with throttled(server, scanning=True, probe=ExclusiveConnection(server)) as throttle:
            for database in before.databases:
                await _scan_all(server, database.db, throttle, before.server.run_id)
        try:
            after = await snapshot_until_lost(server, lambda: False)
        except TriageError as error:
            # The scan is over: only what came of it is not known.
            words = f"All keys were scanned; how many expired ones that removed is not known: {error}"
            return Done(Action.REAP, True, words, {"expired_keys": None, "freed_bytes": None})
        reaped = _expired_between(before, after)
        was, now = before.memory.used_bytes, after.memory.used_bytes
        freed = None if was is None or now is None else was - now
        were = "was" if reaped == 1 else "were"
        dropped = f"{number_of(reaped, 'expired key')} {were} removed"
        if not reaped:
            dropped = "No expired key was left to remove" if reaped == 0 else _UNCOUNTED
        words = f"{dropped}; used memory went from {size(before.memory.used_bytes)} to"
        figures = {"expired_keys": reaped, "freed_bytes": freed}
        return Done(Action.REAP, True, f"{words} {size(after.memory.used_bytes)}.", figures)

    return await _recorded(context, server, Action.REAP, "scan all keys to remove expired ones", act)


def _expired_between(before: Snapshot, after: Snapshot) -> int | None:
    """How many keys expired from one look to the next; None where the counter does not tell."""
    started, ended = before.counters.expired_keys_total, after.counters.expired_keys_total
    if started is None or ended is None or ended < started or before.server.run_id != after.server.run_id:
        return None
    return ended - started


async def _scan_all(server: LiveServer, db: int, throttle: CallThrottle, run_id: str | None) -> None:
    connection = PatientConnection(server, db, throttle, ScanCommand(), run_id)
    try:
        await connection.open()
        async with contextlib.aclosing(connection.pages(lambda: throttle.per_page)) as pages:
            async for _ in pages:
                if throttle.probes.hopeless:
                    slow = f"{server.address} takes {throttle.probes.waited:.0f}s to answer"
                    raise ServerUnreachable(f"{slow}: stopped, to add no load")
    finally:
        await connection.close()


async def _recorded(
    context: ActionContext, server: LiveServer, action: Action, what: str, act: Callable[[], Awaitable[Done]]
) -> Done:
    """Write `what` down, do it, and write down what came of it; raises what `act` raised, written down as well."""
    action_id = context.begin(server, action.value, what)
    try:
        done = await act()
    except TriageError as error:
        context.audit.result(action_id, ok=False, result=str(error))
        raise
    except asyncio.CancelledError:
        context.audit.result(action_id, ok=False, result="The tool ended while this ran")
        raise
    context.audit.result(action_id, ok=done.ok, result=done.sentence, **done.figures)
    return done
