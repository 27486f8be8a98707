"""A plan made and run in a process of its own, each when a line comes in; prints what each took, as JSON."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from redis_oom_tui.cli.process import give_way
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace
from tests.support.acting import operating, planned


async def _clean(path: str, pattern: str) -> None:
    """In its place among other processes as `cleanup` is."""
    with tempfile.TemporaryDirectory() as folder:
        async with operating(Connection(Address(socket_path=path)), Path(folder)) as operator:
            await operator.learn()
            give_way(Pace.NORMAL)
            await _told_to()
            began, used = time.perf_counter(), time.process_time()
            plan = await planned(operator, Criteria(patterns=(pattern.encode(),)))
            _tell(len(plan.keys), began, used)
            await _told_to()
            began, used = time.perf_counter(), time.process_time()
            await operator.run(plan, backup=BackupChoice(wanted=False)).run()
            _tell(len(plan.keys), began, used)


async def _told_to() -> None:
    await asyncio.to_thread(sys.stdin.readline)


def _tell(keys: int, began: float, used: float) -> None:
    seconds = time.perf_counter() - began
    found = {"keys": keys, "seconds": seconds, "cpu_share": (time.process_time() - used) / seconds}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.one_cleanup", description=__doc__)
    parser.add_argument("path", help="the path of a socket")
    parser.add_argument("pattern")
    given = parser.parse_args()
    asyncio.run(_clean(given.path, given.pattern))
