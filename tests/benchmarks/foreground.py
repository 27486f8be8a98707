"""Other people's work: a load of GETs at a steady rate, and a client that measures how long its own GETs take."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterable

_GET = b"*2\r\n$3\r\nGET\r\n$6\r\nabsent\r\n"


def load(path: str, rate: int) -> None:
    """`rate` GETs a second, in small bursts on four connections every millisecond, until killed."""
    links = [_connected(path) for _ in range(4)]
    each = max(1, round(rate / 1000 / len(links)))
    sent, started = 0, time.perf_counter()
    while True:
        for link in links:
            link.sendall(_GET * each)
            sent += each
        wait = started + sent / rate - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        for link in links:
            _drain(link)


def probe(path: str, seconds: float, policy: int) -> None:
    """Print how long each of a GET every millisecond took, in microseconds. Scheduled by `policy`, as the server is."""
    os.sched_setscheduler(0, policy, os.sched_param(1 if policy == os.SCHED_FIFO else 0))
    link = _connected(path)
    took = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        link.sendall(_GET)
        link.recv(64)
        took.append(int((time.perf_counter() - started) * 1e6))
        time.sleep(0.001)
    print(json.dumps(took))


def middle_and_p99(took: Iterable[int]) -> tuple[int, int]:
    """Of all probes together: one run has only a dozen that are slower than its p99, and says little by itself."""
    ordered = sorted(took)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def _connected(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    return link


def _drain(link: socket.socket) -> None:
    try:
        link.recv(65536, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return


def burn(share: float) -> None:
    """A process as busy as a scan that says nothing to the server: what others feel of the processor alone."""
    busy = 0.0003
    while True:
        end = time.perf_counter() + busy
        while time.perf_counter() < end:
            pass
        time.sleep(busy * (1 - share) / share)


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "burn":
        burn(float(sys.argv[2]))
    else:
        probe(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
