"""`python -m tests.benchmarks`: the scan beside redis-cli's, on one server, in turn; a table of medians and ratios."""

import argparse
import json
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.benchmarks.data import fill
from tests.support.servers import RunningServer, available, started

_CLI = shutil.which("redis-cli")


def main() -> None:
    """Fill a server and measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["speed", "latency", "distance", []], default=[])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    parser.add_argument("--load", type=int, default=15_000, help="GETs a second in the foreground")
    given = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}  {platform.machine()}, Python {platform.python_version()}, {given.server}")
    with started(given.server, f"port {_free_port()}") as server:
        began = time.perf_counter()
        fill(server, given.keys)
        print(f"{given.keys:,} keys written in {time.perf_counter() - began:.0f} s\n", flush=True)
        for name, measure in (("speed", speed), ("latency", latency), ("distance", distance)):
            if not given.what or name in given.what:
                measure(server, given)
                print(flush=True)


def speed(server: RunningServer, given: argparse.Namespace) -> None:
    """Seconds for all keys; the tool's CPU and memory, and how late its event loop comes to a key press at the 99th."""
    peers = _peers(server)
    ours = {
        "this scan, full speed": ("full-speed",),
        "the same, with idle times": ("full-speed", "idle"),
        "this scan, normal (nobody else)": ("normal",),
    }
    seconds: dict[str, list[float]] = {name: [] for name in [*peers, *ours]}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in ours}
    busy: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(given.runs):
        for name, took in seconds.items():
            with _server_cpu(server) as used:
                if name in peers:
                    took.append(_timed(peers[name]))
                else:
                    found = _scan(_tcp(server), *ours[name])
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


def latency(server: RunningServer, given: argparse.Namespace) -> None:
    """What a probe client feels while others work and a scan runs."""
    peers = {"no scan": None, **{name: command for name, command in _peers(server).items() if "bigkeys" not in name}}
    paces = {f"this scan, {pace}": pace for pace in ("gentle", "normal", "full-speed")}
    figures: dict[str, list[tuple[int, int]]] = {name: [] for name in [*peers, *paces]}
    rates: dict[str, list[float]] = {name: [] for name in paces}
    load = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.foreground", "load", server.socket_path, str(given.load)]
    )
    try:
        time.sleep(0.5)
        for _ in range(given.runs):
            for name, felt in figures.items():
                if name in paces:
                    command = [sys.executable, "-m", "tests.benchmarks.one_scan", _tcp(server), paces[name]]
                else:
                    command = peers[name] or []
                felt.append(_felt(server, command, settle=1.5 if name in paces else 0.3))
        for name, pace in paces.items():
            rates[name].append(_rate(_tcp(server), pace))
    finally:
        load.kill()
        load.wait()
    base = median(p99 for _, p99 in figures["no scan"])
    print(f"with {given.load:,} GET/s in front   {'p50 us':>7} {'p99 us':>7} {'x no scan':>9} {'keys/s':>9}")
    for name, found in figures.items():
        p99 = median(p99 for _, p99 in found)
        rate = f"{median(rates[name]):>9,.0f}" if name in rates else ""
        print(f"{name:28} {median(p50 for p50, _ in found):>7.0f} {p99:>7.0f} {p99 / base:>9.1f} {rate}")


def distance(server: RunningServer, given: argparse.Namespace) -> None:
    """Over a round trip of 20 ms."""
    with _proxy(server.socket_path, 0.02) as port:
        print(f"{'round trip 20 ms':28} {'seconds':>8} {'keys/s':>9}")
        for pace in ("normal", "full-speed"):
            taken = [_scan(f"127.0.0.1:{port}", pace)["seconds"] for _ in range(given.runs)]
            print(f"{f'this scan, {pace}':28} {median(taken):8.2f} {given.keys / median(taken):9,.0f}")


def _peers(server: RunningServer) -> dict[str, list[str]]:
    if _CLI is None:
        return {}
    base = [_CLI, "-p", _tcp(server).rpartition(":")[2]]
    known = subprocess.run([_CLI, "--help"], capture_output=True, text=True, check=False)
    peers = {"redis-cli --memkeys": [*base, "--memkeys"], "redis-cli --bigkeys": [*base, "--bigkeys"]}
    if "--keystats" in known.stdout + known.stderr:
        peers["redis-cli --keystats --count 1000"] = [*base, "--keystats", "--count", "1000"]
    return peers


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _tcp(server: RunningServer) -> str:
    with server.client() as client:
        return f"127.0.0.1:{int(client.config_get('port')['port'])}"


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _scan(where: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.one_scan", where, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["state"] != "complete":
        raise RuntimeError(found["error"])
    return found


def _rate(where: str, pace: str) -> float:
    found = _scan(where, pace)
    return float(found["keys"] / found["seconds"])


def _felt(server: RunningServer, command: list[str], settle: float, seconds: float = 5.0) -> tuple[int, int]:
    """p50 and p99 of the probe while `command` runs, again and again if it is done before the probe."""
    stop = [False]
    runner = _repeat(command, lambda: stop[0]) if command else None
    try:
        time.sleep(settle)
        probe = [sys.executable, "-m", "tests.benchmarks.foreground", "probe", server.socket_path, str(seconds)]
        done = subprocess.run(probe, capture_output=True, text=True, check=True)
    finally:
        stop[0] = True
        if runner is not None:
            runner()
    p50, p99 = done.stdout.split()
    return int(p50), int(p99)


def _repeat(command: list[str], stopped: Callable[[], bool]) -> Callable[[], None]:
    import threading

    running: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        while not stopped():
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            running[-1].wait()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        running[-1].kill()
        thread.join()

    return end


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
