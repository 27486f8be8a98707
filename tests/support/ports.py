"""TCP ports that nobody uses just now."""

import random
import socket
from collections import deque

# Below the ports that the system gives to outgoing connections (from 32768 on), so that none of them takes a port
# between this and the server's start. A cluster node's bus has the port BUS above: those are given to nobody else.
_LOWEST, _HIGHEST = 11_000, 21_000
BUS = 10_000
_random = random.SystemRandom()  # Workers side by side must not draw the same ports, whatever a test seeds.

# Handles of the sockets that reserve what was drawn, by UDP, which no server here uses: gone with this process.
_reserved = deque[int]()
_KEPT = 64


def free_ports(count: int = 1) -> list[int]:
    """`count` different ports on the loopback that were free a moment ago, each with the port of its bus.

    For a while no other worker draws them: neither the port of a server that starts, nor one that nobody is to answer.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = _random.randrange(_LOWEST, _HIGHEST)
        if port not in ports and _is_free(port) and _is_free(port + BUS) and _reserve(port):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as holder:
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> bool:
    holder = socket.socket(type=socket.SOCK_DGRAM)
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return False
    _reserved.append(holder.detach())
    if len(_reserved) > _KEPT:
        socket.close(_reserved.popleft())
    return True
