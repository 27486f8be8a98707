"""The command line's front door."""

import click

from redis_oom_tui import __version__


@click.group()
@click.version_option(__version__, prog_name="redis-oom-tui")
def main() -> None:
    """Triage for Redis and Valkey at their memory limit."""
