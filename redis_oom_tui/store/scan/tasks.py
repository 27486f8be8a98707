"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_SECONDS = 0.2


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel `tasks`, and return when they have let go of their connections.

    Once is not enough: up to Python 3.11, `asyncio.wait_for`, which redis-py connects with, may swallow a cancellation
    that comes just as it is done.
    """
    ending = list(tasks)
    while waiting := [task for task in ending if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*ending, return_exceptions=True)
