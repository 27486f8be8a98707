"""The options of every command, paths as options take them, and options that would have no effect."""

import errno
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from redis_oom_tui.cli.connecting import whole_socket_path
from redis_oom_tui.files.config import load
from redis_oom_tui.files.disk import shown
from redis_oom_tui.models.config import Settings
from redis_oom_tui.models.errors import BadInput


class FilePath(click.Path):
    """A path of a file, refused in one sentence before any server is asked.

    `new`: it must not exist yet, in a folder that can be written to; `kept`: it may exist, and is written to.
    """

    def __init__(self, *, new: bool = False, kept: bool = False) -> None:
        super().__init__(path_type=Path)
        self._written = new or kept
        self._new = new

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path from the root on, for it is printed in commands that are pasted elsewhere. Raises BadInput where no
        such file can be used.
        """
        path = whole = Path(value)
        try:
            fault = self._fault(path)
            whole = path.absolute()
        except (OSError, ValueError) as error:
            fault = f"cannot be used: {getattr(error, 'strerror', None) or error}"
        if fault is not None:
            option = f"{max(param.opts, key=len)}: " if isinstance(param, click.Option) else ""
            raise BadInput(f"{option}{shown(path)} {fault}")
        return whole

    def _fault(self, path: Path) -> str | None:
        """What is wrong with it, None where nothing is. Raises OSError for a path that the system refuses."""
        try:
            path.stat()
        except FileNotFoundError:
            return self._missing(path)
        if path.is_dir():
            return "is a folder: name a file"
        if self._new:
            return "exists already: name a new file"
        if not self._written and not os.access(path, os.R_OK):
            return f"cannot be read: {os.strerror(errno.EACCES)}"
        return None

    def _missing(self, path: Path) -> str | None:
        if not self._written:
            return "cannot be read: there is no such file"
        if path.is_symlink():
            return "exists already: it is a broken link"
        if not path.parent.is_dir():
            # The folder of the audit file is made where there is none.
            return "cannot be written: its folder does not exist" if self._new else None
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return "cannot be written: this user may not write to its folder"
        return None


READ_FILE = FilePath()
NEW_FILE = FilePath(new=True)
KEPT_FILE = FilePath(kept=True)


class Number(click.ParamType):  # type: ignore[type-arg]  # it takes none in click 8.1
    """A number from `least` to `most` (None: no upper bound); a whole one unless `fraction`."""

    name = "number"

    def __init__(self, least: float, most: float | None = None, *, fraction: bool = False) -> None:
        self._least, self._most = least, math.inf if most is None else most
        self._read: Callable[[Any], float] = float if fraction else int

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises click's BadParameter, which names the bounds."""
        try:
            # Python also reads other digits, underscores and blanks.
            number = self._read(value) if str(value).isascii() and not {*" _"} & {*str(value)} else math.nan
        except ValueError:
            number = math.nan
        if not (self._least <= number <= self._most) or math.isinf(number):
            bounds = f"of {self._least} or more" if self._most == math.inf else f"from {self._least} to {self._most}"
            self.fail(f"{str(value)!r} is not a {'' if self._read is float else 'whole '}number {bounds}", param, ctx)
        return number


def profile_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """For a shell to complete: the configuration's profiles that begin so; none where it cannot be read."""
    return _beginning(_settings(ctx).profiles, incomplete)


def plan_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """For a shell to complete: the configuration's plans that begin so."""
    return _beginning(_settings(ctx).plans, incomplete)


def _settings(ctx: click.Context) -> Settings:
    given = ctx.find_root().params.get("config_path")
    try:
        return load(None if given is None else Path(given)).settings
    except BadInput:
        return Settings()


