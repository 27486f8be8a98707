"""One scan in a process of its own, so that its time, CPU and memory are its own; prints them as JSON."""

import asyncio
import json
import resource
import sys

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.store.live import LiveServer


async def scan(where: str, pace: str, idle: bool) -> dict[str, object]:
    host, _, port = where.rpartition(":")
    address = Address(socket_path=where) if where.startswith("/") else Address(host, int(port))
    source = LiveServer(Connection(address))
    await source.open()
    before = _cpu()
    view = await source.scan(ScanOptions(pace=Pace(pace), idle=idle)).run()
    cpu = _cpu() - before
    await source.close()
    return {
        "state": view.state.value,
        "error": view.error,
        "keys": view.scanned_keys,
        "seconds": view.elapsed_seconds,
        "cpu_us_per_key": cpu * 1e6 / max(1, view.scanned_keys),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "share": view.brake.share,
        "patterns": len(view.patterns),
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    print(json.dumps(asyncio.run(scan(sys.argv[1], sys.argv[2], len(sys.argv) > 3))))
