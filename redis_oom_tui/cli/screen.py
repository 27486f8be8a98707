"""The screen, or with --plain a line a tick: what the command does when no subcommand is given.

A server is asked while the screen is loaded, and its driver is loaded after the first paint.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from redis_oom_tui.cli.context import Invocation, chosen
from redis_oom_tui.cli.options import given_options
from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.models.snapshot import Snapshot
    from redis_oom_tui.ports.operator import Operator
    from redis_oom_tui.ports.source import PolledSource, Source
    from redis_oom_tui.server.cluster.source import ClusterSource
    from redis_oom_tui.server.live import LiveServer
    from redis_oom_tui.tui.profiles import ProfileSession

_PATIENCE_SECONDS = 1.0
_LOCAL_PATIENCE_SECONDS = 0.25
# What cannot be given where several profiles are shown, and why.
_NOT_OF_SEVERAL = {
    frozenset({"plain"}): "watch --all prints lines",
    frozenset({"record_path"}): "a recording is of one server",
}
_STAYS = "This session stays on its own server: start the tool with --profile NAME for another"
_RECORD_STAYS = "A recording (--record) is of one server: quit, and start again with --profile NAME for another"


def show(invocation: Invocation, connection: Connection | None = None) -> int:
    """Watch the invocation's server, or `connection` in its place, until left; returns the exit code.

    Raises TriageError where the server cannot be reached at the start.
    """
    if invocation.screen.plain:
        from redis_oom_tui.cli.plain import watch_plainly

        return watch_plainly(invocation, connection)
    stays = _STAYS if connection is not None else _RECORD_STAYS if invocation.record_path is not None else ""
    connection = connection or invocation.connection
    # First of all: the server answers while the screen is loaded.
    pending = ConnectingServer(invocation, connection)
    from redis_oom_tui.tui.run import run_app

    return run_app(
        pending,
        options=invocation.screen,
        profile=profile_of(invocation.profile, connection),
        switchboard=None if stays else ConfiguredProfiles(invocation),
        stays=stays,
        keymap=invocation.configuration.settings.keys,
    )


def profile_of(profile: Profile, connection: Connection) -> Profile:
    """The profile with the server that is meant: options beside --profile NAME may lead to another than its own."""
    there = connection
    return replace(
        profile,
        address=there.address,
        sentinel=there.sentinel,
        cluster=there.cluster,
        db=there.db,
        read_only=there.read_only,
    )


def show_overview(invocation: Invocation, *, all_profiles: bool) -> int:
    """Show the servers of all profiles, or of those that --profile means, until left; returns the exit code."""
    given = {name: option for name, option in given_options().items() if name != "profile"}
    names = chosen(invocation, given, _NOT_OF_SEVERAL, all_profiles=all_profiles)
    from redis_oom_tui.tui.run import run_app

    return run_app(
        None,
        options=invocation.screen,
        profile=Profile("", read_only=invocation.read_only),
        switchboard=ConfiguredProfiles(invocation, names),
        keymap=invocation.configuration.settings.keys,
    )


class ConnectingServer:
    """Implements `ports.PendingServer`."""

    def __init__(self, invocation: Invocation, connection: Connection) -> None:
        self._invocation = invocation
        self._connection = connection
        self._preflight = Preflight(connection) if Preflight.suits(connection) else None
        self._server: LiveServer | ClusterSource | None = None

    @property
    def address(self) -> Address:
        return self._connection.address

    @property
    def failed_early(self) -> bool:
        """Whether the first request has failed already; where there was none, nothing is known."""
        if self._preflight is None:
            return False
        # A unix socket is answered or refused at once, however late the thread that asks is run.
        patience = 0.0 if self._connection.address.socket_path is None else _LOCAL_PATIENCE_SECONDS
        return self.first(patience) is None and self._preflight.over

    def first(self, patience: float) -> "Snapshot | None":
        """What the first request read; None also for a server that holds no data, or its memory back."""
        sample = None if self._preflight is None else self._preflight.first(patience)
        try:
            return None if sample is None else sample.snapshot()
        except TriageError:
            return None

    def answers(self) -> bool:
        """Whether the first request was answered as it should be; a recording is begun before the screen."""
        return self._invocation.record_path is None and self.first(_PATIENCE_SECONDS) is not None

    def source(self) -> "Source":
        """The server behind its driver."""
        from redis_oom_tui.cli.context import recorded

        return recorded(self._joined(), self._invocation)

    def operator(self) -> "Operator":
        from redis_oom_tui.cli.actions import make_operator

        return make_operator(self._invocation, self._joined())

    def _joined(self) -> "LiveServer | ClusterSource":
        if self._server is None:
            from redis_oom_tui.server.open_source import source_for

            self._server = source_for(self._connection)
        return self._server


class ConfiguredProfiles:
    """The profiles of the invocation's file, or those called `names`. `--read-only` holds for each of them."""

    def __init__(self, invocation: Invocation, names: Sequence[str] = ()) -> None:
        self._invocation = invocation
        self._names = names or tuple(invocation.configuration.settings.profiles)

    @property
    def profiles(self) -> Sequence[Profile]:
        """All of them, by name."""
        known, refuses = self._invocation.configuration.settings.profiles, self._invocation.read_only
        return [replace(known[name], read_only=refuses or known[name].read_only) for name in sorted(self._names)]

    def polled(self, name: str) -> "PolledSource":
        """Its server, to poll alone."""
        from redis_oom_tui.cli.watch_profiles import ProfileSource

        return ProfileSource(self._invocation, name, {})

    async def connect(self, name: str) -> "ProfileSession":
        """The profile's server and who acts on it."""
        from redis_oom_tui.cli.actions import make_operator
        from redis_oom_tui.monitor.output import aside
        from redis_oom_tui.server.open_source import source_for
        from redis_oom_tui.tui.profiles import ProfileSession

        fetch = partial(self._invocation.on_profile, name)
        there = await aside(fetch, name="password", expected=(TriageError, OSError))
        source = source_for(there.connection)
        profile = replace(there.profile, read_only=there.connection.read_only)
        return ProfileSession(source, make_operator(there, source), profile)
