"""`python -m tests.benchmarks`: each figure of docs/performance.md that is measured, as ratios of one run.

Without a name, all of them. `--write` puts the tables into the page and keeps the figures for the next comparison.
"""

import argparse
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.benchmarks.data import fill
from tests.benchmarks.deleting import deleting, felt
from tests.benchmarks.figures import Table, publish
from tests.benchmarks.latency import latency
from tests.benchmarks.nodes import nodes
from tests.benchmarks.scanning import distance, speed
from tests.benchmarks.screen import keys, screen
from tests.benchmarks.start import start
from tests.benchmarks.truth import truth
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, available, started

# Those of the first group share one filled server; the others bring what they need.
_ON_KEYS = {"speed": speed, "latency": latency, "distance": distance, "truth": truth, "keys": keys}
_ALONE = {"deleting": deleting, "felt": felt, "start": start, "screen": screen, "nodes": nodes}


def main() -> None:
    """Fill a server and measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*_ON_KEYS, *_ALONE, []], default=[])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--delete", type=int, default=100_000, help="keys to delete")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20, help="short scans of `truth`")
    parser.add_argument("--server", choices=available(), default="redis7" if "redis7" in available() else "valkey")
    parser.add_argument("--load", type=int, default=15_000, help="GETs a second in front of `latency`")
    parser.add_argument("--cli", action="append", metavar="PATH", help="a redis-cli to compare with; may be repeated")
    parser.add_argument("--write", action="store_true", help="keep the figures, and put them into the page")
    given = parser.parse_args()
    given.cli = given.cli or [path for path in [shutil.which("redis-cli")] if path is not None]
    print(f"{time.strftime('%Y-%m-%d')}  {platform.machine()}, Python {platform.python_version()}, {given.server}\n")
    for table in _measured(given, given.what or [*_ON_KEYS, *_ALONE]):
        publish(table, write=given.write)


def _measured(given: argparse.Namespace, wanted: Sequence[str]) -> Iterator[Table]:
    on_keys = [name for name in _ON_KEYS if name in wanted]
    if on_keys:
        with _filled(given) as server:
            for name in on_keys:
                yield from _ON_KEYS[name](server, given)
    for name in [name for name in _ALONE if name in wanted]:
        yield from _ALONE[name](given)


@contextmanager
def _filled(given: argparse.Namespace) -> Iterator[RunningServer]:
    with started(given.server, f"port {free_ports()[0]}") as server:
        began = time.perf_counter()
        fill(server, given.keys)
        print(f"{given.keys:,} keys written in {time.perf_counter() - began:.0f} s\n", flush=True)
        yield server


if __name__ == "__main__":
    main()
