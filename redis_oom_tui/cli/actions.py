"""What the commands that change a server share: the operator, the question before, and a stop by Ctrl+C or SIGTERM."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from redis_oom_tui.actions.cluster.operator import ClusterOperator
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.operator import make_operator
from redis_oom_tui.cli.waiting import when_free
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.errors import CommandMissing, ReadOnlyMode
from redis_oom_tui.server.open_source import source_for

if TYPE_CHECKING:
    from redis_oom_tui.server.cluster.source import ClusterSource
    from redis_oom_tui.server.live import LiveServer

_YES = "yes"
AnyOperator = LiveOperator | ClusterOperator
"""Of one server, or of a cluster."""


@contextlib.asynccontextmanager
async def acting(invocation: Invocation) -> AsyncIterator[tuple["LiveServer | ClusterSource", AnyOperator]]:
    """A connected server and its operator, let go of at the end."""
    server = source_for(invocation.connection)
    operator = make_operator(invocation, server)
    try:
        await when_free(server.open)
        yield server, operator
    finally:
        await operator.close()
        await server.close()


async def require(operator: AnyOperator, action: Action, *, read_only: bool) -> None:
    """Raise, for exit code 3, where `action` cannot be used here; under --read-only before anything is asked."""
    if not read_only:
        await when_free(operator.learn)
    reason = operator.why_not(action)
    if reason is not None:
        raise (ReadOnlyMode if read_only else CommandMissing)(reason)


def confirm(sentences: Sequence[str], word: str | None = None) -> bool:
    """Show `sentences` and ask for a typed word; False, with the reason shown, where nobody is there to type it."""
    for sentence in sentences:
        click.echo(sentence, err=True)
    if not sys.stdin.isatty():
        click.echo("Nobody can confirm this here (no terminal): add --yes if it is meant", err=True)
        return False
    wanted = word or _YES
    answer: str = click.prompt(f"Type {wanted} to do it", default="", show_default=False, err=True)
    return answer.strip() == wanted


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
