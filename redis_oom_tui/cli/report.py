"""`report`: the incident as Markdown, HTML or JSON, from the live server or from a recording of it."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import click

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.documents import PRINTED
from redis_oom_tui.cli.options import (
    NEW_FILE,
    READ_FILE,
    Number,
    connection_options_given,
    given_options,
    refuse_beside,
)
from redis_oom_tui.cli.process import Ticker, when_free
from redis_oom_tui.cli.rdb import of_server_or_dump, rdb_options
from redis_oom_tui.files.audit import AuditFile, state_folder
from redis_oom_tui.files.disk import shown, write_new
from redis_oom_tui.files.server_host import with_host_memory
from redis_oom_tui.formatting.hogs import progress
from redis_oom_tui.formatting.report import HTML_SUFFIXES, document, markdown, page
from redis_oom_tui.formatting.report_sections import moment
from redis_oom_tui.formatting.server import address_args
from redis_oom_tui.formatting.sizes import earlier_actions, skipped_lines
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.address import ClientBuffer, LargeCommand
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import CommandRefused, TriageError
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import ScanOptions, ScanView
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import IncidentReport, Rates
from redis_oom_tui.ports.source import SamplesValues, SeesReplicas, TellsLargeCommands, TellsSettings
from redis_oom_tui.rules.breakdown import breakdown_of
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.cluster import actions_on
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.findings.case import nameless
from redis_oom_tui.rules.findings.odd import refused_reads
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History, ran_between
from redis_oom_tui.rules.report import episodes, overdue
from redis_oom_tui.rules.sampled_values import were_read
from redis_oom_tui.rules.verdict import judge, within_rights

_POLL_SECONDS = 1.5
_AUDIT_HOURS = 24.0
_NOT_ASKED = "a recording is read, and no server contacted"


@click.command()
@click.option("--from", "recording", type=READ_FILE, metavar="FILE", help="Report on a recording.")
@click.option("--output", type=NEW_FILE, metavar="FILE", help="Write to a new file; HTML for a name in .html.")
@click.option("--html", "as_html", is_flag=True, help="Print one HTML page instead of Markdown.")
@click.option("--no-names", is_flag=True, help="Leave out names of keys and clients.")
@click.option("--no-scan", is_flag=True, help="Skip the key scan.")
@click.option(
    "--hours",
    type=Number(0, fraction=True),
    default=_AUDIT_HOURS,
    show_default=True,
    help="Include actions from the last N hours.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of Markdown.")
@rdb_options
@click.pass_obj
def report(
    invocation: Invocation,
    /,
    *,
    recording: Path | None,
    output: Path | None,
    no_names: bool,
    no_scan: bool,
    hours: float,
    as_html: bool,
    as_json: bool,
    rdb: Path | None,
    server_binary: Path | None,
) -> int:
    """An incident report: verdicts, figures before and after, findings, what uses the memory, what was done.

    Live: samples briefly and scans the keys. From a recording: covers all of it. Without
    secrets, and with --no-names without names of keys.
    """
    refuse_beside("as_json", given_options(), {"as_html"}, "a report has one form")
    if recording is not None:
        server = connection_options_given()
        refuse_beside("recording", given_options() | server, {"no_scan", "rdb", *server}, _NOT_ASKED)
    with contextlib.ExitStack() as stack:
        invocation, notes = of_server_or_dump(invocation, rdb, server_binary, stack)
        gathered = _recorded(recording) if recording is not None else asyncio.run(_live(invocation, scan=not no_scan))
    since = gathered.snapshots[0].taken_at - 3600 * hours
    audit = AuditFile(invocation.audit_path or state_folder() / "audit.jsonl", wall=time.time)
    actions = _actions(audit, gathered, since)
    made = replace(
        _report(gathered, invocation, names=not no_names, actions=actions),
        actions_skipped=audit.skipped,
        actions_unread_before=audit.unread_before,
        notes=() if rdb is None else (_of_dump(rdb), *notes),
    )
    as_html = as_html or (output is not None and output.suffix.lower() in HTML_SUFFIXES)
    text = json.dumps(document(made), indent=2) + "\n" if as_json else page(made) if as_html else markdown(made)
    if output is None:
        PRINTED.document = True
        click.echo(text, nl=False)
    else:
        write_new(output, text)
    return 0


def _of_dump(path: Path) -> str:
    return (
        f"made of the dump file {shown(path)}: verdict, limit, policy, clients and uptime are those of the private"
        " server that loaded it, and say nothing of the one that wrote it"
    )


class Gathered:
    """What a report is made of, from wherever it came."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.snapshots = snapshots
        self.clients: tuple[ClientBuffer, ...] = ()
        self.large: tuple[LargeCommand, ...] = ()
        self.settings: dict[str, str] = {}
        self.capabilities = Capabilities()
        self.scan: ScanView | None = None
        self.values: tuple[PatternSample, ...] = ()
        self.replicas: tuple[NodeView, ...] = ()
        self.recorded = False


