"""`python -m tests.benchmarks.check`: what one `check` takes, beside starting Python and importing its driver."""

import argparse
import resource
import subprocess
import sys
import time
from statistics import median

from tests.support.servers import available, started


def main() -> None:
    """Take each in turn, several times, and print medians of one run."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.check", description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--server", choices=available(), default="valkey")
    given = parser.parse_args()
    with started(given.server, "maxmemory 100mb") as server, server.client() as client:
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import redis.asyncio": [sys.executable, "-c", "import redis.asyncio"],
            "check": [sys.executable, "-m", "redis_oom_tui", "-s", server.socket_path, "check"],
        }
        wall: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(given.runs):
            for name, command in commands.items():
                took, used = _run(command)
                wall[name].append(took)
                cpu[name].append(used)
        client.config_resetstat()
        _run(commands["check"])
        sent = sum(figures["calls"] for figures in client.info("commandstats").values()) - 1
    driver = median(cpu["import redis.asyncio"])
    print(f"{'':22} {'ms wall':>9} {'ms CPU':>8} {'x import':>9}")
    for name in commands:
        used = median(cpu[name])
        print(f"{name:22} {median(wall[name]) * 1000:9.0f} {used * 1000:8.0f} {used / driver:9.2f}")
    print(f"check sends {sent} commands; 100 ms lie between its two looks")


def _run(command: list[str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
