"""One scan in a process of its own, so that its time, CPU and memory are its own; prints them as JSON."""

import argparse
import asyncio
import json
import resource
import time

from redis_oom_tui.cli.process import give_way
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.ports.source import Scan
from redis_oom_tui.server.live import LiveServer


async def scan(where: str, pace: str, idle: bool, seconds: float | None) -> dict[str, object]:
    """Scan `where` to the end, or for so many seconds, in its place among other processes as `hogs` does."""
    give_way(Pace(pace))
    host, _, port = where.rpartition(":")
    address = Address(socket_path=where) if where.startswith("/") else Address(host, int(port))
    source = LiveServer(Connection(address))
    await source.open()
    running = source.scan(ScanOptions(pace=Pace(pace), idle=idle))
    late: list[float] = []
    screen = asyncio.create_task(_screen(running, late))
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, running.stop)
    before = _cpu()
    view = await running.run()
    cpu = _cpu() - before
    screen.cancel()
    await source.close()
    return {
        "state": view.state.value,
        "error": view.error,
        "keys": view.scanned_keys,
        "seconds": view.elapsed_seconds,
        "cpu_share": cpu / view.elapsed_seconds,
        "cpu_us_per_key": cpu * 1e6 / max(1, view.scanned_keys),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "late_ms_p99": sorted(late)[int(len(late) * 0.99)] * 1000 if late else None,
        "share": view.throttle.share,
        "patterns": len(view.patterns),
    }


async def _screen(scan: Scan, late: list[float]) -> None:
    """What a screen does beside a scan: two views a second; and how late the event loop comes to anything else."""
    beats = 0
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        late.append(time.perf_counter() - began - 0.01)
        beats += 1
        if beats % 50 == 0:
            scan.view()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.one_scan", description=__doc__)
    parser.add_argument("where", help="HOST:PORT, or the path of a socket")
    parser.add_argument("pace", choices=list(Pace))
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(scan(given.where, given.pace, given.idle, given.seconds))))
