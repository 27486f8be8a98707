"""`cleanup --finished`: jobs that an application has done, with all that belongs to them."""

from typing import Any

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import given_options
from redis_oom_tui.cli.shrink import ACTING, shrink_key
from redis_oom_tui.cli.stepped import Stepped, run_stepped
from redis_oom_tui.formatting.sanitize import escape_exact, glob_text, unescape_exact
from redis_oom_tui.formatting.shrink import finished_document
from redis_oom_tui.formatting.sizes import count, parse_duration
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.application import Application, FinishedWork, TimeUnit
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.finished import FinishedRequest
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.shrink import ScoreUnit, ShrinkRequest
from redis_oom_tui.rules import finished as rules
from redis_oom_tui.rules.shrinking import WholeKeyGoes

_KNOWN = ACTING | {"finished", "state", "older_than", "max_key_backup", "save_plan", "show_all"}


def finished(
    invocation: Invocation, given: dict[str, Any], backup: BackupChoice, *, yes: bool, json_wanted: bool
) -> int | None:
    """Plan it and print it; with `yes`, run exactly what was planned. Returns the exit code; None where whole keys go,
    as each finished job is a key, or all that a key lists is old: `given` then has what chooses these, and an ordinary
    plan follows.
    """
    if others := [option for name, option in given_options().items() if name not in _KNOWN]:
        raise BadInput(f"{others[0]} cannot be given with --finished: the application's own lists choose")
    if given["older_than"] is None:
        raise BadInput("--finished requires --older-than TIME: a job that has just ended may still be asked for")
    name, _, queue = given["finished"].partition(":")
    application = rules.application_called(name)
    work = rules.work_of(application, given["state"])
    seconds = parse_duration(given["older_than"])
    if not work.index:
        _as_keys(given, application, work)
        return None
    db = invocation.connection.db or 0
    if not work.job:
        request = _as_elements(application, work, db, seconds)
        try:
            return shrink_key(invocation, request, given, backup, yes=yes, json_wanted=json_wanted)
        except WholeKeyGoes:
            given["names"], given["finished"] = (escape_exact(request.key.key),), None
            return None
    wanted = FinishedRequest(application.name, seconds, unescape_exact(queue) if queue else None, given["state"], db)
    return _jobs(invocation, wanted, given, backup, yes=yes, json_wanted=json_wanted)


def _as_keys(given: dict[str, Any], application: Application, work: FinishedWork) -> None:
    """Each finished job is a key of its own: those that nobody used for so long are an ordinary plan."""
    kind = application.kind(work.job)
    given["matches"] = tuple(glob_text(glob) for glob in rules.globs(kind))
    given["types"], given["idle_over"], given["finished"] = kind.types, given["older_than"], None


def _as_elements(application: Application, work: FinishedWork, db: int, seconds: int) -> ShrinkRequest:
    """The members of one key are the work itself. Raises BadInput where no time stands beside them."""
    keys = rules.names([application.kind(work.index)], {"prefix": application.prefix.encode()})
    if work.score is None or work.score_is != "finished" or len(keys) != 1:
        raise BadInput(
            f"Finished work of {application.name} tells no age: shrink its key with --shrink KEY --keep-last N"
        )
    unit = ScoreUnit.MILLISECONDS if work.score is TimeUnit.MILLISECONDS else ScoreUnit.SECONDS
    return ShrinkRequest(KeyId(db, keys[0][1]), older_than_seconds=seconds, score_unit=unit)


def _jobs(
    invocation: Invocation,
    request: FinishedRequest,
    given: dict[str, Any],
    backup: BackupChoice,
    *,
    yes: bool,
    json_wanted: bool,
) -> int:
    stepped = Stepped(
        Action.FINISH,
        "jobs",
        lambda operator: operator.steps.plan_finished(request),
        lambda plan: rules.consent(plan, backup),
        lambda operator, plan: operator.steps.run_finished(plan, backup=backup),
        finished_document,
        lambda plan: f"None of the {count(plan.total)} {plan.state} jobs is that old",
    )
    return run_stepped(invocation, stepped, given["plan_hash"], yes=yes, json_wanted=json_wanted)
