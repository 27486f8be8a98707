"""TCP ports that nobody uses just now."""

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
