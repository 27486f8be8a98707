"""`python -m tests.benchmarks.deleting`: checked deletions beside `xargs redis-cli unlink`, and what others feel.

Prints medians of one run, side by side: on a shared machine only the ratios mean something.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer, available, started

_CLI = shutil.which("redis-cli")
_PROBED_SECONDS = 3.0


def main() -> None:
    """Measure, in turn, as often as was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.deleting", description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    parser.add_argument("--load", type=int, default=10_000, help="GETs a second in the foreground")
    given = parser.parse_args()
    with started(given.server) as server:
        _throughput(server, given.keys, given.runs)
        _felt(server, given.keys, given.load)


def _throughput(server: RunningServer, keys: int, runs: int) -> None:
    ways = {"xargs -n 500 redis-cli unlink": None, "checked, no backup": False, "checked, with backup": True}
    seconds: dict[str, list[float]] = {name: [] for name in ways if _CLI is not None or ways[name] is not None}
    cpu: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(runs):
        for name, backup in ways.items():
            if name not in seconds:
                continue
            _refill(server, keys)
            began, before = time.perf_counter(), time.process_time()
            if backup is None:
                _unlink(server)
                seconds[name].append(time.perf_counter() - began)
            else:
                seconds[name].append(asyncio.run(_delete(server, backup=backup)))
            cpu[name].append(time.process_time() - before)
    first = median(next(iter(seconds.values())))
    print(f"{'':32} {'seconds':>8} {'keys/s':>9} {'ratio':>6} {'CPU us/key':>11}")
    for name, taken in seconds.items():
        middle = median(taken)
        figures = f"{middle:8.2f} {keys / middle:9,.0f} {first / middle:6.2f} {median(cpu[name]) / keys * 1e6:11.1f}"
        print(f"{name:32} {figures}", flush=True)


def _felt(server: RunningServer, keys: int, load: int) -> None:
    """The p99 of a probe with others at work, without and with a deletion beside them."""
    module = "tests.benchmarks.foreground"
    busy = subprocess.Popen([sys.executable, "-m", module, "load", server.socket_path, str(load)])
    try:
        _refill(server, 3 * keys)
        for name, work in (("no deletion", False), ("checked, no backup", True)):
            time.sleep(0.5)
            command = [sys.executable, "-m", module, "probe", server.socket_path, str(_PROBED_SECONDS)]
            probe = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            if work:
                asyncio.run(_delete(server, backup=False))
            out, _ = probe.communicate()
            p50, p99 = out.split()
            print(f"{load:,} GET/s in front, {name:20} p50 {p50:>6} us, p99 {p99:>6} us", flush=True)
    finally:
        busy.kill()
        busy.wait()


async def _delete(server: RunningServer, *, backup: bool) -> float:
    """Seconds that the run of a plan takes; its making is the scan's business."""
    with tempfile.TemporaryDirectory() as folder:
        async with operating(server.connection, Path(folder)) as operator:
            plan = await planned(operator, Criteria(patterns=(b"cache:*",)))
            began = time.perf_counter()
            view = await operator.run(plan, backup=BackupChoice(wanted=backup)).run()
            assert view.counts == {Outcome.DELETED: len(plan.keys)}, view.ended
            return time.perf_counter() - began


def _unlink(server: RunningServer) -> None:
    cli = f"{_CLI} -s {server.socket_path}"
    command = f"{cli} --scan --pattern 'cache:*' | xargs -n 500 {cli} unlink"
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def _refill(server: RunningServer, keys: int) -> None:
    with server.client() as client:
        client.flushall()
        for start in range(0, keys, 10_000):
            fill(client, [b"cache:%d" % n for n in range(start, min(keys, start + 10_000))])


if __name__ == "__main__":
    main()
