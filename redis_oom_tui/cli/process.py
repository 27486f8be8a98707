"""What a command is as a process: a stop by signal, a line of progress, and its place in the processor's queue."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

from redis_oom_tui.models.scan import Pace

# The last of all gets a fiftieth of a crowded core: only who asked for it waits so long. At 10 it is a tenth.
_NICE = {Pace.GENTLE: 19, Pace.NORMAL: 10, Pace.FULL_SPEED: 0}


def give_way(pace: Pace) -> None:
    """Take the processor after others, at the gentle pace only where nobody wants it, for the rest of this process.

    On the server's own machine, most of what others feel of a scan or a deletion is its place in the processor's queue,
    not in the server's: `python -m tests.benchmarks latency` and `... deleting --only felt` show both.
    """
    os.nice(_NICE[pace])


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[set[signal.Signals]]:
    """While inside, Ctrl+C, SIGTERM and SIGHUP call `stop` instead of ending the tool in the middle of a batch; yields
    those that came.
    """
    came: set[signal.Signals] = set()

    def stopped(number: signal.Signals) -> None:
        came.add(number)
        stop()

    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stopped, number)
    try:
        yield came
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class Ticker:
    """One line of progress on stderr, rewritten twice a second on a terminal, and nothing elsewhere."""

    def __init__(self, words: Callable[[], str]) -> None:
        self._words = words
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if sys.stderr.isatty():
            self._task = asyncio.create_task(self._tick())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            sys.stderr.write(f"\r\x1b[K{self._words()[:79]}")
            sys.stderr.flush()
