"""`schema`: the JSON Schema of what a command prints."""

import click

from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.formatting.documents import DOCUMENTS, json_schema


@click.command()
@click.argument("command", type=click.Choice(list(DOCUMENTS)), required=False)
def schema(command: str | None) -> None:
    """Print the JSON Schema of what COMMAND prints with --json; without COMMAND, list the commands."""
    if command is None:
        click.echo("\n".join(DOCUMENTS))
    else:
        print_document(json_schema(command), indent=1)
