"""The manual page, drawn from the same declarations as --help: `python -m redis_oom_tui.cli.manual` prints it."""

import re
from collections.abc import Iterator

import click

from redis_oom_tui import __version__

_SECTIONS = (
    (
        "EXIT STATUS",
        (
            "check and watch --once: 0 ok, 1 warning, 2 critical or refusing writes, 3 unknown, as monitoring plugins"
            " have it; a wrong option is 3 there, and 2 elsewhere. watch: 0 when it was asked to end. Interrupted: 130."
        ),
    ),
    (
        "ENVIRONMENT",
        "REDIS_URL: where to connect, where no option says so. REDISCLI_AUTH: the password. NO_COLOR: no colors.",
    ),
    (
        "FILES",
        (
            "~/.config/redis-oom-tui/config.toml: the configuration, see redis-oom-tui config path."
            " ~/.local/state/redis-oom-tui/: the audit file, backups, and what emergency cleanups have taken."
        ),
    ),
)


def page() -> str:
    """The whole page, in man(7)'s macros."""
    from redis_oom_tui.cli.main import cli

    context = click.Context(cli, info_name="redis-oom-tui")
    lines = [
        f'.TH REDIS\\-OOM\\-TUI 1 "" "redis\\-oom\\-tui {__version__}" "User Commands"',
        ".SH NAME",
        "redis\\-oom\\-tui \\- triage for Redis and Valkey at their memory limit",
        ".SH SYNOPSIS",
        _text("redis-oom-tui [OPTIONS] [COMMAND [ARGS]...]"),
        ".SH DESCRIPTION",
        *_paragraphs(cli.help or ""),
        ".SH OPTIONS",
        *_options(cli, context),
        ".SH COMMANDS",
        *_commands(cli, context),
    ]
    for title, text in _SECTIONS:
        lines += [f".SH {title}", _text(text)]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        pieces = " ".join(command.collect_usage_pieces(inner))
        yield f".SS {_text(f'{inner.command_path} {pieces}')}"
        yield from _paragraphs(command.help or "")
        yield from _options(command, inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            names, words = record
            yield from (".TP", f"\\fB{_text(names)}\\fR", _text(words) or "\\&")


def _paragraphs(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.lstrip().startswith("\b"):
            yield from (".PP", ".nf", *(_text(line) for line in block.splitlines()[1:]), ".fi")
        else:
            yield from (".PP", _text(" ".join(line.strip() for line in block.splitlines())))


def _text(text: str) -> str:
    """`text` so that roff prints it and obeys none of it."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    click.echo(page(), nl=False)
