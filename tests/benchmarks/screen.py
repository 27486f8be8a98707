"""Bytes a second down the line, beside others that redraw once a second; how long a key takes to its paint."""

import argparse
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles

from tests.benchmarks.figures import Column, Table
from tests.benchmarks.start import COMMAND, seen
from tests.support.servers import RunningServer
from tests.support.terminal import Terminal, terminal

APP = [sys.executable, "-m", "tests.support.app_on_script"]
SIZES = ((80, 24), (120, 40), (200, 60))
SECONDS = 8.0
# Each pane by a word that the other has not at that place.
_PANES = ((b"1", b"fragment"), (b"2", b"TYPE"))
_PRESSES = 120
PEERS = {"top -d1": ["top", "-d1"], "htop -d10": ["htop", "-d10"], "btop, every 2 s": ["btop", "--utf-force"]}


_COLUMNS = tuple(
    column for columns, lines in SIZES for column in (Column(f"{columns}x{lines}, B/s"), Column("× idle", ".1fx"))
)


def screen(_given: object) -> Iterator[Table]:
    """Bytes a second down the line, beside others that redraw once a second."""
    title = "Bytes a second to the terminal"
    table = Table("screen", title, _COLUMNS, "The budget of an idle screen is 500 B/s at 80x24, and 1,000 at 200x60.")
    idle = _rates(lambda run: run.wait_for("refused writes"), APP)
    measured = {
        "this screen, idle": idle,
        "this screen, scanning": _rates(_scan, APP),
        "the same with --no-diff": _rates(_scan, [*APP, "--no-diff"]),
    }
    for name, argv in PEERS.items():
        if shutil.which(argv[0]):
            measured[name] = _rates(lambda run: run.read(2.0), argv)
    for name, rates in measured.items():
        pairs = [figure for rate, one in zip(rates, idle, strict=True) for figure in (rate, rate / one)]
        table.row(name, *pairs)
    yield table


def keys(server: RunningServer, given: argparse.Namespace) -> Iterator[Table]:
    """Milliseconds from a key that switches the pane until what it shows has come, beside a scan at full speed."""
    del given
    title = f"From a key that switches the pane to its paint at 120x36, ms, {_PRESSES} presses"
    columns = (Column("median"), Column("p90"), Column("p99"))
    table = Table("keys", title, columns, "The goal is 50 ms at the 99th percentile.")
    with terminal([COMMAND, "-s", server.socket_path], (120, 36)) as run:
        seen(run.fd, b"quit")
        for typed in (b"2", b"r", b"+", b"+"):
            os.write(run.fd, typed)
            _quiet(run.fd, 0.5)
        table.row("while it scans at full speed", *_percentiles(run.fd))
        os.write(run.fd, b"e")
        _quiet(run.fd, 1.0)
        table.row("idle", *_percentiles(run.fd))
    yield table


def _percentiles(fd: int) -> tuple[float, float, float]:
    took: list[float] = []
    for number in range(_PRESSES):
        key, shown = _PANES[number % 2]
        began = time.perf_counter()
        os.write(fd, key)
        seen(fd, shown)
        took.append(1000 * (time.perf_counter() - began))
        # At ever other moments of a poll, of a frame, of a page of the scan.
        _quiet(fd, 0.05 + 0.013 * (number % 5))
    cut = quantiles(took, n=100, method="inclusive")
    return median(took), cut[89], cut[98]


def _quiet(fd: int, seconds: float) -> None:
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        if select.select([fd], [], [], left)[0]:
            os.read(fd, 65536)


def _scan(run: Terminal) -> None:
    run.wait_for("refused writes")
    run.type("2r")
    run.wait_for("scanning")


def _rates(begin: Callable[[Terminal], object], argv: list[str]) -> list[float]:
    rates = []
    for size in SIZES:
        with terminal(argv, size) as run:
            begin(run)
            run.read(2.0)
            started, count = time.monotonic(), 0
            while time.monotonic() - started < SECONDS:
                count += run.read(0.5)
            rates.append(count / SECONDS)
    return rates
