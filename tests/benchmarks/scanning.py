"""How fast a scan is beside redis-cli's own, on one server in turn, and over a round trip of 20 ms."""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.benchmarks.figures import Column, Table
from tests.benchmarks.peers import peers, tcp, whole_scan
from tests.support.servers import RunningServer

_OURS = {
    "hogs --full-speed": ("full-speed",),
    "hogs --full-speed --idle": ("full-speed", "--idle"),
    "hogs, nobody else at work": ("normal",),
}
_SPEED = (
    Column("keys/s"),
    Column("× the first", ".1fx"),
    Column("server busy", ".0%"),
    Column("tool's CPU, µs a key", ".2f"),
    Column("server's CPU, µs a key", ".2f"),
    Column("tool's memory, MB"),
    Column("event loop late, p99, ms", ".1f"),
)


def speed(server: RunningServer, given: argparse.Namespace) -> Iterator[Table]:
    """All keys, by each in turn; how late the tool's event loop comes to a key press at the 99th percentile."""
    rivals = peers(server, given.cli)
    seconds: dict[str, list[float]] = {name: [] for name in [*rivals, *_OURS]}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in _OURS}
    used: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(given.runs):
        for name, took in seconds.items():
            with _server_cpu(server) as cpu:
                if name in rivals:
                    took.append(_timed(rivals[name]))
                else:
                    results[name].append(whole_scan(tcp(server), *_OURS[name]))
                    took.append(results[name][-1]["seconds"])
            used[name].append(cpu[0])
    first = median(next(iter(seconds.values())))
    per_key = median(used[next(iter(_OURS))]) / given.keys
    limit = (
        f"One core of this server gives {1 / per_key:,.0f} keys/s at its {per_key * 1e6:.1f} µs a key: "
        f"{first / given.keys / per_key:.1f}× the first line is the most that anything could reach here."
    )
    title = f"{given.keys:,} mixed keys, medians of {given.runs}, on {given.server}"
    table = Table("speed", title, _SPEED, limit)
    for name, taken in seconds.items():
        middle, cpu_seconds = median(taken), median(used[name])
        rest: tuple[float | None, ...] = (None, None, None)
        if name in results:
            ones = results[name]
            rest = (
                median(one["cpu_us_per_key"] for one in ones),
                max(one["rss_mb"] for one in ones),
                median(one["late_ms_p99"] for one in ones),
            )
        server_us = cpu_seconds / given.keys * 1e6
        table.row(name, given.keys / middle, first / middle, cpu_seconds / middle, rest[0], server_us, *rest[1:])
    yield table


def distance(server: RunningServer, given: argparse.Namespace) -> Iterator[Table]:
    """The same over a round trip of 20 ms."""
    table = Table("distance", "Over a round trip of 20 ms", (Column("keys/s"), Column("× the first", ".1fx")))
    with _proxy(server.socket_path, 0.02) as port:
        taken: dict[str, list[float]] = {"hogs": [], "hogs --full-speed": []}
        for _ in range(given.runs):
            for (_, seconds), pace in zip(taken.items(), ("normal", "full-speed"), strict=True):
                seconds.append(whole_scan(f"127.0.0.1:{port}", pace)["seconds"])
    first = median(taken["hogs"])
    for name, seconds in taken.items():
        table.row(name, given.keys / median(seconds), first / median(seconds))
    yield table


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


@contextmanager
def _server_cpu(server: RunningServer) -> Iterator[list[float]]:
    """Seconds of the server's main thread while the block ran."""

    def now(client: Any) -> float:
        info = client.info("cpu")
        return float(info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])

    found = [0.0]
    with server.client() as client:
        before = now(client)
        yield found
        found[0] = now(client) - before


@contextmanager
def _proxy(path: str, round_trip: float) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.delay", path, str(round_trip)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
