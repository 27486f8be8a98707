"""`python -m tests.benchmarks.screen`: bytes a second down the line, beside others that redraw once a second."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence

from tests.support.terminal import Terminal, terminal

APP = [sys.executable, "-m", "tests.support.app_on_script"]
SIZES = ((80, 24), (120, 40), (200, 60))
SECONDS = 8.0
PEERS = {"top -d1": ["top", "-d1"], "htop -d10": ["htop", "-d10"], "btop, every 2 s": ["btop", "--utf-force"]}


def main() -> None:
    """Print the table."""
    print(f"{'bytes a second':34}" + "".join(f"{f'{columns}x{lines}':>9} {'x':>5}" for columns, lines in SIZES))
    first = _line("this screen, idle", lambda run: run.wait_for("refused writes"), APP)
    _line("this screen, scanning", _scan, APP, first)
    _line("the same with --no-diff", _scan, [*APP, "--no-diff"], first)
    for name, argv in PEERS.items():
        if shutil.which(argv[0]):
            _line(name, lambda run: run.read(2.0), argv, first)


def _scan(run: Terminal) -> None:
    run.wait_for("refused writes")
    run.type("2r")
    run.wait_for("scanning")


def _line(
    name: str, begin: Callable[[Terminal], object], argv: list[str], base: Sequence[float] | None = None
) -> list[float]:
    """Print the rates, each beside the one of `base`, and return them."""
    told = []
    for size in SIZES:
        with terminal(argv, size) as run:
            begin(run)
            run.read(2.0)
            started, count = time.monotonic(), 0
            while time.monotonic() - started < SECONDS:
                count += run.read(0.5)
            told.append(count / SECONDS)
    pairs = zip(told, base or told, strict=True)
    print(f"{name:34}" + "".join(f"{rate:>9,.0f} {rate / one:>5.1f}" for rate, one in pairs), flush=True)
    return told


if __name__ == "__main__":
    main()
