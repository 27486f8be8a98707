"""The command line's front door: options, the table of commands, and how a run ends.

Commands are imported when they are called: `--help` and `check` never pay for the screens.
"""

import gc
import io
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from redis_oom_tui import __version__
from redis_oom_tui.cli.context import Invocation, read_invocation, read_screen
from redis_oom_tui.cli.documents import PRINTED, print_failure, tells_a_status
from redis_oom_tui.cli.group import Commands, asks_for_help, called, reads_elsewhere
from redis_oom_tui.cli.options import refuse_without_effect, root_options
from redis_oom_tui.formatting.sanitize import crash_report, safe_text
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.rules.guarded import DEFECTS, NotJudged

# name -> (module, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("redis_oom_tui.cli.check", "Health check; exit 0 ok, 1 warning, 2 critical, 3 unknown."),
    "hogs": ("redis_oom_tui.cli.hogs", "The largest keys and key patterns."),
    "limits": ("redis_oom_tui.cli.limits", "Show or change maxmemory, eviction policy and related settings."),
    "cleanup": ("redis_oom_tui.cli.cleanup", "Plan a deletion or expiry of keys; runs only with --yes."),
    "restore": ("redis_oom_tui.cli.restore", "Undo a cleanup from its backup file."),
    "watch": ("redis_oom_tui.cli.watch", "Monitor continuously: alerts, hooks, optional emergency cleanup."),
    "report": ("redis_oom_tui.cli.report", "An incident report, as Markdown, HTML or JSON."),
    "replay": ("redis_oom_tui.cli.replay", "Replay a session recorded with --record."),
    "rdb": ("redis_oom_tui.cli.rdb", "Open the screen on a dump file (RDB)."),
    "demo": ("redis_oom_tui.cli.demo", "Open the screen on a built-in demo server."),
    "config": ("redis_oom_tui.cli.config", "Check the configuration file."),
    "schema": ("redis_oom_tui.cli.schema", "Print the JSON Schema of a command's --json."),
    "completion": ("redis_oom_tui.cli.completion", "Complete commands and options in bash, zsh or fish."),
}

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_INTERRUPTED = 130
# For these, 1 and 2 already mean a server in trouble: a wrong option must not page anybody, nor a defect of ours.
_MONITORS = frozenset({"check", "watch"})
# These speak to no server, and must work where the configuration file is broken.
_WITHOUT_SERVER = frozenset({"completion", "config", "demo", "rdb", "replay", "schema"})

# Where a shell asks for completions.
_ASKED_BY_SHELL = "_REDIS_OOM_TUI_COMPLETE"
# Less alike than this, an option is no slip of the one that it resembles.
_ALIKE = 0.75


@click.group(
    cls=Commands,
    table=COMMANDS,
    invoke_without_command=True,
    epilog="redis-oom-tui help COMMAND, or COMMAND -h, shows the options of a command.",
    subcommand_metavar="[COMMAND] [ARGS]...",
    context_settings={"help_option_names": ["--help"], "max_content_width": 80},
)
@root_options
@click.version_option(__version__, prog_name="redis-oom-tui")
@click.pass_context
def cli(ctx: click.Context, /, **given: Any) -> int | None:
    """Triage for Redis and Valkey at their memory limit.

    Without a command it opens the screen. The options below stand before the
    command or behind it:

    \b
        redis-oom-tui -h cache-1 hogs --top 20
        redis-oom-tui hogs --top 20 -h cache-1
    """
    if asks_for_help(ctx):
        return None
    refuse_without_effect(ctx)
    if ctx.invoked_subcommand in _WITHOUT_SERVER:
        ctx.obj = Invocation(
            connection=Connection(read_only=given["read_only"]),
            screen=read_screen(given),
            config_path=given["config_path"],
            audit_path=given["audit_path"],
            record_path=given["record_path"],
        )
        return None
    ctx.obj = read_invocation(given, elsewhere=given["all_profiles"] or reads_elsewhere(ctx))
    if ctx.obj.profiles and ctx.invoked_subcommand not in {None, "check", "watch"}:
        number = len(ctx.obj.profiles)
        raise BadInput(f"--profile names {number} profiles, and only check, watch and the screen take several")
    if ctx.invoked_subcommand is not None:
        return None
    from redis_oom_tui.cli import screen

    if given["all_profiles"] or ctx.obj.profiles:
        return screen.show_overview(ctx.obj, all_profiles=given["all_profiles"])
    return screen.show(ctx.obj)


