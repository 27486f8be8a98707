"""Bytes a second down the line, beside others that redraw once a second."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator

from tests.benchmarks.figures import Column, Table
from tests.support.terminal import Terminal, terminal

APP = [sys.executable, "-m", "tests.support.app_on_script"]
SIZES = ((80, 24), (120, 40), (200, 60))
SECONDS = 8.0
PEERS = {"top -d1": ["top", "-d1"], "htop -d10": ["htop", "-d10"], "btop, every 2 s": ["btop", "--utf-force"]}


_COLUMNS = tuple(
    column for columns, lines in SIZES for column in (Column(f"{columns}x{lines}, B/s"), Column("× idle", ".1fx"))
)


def screen(_given: object) -> Iterator[Table]:
    """Bytes a second down the line, beside others that redraw once a second."""
    title = "Bytes a second to the terminal"
    table = Table("screen", title, _COLUMNS, "The budget of an idle screen is 500 B/s.")
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


def _scan(run: Terminal) -> None:
    run.wait_for("refused writes")
    run.type("2r")
    run.wait_for("scanning")


def _rates(begin: Callable[[Terminal], object], argv: list[str]) -> list[float]:
    told = []
    for size in SIZES:
        with terminal(argv, size) as run:
            begin(run)
            run.read(2.0)
            started, count = time.monotonic(), 0
            while time.monotonic() - started < SECONDS:
                count += run.read(0.5)
            told.append(count / SECONDS)
    return told
