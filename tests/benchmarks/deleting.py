"""`python -m tests.benchmarks.deleting`: checked deletions beside `xargs redis-cli unlink`, and what others feel.

Prints medians of one run, side by side: on a shared machine only the ratios mean something.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome
from tests.benchmarks import data
from tests.benchmarks.neighbours import CROWD, NOBODY, Told, feel, feel_beside, in_both_tables, loaded, probing
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer, available, started

_CLI = shutil.which("redis-cli")
STALE = Criteria(patterns=(b"stale:*",))
_XARGS = "xargs -n 500 redis-cli unlink"


def main() -> None:
    """Measure, in turn, as often as was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.deleting", description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000, help="keys to delete")
    parser.add_argument("--among", type=int, default=1_000_000, help="keys of all types, in the second case")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    parser.add_argument("--load", type=int, default=10_000, help="GETs a second in the foreground")
    parser.add_argument("--only", choices=("alone", "mixed", "felt"))
    given = parser.parse_args()
    with started(given.server) as server:
        if given.only in {None, "alone"}:
            print(f"All {given.keys:,} keys of a server, strings:")
            _throughput(server, lambda: _refill(server, given.keys), given.keys, given.runs)
        if given.only in {None, "mixed"}:
            print(f"{given.keys:,} lists and strings among {given.among:,} keys of all types:")
            with server.client() as client:
                client.flushall()
            data.fill(server, given.among - given.keys)
            _throughput(server, lambda: _restock(server, given.keys), given.keys, given.runs)
        if given.only in {None, "felt"}:
            in_both_tables(f"{given.load:,} GET/s in front", server, lambda: _felt(server, given))


class Figures(NamedTuple):
    """Seconds of one deletion: in all, to make the plan, of this process's CPU, of the server's in scripts."""

    seconds: float
    planning: float
    cpu: float
    scripts: float


def _throughput(server: RunningServer, prepare: Callable[[], None], keys: int, runs: int) -> None:
    found: dict[str, list[Figures]] = {}
    for _ in range(runs):
        if _CLI is not None:
            prepare()
            began = time.perf_counter()
            _unlink(server)
            found.setdefault(_XARGS, []).append(Figures(time.perf_counter() - began, 0.0, 0.0, 0.0))
        for backup in (False, True):
            prepare()
            with server.client() as client:
                client.config_resetstat()
            before = time.process_time()
            seconds, planning = asyncio.run(_delete(server, backup=backup))
            cpu = time.process_time() - before
            name = "checked, with backup" if backup else "checked, no backup"
            found.setdefault(name, []).append(Figures(seconds, planning, cpu, _in_scripts(server)))
    _table(found, keys)


def _table(found: dict[str, list[Figures]], keys: int) -> None:
    """Making the plan counts: xargs, too, has to find the keys. The second line is the run of a plan that is there."""
    first = median(one.seconds for one in next(iter(found.values())))
    print(f"{'':42} {'seconds':>8} {'keys/s':>9} {'ratio':>6} {'CPU us/key':>11} {'scripts us/key':>15}")
    for name, ones in found.items():
        whole, run = median(one.seconds for one in ones), median(one.seconds - one.planning for one in ones)
        cpu, scripts = (median(figures) / keys * 1e6 for figures in zip(*[one[2:] for one in ones], strict=True))
        rows = [(name, whole)] if name == _XARGS else [(f"{name}: plan and run", whole), (f"{name}: the run", run)]
        for label, seconds in rows:
            figures = f"{seconds:8.2f} {keys / seconds:9,.0f} {first / seconds:6.2f}"
            more = "" if label == _XARGS or seconds == run else f" {cpu:11.1f} {scripts:15.1f}"
            print(f"{label:42} {figures}{more}", flush=True)


def _in_scripts(server: RunningServer) -> float:
    """The server's own seconds in the check of all keys, their deletion included: no client can be quicker."""
    with server.client() as client:
        return float(client.info("commandstats").get("cmdstat_eval", {}).get("usec", 0)) / 1e6


def _felt(server: RunningServer, given: argparse.Namespace) -> Told:
    """What a probe waits while a plan is made, and while it runs."""
    told = Told()
    with loaded(server, given.load):
        for _ in range(given.runs):
            _refill(server, given.keys)
            feel(server, told.waits(NOBODY))
            share = _feel_a_cleanup(server, told)
            feel_beside(server, share, told.waits(CROWD))
    return told


def _feel_a_cleanup(server: RunningServer, told: Told) -> float:
    """Probe beside both halves of one; the share of a core that they took."""
    command = [sys.executable, "-m", "tests.benchmarks.one_cleanup", server.socket_path, "stale:*"]
    shares = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        time.sleep(1.0)
        for doing in ("planning", "deleting"):
            with probing(server, told.waits(doing)):
                print(file=process.stdin, flush=True)
                found = json.loads(process.stdout.readline())
            told.rate(doing, found["keys"] / found["seconds"])
            shares.append(found["cpu_share"])
    return min(0.95, sum(shares) / len(shares))


async def _delete(server: RunningServer, *, backup: bool) -> tuple[float, float]:
    """Seconds that making a plan and running it takes, and those of the making alone."""
    with tempfile.TemporaryDirectory() as folder:
        async with operating(server.connection, Path(folder)) as operator:
            began = time.perf_counter()
            plan = await planned(operator, STALE)
            planning = time.perf_counter() - began
            view = await operator.run(plan, backup=BackupChoice(wanted=backup)).run()
            assert view.counts == {Outcome.DELETED: len(plan.keys)}, view.ended
            return time.perf_counter() - began, planning


def _unlink(server: RunningServer) -> None:
    cli = f"{_CLI} -s {server.socket_path}"
    command = f"{cli} --scan --pattern 'stale:*' | xargs -n 500 {cli} unlink"
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def _refill(server: RunningServer, keys: int) -> None:
    with server.client() as client:
        client.flushall()
        for start in range(0, keys, 10_000):
            fill(client, [b"stale:%d" % n for n in range(start, min(keys, start + 10_000))])


def _restock(server: RunningServer, keys: int) -> None:
    """The keys that match, again: half strings, half lists."""
    with server.client() as client:
        for start in range(0, keys, 10_000):
            pipeline = client.pipeline(transaction=False)
            for n in range(start, min(keys, start + 10_000)):
                if n % 2:
                    pipeline.set(b"stale:%d" % n, b"x" * (20 + n % 180))
                else:
                    pipeline.rpush(b"stale:%d" % n, *[b"member-%d" % m for m in range(1 + n % 7)])
            pipeline.execute()


if __name__ == "__main__":
    main()
