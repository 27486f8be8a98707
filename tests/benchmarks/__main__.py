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
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.data import fill
from tests.support.servers import RunningServer, available, started

_CLI = shutil.which("redis-cli")
_FOREGROUND = [sys.executable, "-m", "tests.benchmarks.foreground"]
_ONE_SCAN = [sys.executable, "-m", "tests.benchmarks.one_scan"]
_CROWD = "no scan, as busy a process beside it"
# Seconds until a scan has found its pace, and of probing.
_SETTLE = 1.5
_PROBED = 2.5


def main() -> None:
    """Fill a server and measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["speed", "latency", "distance", []], default=[])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    parser.add_argument("--at", metavar="SOCKET", help="a server that holds the data already, in place of a new one")
    parser.add_argument("--load", type=int, default=15_000, help="GETs a second in the foreground")
    given = parser.parse_args()
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
    peers = _peers(server)
    ours = {
        "this scan, full speed": ("full-speed",),
        "the same, with idle times": ("full-speed", "--idle"),
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
    ours_first = next(iter(ours))
    per_key = median(busy[ours_first]) * median(seconds[ours_first]) / given.keys
    print(
        f"\nOne core of this server gives {1 / per_key:,.0f} keys/s at its {per_key * 1e6:.1f} us a key: "
        f"{slowest / given.keys / per_key:.1f} times the first line is the most that anything could reach here"
    )


def latency(server: RunningServer, given: argparse.Namespace) -> None:
    """What a probe client feels while others work and a scan runs. Everything shares one machine, so a process that is
    as busy as the scan and never speaks to the server tells how much of it is the processor's crowd."""
    peers = {name: command for name, command in _peers(server).items() if "bigkeys" not in name}
    paces = {f"this scan, {pace}": pace for pace in ("normal", "gentle", "full-speed")}
    figures: dict[str, list[tuple[int, int]]] = {name: [] for name in ["no scan", _CROWD, *peers, *paces]}
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in paces}
    load = subprocess.Popen([*_FOREGROUND, "load", server.socket_path, str(given.load)])
    try:
        time.sleep(0.5)
        for _ in range(given.runs):
            figures["no scan"].append(_felt(server, []))
            for name, pace in paces.items():
                command = [*_ONE_SCAN, _tcp(server), pace, "--seconds", str(_SETTLE + _PROBED + 1.0)]
                scan = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                time.sleep(_SETTLE)
                figures[name].append(_felt(server, []))
                told[name].append(json.loads(scan.communicate()[0]))
            crowd = str(told[next(iter(paces))][-1]["cpu_share"])
            figures[_CROWD].append(_felt(server, [*_FOREGROUND, "burn", crowd]))
            for name, command in peers.items():
                figures[name].append(_felt(server, command))
    finally:
        load.kill()
        load.wait()
    base, crowded = (median(p99 for _, p99 in figures[name]) for name in ("no scan", _CROWD))
    print(
        f"{f'with {given.load:,} GET/s in front':40} {'p50 us':>7} {'p99 us':>7} {'x no scan':>9} {'x busy':>7} keys/s"
    )
    for name, found in figures.items():
        p99 = median(p99 for _, p99 in found)
        rate = f"{median(one['keys'] / one['seconds'] for one in told[name]):,.0f}" if name in told else ""
        line = f"{name:40} {median(p50 for p50, _ in found):>7.0f} {p99:>7.0f}"
        print(f"{line} {p99 / base:>9.1f} {p99 / crowded:>7.1f} {rate}")


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
    done = subprocess.run([*_ONE_SCAN, where, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["state"] != "complete":
        raise RuntimeError(found["error"])
    return found


def _felt(server: RunningServer, command: list[str]) -> tuple[int, int]:
    """p50 and p99 of the probe while `command` runs, again and again if it is done before the probe."""
    stop = [False]
    runner = _repeat(command, lambda: stop[0]) if command else None
    try:
        time.sleep(0.3)
        probe = [*_FOREGROUND, "probe", server.socket_path, str(_PROBED)]
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
