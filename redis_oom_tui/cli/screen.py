"""The screen, or with --plain a line a tick: what the command does when no subcommand is given."""

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.structs import replace

_DEMO_STAYS = "The demo stays on its own server: start the tool with --profile NAME for another"
_RECORD_STAYS = "A recording (--record) is of one server: leave, and start again with --profile NAME for another"


def show(invocation: Invocation, connection: Connection | None = None) -> int:
    """Watch the invocation's server, or `connection` in its place, until left; returns the exit code.

    Raises TriageError where the server cannot be reached at the start.
    """
    if invocation.screen.plain:
        from redis_oom_tui.cli.plain import watch_plainly

        return watch_plainly(invocation, connection)
    from redis_oom_tui.cli.pending_server import ConnectingServer

    stays = _DEMO_STAYS if connection is not None else _RECORD_STAYS if invocation.record_path is not None else ""
    connection = connection or invocation.connection
    # First of all: the server answers while the screen is loaded.
    joining = ConnectingServer(invocation, connection)
    from redis_oom_tui.cli.profiles import ConfiguredProfiles
    from redis_oom_tui.tui.run import run_app

    return run_app(
        joining,
        options=invocation.screen,
        profile=replace(invocation.profile, read_only=connection.read_only),
        switchboard=None if stays else ConfiguredProfiles(invocation),
        stays=stays,
        keymap=invocation.configuration.settings.keys,
    )
