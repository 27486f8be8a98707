"""The command line's front door: options, the table of commands, and how a run ends.

Commands are imported when they are called: `--help` and `check` never pay for the screens.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from redis_oom_tui import __version__
from redis_oom_tui.cli.connecting import ConnectionOptions, resolve
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.screen import ScreenOptions

# name -> (module, what it does). A command's function stands in its module under its own name.
COMMANDS: dict[str, tuple[str, str]] = {}

EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_INTERRUPTED = 130
# For these, 2 already means a critical server: a wrong option must not page anybody.
_MONITORS = frozenset({"check", "watch"})


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands (none: the screen)"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


def _options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


_FILE = click.Path(path_type=Path, dir_okay=False)

_connection_options = _options(
    click.option("-h", "--host", "host", metavar="HOST", help="Server host (127.0.0.1)."),
    click.option("-p", "--port", "port", type=click.IntRange(1, 65535), metavar="PORT", help="Server port (6379)."),
    click.option("-s", "--socket", "socket", metavar="PATH", help="Unix socket, in place of host and port."),
    click.option("-u", "--url", "url", metavar="URL", help="redis://, rediss:// or unix:// URL (or REDIS_URL)."),
    click.option("-a", "--pass", "password", metavar="PASSWORD", help="Password; REDISCLI_AUTH keeps it off the list."),
    click.option("--user", "user", metavar="NAME", help="ACL user name."),
    click.option("--askpass", is_flag=True, help="Ask for the password on the terminal."),
    click.option("-n", "--db", "db", type=click.IntRange(0), metavar="DB", help="One database; without it, all."),
    click.option("--tls", is_flag=True, help="Speak TLS."),
    click.option("--cacert", "ca_file", type=_FILE, metavar="FILE", help="Authority to trust."),
    click.option("--cert", "cert_file", type=_FILE, metavar="FILE", help="Client certificate."),
    click.option("--key", "key_file", type=_FILE, metavar="FILE", help="Its private key."),
    click.option("--sni", "server_name", metavar="NAME", help="Server name for TLS, where it is not the host."),
    click.option("--insecure", is_flag=True, help="Speak TLS without checking the certificate."),
    click.option("-c", "--cluster", "cluster", is_flag=True, help="The server is a node of a cluster: show them all."),
    click.option("--sentinel", "sentinels", multiple=True, metavar="HOST:PORT", help="Ask this Sentinel (repeatable)."),
    click.option("--master", "master", metavar="NAME", help="The master that the Sentinels watch."),
    click.option("--read-only", is_flag=True, help="Refuse every change, in the tool as well."),
)

_screen_options = _options(
    click.option(
        "--interval", type=click.FloatRange(0.1, 3600), default=1.0, metavar="SECONDS", help="Between polls (1)."
    ),
    click.option("--color/--no-color", "color", default=None, help="Force or drop colours (NO_COLOR is honoured)."),
    click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII only."),
    click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
    click.option("--theme", metavar="NAME", help="dark, light, high-contrast, ansi-dark or ansi-light."),
    click.option("--plain", is_flag=True, help="A line a tick in place of the screen."),
    click.option("--no-diff", is_flag=True, help="Send whole frames (for a terminal that loses cells)."),
)

_file_options = _options(
    click.option("--config", "config_path", type=_FILE, metavar="FILE", help="Configuration file (TOML)."),
    click.option("--audit", "audit_path", type=_FILE, metavar="FILE", help="Where actions are written down."),
)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
)
@_connection_options
@_screen_options
@_file_options
@click.version_option(__version__, prog_name="redis-oom-tui")
@click.pass_context
def cli(
    ctx: click.Context,
    /,
    *,
    interval: float,
    color: bool | None,
    ascii_only: bool,
    no_mouse: bool,
    theme: str | None,
    plain: bool,
    no_diff: bool,
    config_path: Path | None,
    audit_path: Path | None,
    askpass: bool,
    password: str | None,
    **connection: Any,
) -> None:
    """Triage for Redis and Valkey at their memory limit.

    Without a command it opens the screen. Options stand before the command:

        redis-oom-tui -h cache-1 hogs --top 20
    """
    secret = None if password is None else Secret(password)
    if askpass:
        secret = Secret(click.prompt("Password", hide_input=True, err=True))
    options = ConnectionOptions(password=secret, **connection)
    ctx.obj = Invocation(
        connection=resolve(options),
        screen=ScreenOptions(
            interval_seconds=interval,
            color=color,
            ascii=ascii_only,
            mouse=not no_mouse,
            theme=theme,
            plain=plain,
            diff=not no_diff,
        ),
        config_path=config_path,
        audit_path=audit_path,
    )
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit code; every error of ours is one line on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    _hide_secrets(given)
    sys.exit(_run(given))


def _run(given: list[str]) -> int:
    usage = EXIT_UNKNOWN if _MONITORS & set(given) else EXIT_USAGE
    try:
        code = cli.main(args=given, prog_name="redis-oom-tui", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return usage
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BadInput as error:
        return _complain(error, usage)
    except TriageError as error:
        return _complain(error, EXIT_UNKNOWN)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain again while it shuts down.
        sys.stdout = None
        return 0
    return code if isinstance(code, int) else 0


def _complain(error: TriageError, code: int) -> int:
    print(f"redis-oom-tui: {error}", file=sys.stderr)  # noqa: T201
    return code


def _hide_secrets(given: list[str]) -> None:
    """Take a password off the process list, where redis-cli's users would otherwise leave it."""
    if not any(
        word in ("-a", "--pass", "-u", "--url") or word.startswith(("-a", "--pass=", "--url=", "-u")) for word in given
    ):
        return
    import setproctitle

    setproctitle.setproctitle("redis-oom-tui (options hidden: they may hold a password)")
