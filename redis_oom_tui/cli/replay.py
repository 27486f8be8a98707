"""`replay FILE` shows what `--record FILE` kept, without a server."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import READ_FILE
from redis_oom_tui.formatting.server import address_args
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.structs import replace

if TYPE_CHECKING:
    from redis_oom_tui.files.replay import ReplaySource


@click.command()
@click.argument("file", type=READ_FILE)
@click.pass_obj
def replay(invocation: Invocation, /, file: Path) -> int:
    """Open the screen on what `--record FILE` kept.

    , and . move one poll back and on, { and } a tenth of the whole; t holds the time line or lets it run.
    """
    from redis_oom_tui.files.recordings import load
    from redis_oom_tui.files.replay import ReplaySource

    recording = load(file)
    if not recording.whole:
        click.echo(f"{file} ends in the middle of a line: what came before it is shown.", err=True)
    source = ReplaySource(recording)
    # Between polls as far apart as these the server was not lost, and what lasts from one to the next has lasted.
    lost = max(invocation.profile.watch.lost_seconds, 2 * recording.usual_gap_seconds)
    profile = replace(
        invocation.profile,
        read_only=True,
        connection_args=address_args(source.address),
        watch=replace(invocation.profile.watch, lost_seconds=lost),
    )
    if invocation.screen.plain:
        asyncio.run(_lines(source, profile))
        return 0
    from redis_oom_tui.monitor.clock import Clock
    from redis_oom_tui.tui.run import run_app

    return run_app(
        source,
        options=invocation.screen,
        profile=profile,
        keymap=invocation.configuration.settings.keys,
        clock=Clock(source.monotonic, source.wall),
        stays="Replay shows a recording only: start the tool without replay to connect to a server",
    )


async def _lines(source: "ReplaySource", profile: Profile) -> None:
    """With --plain: a line for each poll, at once."""
    from redis_oom_tui.cli.plain import PlainLines
    from redis_oom_tui.monitor.clock import Clock
    from redis_oom_tui.monitor.details import Details
    from redis_oom_tui.monitor.poller import Poller

    clock = Clock(source.monotonic, source.wall)
    poller = Poller(source, profile.watch, clock, details=Details(source), shared=True, opened=True)
    lines = PlainLines(profile)
    for _ in range(source.position[1]):
        click.echo("\n".join(lines.lines(await poller.poll(), source.wall(), source.monotonic())))
