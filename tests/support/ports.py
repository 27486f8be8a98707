"""TCP ports that nobody uses just now."""

import random
import socket


def free_ports(count: int = 1) -> list[int]:
    """`count` different ports on the loopback that were free a moment ago."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def free_pair(apart: int) -> tuple[int, int]:
    """Two ports so far apart that were free a moment ago, below those that the system gives out by itself."""
    while True:
        low = random.randrange(11_000, 32_000 - apart)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", low))
                second.bind(("127.0.0.1", low + apart))
            except OSError:
                continue
        return low, low + apart
