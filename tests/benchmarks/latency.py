"""What other clients feel of a scan: the p99 of a probe beside a steady load.

Everything shares one machine here, so two things are told apart. First all processes go wherever the kernel puts them,
and one that is as busy as the scan and never speaks to the server shows how much of it is the processor's crowd: it
does not give way, as the scan does. Then the server and the probe run at real-time priority, as if the scan ran
elsewhere: no process keeps them from a core, and what is felt is the scan's questions in the server's queue.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.benchmarks.foreground import middle_and_p99
from tests.benchmarks.peers import ONE_SCAN, peers, tcp
from tests.support.servers import RunningServer

_FOREGROUND = [sys.executable, "-m", "tests.benchmarks.foreground"]
_NOBODY = "no scan"
_CROWD = "no scan, as busy a process beside it"
_PACES = {f"this scan, {pace}": pace for pace in ("normal", "gentle", "full-speed")}
# Seconds until a scan has found its pace, and of probing.
_SETTLE = 1.5
_PROBED = 2.5


def latency(server: RunningServer, given: argparse.Namespace) -> None:
    """Both tables."""
    commands = {name: command for name, command in peers(server, given.cli).items() if "bigkeys" not in name}
    title = f"{given.load:,} GET/s in front, all processes alike"
    _table(title, server, given, commands)
    if os.geteuid() == 0:
        print()
        title = f"{given.load:,} GET/s in front, the server and the probe before all others"
        with before_others(server):
            _table(title, server, given, commands)
    else:
        print("the second table needs real-time priority for the server and the probe: run it as root")


def _table(title: str, server: RunningServer, given: argparse.Namespace, commands: dict[str, list[str]]) -> None:
    felt: dict[str, list[int]] = {name: [] for name in [_NOBODY, _CROWD, *commands, *_PACES]}
    rates: dict[str, list[float]] = {name: [] for name in _PACES}
    with _load(server, given.load):
        for _ in range(given.runs):
            busy = 0.5
            for name, pace in _PACES.items():
                # What all is compared with is measured more often than anything else, and all through the run.
                felt[_NOBODY] += _felt(server, [])
                took, told = _beside_a_scan(server, pace)
                felt[name] += took
                rates[name].append(told["keys"] / told["seconds"])
                if pace == "normal":
                    busy = told["cpu_share"]
            felt[_CROWD] += _felt(server, [*_FOREGROUND, "burn", str(busy)])
            for name, command in commands.items():
                felt[name] += _felt(server, command)
    _print(title, felt, rates)


def _print(title: str, felt: dict[str, list[int]], rates: dict[str, list[float]]) -> None:
    base, crowded = (middle_and_p99(felt[name])[1] for name in (_NOBODY, _CROWD))
    print(f"{title}\n{'':40} {'p50 us':>7} {'p99 us':>7} {'x no scan':>9} {'x busy':>7} keys/s")
    for name, took in felt.items():
        p50, p99 = middle_and_p99(took)
        rate = f"{median(rates[name]):,.0f}" if name in rates else ""
        line = f"{name:40} {p50:>7.0f} {p99:>7.0f}"
        print(f"{line} {p99 / base:>9.1f} {p99 / crowded:>7.1f} {rate}", flush=True)


def _beside_a_scan(server: RunningServer, pace: str) -> tuple[list[int], dict[str, Any]]:
    command = [*ONE_SCAN, tcp(server), pace, "--seconds", str(_SETTLE + _PROBED + 1.0)]
    scan = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(_SETTLE)
    took = _felt(server, [])
    told: dict[str, Any] = json.loads(scan.communicate()[0])
    return took, told


@contextmanager
def _load(server: RunningServer, rate: int) -> Iterator[None]:
    load = subprocess.Popen([*_FOREGROUND, "load", server.socket_path, str(rate)])
    try:
        time.sleep(0.5)
        yield
    finally:
        load.kill()
        load.wait()


@contextmanager
def before_others(server: RunningServer) -> Iterator[None]:
    """The server at real-time priority; the probe takes after it."""
    with server.client() as client:
        pid = int(client.info("server")["process_id"])
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def _felt(server: RunningServer, command: list[str]) -> list[int]:
    """What the probe found while `command` runs, again and again if it is done before the probe."""
    stop = threading.Event()
    end = _repeat(command, stop) if command else stop.set
    try:
        time.sleep(0.3)
        with server.client() as client:
            policy = os.sched_getscheduler(int(client.info("server")["process_id"]))
        probe = [*_FOREGROUND, "probe", server.socket_path, str(_PROBED), str(policy)]
        done = subprocess.run(probe, capture_output=True, text=True, check=True)
    finally:
        end()
    took: list[int] = json.loads(done.stdout)
    return took


def _repeat(command: list[str], stop: threading.Event) -> Callable[[], None]:
    running: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        while not stop.is_set():
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            running[-1].wait()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        stop.set()
        running[-1].kill()
        thread.join()

    return end
