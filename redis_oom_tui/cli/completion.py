"""`completion`: what a shell needs to complete our commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for SHELL.

    \b
        bash:  eval "$(redis-oom-tui completion bash)"          in ~/.bashrc
        zsh:   eval "$(redis-oom-tui completion zsh)"           in ~/.zshrc
        fish:  redis-oom-tui completion fish \\
                   > ~/.config/fish/completions/redis-oom-tui.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion is known for {shell}")
    click.echo(
        kind(click.get_current_context().find_root().command, {}, "redis-oom-tui", "_REDIS_OOM_TUI_COMPLETE").source()
    )
