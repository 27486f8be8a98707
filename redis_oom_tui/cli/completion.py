"""`completion`: what a shell needs to complete our commands and options."""

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)


class _JoinedValues(ShellComplete):
    """Completes the value of an option behind its `=` as well.

    Click takes the `=` for the value where the shell makes a word of it (bash), and answers with the value alone where
    the shell wants the whole word (fish, zsh).
    """

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What the word may become."""
        if args[-1:] == ["="]:
            args = args[:-1]
        name, equals, value = incomplete.partition("=")
        if not equals or not name.startswith("--"):
            return super().get_completions(args, incomplete)
        found = super().get_completions([*args, name], value)
        for item in found:
            if item.type == "plain":
                item.value = f"{name}={item.value}"
        return found


class _Bash(_JoinedValues, BashComplete):
    pass


class _Zsh(_JoinedValues, ZshComplete):
    pass


class _Fish(_JoinedValues, FishComplete):
    pass


def register() -> None:
    """Let click answer a shell by these classes."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)


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
