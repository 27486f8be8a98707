"""What other clients feel of a scan: what a probe waits beside a steady load, and beside redis-cli's own scans."""

import argparse
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.figures import Table
from tests.benchmarks.neighbours import (
    CROWD,
    NOBODY,
    PROBED_SECONDS,
    Measured,
    feel,
    feel_beside,
    in_both_tables,
    loaded,
)
from tests.benchmarks.peers import ONE_SCAN, peers, tcp
from tests.support.servers import RunningServer

_PACES = {"hogs": "normal", "hogs --gentle": "gentle", "hogs --full-speed": "full-speed"}
# Seconds until a scan has found its pace.
_SETTLE = 1.5


def latency(server: RunningServer, given: argparse.Namespace) -> Iterator[Table]:
    """What a probe waits beside a scan at each pace and beside redis-cli's own, in both tables."""
    commands = {name: command for name, command in peers(server, given.cli).items() if "bigkeys" not in name}
    title = f"{given.load:,} GET/s in front"
    yield from in_both_tables("latency", title, server, lambda: _measured(server, given, commands))


def _measured(server: RunningServer, given: argparse.Namespace, commands: dict[str, list[str]]) -> Measured:
    measured = Measured()
    with loaded(server, given.load):
        for _ in range(given.runs):
            busy = 0.5
            for name, pace in _PACES.items():
                # What all is compared with is measured more often than anything else, and all through the run.
                feel(server, measured.waits(NOBODY))
                share = _beside_a_scan(server, measured, name, pace)
                busy = share if pace == "normal" else busy
            feel_beside(server, busy, measured.waits(CROWD))
            for name, command in commands.items():
                with _again_and_again(command):
                    feel(server, measured.waits(name))
    return measured


def _beside_a_scan(server: RunningServer, measured: Measured, name: str, pace: str) -> float:
    """Probe beside a scan; the share of a core that it took."""
    command = [*ONE_SCAN, tcp(server), pace, "--seconds", str(_SETTLE + PROBED_SECONDS + 1.0)]
    scan = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(_SETTLE)
    feel(server, measured.waits(name))
    found = json.loads(scan.communicate()[0])
    measured.rate(name, found["keys"] / found["seconds"])
    return float(found["cpu_share"])


@contextmanager
def _again_and_again(command: list[str]) -> Iterator[None]:
    """`command` at work all the while: once more where it is done before."""
    stop = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        while not stop.is_set():
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            running[-1].wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        time.sleep(0.3)
        yield
    finally:
        stop.set()
        running[-1].kill()
        thread.join()
