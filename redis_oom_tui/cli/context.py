"""What the options of every command come to: one value that every command is given."""

import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, field

from redis_oom_tui.cli.connecting import ConnectionOptions, names_a_server, resolve
from redis_oom_tui.cli.options import connection_options_given, given_options, refuse_beside
from redis_oom_tui.cli.undo_command import connection_args
from redis_oom_tui.files.config import Configuration, load
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Connection, Secret
from redis_oom_tui.models.config import Profile, ScreenOptions, SecretKind, SecretSource, Settings
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import Source


class Invocation(Struct, frozen=True):
    """One run of the command: where to connect, how to draw, what the file says, where to write things down.

    `profile` is the one in force; a nameless one where none is. `read_only` is the option: it holds for all servers.
    `profiles` are the names of all that --profile means, where it was a glob.
    """

    connection: Connection = field(default_factory=Connection)
    screen: ScreenOptions = field(default_factory=ScreenOptions)
    configuration: Configuration = field(default_factory=lambda: Configuration(Settings()))
    profile: Profile = field(default_factory=lambda: Profile(""))
    config_path: Path | None = None
    audit_path: Path | None = None
    record_path: Path | None = None
    read_only: bool = False
    profiles: tuple[str, ...] = ()

    @property
    def connection_args(self) -> tuple[str, ...]:
        """The words that lead to the same server again, for a line to copy."""
        return self.profile.connection_args

    def on_profile(self, name: str) -> "Invocation":
        """The same run on the server of that profile. Raises BadInput.

        A password in the environment was meant for the server on the command line: the profile's own holds. It may come
        from a command that takes its time.
        """
        base = self.configuration.connection(name)
        connection = resolve(ConnectionOptions(read_only=self.read_only), {}, base)
        again = {"config_path": self.config_path, "audit_path": self.audit_path, "profile": name}
        profile = replace(self.configuration.profile(name), connection_args=connection_args(again))
        return replace(self, connection=connection, profile=profile, profiles=())


def read_invocation(given: Mapping[str, Any], *, elsewhere: bool = False) -> Invocation:
    """The invocation that these options, by their names, amount to. Raises BadInput.

    `elsewhere`: their server is not asked, so no password of a profile is fetched, which may take long or fail.
    """
    options = _connection_options(given)
    configuration = load(given["config_path"])
    named: str | None = given["profile"]
    several = _matched(configuration, named, options)
    # Without --profile, a server named by option or REDIS_URL must not be sent the default profile's password.
    if several or (named is None and (names_a_server(options) or configuration.settings.default_profile is None)):
        settings = configuration.settings
        profile = Profile("", watch=settings.watch, hooks=settings.hooks, emergency=settings.emergency)
        base = None
    else:
        profile = configuration.profile(named)
        base = None if elsewhere else configuration.connection(named)
    return Invocation(
        connection=resolve(options, base=base),
        screen=read_screen(given),
        configuration=configuration,
        profile=replace(profile, connection_args=connection_args(given)),
        config_path=given["config_path"],
        audit_path=given["audit_path"],
        record_path=given["record_path"],
        read_only=given["read_only"],
        profiles=several,
    )


def _matched(configuration: Configuration, named: str | None, options: ConnectionOptions) -> tuple[str, ...]:
    """The profiles that a glob names; none where it is a name."""
    known = configuration.settings.profiles
    if named is None or named in known or not set("*?[") & set(named):
        return ()
    found = tuple(name for name in sorted(known) if fnmatchcase(name, named))
    if not found:
        there = ", ".join(safe_text(name, 40) for name in sorted(known)) or "none"
        raise BadInput(f"no profile matches {safe_text(named, 60)!r}; there are: {there}")
    if names_a_server(options):
        raise BadInput("several profiles have a server each: leave -h, -p, -s, -u and --sentinel out")
    return found


def _connection_options(given: Mapping[str, Any]) -> ConnectionOptions:
    names = set(ConnectionOptions.__struct_fields__) - {"password", "sentinel_password"}
    sentinel_password: str | None = given["sentinel_password"]
    return ConnectionOptions(
        password=_password(given),
        sentinel_password=None if sentinel_password is None else Secret(sentinel_password),
        **{name: given[name] for name in names},
    )


def _password(given: Mapping[str, Any]) -> Secret | None:
    """From the one option that says where it is; the environment is looked at later."""
    ways = [name for name in ("password", "askpass", "password_file", "password_command") if given[name]]
    if len(ways) > 1:
        raise BadInput("the password is given in two ways: keep one of -a, --askpass, --pass-file and --pass-command")
    if given["askpass"]:
        if not sys.stdin.isatty():
            raise BadInput("--askpass needs a terminal: use --pass-file, --pass-command or REDISCLI_AUTH")
        return Secret(click.prompt("Password", hide_input=True, err=True))
    if given["password_file"]:
        return _fetched(SecretSource(SecretKind.FILE, str(given["password_file"])), "--pass-file")
    if given["password_command"]:
        return _fetched(SecretSource(SecretKind.COMMAND, given["password_command"]), "--pass-command")
    return None if given["password"] is None else Secret(given["password"])


def _fetched(source: SecretSource, option: str) -> Secret:
    from redis_oom_tui.files.config.file import fetch

    return fetch(source, f"{option}: the password")


def read_screen(given: Mapping[str, Any]) -> ScreenOptions:
    """How the screen is to be; this needs neither a server nor a configuration file."""
    return ScreenOptions(
        interval_seconds=given["interval"],
        color=given["color"],
        ascii=given["ascii_only"],
        mouse=not given["no_mouse"],
        theme=given["theme"],
        plain=given["plain"],
        diff=not given["no_diff"],
        auto_scan=not given["no_auto_scan"],
    )


def recorded(source: Source, invocation: Invocation) -> Source:
    """`source`, written down if the invocation asks for it. Raises BadInput where the file cannot be made."""
    if invocation.record_path is None:
        return source
    from redis_oom_tui.files.recording_source import recording
    from redis_oom_tui.files.recordings import Recorder

    return recording(source, Recorder(invocation.record_path, source.address))


def chosen(
    invocation: Invocation, given: dict[str, str], excluded: Mapping[frozenset[str], str], *, all_profiles: bool
) -> tuple[str, ...]:
    """The names. `excluded` are options that cannot go with several, each with the reason. Raises BadInput."""
    decisive = "all_profiles" if all_profiles else "profile"
    if all_profiles:
        everywhere = given_options(click.get_current_context().find_root())
        servers = connection_options_given()
        refuse_beside(decisive, given | everywhere, {"profile"}, "all profiles are meant, or those of --profile")
        refuse_beside(decisive, given | servers, servers, "each profile has a server of its own")
    for useless, reason in excluded.items():
        refuse_beside(decisive, {"profile": "a glob as --profile", **given}, useless, reason)
    names = invocation.profiles or tuple(sorted(invocation.configuration.settings.profiles))
    if not names:
        raise BadInput("--all takes the profiles of the configuration file, and it has none (see config example)")
    return names
