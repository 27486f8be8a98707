"""What others feel of a plan in the making and of its run: what a probe waits, pooled over several rounds.

Everything shares one machine here, and half of what a probe waits is the processor's crowd. So each round also probes
with nothing else at work, and beside a process as busy as the tool that leaves the server alone. Then all of it again
with a core for the server, and the probe before all else on the others: what is felt then is the server's queue.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TypeVar

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria
from tests.benchmarks.foreground import middle_and_p99
from tests.support.acting import operating, planned
from tests.support.servers import RunningServer

_GET = b"*2\r\n$3\r\nGET\r\n$6\r\nabsent\r\n"
_FOREGROUND = [sys.executable, "-m", "tests.benchmarks.foreground"]
_NOBODY, _CROWD, _PLANNING, _DELETING = "nothing else", "as busy a process", "planning", "deleting"
_PROBED_SECONDS = 2.5
_PAUSE = 0.001
Result = TypeVar("Result")


def felt(server: RunningServer, criteria: Criteria, refill: Callable[[], None], load: int, rounds: int) -> None:
    """Both tables. `refill` puts keys there that meet `criteria`; `load` is GETs a second of somebody else."""
    _table(f"{load:,} GET/s in front, all processes alike", server, criteria, refill, load, rounds)
    if os.geteuid() != 0 or len(os.sched_getaffinity(0)) < 2:
        print("the second table needs two cores, and real-time priority for the server and the probe: run it as root")
        return
    with _core_of_its_own(server):
        title = f"{load:,} GET/s in front, a core for the server, the probe before all else"
        _table(title, server, criteria, refill, load, rounds)


def _table(
    title: str, server: RunningServer, criteria: Criteria, refill: Callable[[], None], load: int, rounds: int
) -> None:
    told = Told()
    with _busy("load", server.socket_path, str(load)):
        for _ in range(rounds):
            refill()
            with _probing(server, told.waits(_NOBODY)):
                time.sleep(_PROBED_SECONDS)
            share = asyncio.run(_act(server, criteria, told))
            with _busy("burn", str(share)), _probing(server, told.waits(_CROWD)):
                time.sleep(_PROBED_SECONDS)
    told.show(title)


class Told:
    """Microseconds that probes waited, round by round, and keys a second, by what was at work."""

    def __init__(self) -> None:
        self._waits: dict[str, list[list[int]]] = {}
        self.rates: dict[str, list[float]] = {}

    def waits(self, doing: str) -> list[int]:
        """Where to put those of one more round."""
        self._waits.setdefault(doing, []).append([])
        return self._waits[doing][-1]

    def show(self, title: str) -> None:
        """Print the pooled quantiles; beside them the p99 of each round, which tells how far to trust them."""
        print(
            f"{title}\n{'':20} {'p50 us':>7} {'p99 us':>7} {'x none':>7} {'x busy':>7} {'keys/s':>8}  p99 of each round"
        )
        none, crowd = (middle_and_p99(chain(*self._waits[name]))[1] for name in (_NOBODY, _CROWD))
        for doing, rounds in self._waits.items():
            p50, p99 = middle_and_p99(chain(*rounds))
            rate = f"{median(self.rates[doing]):,.0f}" if doing in self.rates else ""
            each = " ".join([str(middle_and_p99(one)[1]) for one in rounds])
            print(f"{doing:20} {p50:7} {p99:7} {p99 / none:7.2f} {p99 / crowd:7.2f} {rate:>8}  {each}", flush=True)


async def _act(server: RunningServer, criteria: Criteria, told: Told) -> float:
    """Make a plan and run it, probed; the share of a core that this took."""
    with tempfile.TemporaryDirectory() as folder:
        async with operating(server.connection, Path(folder)) as operator:
            await operator.learn()
            began, used = time.perf_counter(), time.process_time()
            plan = await _probed(server, told, _PLANNING, lambda: planned(operator, criteria))
            told.rates.setdefault(_PLANNING, []).append(len(plan.keys) / (time.perf_counter() - began))
            run, started = operator.run(plan, backup=BackupChoice(wanted=False)), time.perf_counter()
            await _probed(server, told, _DELETING, run.run)
            ended = time.perf_counter()
            told.rates.setdefault(_DELETING, []).append(len(plan.keys) / (ended - started))
            return min(0.95, (time.process_time() - used) / (ended - began))


async def _probed(server: RunningServer, told: Told, doing: str, act: Callable[[], Awaitable[Result]]) -> Result:
    with _probing(server, told.waits(doing)):
        return await act()


@contextlib.contextmanager
def _probing(server: RunningServer, waits: list[int]) -> Iterator[None]:
    """A probe in a process of its own, scheduled as the server is, for as long as the context lasts."""
    with server.client() as client:
        policy = os.sched_getscheduler(int(client.info("server")["process_id"]))
    command = [sys.executable, "-m", "tests.benchmarks.neighbours", server.socket_path, str(policy)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it probes from here on
        try:
            yield
        finally:
            waits += json.loads(process.communicate()[0])


def _probe(path: str, policy: int) -> None:
    """Print how long a GET takes, in microseconds, every millisecond until the input ends."""
    os.sched_setscheduler(0, policy, os.sched_param(1 if policy == os.SCHED_FIFO else 0))
    os.set_blocking(sys.stdin.fileno(), False)
    waits = []
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        print(flush=True)
        while not _ended(sys.stdin.fileno()):
            began = time.perf_counter()
            link.sendall(_GET)
            link.recv(64)
            waits.append(int((time.perf_counter() - began) * 1e6))
            time.sleep(_PAUSE)
    print(json.dumps(waits))


def _ended(handle: int) -> bool:
    try:
        return not os.read(handle, 1)
    except BlockingIOError:
        return False


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


if __name__ == "__main__":
    _probe(sys.argv[1], int(sys.argv[2]))
