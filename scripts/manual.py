"""The manual page, drawn from the same declarations as --help: `python -m scripts.manual` prints it."""

import re
from collections.abc import Iterable, Iterator

import click

from redis_oom_tui import __version__
from redis_oom_tui.cli.group import Commands
from redis_oom_tui.cli.main import cli

# Title, then pairs of a term and what it means.
_SECTIONS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "EXIT STATUS",
        (
            ("0", "Done. check, watch --once: ok. watch: it was stopped."),
            ("1", "Not done, or done in part. check, watch --once: warning."),
            ("2", "A wrong option. check, watch --once: critical, or writes are refused."),
            ("3", "The server cannot be reached, or does not allow it. check, watch --once: unknown; a wrong option."),
            ("130", "Interrupted."),
        ),
    ),
    (
        "ENVIRONMENT",
        (
            ("REDIS_URL", "Where to connect, where no option says so."),
            ("REDISCLI_AUTH", "The password."),
            ("REDIS_SENTINEL_AUTH", "The Sentinels' own password."),
            ("NO_COLOR", "Set: no colors."),
            (
                "XDG_CONFIG_HOME, XDG_STATE_HOME",
                "Where the folders below are, instead of ~/.config and ~/.local/state.",
            ),
        ),
    ),
    (
        "FILES",
        (
            ("~/.config/redis-oom-tui/config.toml", "The configuration; redis-oom-tui config example prints one."),
            (
                "~/.local/state/redis-oom-tui/audit.jsonl",
                "What the tool did: when, who, on which server, what came of it.",
            ),
            ("~/.local/state/redis-oom-tui/backups/", "Backups of cleanups, for restore."),
            ("~/.local/state/redis-oom-tui/emergency.json", "What emergency cleanups have taken in the last hour."),
            ("~/.local/state/redis-oom-tui/defects.log", "Defects of the tool, without values: please report them."),
        ),
    ),
    (
        "EXAMPLES",
        (
            ("redis-oom-tui -h cache-1 --read-only", "The screen, without any change."),
            ("redis-oom-tui check -h cache-1", "Is it refusing writes, why, and what to do first."),
            ("redis-oom-tui hogs -h cache-1 --patterns", "What uses the memory."),
            ("redis-oom-tui cleanup -h cache-1 --match 'cache:*' --no-ttl", "Plan a cleanup; add --yes to run it."),
            ("redis-oom-tui restore FILE -h cache-1", "Undo it from its backup."),
            ("redis-oom-tui limits -h cache-1 --maxmemory 6gb --revert-after 60s", "Raise the limit, for a minute."),
            ("redis-oom-tui watch -h cache-1 --warn 80 --crit 95", "Report each change once."),
            ("redis-oom-tui demo", "Everything, on a server of its own."),
        ),
    ),
)


def page() -> str:
    """The whole page, in man(7)'s macros."""
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
        *_topics(cli, context),
        ".SH COMMANDS",
        *_commands(cli, context),
    ]
    for title, terms in _SECTIONS:
        lines += [f".SH {title}", *_terms(terms)]
    lines += [".SH SEE ALSO", _text("redis-cli(1), valkey-cli(1)")]
    return "\n".join(lines) + "\n"


def _topics(group: Commands, context: click.Context) -> Iterator[str]:
    for topic, records in group.by_topic(context).items():
        yield f".SS {topic}"
        yield from _terms(records)


def _terms(records: Iterable[tuple[str, str]]) -> Iterator[str]:
    for names, words in records:
        yield from (".TP", f"\\fB{_text(names)}\\fR", _text(words) or "\\&")


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        pieces = " ".join(command.collect_usage_pieces(inner))
        yield f".SS {_text(f'{inner.command_path} {pieces}')}"
        yield from _paragraphs(command.help or "")
        records = (parameter.get_help_record(inner) for parameter in command.get_params(inner))
        yield from _terms(record for record in records if record is not None)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


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
