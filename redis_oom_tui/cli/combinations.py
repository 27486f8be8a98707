"""Options that would have no effect beside another one are refused, by name."""

from collections.abc import Collection

import click
from click.core import ParameterSource

from redis_oom_tui.models.errors import BadInput


def given_options() -> dict[str, str]:
    """The options on the command line of the command that runs: each parameter's name with its long spelling."""
    context = click.get_current_context()
    return {
        parameter.name: max(parameter.opts, key=len)
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def refuse_beside(decisive: str, given: dict[str, str], useless: Collection[str], reason: str) -> None:
    """Raise BadInput where `decisive` is among the options and so is one that would have no effect beside it."""
    if decisive not in given:
        return
    options = [option for name, option in given.items() if name in useless and name != decisive]
    if options:
        raise BadInput(f"{' and '.join(options)} cannot be given with {given[decisive]}: {reason}")
