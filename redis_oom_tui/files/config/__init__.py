"""The configuration file: one TOML file, in which everything is optional and nothing is guessed."""

from pathlib import Path

import platformdirs
from msgspec import Struct

from redis_oom_tui.files.disk import shown
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Connection, Secret, Sentinel
from redis_oom_tui.models.config import Profile, SecretSource, Settings
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace

__all__ = ["Configuration", "default_path", "example_text", "load", "problems"]

# In a checkout the example stands beside the package, in an installation in it.
_EXAMPLES = (Path(__file__).with_name("example.toml"), Path(__file__).parents[3] / "examples" / "config.toml")


def default_path() -> Path:
    """Where the file is looked for: `redis-oom-tui/config.toml` in the user's configuration directory."""
    return platformdirs.user_config_path("redis-oom-tui") / "config.toml"


def example_text() -> str:
    """An example with every key. Raises BadInput where it was not installed."""
    for path in _EXAMPLES:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise BadInput("The example configuration was not installed with this tool: docs/configuration.md shows it")


class Configuration(Struct, frozen=True):
    """A file that was read and found good; `path` is None where there is none and the defaults hold."""

    settings: Settings
    path: Path | None = None

    def profile(self, name: str | None = None) -> Profile:
        """The profile called `name`, else the file's default one, else what holds without any.

        Raises BadInput where there is no such profile.
        """
        wanted = self.settings.default_profile if name is None else name
        if wanted is None:
            settings = self.settings
            return Profile("", watch=settings.watch, hooks=settings.hooks, emergency=settings.emergency)
        if wanted not in self.settings.profiles:
            if self.path is None:
                raise BadInput(
                    f"there is no profile {safe_text(wanted, 60)!r}: {shown(default_path())} does not exist; write one"
                    " (redis-oom-tui config example prints an example), or name a file by --config"
                )
            there = ", ".join(safe_text(known, 40) for known in sorted(self.settings.profiles)) or "none"
            raise BadInput(f"{shown(self.path)} has no profile {safe_text(wanted, 60)!r}; it has {there}")
        return self.settings.profiles[wanted]

    def connection(self, name: str | None = None) -> Connection:
        """How to reach the profile called `name`; this is when its password is fetched. Raises BadInput."""
        profile = self.profile(name)
        _check_papers(profile)
        return Connection(
            address=profile.address,
            username=profile.username,
            password=self.secret(profile.password, f"the password of profile {profile.name!r}"),
            db=profile.db,
            tls=profile.tls,
            cluster=profile.cluster,
            sentinel=self._sentinel(profile),
            read_only=profile.read_only,
            stated_limit_bytes=profile.limit_bytes,
            connect_timeout_seconds=profile.connect_timeout_seconds,
            read_timeout_seconds=profile.read_timeout_seconds,
        )

    def _sentinel(self, profile: Profile) -> Sentinel | None:
        if profile.sentinel is None:
            return None
        what = f"the Sentinels' password of profile {profile.name!r}"
        return replace(profile.sentinel, password=self.secret(profile.sentinel_password, what))

    def secret(self, source: SecretSource | None, what: str) -> Secret | None:
        """The secret kept at `source`; None where there is none. Raises BadInput in which `what` names it."""
        if source is None:
            return None
        from redis_oom_tui.files.config.file import fetch  # noqa: PLC0415 - most runs have none to fetch

        return fetch(source, what)


def _check_papers(profile: Profile) -> None:
    """Certificates and keys are plain files: of a device, TLS would read for ever."""
    sentinel = profile.sentinel.tls if profile.sentinel is not None else None
    for tls in (profile.tls, sentinel or None):
        for path in (tls.ca_file, tls.cert_file, tls.key_file) if tls is not None else ():
            if path is not None and path.exists() and not path.is_file():
                raise BadInput(f"profile {profile.name!r}: {shown(path)} is not a plain file, as a certificate must be")


def load(path: Path | None = None) -> Configuration:
    """The file at `path`, else the one at `default_path()` where there is one, else the defaults.

    Raises BadInput, one sentence with file, line and key, at the first problem.
    """
    chosen = path or default_path()
    if path is None and not chosen.exists():
        return Configuration(Settings())
    from redis_oom_tui.files.config.file import read  # noqa: PLC0415 - most runs have no file to read

    settings, found = read(chosen)
    if found:
        more = f" (and {len(found) - 1} more: run `redis-oom-tui config check`)" if len(found) > 1 else ""
        raise BadInput(f"{found[0]}{more}")
    return Configuration(settings, chosen)


def problems(path: Path) -> tuple[str, ...]:
    """All that is wrong with the file at `path`, a sentence each. Raises BadInput where it cannot be read at all."""
    from redis_oom_tui.files.config.file import read  # noqa: PLC0415 - as above

    return read(path)[1]
