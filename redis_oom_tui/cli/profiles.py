"""The profiles of the configuration file, for the screen to go to."""

from collections.abc import Sequence

from redis_oom_tui.cli.connecting import ConnectionOptions, resolve
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.config import Profile
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.profiles import ProfileSession


class ConfiguredProfiles:
    """All profiles of the invocation's file. `--read-only` holds for each of them."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    @property
    def profiles(self) -> Sequence[Profile]:
        """All of them, by name."""
        return sorted(self._invocation.configuration.settings.profiles.values(), key=lambda profile: profile.name)

    async def connect(self, name: str) -> ProfileSession:
        """As the profile says, and no more: a password in the environment was meant for the first server.

        The profile's own may come from a command that takes its time.
        """
        import asyncio

        from redis_oom_tui.cli.operator import make_operator
        from redis_oom_tui.server.open_source import source_for

        configuration = self._invocation.configuration
        base = await asyncio.to_thread(configuration.connection, name)
        connection = resolve(ConnectionOptions(read_only=self._invocation.read_only), {}, base)
        profile = configuration.profile(name)
        source = source_for(connection)
        operator = make_operator(replace(self._invocation, connection=connection, profile=profile), source)
        return ProfileSession(source, operator, replace(profile, read_only=connection.read_only))
