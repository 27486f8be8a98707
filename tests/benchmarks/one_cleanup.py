"""A plan made and run, restored, and run again without a backup, in a process of its own; each begins when a line comes
in, and prints what it took, as JSON.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from redis_oom_tui.cli.main import COLLECTED_AFTER
from redis_oom_tui.cli.process import give_way
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import Pace
from tests.support.acting import operating, planned

_T = TypeVar("_T")


async def _clean(path: str, pattern: str) -> None:
    """In its place among other processes as `cleanup` is."""
    with tempfile.TemporaryDirectory() as folder:
        async with operating(Connection(Address(socket_path=path)), Path(folder)) as operator:
            await operator.learn()
            give_way(Pace.NORMAL)
            criteria = Criteria(patterns=(pattern.encode(),))
            plan = await _felt(lambda: planned(operator, criteria), lambda plan: len(plan.keys))
            view = await _felt(lambda: operator.run(plan, backup=BackupChoice()).run(), lambda _: len(plan.keys))
            backup = Path(str(view.backup_path))
            await _felt(lambda: operator.restore(backup).run(), lambda report: report.counts[RestoreOutcome.RESTORED])
            again = await planned(operator, criteria)
            no_backup = BackupChoice(wanted=False)
            await _felt(lambda: operator.run(again, backup=no_backup).run(), lambda _: len(again.keys))


async def _felt(work: Callable[[], Awaitable[_T]], keys: Callable[[_T], int]) -> _T:
    """What `work` comes to, begun when a line comes in; tells how many keys that were, in which time."""
    await asyncio.to_thread(sys.stdin.readline)
    began, used = time.perf_counter(), time.process_time()
    done = await work()
    seconds = time.perf_counter() - began
    found = {"keys": keys(done), "seconds": seconds, "cpu_share": (time.process_time() - used) / seconds}
    print(json.dumps(found), flush=True)
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.one_cleanup", description=__doc__)
    parser.add_argument("path", help="the path of a socket")
    parser.add_argument("pattern")
    given = parser.parse_args()
    gc.set_threshold(*COLLECTED_AFTER)
    asyncio.run(_clean(given.path, given.pattern))
