"""`cleanup --shrink`: fewer elements in a key that stays; printed, and run only when told --yes."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import Number, given_options
from redis_oom_tui.cli.stepped import Stepped, run_stepped
from redis_oom_tui.formatting.sanitize import from_glob, unescape_exact
from redis_oom_tui.formatting.shrink import shrink_document
from redis_oom_tui.formatting.sizes import count, parse_duration
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.shrink import ListEnd, ScoreUnit, ShrinkRequest
from redis_oom_tui.rules import shrinking

_Command = TypeVar("_Command", bound=Callable[..., Any])
OPTIONS = frozenset({"keep_last", "older_than", "fields", "oldest_end", "score_unit"})
ACTING = frozenset({"backup_path", "no_backup", "max_backup", "plan_hash", "yes", "json_wanted"})
"""Options that say how a plan is carried out."""

_CHOICES = (
    click.option("--shrink", metavar="KEY", help="Remove elements of this key, which stays; with the options below."),
    click.option("--keep-last", type=Number(1), metavar="N", help="All but the newest N go."),
    click.option("--older-than", metavar="TIME", help="Those older than this go, e.g. 7d."),
    click.option("--fields", metavar="GLOB", help="Fields of a hash, or members of a set, that match go."),
    click.option("--oldest-end", type=click.Choice(["left", "right"]), help="Where a list has its oldest elements."),
    click.option("--score-unit", type=click.Choice(["s", "ms"]), help="Scores are Unix times in this unit."),
    click.option(
        "--finished",
        metavar="APP[:QUEUE]",
        help="Delete finished jobs of an application, such as bullmq:mail, with --older-than.",
    ),
    click.option("--orphans", metavar="APP", help="Keys of an application that its own lists name no more."),
    click.option("--state", metavar="STATE", help="With --finished: which, e.g. completed or failed."),
)


def shrink_options(command: _Command) -> _Command:
    """The options of `--shrink` and `--finished`."""
    for option in reversed(_CHOICES):
        command = option(command)
    return command


def refuse_alone() -> None:
    """Raise BadInput for options that only --shrink or --finished go by, where these are not there."""
    options = given_options()
    if "shrink" in options:
        return
    if "finished" not in options and "state" in options:
        raise BadInput("--state requires --finished APP")
    alone = OPTIONS - {"older_than"} if "finished" in options else OPTIONS
    if lonely := [options[name] for name in options if name in alone]:
        raise BadInput(f"{lonely[0]} requires --shrink KEY: it says which elements of that key go")


def shrink(invocation: Invocation, given: dict[str, Any], backup: BackupChoice, *, yes: bool, json_wanted: bool) -> int:
    """Plan it and print it; with `yes`, run exactly what was planned. Returns the exit code."""
    known = OPTIONS | ACTING | {"shrink"}
    if others := [option for name, option in given_options().items() if name not in known]:
        raise BadInput(f"{others[0]} cannot be given with --shrink: one key is made smaller, and no key is chosen")
    return shrink_key(invocation, _request(invocation, given), given, backup, yes=yes, json_wanted=json_wanted)


def shrink_key(
    invocation: Invocation,
    request: ShrinkRequest,
    given: dict[str, Any],
    backup: BackupChoice,
    *,
    yes: bool,
    json_wanted: bool,
) -> int:
    """The same for a request that is made already."""
    stepped = Stepped(
        Action.SHRINK,
        "elements",
        lambda operator: operator.steps.plan_shrink(request),
        lambda plan: shrinking.consent(plan, backup),
        lambda operator, plan: operator.steps.run_shrink(plan, backup=backup),
        shrink_document,
        lambda plan: f"None of the {count(plan.elements)} {shrinking.WORDS[plan.type]} is to go",
        lambda plan: "Once the stream is gone, restore with" if plan.type == "stream" else "Undo with",
    )
    return run_stepped(invocation, stepped, given["plan_hash"], yes=yes, json_wanted=json_wanted)


def _request(invocation: Invocation, given: dict[str, Any]) -> ShrinkRequest:
    request = ShrinkRequest(
        KeyId(invocation.connection.db or 0, unescape_exact(given["shrink"])),
        keep_last=given["keep_last"],
        older_than_seconds=None if given["older_than"] is None else parse_duration(given["older_than"]),
        matching=None if given["fields"] is None else from_glob(given["fields"]),
        oldest_end=None if given["oldest_end"] is None else ListEnd(given["oldest_end"]),
        score_unit=None if given["score_unit"] is None else ScoreUnit(given["score_unit"]),
    )
    shrinking.check(request)
    return request
