"""Waiting for a condition, never for a while."""

import time
from collections.abc import Callable

import redis


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
