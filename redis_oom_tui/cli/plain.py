"""`--plain`: a line a tick, no screen control, for dumb terminals, logs, screen readers and stalled links."""

import asyncio
import time

import click

from redis_oom_tui.cli.context import Invocation, recorded
from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import limit_text
from redis_oom_tui.formatting.sizes import per_second
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.details import Details
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.ports.source import Source
from redis_oom_tui.rules.guarded import attempt


def watch_plainly(invocation: Invocation, connection: Connection | None = None) -> int:
    """Print lines until interrupted."""
    from redis_oom_tui.server.open_source import source_for

    source = source_for(connection or invocation.connection)
    asyncio.run(_watch(recorded(source, invocation), invocation))
    return 0


async def _watch(source: Source, invocation: Invocation) -> None:
    clock = Clock()
    settings = replace(invocation.profile.watch, interval_seconds=invocation.screen.interval_seconds)
    try:
        await source.open()
        poller = Poller(source, settings, clock, details=Details(source), shared=True, opened=True)
        await poller.run(lambda state: click.echo(line(state, clock.wall())))
    finally:
        await source.close()


def line(reading: ServerState, now: float) -> str:
    """One tick in words: time, state, memory, what was refused and evicted, and the verdict's sentence."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return attempt("this line is", lambda: _line(reading, now, at), lambda fault: f"{at}  UNKNOWN  {fault.words}")


def _line(reading: ServerState, now: float, at: str) -> str:
    snapshot = reading.snapshot
    if reading.answer is None or snapshot is None or reading.verdict is None:
        age = "" if snapshot is None else f" (last figures {sizes.duration(now - snapshot.taken_at)} old)"
        return f"{at}  UNKNOWN  {safe_text(reading.error or reading.sample.reason or 'connecting')}{age}"
    memory, rates = snapshot.memory, reading.rates
    between = " used, " if memory.maxmemory_bytes is None else " of "
    figures = [
        reading.verdict.level.value.upper().ljust(8),
        f"{sizes.size(memory.counted_bytes)}{between}{limit_text(memory)}",
        "" if memory.pressure is None else sizes.percent(memory.pressure, 1),
        safe_text(memory.policy),
        f"refused {per_second(rates.per_second(rates.refused_writes))}",
        f"evicted {per_second(rates.per_second(rates.evicted_keys))}",
        f"keys {sizes.count(snapshot.keys)}",
        safe_text(reading.verdict.reason),
    ]
    return "  ".join((at, *(figure for figure in figures if figure)))
