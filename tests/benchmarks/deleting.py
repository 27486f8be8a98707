"""Checked deletions beside redis-cli's unchecked ones, putting the keys back, and what others feel of both."""

import argparse
import asyncio
import gc
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from redis_oom_tui.cli.main import COLLECTED_AFTER
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.plan import Criteria, Outcome
from tests.benchmarks import data
from tests.benchmarks.figures import Column, Table
from tests.benchmarks.neighbours import CROWD, NOBODY, Measured, feel, feel_beside, in_both_tables, loaded, probing
from tests.benchmarks.peers import help_of
from tests.support.acting import fill, operating, planned
from tests.support.servers import RunningServer, started

# GETs a second of others.
_LOAD = 10_000
_CLI = shutil.which("redis-cli")
STALE = Criteria(patterns=(b"stale:*",))
# redis-cli before 7.2 asks for ten names a call, whatever is wanted.
_COUNT = "--count 1000" if _CLI is not None and "--count" in help_of(_CLI) else ""
_SCAN = f"--scan {_COUNT}".strip()
_STRONG = f"{_SCAN} | xargs -n 1000 redis-cli unlink"
# What people type, the same with large pages and calls, and the quickest that redis-cli has. None of them checks a key.
_RIVALS = {
    "--scan | xargs -n 500 redis-cli unlink": "{cli} --scan --pattern 'stale:*' | xargs -n 500 {cli} unlink",
    _STRONG: "{cli} --scan {count} --pattern 'stale:*' | xargs -n 1000 {cli} unlink",
    f"{_SCAN} | UNLINKs to redis-cli --pipe": (
        "{cli} --scan {count} --pattern 'stale:*' | sed 's/^/UNLINK /;s/$/\\r/' | {cli} --pipe"
    ),
}
_COLUMNS = (
    Column("keys/s"),
    Column("× the strong rival", ".2fx"),
    Column("tool's CPU, µs a key", ".1f"),
    Column("server in scripts, µs a key", ".1f"),
)


class Figures(NamedTuple):
    """Seconds of one part, of this process's CPU in it, and of the server's scripts; the last two None for others."""

    seconds: float
    cpu: float | None = None
    scripts: float | None = None


def deleting(given: argparse.Namespace) -> Iterator[Table]:
    """All keys of a server, and some among many of all types."""
    gc.set_threshold(*COLLECTED_AFTER)  # as `cleanup` has it
    keys = given.delete
    with started(given.server) as server:
        title = f"All {keys:,} keys of a server, strings, medians of {given.runs}"
        yield _throughput("deleting-all", title, server, lambda: _refill(server, keys), given)
        with server.client() as client:
            client.flushall()
        data.fill(server, given.keys - keys)
        title = f"{keys:,} lists and strings among {given.keys:,} keys of all types, medians of {given.runs}"
        yield _throughput("deleting-some", title, server, lambda: _restock(server, keys), given)


def felt(given: argparse.Namespace) -> Iterator[Table]:
    """What others wait while a plan is made, run with a backup, restored, and run without one."""
    title = "10,000 GET/s in front of a cleanup"
    with started(given.server) as server:
        yield from in_both_tables("felt", title, server, lambda: _felt(server, given))


def _throughput(
    name: str, title: str, server: RunningServer, prepare: Callable[[], None], given: argparse.Namespace
) -> Table:
    found: dict[str, list[Figures]] = {}
    for _ in range(given.runs):
        for label, line in _RIVALS.items() if _CLI is not None else ():
            prepare()
            began = time.perf_counter()
            command = line.format(cli=f"{_CLI} -s {server.socket_path}", count=_COUNT)
            subprocess.run(command, shell=True, check=True, capture_output=True)
            found.setdefault(label, []).append(Figures(time.perf_counter() - began))
            with server.client() as client:
                left = sum(1 for _ in client.scan_iter("stale:*", count=1000))
            assert not left, f"{label} left {left} keys"
        for label, figures in asyncio.run(_ours(server, prepare)):
            found.setdefault(label, []).append(figures)
    table = Table(name, title, _COLUMNS)
    strong = median(one.seconds for one in found[_STRONG]) if _STRONG in found else None
    for label, ones in found.items():
        seconds = median(one.seconds for one in ones)
        each = [
            median(column) / given.delete * 1e6 if column else None
            for column in (
                [one.cpu for one in ones if one.cpu is not None],
                [one.scripts for one in ones if one.scripts is not None],
            )
        ]
        table.row(label, given.delete / seconds, None if strong is None else strong / seconds, *each)
    return table


async def _ours(server: RunningServer, prepare: Callable[[], None]) -> list[tuple[str, Figures]]:
    """A plan and its run, without a backup and with one, and the restore of what went."""
    found = []
    for words, backup in (("cleanup --no-backup", False), ("cleanup", True)):
        prepare()
        with server.client() as client:
            client.config_resetstat()
        with tempfile.TemporaryDirectory() as folder:
            async with operating(server.connection, Path(folder)) as operator:
                start = _Clock(server)
                plan = await planned(operator, STALE)
                middle = _Clock(server)
                view = await operator.run(plan, backup=BackupChoice(wanted=backup)).run()
                end = _Clock(server)
                assert view.counts == {Outcome.DELETED: len(plan.keys)}, view.ended
                found += [(f"{words}: plan and run", start.until(end)), (f"{words}: the run", middle.until(end))]
                if backup:
                    assert view.backup_path is not None
                    start = _Clock(server)
                    back = await operator.restore(Path(view.backup_path)).run()
                    found.append(("restore", start.until(_Clock(server))))
                    assert back.counts == {RestoreOutcome.RESTORED: len(plan.keys)}, back
    return found


class _Clock:
    """The time, the CPU of this process and the server's time in scripts, at one moment."""

    def __init__(self, server: RunningServer) -> None:
        self._seconds, self._cpu = time.perf_counter(), time.process_time()
        with server.client() as client:
            calls = client.info("commandstats")
        # No client can be quicker than the server's own time in the check of each key, its deletion included.
        self._scripts: float = (
            sum(calls.get(f"cmdstat_{word}", {}).get("usec", 0) for word in ("eval", "evalsha")) / 1e6
        )

    def until(self, end: "_Clock") -> Figures:
        """What passed from this moment to that."""
        return Figures(end._seconds - self._seconds, end._cpu - self._cpu, end._scripts - self._scripts)


def _felt(server: RunningServer, given: argparse.Namespace) -> Measured:
    """What a probe waits while a plan is made, run and taken back."""
    measured = Measured()
    with loaded(server, _LOAD):
        for _ in range(given.runs):
            _refill(server, given.delete)
            feel(server, measured.waits(NOBODY))
            share = _feel_a_cleanup(server, measured)
            feel_beside(server, share, measured.waits(CROWD))
    return measured


def _feel_a_cleanup(server: RunningServer, measured: Measured) -> float:
    """Probe beside each part of one; the share of a core that they took."""
    command = [sys.executable, "-m", "tests.benchmarks.one_cleanup", server.socket_path, "stale:*"]
    shares = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        time.sleep(1.0)
        for doing in ("planning", "saving and deleting", "restoring", "deleting"):
            with probing(server, measured.waits(doing)):
                print(file=process.stdin, flush=True)
                found = json.loads(process.stdout.readline())
            measured.rate(doing, found["keys"] / found["seconds"])
            shares.append(found["cpu_share"])
    return min(0.95, sum(shares) / len(shares))


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
