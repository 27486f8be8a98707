"""Milliseconds from the command to its first paint, its figures, the whole screen.

Medians beside what Python takes to import Textual, in turn on one machine: the ratio is what can be compared.
"""

import argparse
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.figures import Column, Table
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started
from tests.support.terminal import Terminal

COMMAND = str(Path(sys.executable).with_name("redis-oom-tui"))
_PATIENCE_SECONDS = 20.0
_RUNS = 15
# The panes are in the first frame, the policy comes with the first answer, the keys with the whole screen.
_PAINTED, _FIGURES, _WHOLE = b"Triage", b"noeviction", b"quit"
_PARTS = ("first paint", "first figures", "whole")


def start(given: argparse.Namespace) -> Iterator[Table]:
    """Milliseconds, and each beside what Python takes to import Textual."""
    port = str(free_ports()[0])
    with started(given.server, f"port {port}") as server, started(given.server) as healthy:
        _fill(server)
        rows: dict[str, Callable[[], tuple[float, ...]]] = {
            "python -c 'import textual.app'": lambda: (_run([sys.executable, "-c", "import textual.app"]),),
            "python -c 'import redis.asyncio'": lambda: (_run([sys.executable, "-c", "import redis.asyncio"]),),
            "screen": lambda: _screen(server),
            "check, healthy": lambda: (_run([COMMAND, "-s", healthy.socket_path, "check"]),),
            "check, at its limit with 20,000 keys": lambda: (_run([COMMAND, "-s", server.socket_path, "check"]),),
            "the same over TCP": lambda: (_run([COMMAND, "-p", port, "check"]),),
            "check, nothing answers": lambda: (_run([COMMAND, "-p", "1", "check"]),),
            "--help": lambda: (_run([COMMAND, "--help"]),),
            "shell completion": lambda: (_run([COMMAND], _COMP_WORDS="redis-oom-tui ch", COMP_CWORD="1"),),
        }
        taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in rows}
        for turn in range(_RUNS + 1):
            for name, measure in rows.items():
                figures = measure()
                if turn:  # the first warms the caches
                    taken[name].append(figures)
    columns = (Column("CPU or wall, ms"), Column("× importing Textual", ".2fx"))
    title = f"Start: ms of CPU of a command, ms until the screen shows something, medians of {_RUNS}"
    limit = (
        "check waits 100 ms between its two looks, which is no CPU time. Where something is the matter, it loads the"
        " driver and reads up to 25,000 keys for the cause."
    )
    table = Table("start", title, columns, limit)
    base = median(figures[0] for figures in next(iter(taken.values())))
    for name, found in taken.items():
        middles = [median(column) for column in zip(*found, strict=True)]
        labels = [f"{name}: {part}" for part in _PARTS] if len(middles) > 1 else [name]
        for label, middle in zip(labels, middles, strict=True):
            table.row(label, middle * 1000, middle / base)
    yield table


def _fill(server: RunningServer) -> None:
    """At its limit, so that the screen has everything to say."""
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(20_000):
            pipe.set(f"session:{number}", "x" * 200, ex=None if number % 2 else 86_400)
        pipe.execute()
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 100_000)


def _screen(server: RunningServer) -> tuple[float, ...]:
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "xterm-256color"}
    began = time.perf_counter()
    run = Terminal([COMMAND, "-s", server.socket_path], (80, 24), environ | {"LANG": "C.UTF-8"})
    try:
        return tuple(at - began for at in seen(run.fd, _PAINTED, _FIGURES, _WHOLE))
    finally:
        run.close()


def seen(fd: int, *wanted: bytes) -> list[float]:
    """When each came out of the terminal; nothing is drawn here, which would take the time of what is measured."""
    came, times = b"", []
    until = time.perf_counter() + _PATIENCE_SECONDS
    for words in wanted:
        while words not in came:  # two of them may come in one piece
            if not select.select([fd], [], [], max(0.0, until - time.perf_counter()))[0]:
                raise AssertionError(f"{words!r} never came, but {came[-2000:]!r}")
            came += os.read(fd, 65536)
        times.append(time.perf_counter())
    return times


def _run(argv: list[str], **environ: str) -> float:
    """Seconds of CPU. Compiled files are kept as for a user, whatever this environment says of them."""
    words = {"_REDIS_OOM_TUI_COMPLETE": "bash_complete", "COMP_WORDS": environ.pop("_COMP_WORDS")} if environ else {}
    env = os.environ | environ | words
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
