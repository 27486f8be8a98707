"""What others wait while something else is at work, and how to tell the server's queue from the processor's crowd.

Everything shares one machine here, and half of what a probe waits is the processor's crowd. So there is always a probe
with nothing else at work, and one beside a process as busy as the tool that leaves the server alone and gives nobody
way. And there is a table with a core for the server alone, and the probe before all else on the others: what is felt
then is the server's queue.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from statistics import median

from tests.benchmarks.figures import Column, Table
from tests.support.servers import RunningServer

NOBODY = "nothing else"
CROWD = "a process as busy, not at the server"
PROBED_SECONDS = 2.5
_FELT = (
    Column("p50, µs"),
    Column("p90, µs"),
    Column("p99, µs"),
    Column("p99 × nothing else", ".2fx"),
    Column("p99 × a busy process", ".2fx"),
    Column("best round"),
    Column("worst round"),
    Column("keys/s"),
)
_FOREGROUND = [sys.executable, "-m", "tests.benchmarks.foreground"]


class Measured:
    """Microseconds that probes waited, round by round, and keys a second, by what was at work."""

    def __init__(self) -> None:
        self._waits: dict[str, list[list[int]]] = {}
        self._rates: dict[str, list[float]] = {}

    def waits(self, doing: str) -> list[int]:
        """Where to put those of one more round."""
        self._waits.setdefault(doing, []).append([])
        return self._waits[doing][-1]

    def rate(self, doing: str, keys_per_second: float) -> None:
        """How fast it went in this round."""
        self._rates.setdefault(doing, []).append(keys_per_second)

    def table(self, name: str, title: str) -> Table:
        """The pooled quantiles; beside them the p99 of the best and the worst round: how far to trust them."""
        table = Table(name, title, _FELT)
        none = _quantile(chain(*self._waits[NOBODY]), 0.99)
        crowd = _quantile(chain(*self._waits[CROWD]), 0.99)
        for doing, rounds in self._waits.items():
            p50, p90, p99 = (_quantile(chain(*rounds), share) for share in (0.5, 0.9, 0.99))
            each = [_quantile(one, 0.99) for one in rounds]
            rate = median(self._rates[doing]) if doing in self._rates else None
            table.row(doing, p50, p90, p99, p99 / none, p99 / crowd, min(each), max(each), rate)
        return table


def _quantile(waits: Iterable[int], share: float) -> int:
    ordered = sorted(waits)
    return ordered[int(len(ordered) * share)]


def in_both_tables(name: str, title: str, server: RunningServer, measure: Callable[[], Measured]) -> Iterator[Table]:
    """What `measure` measures, first with all processes alike, then with a core for the server."""
    yield measure().table(name, f"{title}, all processes alike")
    if os.geteuid() != 0 or len(os.sched_getaffinity(0)) < 2:
        print("the second table needs two cores, and real-time priority for the server and the probe: run it as root")
        return
    title = f"{title}, a core for the server, the probe before all else on the rest"
    with _core_of_its_own(server):
        table = measure().table(f"{name}-own-core", title)
    yield table


def feel(server: RunningServer, waits: list[int]) -> None:
    """Probe for a while, beside whatever is at work."""
    with probing(server, waits):
        time.sleep(PROBED_SECONDS)


def feel_beside(server: RunningServer, share: float, waits: list[int]) -> None:
    """Probe beside a process that keeps `share` of a core busy."""
    with _busy("burn", str(share)):
        feel(server, waits)


def loaded(server: RunningServer, rate: int) -> contextlib.AbstractContextManager[None]:
    """`rate` GETs a second of somebody else."""
    return _busy("load", server.socket_path, str(rate))


@contextlib.contextmanager
def probing(server: RunningServer, waits: list[int]) -> Iterator[None]:
    """A probe in a process of its own, scheduled as the server is, for as long as the context lasts."""
    with server.client() as client:
        policy = os.sched_getscheduler(int(client.info("server")["process_id"]))
    command = [*_FOREGROUND, "probe", server.socket_path, str(policy)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            waits += json.loads(process.communicate()[0])


@contextlib.contextmanager
def _busy(*words: str) -> Iterator[None]:
    process = subprocess.Popen([*_FOREGROUND, *words])
    try:
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _core_of_its_own(server: RunningServer) -> Iterator[None]:
    """The server alone on one core, before all others; this process and what it starts on the rest."""
    with server.client() as client:
        pid = int(client.info("server")["process_id"])
    cores = os.sched_getaffinity(0)
    first = min(cores)
    os.sched_setaffinity(0, cores - {first})
    _all_threads(pid, {first})
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        _all_threads(pid, cores)
        os.sched_setaffinity(0, cores)


def _all_threads(pid: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
