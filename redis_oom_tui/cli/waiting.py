"""Waiting, at the start of a command, for a server that carries out nothing just now."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import ServerBusy
from redis_oom_tui.server.busy import not_busy

_Answer = TypeVar("_Answer")


async def when_free(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What `ask` returns, asked again while the server is busy; stderr says once that, and for how long, it waits."""
    said = False

    async def asked() -> _Answer:
        nonlocal said
        try:
            return await ask()
        except ServerBusy as busy:
            if not said:
                click.echo(f"redis-oom-tui: {busy} (waiting up to {timeouts.BUSY:.0f} s)", err=True)
            said = True
            raise

    return await not_busy(asked)