# Thresholds of Python's garbage collector, for its three generations. With the default (700, 10, 10) a start takes 6%
# longer.
COLLECTED_AFTER = 50_000, 5, 5


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit code; every error is told in a sentence, never a traceback."""
    # A start makes mostly modules and classes, which stay: looking for garbage among them is wasted time.
    gc.set_threshold(*COLLECTED_AFTER)
    given = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name with letters that the terminal's encoding lacks is shown by their numbers, as on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    DEFECTS.report = _written_down
    if _ASKED_BY_SHELL in os.environ:
        from redis_oom_tui.cli.completion import register

        register()
    _hide_secrets(given)
    sys.exit(_run(given))


def _written_down(fault: NotJudged) -> None:
    from redis_oom_tui.files.audit import state_folder
    from redis_oom_tui.files.disk import append_defect

    append_defect(state_folder() / "defects.log", fault)


def _run(given: list[str]) -> int:
    PRINTED.document = False
    command = called(given, cli.params, COMMANDS)
    usage, failed = (EXIT_UNKNOWN, EXIT_UNKNOWN) if command in _MONITORS else (EXIT_USAGE, EXIT_FAILED)
    try:
        code = cli.main(args=given, prog_name="redis-oom-tui", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        # Its message is the help, in many lines.
        error.show()
        return usage
    except click.UsageError as error:
        return _failed(given, command, _plain(error, command), usage)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BadInput as error:
        return _failed(given, command, str(error), usage)
    except TriageError as error:
        return _failed(given, command, str(error), EXIT_UNKNOWN)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain again while it shuts down.
        sys.stdout = None
        return 0
    except OSError as error:
        named = isinstance(error.filename, (str, bytes))
        where = f" ({safe_text(os.fsdecode(error.filename), 200)})" if named else ""
        why = safe_text(error.strerror or str(error), 200)
        sentence = f"the system refused: {why}{where}; check the disk and the file's permissions, then try again"
        print_failure(given, command, sentence)
        # As BrokenPipeError: what could not be written to a full disk is not tried again on the way out.
        sys.stdout = None
        return _complain(sentence, failed)
    except Exception as error:  # noqa: BLE001 - the last one: a defect is told without the values a traceback may show
        print(crash_report(error), file=sys.stderr)  # noqa: T201
        print_failure(given, command, f"a defect of this tool ({type(error).__name__})")
        return failed
    return code if isinstance(code, int) else 0


def _plain(error: click.UsageError, command: str) -> str:
    """What is wrong with the options in one sentence, and where they are listed."""
    words = safe_text(" ".join(error.format_message().split()).rstrip("."), 400)
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Option):
        words = f"{'/'.join(error.param.opts)}: {safe_text(error.message.rstrip('.'), 400)}"
    if isinstance(error, click.NoSuchOption):
        near = get_close_matches(error.option_name, error.possibilities or (), 1, _ALIKE)
        words = safe_text(error.message.rstrip("."), 400) + (f"; did you mean {near[0]}?" if near else "")
    # click says of an option without its value only how it is spelled.
    path = f"redis-oom-tui {command}".rstrip() if error.ctx is None else error.ctx.command_path
    return f"{words[:1].lower()}{words[1:]} (see {path} --help)"


def _failed(given: list[str], command: str, sentence: str, code: int) -> int:
    """Say why: on stderr, where standard output does not say it in words already."""
    print_failure(given, command, sentence)
    return code if tells_a_status(given, command) else _complain(sentence, code)


def _complain(sentence: str, code: int) -> int:
    print(f"redis-oom-tui: {sentence}", file=sys.stderr)  # noqa: T201
    return code


def _hide_secrets(given: Sequence[str]) -> None:
    """Take a password off the process list, where redis-cli's users would otherwise leave it."""
    # Short options may stand together: -ca PASSWORD.
    if not any(re.match(r"--(pass|url|sentinel-pass|webhook)(=|$)|-\w*[au]", word) for word in given):
        return
    import setproctitle

    setproctitle.setproctitle("redis-oom-tui (options hidden: they may hold a password)")
