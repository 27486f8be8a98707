"""`cleanup`: a plan, printed; and, only when told --yes, run."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click
from msgspec import Struct

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.actions.rights import NOTHING_PREPARED
from redis_oom_tui.cli import undo_command
from redis_oom_tui.cli.actions import acting, emergency_plan, require
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.criteria import criteria_of, of_one_server, require_hash
from redis_oom_tui.cli.documents import print_document
from redis_oom_tui.cli.options import KEY_TYPES, NEW_FILE, READ_FILE, Number, among, given_options, refuse_beside
from redis_oom_tui.cli.process import followed, give_way, when_free
from redis_oom_tui.cli.stepped import StepCommand, finished, refuse_alone, shrink, shrink_options
from redis_oom_tui.files.plans import load_plan, save_plan
from redis_oom_tui.formatting.criteria import summary
from redis_oom_tui.formatting.plan import outcome_lines, plan_document, plan_lines, proposal_fields, proposal_lines
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import command_line, database_args
from redis_oom_tui.formatting.sizes import count, number_of, parse_duration, parse_size, progress
from redis_oom_tui.models.action import LARGEST_COPY, Action, BackupChoice, Budget, PlanningState, PlanningView
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.plan import Criteria, KeyOutcome, Operation, Plan, Proposal, RunView
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.operator import Planning
from redis_oom_tui.rules.budget import budget as budget_of
from redis_oom_tui.rules.budget import of_what_goes
from redis_oom_tui.rules.finished import application_called
from redis_oom_tui.rules.headroom import headroom, over_limit
from redis_oom_tui.rules.proposals import target_of

_SHOWN = 20
# What a plan is made of: no use beside a plan that is made already.
_CHOICES = frozenset(
    {
        *("matches", "key_patterns", "delimiter", "saved_scan", "names", "types", "idle_over", "no_ttl", "with_ttl"),
        *("larger_than", "max_keys", "max_bytes", "oldest", "emergency", "expire"),
    }
)
_ALL_KEPT = (
    "To delete keys without a copy: --delete-unsaved. To save larger keys: --max-key-backup SIZE. To save none:"
    " --no-backup."
)
EXIT_INCOMPLETE = 1
EXIT_INTERRUPTED = 130


class _Result(Struct, frozen=True):
    plan: Plan
    budget: Budget
    proposal: Proposal | None
    consent: tuple[str, ...]
    run: RunView | None = None
    outcomes: tuple[KeyOutcome, ...] = ()
    stopped: bool = False


@click.command()
@click.option("--match", "matches", multiple=True, metavar="GLOB", help="Keys whose name matches (repeatable).")
@click.option(
    "--pattern",
    "key_patterns",
    multiple=True,
    metavar="PATTERN",
    help="Keys of a pattern that hogs shows, exactly those it counts, e.g. 'user:<id>' (repeatable).",
)
@click.option(
    "--delimiter", default=":", show_default=True, help=r"With --pattern: what separates name parts; odd bytes as \xNN."
)
@click.option(
    "--saved-scan",
    type=READ_FILE,
    metavar="FILE",
    help="With --pattern: a row of the scan in FILE (hogs --save), as <other>.",
)
@click.option("--key", "names", multiple=True, metavar="NAME", help="Exact key name, escaped as printed (repeatable).")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    shell_complete=among(KEY_TYPES),
    help="string, hash, list, set, zset, stream or a module's.",
)
@click.option("--idle-over", metavar="TIME", help="Not used for longer than this, e.g. 30d.")
@click.option("--no-ttl", is_flag=True, help="Only keys that never expire.")
@click.option("--with-ttl", is_flag=True, help="Only keys that expire.")
@click.option("--larger-than", metavar="SIZE", help="Larger than this, e.g. 1mb.")
@click.option("--max-keys", type=Number(1), metavar="N", help="At most N keys.")
@click.option("--max-bytes", metavar="SIZE", help="At most this many bytes in total.")
@click.option("--oldest", is_flag=True, help="With a limit: pick longest-idle keys first instead of largest.")
@click.option("--emergency", is_flag=True, help="A plan of the configuration file.")
@click.option(
    "--free-to", metavar="SHARE", help="Propose what may go to reach this share of maxmemory, e.g. 80%; scans first."
)
@click.option("--expire", metavar="TIME", help="Let the keys expire, spread over this time, instead of deleting them.")
@shrink_options
@click.option("--backup", "backup_path", type=NEW_FILE, metavar="FILE", help="Write the backup to this new file.")
@click.option("--no-backup", is_flag=True, help="Write no backup: there is no undo.")
@click.option(
    "--max-key-backup", default="16mb", metavar="SIZE", help="Keys over this are not backed up (16mb; at most 4gb)."
)
@click.option("--max-backup", default="512mb", metavar="SIZE", help="Stop when the backup is this large (512mb).")
@click.option("--keep-unsaved", is_flag=True, help="Keep the keys that cannot be backed up (the default).")
@click.option("--delete-unsaved", is_flag=True, help="Delete them for good, and back up the others.")
@click.option("--save-plan", type=NEW_FILE, metavar="FILE", help="Write the plan to a new file.")
@click.option(
    "--plan", "plan_path", type=READ_FILE, metavar="FILE", help="Run a saved plan; it takes no other choice of keys."
)
@click.option("--hash", "plan_hash", metavar="HEX", help="Proceed only if the plan hash starts with HEX.")
@click.option("--yes", is_flag=True, help="Run the plan; without it, it is only printed.")
@click.option("--all", "show_all", is_flag=True, help="Print every key of the plan.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def cleanup(invocation: Invocation, /, *, yes: bool, show_all: bool, json_wanted: bool, **given: Any) -> int:
    """Plan a cleanup and print it; with --yes, run exactly what was planned."""
    refuse_alone()
    if given["shrink"] is not None:
        return shrink(StepCommand(invocation, given, _backup(given), yes, json_wanted))
    if given["finished"] is not None:
        code = finished(StepCommand(invocation, given, _backup(given), yes, json_wanted))
        if code is not None:
            return code
    _refuse_what_has_no_effect(given)
    backup = _backup(given)
    result = asyncio.run(_clean(invocation, given, backup, yes=yes))
    if json_wanted:
        document = plan_document(result.plan, result.budget, result.consent, result.run, result.outcomes)
        print_document(document if result.proposal is None else document | proposal_fields(result.proposal))
    else:
        click.echo(as_text(result, invocation, given, show_all=show_all))
    return _exit_code(result)


def _refuse_what_has_no_effect(given: dict[str, Any]) -> None:
    options = given_options()
    refuse_beside("plan_path", options, _CHOICES | {"free_to", "orphans"}, "the plan is already frozen")
    refuse_beside("emergency", options, _CHOICES, "the configuration says what that plan deletes")
    refuse_beside("orphans", options, _CHOICES | {"free_to"}, "the application's own lists choose")
    refuse_beside("free_to", options, _CHOICES, "what may go is proposed by a scan")
    refuse_beside("no_backup", options, {"backup_path", "keep_unsaved"}, "no backup is written")
    refuse_beside("saved_scan", options, {"delimiter"}, "the scan in the file has its own")
    if "delimiter" in options and not given["key_patterns"]:
        raise BadInput("--delimiter requires --pattern: it says what separates the parts of a name")
    if given["oldest"] and given["max_keys"] is None and given["max_bytes"] is None:
        raise BadInput("--oldest requires --max-keys or --max-bytes: without a limit every key that matches is taken")


def _of_its_database(plan: Plan, db: int | None) -> Plan:
    """`plan`. Raises BadInput where -n chose one database and the plan has keys of another."""
    others = sorted({key.id.db for key in plan.keys} - {db})
    if db is not None and others:
        raise BadInput(f"-n {db} cannot be given with this plan: it has keys of database {others[0]}")
    return plan


def _exit_code(result: _Result) -> int:
    if result.run is None:
        if result.stopped:
            return EXIT_INTERRUPTED
        return 0 if result.plan.complete or result.plan.keys else EXIT_INCOMPLETE
    if result.run.complete:
        return 0
    return EXIT_INTERRUPTED if result.stopped else EXIT_INCOMPLETE


async def _clean(invocation: Invocation, given: dict[str, Any], backup: BackupChoice, *, yes: bool) -> _Result:
    # An empty value is a mistake, such as a variable that is not set: it must not delete what was to expire.
    seconds = None if given["expire"] is None else parse_duration(given["expire"])
    operation = Operation.DELETE if seconds is None else Operation.EXPIRE
    read_only = invocation.connection.read_only
    target = None if given["free_to"] is None else target_of(given["free_to"])
    given = {**given, "db": invocation.connection.db}
    # What cannot be read is said before a server is asked anything.
    wanted = None if target is not None else _wanted(given)
    if given["emergency"] and emergency_plan(invocation) is None:
        raise BadInput(NOTHING_PREPARED)
    async with acting(invocation) as (source, operator):
        if yes:
            await require(operator, Action(operation.value), read_only=read_only)
        give_way(Pace.NORMAL)
        server, proposal = source, None
        if target is not None:
            server, proposal = await of_one_server(source, target, given["db"], invocation.connection_args)
        if given["orphans"] is not None:
            planning: Plan | Planning = await _plan_orphans(operator, given["orphans"], given["db"] or 0)
        else:
            planning = _planning(operator, proposal or wanted, operation, seconds)
        plan, stopped = await _plan(planning, "looking up the keys" if given["names"] else "scanning the keys")
        if yes and stopped:
            # Whoever stops the search of a cleanup that would begin by itself wants none of it.
            click.echo("Stopped during the search: nothing was done.", err=True)
            raise click.Abort
        require_hash(plan.hash, given["plan_hash"])
        if given["save_plan"] is not None:
            save_plan(plan, given["save_plan"])
        snapshot = await when_free(server.snapshot)
        _refuse_elsewhere(operator, plan, snapshot, given)
        if snapshot.cluster is None:
            backup = replace(backup, room_bytes=headroom(snapshot), over_bytes=over_limit(snapshot))
        going = of_what_goes(plan, backup)
        budget = operator.budget(going, snapshot) if target is None else budget_of(going, snapshot, target)
        consent = operator.consent(plan, backup) + ((_ALL_KEPT,) if plan.keys and not going.keys else ())
        result = _Result(plan, budget, proposal, consent, stopped=stopped)
        if not yes or not plan.keys:
            return result
        return await _run(operator, result, backup)


def _refuse_elsewhere(operator: LiveOperator, plan: Plan, snapshot: Snapshot, given: dict[str, Any]) -> None:
    """Raise OtherServer for a saved plan of another server, before anything is told of what it would do on this one."""
    if given["plan_path"] is not None:
        operator.deployment.recognize(plan, [snapshot])


async def _plan_orphans(operator: LiveOperator, application: str, db: int) -> Planning:
    keys = await operator.steps.orphans(application, db)
    return operator.plan(Criteria(keys=keys)) if keys else operator.plan_proposal(Proposal(0.0, 0, 0.0))


async def _run(operator: LiveOperator, result: _Result, backup: BackupChoice) -> _Result:
    await when_free(operator.learn)
    run = operator.run(result.plan, backup=backup)
    view, stopped = await followed(run, _progress, _begun(of_what_goes(result.plan, backup)))
    return replace(result, run=view, outcomes=tuple(run.outcomes()), stopped=stopped)


def _begun(going: Plan) -> str:
    if not going.keys:
        return ""
    keys = number_of(len(going.keys), "key")
    return f"deleting {keys}" if going.operation is Operation.DELETE else f"setting the expiry of {keys}"


def _progress(view: RunView) -> str:
    return f"{view.phase}: {progress(view.done_keys, view.total_keys, view.elapsed_seconds)}"


def _wanted(given: dict[str, Any]) -> Plan | Criteria | None:
    """The frozen plan, or what a new one goes by; None for the one that the configuration prepared, and for orphans."""
    if given["orphans"] is not None:
        application_called(given["orphans"], with_orphans=True)
        return None
    if given["plan_path"] is not None:
        return _of_its_database(load_plan(given["plan_path"]), given["db"])
    return None if given["emergency"] else criteria_of(given)


def _planning(
    operator: LiveOperator, wanted: Plan | Proposal | Criteria | None, operation: Operation, seconds: int | None
) -> Plan | Planning:
    """The plan that is there already, or the one to be made."""
    match wanted:
        case Plan():
            return wanted
        case Proposal():
            return operator.plan_proposal(wanted)
        case None:
            return operator.emergency()
    return operator.plan(wanted, operation=operation, expire_seconds=seconds)


async def _plan(planning: Plan | Planning, begun: str) -> tuple[Plan, bool]:
    """The plan, and whether its search was stopped; one that lacks the keys of a lost node was not."""
    if isinstance(planning, Plan):
        return planning, False
    view, _ = await followed(planning, _planning_words, begun)
    if view.plan is None:
        raise ServerUnreachable(view.error or "The plan could not be made")
    return view.plan, view.state is PlanningState.STOPPED


def _planning_words(view: PlanningView) -> str:
    doing = view.phase or "looking for keys"
    done = progress(view.scanned_keys, view.total_keys, view.elapsed_seconds)
    return f"{doing}: {done}, {count(view.matched_keys)} match"


def _backup(given: dict[str, Any]) -> BackupChoice:
    if given["delete_unsaved"] and given["keep_unsaved"]:
        raise BadInput("--keep-unsaved and --delete-unsaved cannot be combined")
    return BackupChoice(
        wanted=not given["no_backup"],
        path=given["backup_path"],
        max_key_bytes=min(LARGEST_COPY, parse_size(given["max_key_backup"])),
        max_total_bytes=parse_size(given["max_backup"]),
        keep_unsaved=not given["delete_unsaved"],
    )


def as_text(result: _Result, invocation: Invocation, given: dict[str, Any], *, show_all: bool) -> str:
    """The same for people, with the line that runs a plan that was only printed."""
    lines = _lines(result, invocation.connection_args, show_all=show_all)
    if result.run is None and result.plan.keys:
        way = (*invocation.connection_args, *database_args(invocation.connection.db))
        lines += _to_run_it(result.plan, way, given)
    return "\n".join(lines)


def _lines(result: _Result, connection_args: Sequence[str], *, show_all: bool) -> list[str]:
    plan = result.plan
    proposal = (
        [] if result.proposal is None else [*map(safe_text, proposal_lines(result.proposal, connection_args)), ""]
    )
    if not plan.keys and result.proposal is not None:
        return proposal[:-1]
    if not plan.keys:
        first, *more = result.consent
        if plan.matched_keys <= 0:
            nothing = "there is nothing to do" if plan.complete else "not all keys were read"
            nothing = "the search was stopped" if result.stopped else nothing
            first = f"{first.removesuffix('.')}: {nothing}."
        return [first, *more]
    lines = [*proposal, f"Chosen: {safe_text(summary(plan.criteria), 400)}", *plan_lines(plan, show_all=show_all)]
    lines += ["", *result.consent, result.budget.words, f"Plan {plan.hash}"]
    if result.run is None:
        return lines
    lines += ["", str(result.run.ended)]
    lines += outcome_lines(result.outcomes)
    return [*lines, *undo_command.of_run(result.run, connection_args)]


def _to_run_it(plan: Plan, connection_args: Sequence[str], given: dict[str, Any]) -> list[str]:
    """How to run what was printed; as a line to copy where the plan is in a file."""
    path = given["plan_path"] or given["save_plan"]
    if path is None:
        return ["Dry run. Add --yes to execute."]
    words = ["--plan", str(path), "--hash", plan.hash[:12], "--max-key-backup", given["max_key_backup"]]
    words += ["--max-backup", given["max_backup"]]
    words += ["--backup", str(given["backup_path"])] if given["backup_path"] is not None else []
    words += [
        option
        for option in ("--no-backup", "--keep-unsaved", "--delete-unsaved")
        if given[option[2:].replace("-", "_")]
    ]
    return ["Dry run. To execute it:", command_line(connection_args, "cleanup", *words, "--yes")]