async def _live(invocation: Invocation, *, scan: bool) -> Gathered:
    from redis_oom_tui.server.open_source import source_for

    source = source_for(invocation.connection)
    try:
        await when_free(source.open)
        before = await when_free(source.snapshot)
        await asyncio.sleep(_POLL_SECONDS)
        gathered = Gathered([before, await source.snapshot()])
        gathered.capabilities = await source.capabilities()
        if isinstance(source, TellsSettings):
            gathered.settings = dict(await source.settings())
        if isinstance(source, SeesReplicas):
            gathered.replicas = await source.replicas()
        try:
            gathered.clients = await source.clients()
        except CommandRefused as error:
            click.echo(f"redis-oom-tui: {error}", err=True)
        if isinstance(source, TellsLargeCommands):
            gathered.large = await source.large_commands()
        if scan:
            scanning = source.scan(ScanOptions(databases=_databases(invocation), idle=True))
            async with Ticker(lambda: progress(scanning.view()), "scanning the keys"):
                gathered.scan = await scanning.run()
            gathered.values = await _sampled(source, gathered.scan)
        gathered.snapshots = [with_host_memory(seen) for seen in (*gathered.snapshots, await source.snapshot())]
    finally:
        await source.close()
    return gathered


async def _sampled(source: object, scan: ScanView) -> tuple[PatternSample, ...]:
    try:
        return await source.samples(scan) if isinstance(source, SamplesValues) and scan.error is None else ()
    except TriageError as error:
        click.echo(f"redis-oom-tui: {error}", err=True)
        return ()


def _databases(invocation: Invocation) -> tuple[int, ...] | None:
    return None if invocation.connection.db is None else (invocation.connection.db,)


def _recorded(path: Path) -> Gathered:
    from redis_oom_tui.files.recordings import load

    moments = load(path).moments
    gathered = Gathered([seen.snapshot for seen in moments if seen.snapshot is not None])
    gathered.recorded = True
    for seen in moments:
        # An empty list was read as well, and is the last one.
        gathered.clients = gathered.clients if seen.clients is None else seen.clients
        gathered.settings = dict(seen.settings or gathered.settings)
        gathered.scan = seen.scan or gathered.scan
        gathered.values = gathered.values if seen.samples is None else seen.samples
        gathered.replicas = gathered.replicas if seen.replicas is None else seen.replicas
    return gathered


def _actions(audit: AuditFile, gathered: Gathered, since: float) -> tuple[AuditEntry, ...]:
    """The actions on these servers since then; what `audit` could not tell goes to stderr too."""
    entries = audit.history(since=since)
    if audit.skipped:
        click.echo(f"redis-oom-tui: {skipped_lines(audit.skipped)}: {shown(audit.path)}", err=True)
    if audit.unread_before is not None:
        click.echo(f"redis-oom-tui: {earlier_actions(moment(audit.unread_before))}: {shown(audit.path)}", err=True)
    return tuple(actions_on(gathered.snapshots[-1], reversed(entries)))


def _case(gathered: Gathered, invocation: Invocation, rates: Rates) -> Case:
    # Behind a scan, or in a recording, the list is of an earlier moment.
    last = with_clients(gathered.snapshots[-1], gathered.clients, fresh=gathered.scan is None and not gathered.recorded)
    return Case(
        now=last,
        scan=gathered.scan,
        clients=gathered.clients,
        settings=gathered.settings,
        capabilities=gathered.capabilities,
        values=gathered.values,
        replicas=gathered.replicas,
        thresholds=invocation.profile.watch.thresholds,
        large=gathered.large,
        rates=rates,
        # Nobody recorded how the server was reached, but where it is.
        connection_args=address_args(last.server.address) if gathered.recorded else invocation.connection_args,
    )


def _report(
    gathered: Gathered, invocation: Invocation, *, names: bool, actions: tuple[AuditEntry, ...]
) -> IncidentReport:
    history = History()
    before = gathered.snapshots[0].taken_at
    for snapshot in gathered.snapshots:
        history.add(snapshot, ours=ran_between(actions, before, snapshot.taken_at))
        before = snapshot.taken_at
    # The looks of a report lie close together: what any of them saw is of now.
    rates = history.rates() if gathered.recorded else replace(history.rates(), last_refused=None)
    outlook = forecast(history.samples)
    case = _case(gathered, invocation, rates)
    last = case.now
    case = case if names else nameless(case)
    verdict = judge(
        last,
        thresholds=case.thresholds,
        rates=rates,
        forecast=outlook,
        clients=case.clients,
        scan=case.scan,
        replicas=case.replicas,
    )
    return IncidentReport(
        made_at=time.time(),
        first=gathered.snapshots[0],
        last=last,
        verdict=within_rights(verdict, case.capabilities),
        episodes=episodes(gathered.snapshots, case.thresholds),
        findings=examine(case, refused_reads),
        forecast=outlook,
        scan=case.scan,
        recognition=case.recognition,
        actions=actions,
        names=names,
        values_read=were_read(gathered.values),
        split=breakdown_of(last),
        samples=history.samples,
        overdue=frozenset(entry.id for entry in overdue(actions, time.time())),
        connection_args=case.connection_args,
    )
