"""`completion`: what a shell needs to complete our commands and options."""

from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from redis_oom_tui.files.config import load
from redis_oom_tui.models.config import Settings
from redis_oom_tui.models.errors import BadInput


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for SHELL.

    \b
        bash:  eval "$(redis-oom-tui completion bash)"          in ~/.bashrc
        zsh:   eval "$(redis-oom-tui completion zsh)"           in ~/.zshrc
        fish:  redis-oom-tui completion fish > ~/.config/fish/completions/redis-oom-tui.fish
    """
    # Imported here: the front door imports this module.
    from redis_oom_tui.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion is known for {shell}")
    click.echo(kind(cli, {}, "redis-oom-tui", "_REDIS_OOM_TUI_COMPLETE").source())


def profile_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The configuration's profiles that begin so; none where it cannot be read."""
    return _beginning(_settings(ctx).profiles, incomplete)


def plan_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The configuration's plans that begin so."""
    return _beginning(_settings(ctx).plans, incomplete)


def _settings(ctx: click.Context) -> Settings:
    given = ctx.find_root().params.get("config_path")
    try:
        return load(None if given is None else Path(given)).settings
    except BadInput:
        return Settings()


def _beginning(names: Mapping[str, object], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
