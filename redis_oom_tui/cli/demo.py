"""`redis-oom-tui demo`: the screen on a server of our own that is really out of memory."""

import os
import sys
from typing import Self

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import Number
from redis_oom_tui.demo.server import KEYS, DemoServer
from redis_oom_tui.formatting.server import address_args
from redis_oom_tui.models.structs import replace


@click.command()
@click.option("--keys", type=Number(1000, 5_000_000), default=KEYS, metavar="N", help=f"About how many keys ({KEYS}).")
@click.option("--check", "check_only", is_flag=True, help="No screen: print its verdict as check does, and end.")
@click.pass_context
def demo(ctx: click.Context, /, *, keys: int, check_only: bool) -> int:
    """Open the screen on an embedded Valkey at its memory limit, with an application whose writes it refuses.

    The server listens on a private unix socket, writes nothing to disk, and is gone when the screen is left.
    """
    invocation: Invocation = ctx.obj
    if not check_only and not invocation.screen.plain:
        from redis_oom_tui.tui.terminal.environment import refusal

        # Before ten seconds of filling, rather than after them.
        if (sentence := refusal(os.environ, sys.__stdin__, sys.__stderr__)) is not None:
            sys.stderr.write(f"{sentence}\n")
            return 2
    with DemoServer() as server:
        with Progress() as progress:
            server.start(keys=keys, on_progress=progress.show)
        connection = replace(server.connection, read_only=invocation.connection.read_only)
        profile = replace(invocation.profile, connection_args=address_args(connection.address))
        invocation = replace(invocation, profile=profile)
        if not check_only:
            from redis_oom_tui.cli.screen import show

            return show(invocation, connection)
        from redis_oom_tui.cli.check import check

        ctx.obj = replace(invocation, connection=connection)
        return int(ctx.invoke(check, as_json=False))


class Progress:
    """One line on stderr: rewritten on a terminal, written once elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = -1

    def __enter__(self) -> Self:
        sys.stderr.write("Starting a demo server and filling it ...")
        sys.stderr.flush()
        return self

    def show(self, done: int, total: int) -> None:
        """So many of so many keys are there."""
        percent = 100 * done // total
        if self._live and percent != self._shown:
            self._shown = percent
            sys.stderr.write(f"\rStarting a demo server and filling it: {percent:3d}%")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        sys.stderr.write("\n")
