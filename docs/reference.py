"""Writes the reference in docs/commands.md from what `--help` prints. Run by `make docs`; a test finds it stale."""

from collections.abc import Iterator
from pathlib import Path

import click

from redis_oom_tui.cli.main import cli

PAGE = Path(__file__).parent / "commands.md"
MARK = "<!-- Below this line: written by `make docs` from --help. -->\n"
WIDTH = 100


def written(page: str) -> str:
    """The page with everything below the mark replaced."""
    return page.partition(MARK)[0] + MARK + "\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    yield "## Reference\n"
    root = click.Context(cli, info_name="redis-oom-tui", terminal_width=WIDTH)
    yield _section(cli, root)
    yield from _commands(cli, root)


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
        yield _section(command, inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _section(command: click.Command, context: click.Context) -> str:
    return f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
