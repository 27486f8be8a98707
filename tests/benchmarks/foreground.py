"""Other people's work: a load of GETs, a client that measures how long its own take, and a busy process beside."""

import json
import os
import socket
import sys
import time

_GET = b"*2\r\n$3\r\nGET\r\n$6\r\nabsent\r\n"
_PAUSE = 0.001


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


def probe(path: str, policy: int) -> None:
    """A GET every millisecond until the input ends; print how long each took, in microseconds.

    Scheduled by `policy`, as the server is. A first line, empty, says that it is about to begin.
    """
    os.sched_setscheduler(0, policy, os.sched_param(1 if policy == os.SCHED_FIFO else 0))
    os.set_blocking(sys.stdin.fileno(), False)
    link = _connected(path)
    print(flush=True)
    took = []
    while not _ended(sys.stdin.fileno()):
        started = time.perf_counter()
        link.sendall(_GET)
        link.recv(64)
        took.append(int((time.perf_counter() - started) * 1e6))
        time.sleep(_PAUSE)
    print(json.dumps(took))


def burn(share: float) -> None:
    """A process as busy as the tool that says nothing to the server: what others feel of the processor alone."""
    busy = 0.0003
    while True:
        end = time.perf_counter() + busy
        while time.perf_counter() < end:
            pass
        time.sleep(busy * (1 - share) / share)


def _connected(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    return link


def _drain(link: socket.socket) -> None:
    try:
        link.recv(65536, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return


def _ended(handle: int) -> bool:
    try:
        return not os.read(handle, 1)
    except BlockingIOError:
        return False


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "burn":
        burn(float(sys.argv[2]))
    else:
        probe(sys.argv[2], int(sys.argv[3]))
