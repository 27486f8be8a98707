"""TCP ports that nobody uses just now."""

import random
import socket

# Below the ports that the system gives to outgoing connections (from 32768 on), so that none of them takes a port
# between this and the server's start. A cluster node's bus has the port 10,000 above: those are given to nobody else.
_LOWEST, _HIGHEST, _BUS = 11_000, 21_000, 10_000
_random = random.SystemRandom()  # Workers side by side must not draw the same ports, whatever a test seeds.


def free_ports(count: int = 1) -> list[int]:
    """`count` different ports on the loopback that were free a moment ago."""
    ports: list[int] = []
    while len(ports) < count:
        port = _random.randrange(_LOWEST, _HIGHEST)
        if port not in ports and _is_free(port) and _is_free(port + _BUS):
            ports.append(port)
    return ports


def free_pair(apart: int) -> tuple[int, int]:
    """Two ports so far apart that were free a moment ago."""
    while True:
        low = _random.randrange(_LOWEST, _HIGHEST - apart)
        if _is_free(low) and _is_free(low + apart):
            return low, low + apart


def _is_free(port: int) -> bool:
    with socket.socket() as holder:
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
