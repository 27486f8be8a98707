"""Waiting for a condition, never for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis

T = TypeVar("T")


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Return once `condition` holds; a server that does not answer yet counts as not yet. Raises RuntimeError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.02)


def in_step(client: redis.Redis, replicas: int = 1) -> None:
    """Return once so many replicas have all that `client` wrote: on a busy machine the first copy alone takes long."""
    until(lambda: client.execute_command("WAIT", replicas, 500) >= replicas, "the replica to have every write")


async def until_async(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """As `until`, while the event loop goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        await asyncio.sleep(0.01)


async def read_until(read: Callable[[], Awaitable[T]], right: Callable[[T], object], seconds: float = 20) -> T:
    """What `read` tells once it is right; the last that it told where it never is: the test says what is wrong."""
    deadline = time.monotonic() + seconds
    while not right(now := await read()) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    return now


async def stays(condition: Callable[[], bool], seconds: float = 0.2) -> bool:
    """Whether it holds all the time: what must not happen has no event to wait for."""
    end = time.monotonic() + seconds
    while condition() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return condition()


def kept_still(read: Callable[[], int], within: int, every: float) -> int:
    """What `read` tells once it differs less than `within` from `every` seconds before, or after 6 s."""
    now, end = read(), time.monotonic() + 6.0
    while time.monotonic() < end:
        time.sleep(every)
        before, now = now, read()
        if abs(now - before) < within:
            break
    return now


def stand_still(seconds: float) -> None:
    """Do nothing at all, as a process that is suspended: the time that passes, or a pace, is what is tested."""
    time.sleep(seconds)


async def be_late(seconds: float) -> None:
    """Let time pass in this task alone, as a slow link, server or client does: the delay is what is tested."""
    await asyncio.sleep(seconds)
