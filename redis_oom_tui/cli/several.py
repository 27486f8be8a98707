"""Which profiles a command is for, where it takes several: by --all, or by a glob as --profile."""

from collections.abc import Mapping

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import connection_options_given, given_options, refuse_beside
from redis_oom_tui.models.errors import BadInput


def chosen(
    invocation: Invocation, given: dict[str, str], excluded: Mapping[frozenset[str], str], *, all_profiles: bool
) -> tuple[str, ...]:
    """The names. `excluded` are options that cannot go with several, each with the reason. Raises BadInput."""
    decisive = "all_profiles" if all_profiles else "profile"
    if all_profiles:
        everywhere = given_options(click.get_current_context().find_root())
        servers = connection_options_given()
        refuse_beside(decisive, given | everywhere, {"profile"}, "all profiles are meant, or those of --profile")
        refuse_beside(decisive, given | servers, servers, "each profile has a server of its own")
    for useless, reason in excluded.items():
        refuse_beside(decisive, {"profile": "a glob as --profile", **given}, useless, reason)
    names = invocation.profiles or tuple(sorted(invocation.configuration.settings.profiles))
    if not names:
        raise BadInput("--all takes the profiles of the configuration file, and it has none (see config example)")
    return names
