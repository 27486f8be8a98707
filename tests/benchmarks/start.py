"""`python -m tests.benchmarks.start`: milliseconds from the command to its first paint, its figures, the whole screen.

Medians beside what Python takes to import Textual, in turn on one machine: the ratio is what can be compared.
"""

import argparse
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.support.ports import free_ports
from tests.support.servers import RunningServer, available, started
from tests.support.terminal import Terminal

COMMAND = str(Path(sys.executable).with_name("redis-oom-tui"))
_PATIENCE_SECONDS = 20.0
# The panes are in the first frame, the policy comes with the first answer, the keys with the whole screen.
_PAINTED, _FIGURES, _WHOLE = b"Triage", b"noeviction", b"quit"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.start", description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    given = parser.parse_args()
    port = str(free_ports()[0])
    with started(given.server, f"port {port}") as server:
        _fill(server)
        rows: dict[str, Callable[[], tuple[float, ...]]] = {
            "python -c 'import textual.app'": lambda: (_run([sys.executable, "-c", "import textual.app"]),),
            "screen: first paint, figures, whole": lambda: _screen(server),
            "check, unix socket": lambda: (_run([COMMAND, "-s", server.socket_path, "check"]),),
            "check, TCP": lambda: (_run([COMMAND, "-p", port, "check"]),),
            "--help": lambda: (_run([COMMAND, "--help"]),),
            "shell completion": lambda: (_run([COMMAND], _COMP_WORDS="redis-oom-tui ch", COMP_CWORD="1"),),
        }
        taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in rows}
        for turn in range(given.runs + 1):
            for name, measure in rows.items():
                figures = measure()
                if turn:  # the first warms the caches
                    taken[name].append(figures)
    base = median(figures[0] for figures in taken[next(iter(rows))])
    print(f"{'ms, median of ' + str(given.runs):36}{'':>20}{'x Textual':>20}")
    for name, found in taken.items():
        middles = [median(column) for column in zip(*found, strict=True)]
        told = " / ".join(f"{1000 * middle:.0f}" for middle in middles)
        print(f"{name:36}{told:>20}{' / '.join(f'{middle / base:.2f}' for middle in middles):>20}")


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
        return tuple(at - began for at in _seen(run.fd, _PAINTED, _FIGURES, _WHOLE))
    finally:
        run.close()


def _seen(fd: int, *wanted: bytes) -> list[float]:
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
    began = time.perf_counter()
    words = {"_REDIS_OOM_TUI_COMPLETE": "bash_complete", "COMP_WORDS": environ.pop("_COMP_WORDS")} if environ else {}
    subprocess.run(argv, stdout=subprocess.DEVNULL, env=os.environ | environ | words, check=False)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
