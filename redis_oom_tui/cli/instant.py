"""`hogs --instant` and `hogs --hot`: what the server itself keeps of its keys, without a scan."""

import asyncio
import contextlib
import sys
from typing import Any

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import given_options, refuse_beside
from redis_oom_tui.cli.process import when_free
from redis_oom_tui.cli.rdb import of_server_or_dump
from redis_oom_tui.formatting import key_sizes as text
from redis_oom_tui.models.errors import CommandRefused
from redis_oom_tui.models.keys import HotKeys
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.breakdown import key_sizes

_USED = {"instant", "top", "json", "rdb", "server_binary"}
_USED_HOT = {"hot", "top", "json"}
_BEFORE_A_SCAN = 5


def instant(invocation: Invocation, given: dict[str, Any]) -> int:
    """Print it; raises BadInput beside what needs a scan, CommandRefused where the server tells nothing."""
    reason = "no key is read, only the server's own count"
    refuse_beside("instant", given_options(), given_options().keys() - _USED, reason)
    with contextlib.ExitStack() as stack:
        invocation, notes = of_server_or_dump(invocation, given["rdb"], given["server_binary"], stack)
        snapshot = asyncio.run(_snapshot(invocation))
    sizes = key_sizes(snapshot, invocation.connection.db)
    if sizes is None:
        raise CommandRefused(f"{text.NOT_REPORTED}: leave --instant out to scan", command="INFO")
    if given["form"] == "json":
        print_document(text.instant_document(sizes))
    else:
        click.echo("\n".join((*notes, *text.summary(sizes), "", *text.table(sizes, given["top"]))).rstrip())
    return 0


def hot(invocation: Invocation, given: dict[str, Any]) -> int:
    """Print the hottest keys, where they are tracked; raises BadInput beside what needs a scan."""
    reason = "no key is read, only what the server tracks"
    refuse_beside("hot", given_options(), given_options().keys() - _USED_HOT, reason)
    found = asyncio.run(_hot_keys(invocation))
    if given["form"] == "json":
        print_document(text.hot_document(found, given["top"]))
    else:
        click.echo("\n".join(text.hot_lines(found, given["top"])))
    return 0


async def _hot_keys(invocation: Invocation) -> tuple[HotKeys, ...]:
    from redis_oom_tui.server.open_source import source_for

    server = source_for(invocation.connection)
    try:
        await when_free(server.open)
        return await server.hot_keys()
    finally:
        await server.close()


def show_before_the_scan(snapshot: Snapshot, db: int | None) -> None:
    """The same in brief on stderr, where somebody waits for the scan at a terminal."""
    sizes = key_sizes(snapshot, db) if sys.stderr.isatty() else None
    if sizes is not None and sizes.histograms:
        click.echo("\n".join((*text.summary(sizes), *text.table(sizes, _BEFORE_A_SCAN))), err=True)


async def _snapshot(invocation: Invocation) -> Snapshot:
    from redis_oom_tui.server.open_source import source_for

    server = source_for(invocation.connection)
    try:
        await when_free(server.open)
        return await when_free(server.snapshot)
    finally:
        await server.close()
