"""`python -m tests.benchmarks`: the scan beside redis-cli's, on one server, in turn; a table of medians and ratios."""

import argparse
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.data import fill
from tests.benchmarks.latency import latency
from tests.benchmarks.peers import peers, tcp, whole_scan
from tests.support.servers import RunningServer, available, started


def main() -> None:
    """Fill a server and measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["speed", "latency", "distance", []], default=[])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    parser.add_argument("--at", metavar="SOCKET", help="a server that holds the data already, in place of a new one")
    parser.add_argument("--load", type=int, default=15_000, help="GETs a second in the foreground")
    parser.add_argument("--cli", action="append", metavar="PATH", help="a redis-cli to compare with; may be repeated")
    given = parser.parse_args()
    given.cli = given.cli or [path for path in [shutil.which("redis-cli")] if path is not None]
    print(f"{time.strftime('%Y-%m-%d')}  {platform.machine()}, Python {platform.python_version()}, {given.server}")
    with _filled(given) as server:
        for name, measure in (("speed", speed), ("latency", latency), ("distance", distance)):
            if not given.what or name in given.what:
                measure(server, given)
                print(flush=True)


@contextmanager
def _filled(given: argparse.Namespace) -> Iterator[RunningServer]:
    if given.at is not None:
        server = RunningServer(given.server, Path(given.at).parent, ())
        server.socket_path = given.at
        with server.client() as client:
            given.keys = client.dbsize()
        yield server
        return
    with started(given.server, f"port {_free_port()}") as server:
        began = time.perf_counter()
        fill(server, given.keys)
        print(f"{given.keys:,} keys written in {time.perf_counter() - began:.0f} s\n", flush=True)
        yield server


def speed(server: RunningServer, given: argparse.Namespace) -> None:
    """Seconds for all keys; the tool's CPU and memory, and how late its event loop comes to a key press at the 99th."""
    rivals = peers(server, given.cli)
    ours = {
        "this scan, full speed": ("full-speed",),
        "the same, with idle times": ("full-speed", "--idle"),
        "this scan, normal (nobody else)": ("normal",),
    }
    seconds: dict[str, list[float]] = {name: [] for name in [*rivals, *ours]}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in ours}
    busy: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(given.runs):
        for name, took in seconds.items():
            with _server_cpu(server) as used:
                if name in rivals:
                    took.append(_timed(rivals[name]))
                else:
                    found = whole_scan(tcp(server), *ours[name])
                    told[name].append(found)
                    took.append(found["seconds"])
            busy[name].append(used[0] / took[-1])
    slowest = median(seconds[next(iter(seconds))])
    head = f"{'':34} {'seconds':>8} {'keys/s':>9} {'times':>6} {'server busy':>11}"
    print(f"{head} {'CPU us/key':>10} {'RSS MB':>7} {'late p99':>8}")
    for name, taken in seconds.items():
        middle = median(taken)
        rest = ""
        if name in told:
            cpu = median(found["cpu_us_per_key"] for found in told[name])
            rest = f"{cpu:>10.2f} {max(found['rss_mb'] for found in told[name]):>7.0f}"
            rest += f" {median(found['late_ms_p99'] for found in told[name]):>5.1f} ms"
        line = f"{name:34} {middle:8.2f} {given.keys / middle:9,.0f} {slowest / middle:6.1f}"
        print(f"{line} {median(busy[name]):>11.0%} {rest}")
    ours_first = next(iter(ours))
    per_key = median(busy[ours_first]) * median(seconds[ours_first]) / given.keys
    print(
        f"\nOne core of this server gives {1 / per_key:,.0f} keys/s at its {per_key * 1e6:.1f} us a key: "
        f"{slowest / given.keys / per_key:.1f} times the first line is the most that anything could reach here"
    )


def distance(server: RunningServer, given: argparse.Namespace) -> None:
    """Over a round trip of 20 ms."""
    with _proxy(server.socket_path, 0.02) as port:
        taken: dict[str, list[float]] = {"normal": [], "full-speed": []}
        for _ in range(given.runs):
            for pace, seconds in taken.items():
                seconds.append(whole_scan(f"127.0.0.1:{port}", pace)["seconds"])
        print(f"{'round trip 20 ms':28} {'seconds':>8} {'keys/s':>9} {'times':>6}")
        for pace, seconds in taken.items():
            middle = median(seconds)
            times = median(taken["normal"]) / middle
            print(f"{f'this scan, {pace}':28} {middle:8.2f} {given.keys / middle:9,.0f} {times:6.1f}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


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


if __name__ == "__main__":
    main()
