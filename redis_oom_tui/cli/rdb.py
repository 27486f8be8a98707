"""`rdb`: the screen on a dump file; and how other commands read one in place of a server."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import READ_FILE, connection_options_given, given_options, refuse_beside
from redis_oom_tui.formatting.sizes import progress
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rdb.server import RdbServer

_NO_SERVER = "a dump file is read, and no server of yours contacted"


_SERVER = click.option(
    "--server-binary", type=READ_FILE, metavar="FILE", help="The redis-server or valkey-server to load a dump."
)


def rdb_options(function: Any) -> Any:
    """The options of a command that reads a server or a dump."""
    dump = click.option("--rdb", type=READ_FILE, metavar="FILE", help="Read a dump file (RDB) instead of a server.")
    return dump(_SERVER(function))


@click.command()
@click.argument("file", type=READ_FILE)
@_SERVER
@click.pass_obj
def rdb(invocation: Invocation, /, file: Path, server_binary: Path | None) -> int:
    """Open the screen on a dump file (RDB).

    The file is loaded into a private server that writes nothing and is gone at the end. Nothing can be changed.
    """
    with loaded(file, server_binary) as server:
        for note in server.notes():
            click.echo(f"redis-oom-tui: {note}", err=True)
        from redis_oom_tui.cli.screen import show

        return show(_of_dump(invocation, server.connection), server.connection)


def of_server_or_dump(
    invocation: Invocation, file: Path | None, binary: Path | None, stack: contextlib.ExitStack
) -> tuple[Invocation, tuple[str, ...]]:
    """The invocation to go by, and what must be said of its figures. Raises BadInput or TriageError.

    The dump's server lives as long as `stack`.
    """
    if file is None:
        if binary is not None:
            raise BadInput("--server-binary loads a dump: give the dump with --rdb")
        return invocation, ()
    server_options = connection_options_given()
    server_options.pop("db", None)
    refuse_beside("rdb", given_options() | server_options, server_options, _NO_SERVER)
    server = stack.enter_context(loaded(file, binary))
    connection = replace(server.connection, db=invocation.connection.db)
    return _of_dump(invocation, connection), server.notes()


def _of_dump(invocation: Invocation, connection: Connection) -> Invocation:
    """Read from the private server; a command to copy is for the server of the dump, which nobody told."""
    profile = replace(invocation.profile, connection_args=("-h", "HOST"))
    return replace(invocation, connection=connection, profile=profile, read_only=True)


@contextlib.contextmanager
def loaded(file: Path, binary: Path | None) -> Iterator[RdbServer]:
    """The dump behind its server, with its size said before and its loading shown on stderr."""
    with RdbServer(file, binary) as server:
        click.echo(f"redis-oom-tui: {server.about()}", err=True)
        begun = time.monotonic()

        def show(share: float) -> None:
            done = progress(int(100 * share), 100, time.monotonic() - begun, "percent")
            sys.stderr.write(f"\r\x1b[Kredis-oom-tui: loading {done}")
            sys.stderr.flush()

        server.load(show if sys.stderr.isatty() else None)
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        yield server
