"""`restore`: a backup's keys put back where nothing newer stands."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import click

from redis_oom_tui.cli.actions import acting, confirm, require
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import failure_document, print_document
from redis_oom_tui.cli.options import READ_FILE
from redis_oom_tui.cli.process import followed, give_way, when_free
from redis_oom_tui.files.backup_reading import as_lines, inspect, must_be_whole
from redis_oom_tui.formatting.plan import restore_document
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.formatting.sizes import count, progress
from redis_oom_tui.models.action import Action, AuditEntry, BackupInspection, RestoreReport
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.restoring import (
    backup_contents,
    backup_origin,
    left_unchanged,
    restore_outlook,
    restore_warnings,
)

EXIT_INCOMPLETE = 1
EXIT_DECLINED = 1
EXIT_INTERRUPTED = 130
_SHOWN = 20


@click.command()
@click.argument("path", metavar="FILE", type=READ_FILE)
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.option("--damaged-ok", is_flag=True, help="Restore what can be read of a damaged backup.")
@click.option("--show", is_flag=True, help="Print what FILE holds, a line of JSON a key; restore nothing.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def restore(
    invocation: Invocation, /, *, path: Path, yes: bool, damaged_ok: bool, show: bool, json_wanted: bool
) -> int:
    """Undo a cleanup: restore a backup's keys that do not exist now."""
    if show and (yes or json_wanted or damaged_ok):
        raise BadInput("--show restores nothing, so --yes, --json and --damaged-ok do not go with it")
    inspection = inspect(path, running_ok=show)
    if show:
        return _show(path, inspection)
    must_be_whole(inspection, damaged_ok=damaged_ok)
    ended = asyncio.run(_restore(invocation, path, inspection, yes=yes))
    if ended is None:
        click.echo("Nothing was restored.", err=True)
        if json_wanted:
            print_document(failure_document("Nothing was restored: it was not confirmed."))
        return EXIT_DECLINED
    report, stopped = ended
    if json_wanted:
        print_document(restore_document(report))
    else:
        click.echo(as_text(report, invocation.connection_args))
    if report.complete:
        return 0
    return EXIT_INTERRUPTED if stopped else EXIT_INCOMPLETE


def _show(path: Path, inspection: BackupInspection) -> int:
    for line in as_lines(path):
        click.echo(line, nl=False)
    if inspection.note:
        click.echo(inspection.note, err=True)
    return EXIT_INCOMPLETE if inspection.damaged or inspection.has_no_key else 0


async def _restore(
    invocation: Invocation, path: Path, inspection: BackupInspection, *, yes: bool
) -> tuple[RestoreReport, bool] | None:
    """The report, and whether a signal stopped it; None where it was declined."""
    async with acting(invocation) as (server, operator):
        await require(operator, Action.RESTORE, read_only=invocation.connection.read_only)
        if not yes:
            history = operator.history()
            question = _question(inspection, str(server.address), await when_free(server.snapshot), history)
            if not confirm(question):
                return None
        give_way(Pace.NORMAL)
        restoring = operator.restore(path, damaged_ok=inspection.damaged, inspected=inspection.backup)
        return await followed(restoring, _progress)


def _progress(report: RestoreReport) -> str:
    return f"restoring: {progress(report.done_keys, report.total_keys, report.elapsed_seconds, report.things)}"


def _question(
    inspection: BackupInspection, address: str, snapshot: Snapshot, history: Sequence[AuditEntry]
) -> list[str]:
    head = inspection.backup
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(head.made_at)) if head.made_at else "an unknown time"
    what = {"expire": "expiries", "shrink": "elements", "finish": "jobs"}.get(head.operation, "keys")
    lines = [f"Restore the {what} of a backup of {when}, from {head.server}, at {address}.", backup_contents(head)]
    if inspection.note:
        lines.append(f"! {inspection.note}")
    same_address = head.server == address
    if origin := backup_origin(head, snapshot, same_address=same_address):
        lines.append(origin)
    elif not same_address:
        lines.append(f"! The backup is from {head.server}, not from {address}.")
    too_full = restore_warnings(head, snapshot)
    lines += [f"! {warning}" for warning in too_full] or restore_outlook(head, snapshot, history)
    return [*lines, left_unchanged(head.operation)]


def as_text(report: RestoreReport, connection_args: Sequence[str]) -> str:
    """What came of it for people, with the line that goes on with it."""
    lines = [str(report.ended)]
    if report.left_out:
        lines.append("Deleted without a copy:")
        lines += [f"  {name}" for name in report.left_out[:_SHOWN]]
        if report.left_out_keys > _SHOWN:
            lines.append(f"  ... and {count(report.left_out_keys - _SHOWN)} more")
    if report.resumable:
        option = ["--damaged-ok"] if report.file_damaged else []
        lines.append(f"To continue: {command_line(connection_args, 'restore', report.path, *option)}")
    return "\n".join(lines)