def _beginning(names: Mapping[str, object], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def among(values: Iterable[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """For a shell to complete: those of `values` that begin so; others may be given all the same."""
    return lambda _context, _param, incomplete: [value for value in values if value.startswith(incomplete)]


KEY_TYPES = ("string", "hash", "list", "set", "zset", "stream")
_THEMES = ("dark", "light", "high-contrast", "ansi-dark", "ansi-light")
TOPICS: dict[str, str] = {}
"""Under which heading of the help each option of every command stands, by its parameter's name."""


def _options(topic: str, *decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
            TOPICS[function.__click_params__[-1].name] = topic
        return function

    return apply


_CONNECTION = _options(
    "Connection",
    click.option("-h", "--host", "host", metavar="HOST", help="Server host (127.0.0.1)."),
    click.option("-p", "--port", "port", type=Number(1, 65535), metavar="PORT", help="Server port (6379)."),
    click.option(
        "-s",
        "--socket",
        "socket",
        metavar="PATH",
        callback=lambda _ctx, _param, path: path and whole_socket_path(path),
        help="Unix socket, instead of host and port.",
    ),
    click.option("-u", "--url", "url", metavar="URL", help="redis://, rediss:// or unix:// URL (or REDIS_URL)."),
    click.option("-a", "--pass", "password", metavar="PASSWORD", help="Password (prefer REDISCLI_AUTH)."),
    click.option("--user", "user", metavar="NAME", help="ACL user name."),
    click.option("--askpass", is_flag=True, help="Ask for the password on the terminal."),
    click.option("--pass-file", "password_file", type=READ_FILE, metavar="FILE", help="Read the password from a file."),
    click.option("--pass-command", "password_command", metavar="CMD", help="Run a command that prints the password."),
    click.option("-n", "--db", "db", type=Number(0), metavar="DB", help="Database number (default: all)."),
    click.option("-c", "--cluster", "cluster", is_flag=True, help="Cluster mode: show all nodes."),
    click.option(
        "--limit", "limit", metavar="SIZE", help="State the limit of a server that does not report maxmemory."
    ),
    click.option("--read-only", is_flag=True, help="Never change anything on the server."),
)

_TLS = _options(
    "TLS",
    click.option("--tls", is_flag=True, help="Use TLS."),
    click.option("--cacert", "ca_file", type=READ_FILE, metavar="FILE", help="CA certificate file."),
    click.option("--cert", "cert_file", type=READ_FILE, metavar="FILE", help="Client certificate."),
    click.option("--key", "key_file", type=READ_FILE, metavar="FILE", help="Its private key."),
    click.option("--sni", "server_name", metavar="NAME", help="Server name for TLS (SNI), if not the host."),
    click.option("--insecure", is_flag=True, help="Use TLS without checking the certificate."),
)

_SENTINEL = _options(
    "Sentinel",
    click.option("--sentinel", "sentinels", multiple=True, metavar="HOST:PORT", help="Ask this Sentinel (repeatable)."),
    click.option("--master", "master", metavar="NAME", help="The master that the Sentinels watch."),
    click.option("--sentinel-user", "sentinel_user", metavar="NAME", help="ACL user name for Sentinels."),
    click.option(
        "--sentinel-pass",
        "sentinel_password",
        metavar="PASSWORD",
        help="Password for Sentinels (or REDIS_SENTINEL_AUTH).",
    ),
    click.option(
        "--sentinel-tls/--no-sentinel-tls",
        "sentinel_tls",
        default=None,
        help="Use TLS for Sentinels (default: same as server).",
    ),
    click.option(
        "--sentinel-cacert", "sentinel_ca_file", type=READ_FILE, metavar="FILE", help="CA file for Sentinels."
    ),
    click.option(
        "--sentinel-cert",
        "sentinel_cert_file",
        type=READ_FILE,
        metavar="FILE",
        help="Client certificate for Sentinels.",
    ),
    click.option("--sentinel-key", "sentinel_key_file", type=READ_FILE, metavar="FILE", help="Its private key."),
    click.option("--sentinel-sni", "sentinel_server_name", metavar="NAME", help="Server name for Sentinels (SNI)."),
    click.option("--sentinel-insecure", is_flag=True, help="Use TLS for Sentinels without checking the certificate."),
)

_APPEARANCE = _options(
    "Screen",
    click.option("--all", "all_profiles", is_flag=True, help="Begin with the overview of all profiles."),
    click.option(
        "--interval",
        type=Number(0.1, 3600, fraction=True),
        default=1.0,
        metavar="SECONDS",
        help="Seconds between polls (default 1).",
    ),
    click.option("--color/--no-color", "color", default=None, help="Force or drop colors (NO_COLOR is honored)."),
    click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII only."),
    click.option("--no-mouse", is_flag=True, help="Do not capture the mouse."),
    click.option(
        "--theme",
        metavar="NAME",
        shell_complete=among(_THEMES),
        help="dark, light, high-contrast, ansi-dark or ansi-light.",
    ),
    click.option(
        "--plain",
        is_flag=True,
        help="Print lines instead of the screen: one per poll, and now and then all facts of Triage.",
    ),
    click.option("--no-auto-scan", is_flag=True, help="Never scan without being asked, not even on a large screen."),
    click.option("--no-diff", is_flag=True, help="Redraw full frames (for terminals that garble partial updates)."),
)

_FILES = _options(
    "Files",
    click.option("--config", "config_path", type=READ_FILE, metavar="FILE", help="Configuration file (TOML)."),
    click.option(
        "--profile", "profile", metavar="NAME", shell_complete=profile_names, help="Profile in the configuration file."
    ),
    click.option("--audit", "audit_path", type=KEPT_FILE, metavar="FILE", help="Audit log file."),
    click.option("--record", "record_path", type=NEW_FILE, metavar="FILE", help="Record the session for `replay`."),
)


def root_options(function: Any) -> Any:
    """The options of every command, by topic."""
    return _CONNECTION(_TLS(_SENTINEL(_APPEARANCE(_FILES(function)))))


_SCREEN = ""
"""The name by which the table below knows the run without a command."""

ON_SERVER = frozenset({_SCREEN, "check", "hogs", "limits", "cleanup", "restore", "watch", "report"})
_ALONE = {
    "demo": "it starts a server of its own",
    "rdb": "it reads a dump file, and contacts no server of yours",
    "replay": "it shows a recording, and contacts no server",
    "config": "it contacts no server",
    "schema": "it contacts no server",
    "completion": "it contacts no server",
}
# Options that change what a command does or where it does it, with the commands that go by them. Elsewhere they would
# promise what does not happen. How a screen looks is not here: an alias may hold it for all commands.
_USED_BY: dict[str, frozenset[str]] = {
    "db": ON_SERVER - {"restore"},
    "interval": ON_SERVER - {"watch"} | frozenset(_ALONE),
    "config_path": ON_SERVER | {"config"},
    "record_path": frozenset({_SCREEN, "demo", "rdb"}),
    "all_profiles": frozenset({_SCREEN}),
}
_APPEARANCE_NAMES = frozenset({"color", "ascii_only", "theme", "no_mouse", "no_auto_scan", "no_diff", "plain"})
_HARMLESS = _APPEARANCE_NAMES | {"read_only", "audit_path", "version"}
_WHY_NOT_THERE = {
    ("db", "restore"): "each key is restored to its own database",
    ("interval", "watch"): "give it after the command, as in watch --interval 5",
    ("all_profiles", "check"): "give it after the command, as in check --all",
    ("all_profiles", "watch"): "give it after the command, as in watch --all",
    **{("all_profiles", name): "it is about one server" for name in ("hogs", "limits", "cleanup", "restore", "report")},
}


def given_options(context: click.Context | None = None) -> dict[str, str]:
    """The options on the command line of the command that runs: each parameter's name with its spellings."""
    context = context or click.get_current_context()
    return {
        parameter.name: "/".join(parameter.opts)
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def choice(name: str, *choices: tuple[str, str, str]) -> Callable[[Any], Any]:
    """Flags of which one may be given: each with the value that `name` then has, and its help. None without any.

    Each is a parameter of its own: click lets the last of those that share a name win.
    """
    flags = {value: flag for flag, value, _ in choices}

    def flag_of(value: str) -> Callable[[click.Context, click.Parameter, bool], None]:
        def chosen(ctx: click.Context, _param: click.Parameter, given: bool) -> None:
            before = ctx.params.setdefault(name, None)
            if given and before is not None:
                raise BadInput(f"{flags[before]} and {flags[value]} cannot be combined")
            if given:
                ctx.params[name] = value

        return chosen

    def apply(function: Any) -> Any:
        for flag, value, words in reversed(choices):
            option = click.option(flag, is_flag=True, expose_value=False, callback=flag_of(value), help=words)
            function = option(function)
        return function

    return apply


def refuse_beside(decisive: str, given: dict[str, str], useless: Collection[str], reason: str) -> None:
    """Raise BadInput where `decisive` is among the options and so is one that would have no effect beside it."""
    if decisive not in given:
        return
    options = [option for name, option in given.items() if name in useless and name != decisive]
    if options:
        raise BadInput(f"{' and '.join(options)} cannot be given with {given[decisive]}: {reason}")


def refuse_without_effect(context: click.Context) -> None:
    """Raise BadInput for an option of every command that this one does not go by."""
    command = context.invoked_subcommand or _SCREEN
    for name, option in given_options(context).items():
        if name not in _HARMLESS and command not in _USED_BY.get(name, ON_SERVER):
            why = (
                _WHY_NOT_THERE.get((name, command)) or _ALONE.get(command) or "a recording keeps what the screen shows"
            )
            raise BadInput(f"{option} has no effect on {command}: {why}")


def connection_options_given() -> dict[str, str]:
    """Those of the options of every command that say which server, and which of its databases, is meant."""
    context = click.get_current_context().find_root()
    names = {name for name in context.params if name not in _USED_BY} - _HARMLESS - {"profile"} | {"db"}
    return {name: option for name, option in given_options(context).items() if name in names}
