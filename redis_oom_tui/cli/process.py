"""What a command is as a process: its stop by signal, its progress, its waiting, its place in the processor's queue."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

import click

from redis_oom_tui.models import timeouts
from redis_oom_tui.models.errors import BadInput, ServerBusy, ServerUnreachable
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.ports.source import Job

_Answer = TypeVar("_Answer")
_View = TypeVar("_View")

# The last of all gets a fiftieth of a crowded core: only who asked for it waits so long. At 10 it is a tenth.
_NICE = {Pace.GENTLE: 19, Pace.NORMAL: 10, Pace.FULL_SPEED: 0}


def give_way(pace: Pace) -> None:
    """Take the processor after others, at the gentle pace only where nobody wants it, for the rest of this process.

    On the server's own machine, most of what others feel of a scan or a deletion is its place in the processor's queue,
    not in the server's: `python -m tests.benchmarks latency` and `... deleting --only felt` show both.
    """
    os.nice(_NICE[pace])


def heeded(signals: Iterable[signal.Signals]) -> tuple[signal.Signals, ...]:
    """Those of `signals` that nobody has this process ignore, as nohup does with SIGHUP."""
    return tuple(number for number in signals if signal.getsignal(number) is not signal.SIG_IGN)


def require_output() -> None:
    """Raise BadInput where standard output is closed: what goes on until it is stopped would do so unseen."""
    if sys.stdout is None:
        raise BadInput("standard output is closed: redirect it, e.g. to /dev/null")


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
    signals = heeded((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    for number in signals:
        loop.add_signal_handler(number, stopped, number)
    try:
        yield came
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class Ticker:
    """One line of progress on stderr, rewritten twice a second on a terminal; elsewhere `begun` once, where given."""

    def __init__(self, words: Callable[[], str], begun: str = "") -> None:
        self._words = words
        self._begun = begun
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if sys.stderr.isatty():
            self._task = asyncio.create_task(self._tick())
        elif self._begun:
            click.echo(f"redis-oom-tui: {self._begun} ...", err=True)

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


async def followed(job: Job[_Answer, _View], words: Callable[[_View], str], begun: str = "") -> tuple[_Answer, bool]:
    """Run it with a line of progress; a signal stops it. What it came to, and whether a signal came."""
    with stopping(job.stop) as came:
        async with Ticker(lambda: words(job.view()), begun):
            return await job.run(), bool(came)


async def when_free(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What `ask` returns, asked again while the server is busy or silent; stderr says once that, and for how long, it
    waits. So nothing that changes the server is asked here.
    """
    from redis_oom_tui.server.tasks import is_silent, not_busy, until_lost

    waits = False

    async def asked() -> _Answer:
        nonlocal waits
        try:
            return await ask()
        except ServerBusy as busy:
            if not waits:
                click.echo(f"redis-oom-tui: {busy} (waiting up to {timeouts.BUSY:.0f}s)", err=True)
            waits = True
            raise
        except ServerUnreachable as lost:
            if lost.silent and not waits:
                click.echo(f"redis-oom-tui: {lost} (trying again for {timeouts.GIVE_UP:.0f}s)", err=True)
                waits = True
            raise

    return await until_lost(lambda: not_busy(asked), worth=is_silent)
