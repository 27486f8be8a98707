"""What an incident report tells, section by section, for Markdown and HTML alike. It holds no secret."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.applications import application_columns
from redis_oom_tui.formatting.check import NODE_COLUMNS
from redis_oom_tui.formatting.columns import Column, key_columns, pattern_share, share_base
from redis_oom_tui.formatting.keys import all_exact, kind_of_sum, mark_of_sum
from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.formatting.sanitize import glob_text
from redis_oom_tui.formatting.server import (
    advice_with_commands,
    limit_text,
    remedy_line,
    role_of,
    server_text,
    with_commands,
)
from redis_oom_tui.formatting.sizes import (
    count,
    duration,
    earlier_actions,
    known_bytes,
    percent,
    size,
    skipped_lines,
    spoken,
)
from redis_oom_tui.formatting.vitals import saving
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.snapshot import ClusterView
from redis_oom_tui.models.trend import Episode, Forecast, IncidentReport, Trend
from redis_oom_tui.models.verdict import Finding

R = TypeVar("R")
_ROWS = 15
_NODES = 50
_LONGEST_SELECT = 120
# Snapshots closer together than this show one state, not a before and an after.
_ONE_SAMPLE_SECONDS = 60.0
_UNREAD = (
    "Values not sampled: CLIENT NO-TOUCH is not available here (Redis 7.2, 7.4, 8.4 and Valkey have it). Without it,"
    " reading values would make idle keys look used. So this report says nothing about compression, numbers stored as"
    " text and the length of values."
)


class Heading(NamedTuple):
    """Level 1 is the report's own title, 2 a section, 3 a finding."""

    text: str
    level: int = 2


class Paragraph(NamedTuple):
    """A few sentences; `strong` where they are the report's main statement."""

    text: str
    strong: bool = False


class Bullets(NamedTuple):
    """One line each."""

    items: tuple[str, ...]


class Table(NamedTuple):
    """Rows of cells, each as long as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


# Their texts are as they came from the server: whoever prints them escapes them.
Block = Heading | Paragraph | Bullets | Table

FIGURES = ("Figures", "Before and after")
VERDICTS, PATTERNS = "Verdicts over time", "What uses the memory"


def sections(report: IncidentReport) -> Iterator[Block]:
    """The report from its title to what was done."""
    yield from _heading(report)
    yield from _figures(report)
    yield from _where(report)
    yield from _nodes(report.last.cluster)
    yield from _timeline(report.episodes)
    yield from _findings(report)
    yield from _applications(report)
    yield from _patterns(report)
    yield from _keys(report)
    yield from _actions(report)


def _heading(report: IncidentReport) -> Iterator[Block]:
    server, verdict = report.last.server, report.verdict
    kind = f"{server_text(server)}, {role_of(server)}"
    # Of a cluster the worst primary is shown, now this one and now that: it has no time since when it is up.
    up = "" if server.uptime_seconds is None else f", up for {spoken(server.uptime_seconds)}"
    yield Heading(f"Memory incident report: {server.address}", 1)
    yield Paragraph(f"Made {moment(report.made_at)} by redis-oom-tui. Server: {kind}{up}.")
    if report.notes:
        yield Bullets(tuple(f"{note[:1].upper()}{note[1:]}." for note in report.notes))
    yield Paragraph(f"{verdict.level.value.upper()}: {verdict.reason}", strong=True)
    if verdict.first_step:
        yield Paragraph(f"Next: {with_commands(verdict.first_step, report.connection_args, verdict.client_id)}")
    if verdict.evidence:
        yield Bullets(tuple(verdict.evidence))
    if outlook := _outlook(report.forecast):
        yield Paragraph(outlook)


def _outlook(forecast: Forecast | None) -> str:
    if forecast is None or forecast.trend is Trend.UNKNOWN:
        return ""
    watched = duration(forecast.watched_seconds)
    if forecast.seconds_to_limit is None or forecast.slope is None:
        return f"Trend over {watched}: {forecast.trend.value}."
    low, high = forecast.seconds_to_limit
    until = f"to {duration(high)}" if high is not None else "or more"
    return f"Trend over {watched}: {size(int(forecast.slope * 60))} a minute; full in {duration(low)} {until}."


def _figures(report: IncidentReport) -> Iterator[Block]:
    first, last = report.first, report.last
    rows = (
        ("used_memory", size(first.memory.used_bytes), size(last.memory.used_bytes)),
        ("maxmemory", limit_text(first.memory), limit_text(last.memory)),
        ("pressure", percent(first.memory.pressure, 1), percent(last.memory.pressure, 1)),
        ("maxmemory-policy", first.memory.policy, last.memory.policy),
        ("rss", size(first.memory.rss_bytes), size(last.memory.rss_bytes)),
        ("keys", count(first.keys), count(last.keys)),
        ("keys with a TTL", count(first.expires), count(last.expires)),
        ("refused writes", count(first.counters.refused_writes_total), count(last.counters.refused_writes_total)),
        ("evicted keys", count(first.counters.evicted_keys_total), count(last.counters.evicted_keys_total)),
    )
    if last.taken_monotonic - first.taken_monotonic < _ONE_SAMPLE_SECONDS:
        yield Heading(FIGURES[0])
        yield Table(("", moment(last.taken_at)), tuple((name, now) for name, _, now in rows))
    else:
        yield Heading(FIGURES[1])
        yield Table(("", moment(first.taken_at), moment(last.taken_at)), rows)


def _where(report: IncidentReport) -> Iterator[Block]:
    """Where the memory is; of a cluster, of its worst primary."""
    used = sum(part.size for part in report.split.parts)
    if not used:
        return
    yield Heading("Where the memory is")
    parts = sorted(report.split.parts, key=lambda part: -part.size)
    yield Table(
        ("part", "bytes", "share"),
        tuple(
            (part.share.value, f"{'at least ' * part.estimated}{size(part.size)}", percent(part.size / used))
            for part in parts
        ),
    )
    if (for_data := report.split.data_room_bytes) is not None:
        yield Paragraph(f"Room for data, beside start-up, buffers, backlog and scripts: {size(for_data)}.")


def _nodes(cluster: ClusterView | None) -> Iterator[Block]:
    """Every node of a cluster, worst first: the figures around this are those of one of them."""
    if cluster is None:
        return
    yield Heading("Nodes")
    yield _row_table(cluster.nodes[:_NODES], NODE_COLUMNS)
    if (more := len(cluster.nodes) - _NODES) > 0:
        yield Paragraph(f"And {count(more)} more.")


def _row_table(rows: Sequence[R], columns: Sequence[Column[R]]) -> Table:
    shown = [column for column in columns if column.title]
    header = tuple(column.head for column in shown)
    return Table(header, tuple(tuple(column.wordy_cell(row) for column in shown) for row in rows))


def _timeline(episodes: Sequence[Episode]) -> Iterator[Block]:
    if len(episodes) < 2:
        return
    yield Heading(VERDICTS)
    yield Table(
        ("began", "lasted", "level", "peak", "refused", "verdict"),
        tuple(
            (
                moment(episode.began),
                duration(episode.ended - episode.began),
                episode.level.value,
                percent(episode.peak_pressure),
                count(episode.refused_writes),
                episode.reason,
            )
            for episode in episodes
        ),
    )


def _findings(report: IncidentReport) -> Iterator[Block]:
    unread = report.values_read is False
    if report.findings or unread:
        yield Heading("Findings")
    for finding in report.findings:
        yield from _finding(finding, report.connection_args)
    if unread:
        yield Paragraph(_UNREAD)


def _finding(finding: Finding, connection_args: Sequence[str]) -> Iterator[Block]:
    worth = f" Frees {saving(finding, short=False)}." if finding.saves_bytes else ""
    yield Heading(finding.title, 3)
    yield Paragraph(f"{advice_with_commands(finding, connection_args)}{worth}")
    if finding.in_the_application:
        yield Paragraph(f"In the application: {finding.in_the_application}")
    if finding.evidence:
        yield Bullets(tuple(finding.evidence))
    if plan := remedy_line(finding.remedy, connection_args):
        yield Paragraph(f"To plan it: `{plan}`")


def _applications(report: IncidentReport) -> Iterator[Block]:
    if report.scan is None or not report.recognition.found:
        return
    yield Heading("Applications")
    yield _row_table(report.recognition.found, application_columns(report.scan))


def _patterns(report: IncidentReport) -> Iterator[Block]:
    scan = report.scan
    if scan is not None and scan.error and not scan.scanned_keys:
        yield Heading(PATTERNS)
        yield Paragraph(f"The keys could not be scanned: {scan.error}.")
    elif scan is not None:
        yield Heading(PATTERNS)
        yield Paragraph(_scanned(scan))
        if scan.patterns:
            yield _pattern_table(report, scan)


def _scanned(scan: ScanView) -> str:
    """How much of the keyspace the scan saw, and what it says of itself."""
    known = known_bytes(scan.bytes_seen, scan.scanned_keys)
    held = mark_of_sum(kind_of_sum((row.type for row in scan.types), known, scan)) + size(known)
    whole = (
        ("all keys that this user may read" if scan.refused_keys else "all keys")
        if scan.complete
        else f"{percent(scan.share_scanned)} of the keys"
    )
    more = [f"{count(scan.refused_keys)} more may not be read by this user"] if scan.refused_keys else []
    contradiction = [] if scan.contradiction is None else [scan.contradiction.removesuffix(".")]
    notes = "".join(f" {note[:1].upper() + note[1:]}." for note in (*more, *contradiction, *scan.notes))
    return f"By a scan of {whole} ({count(scan.scanned_keys)}, {held}).{notes}"


def _pattern_table(report: IncidentReport, scan: ScanView) -> Table:
    shown = sorted((row for row in scan.patterns if row.level == 1), key=lambda row: -row.size)[:_ROWS]
    columns = pattern_columns(
        share_of=pattern_share(scan),
        ttls_known=scan.ttls_known,
        exact=all_exact(scan),
        recognition=report.recognition,
    )
    return _row_table(shown, [*columns, *([_SELECT] if report.names else [])])


def _select(row: PatternRow) -> str:
    """What takes exactly these keys, quoted for a shell; where only a glob can, which one, and how wide it is."""
    select = None if row.select is None else pattern_text.text(row.select)
    if select is not None and len(select) <= _LONGEST_SELECT:
        return shlex.quote(select)
    return f"a glob may take more: --match {shlex.quote(glob_text(row.match))}"


_SELECT: Column[PatternRow] = Column("select", "CLEANUP --PATTERN", text=lambda row, _: _select(row))


def _keys(report: IncidentReport) -> Iterator[Block]:
    scan = report.scan
    if scan is None or not scan.top:
        return
    nodes = any(row.id.node for row in scan.top)
    columns = key_columns(share_base(scan), nodes=nodes, ttls_known=scan.ttls_known)
    yield Heading("Largest keys")
    yield _row_table(scan.top[:_ROWS], columns)


def _actions(report: IncidentReport) -> Iterator[Block]:
    unread_before = report.actions_unread_before
    if not report.actions and not report.actions_skipped and unread_before is None:
        return
    yield Heading("What was done")
    if report.actions:
        yield Table(
            ("when", "who", "action", "on", "what", "result"),
            tuple(
                (
                    moment(entry.at),
                    entry.who,
                    entry.action,
                    entry.server,
                    entry.what if report.names else "",
                    _result(entry, names=report.names, overdue=entry.id in report.overdue),
                )
                for entry in report.actions
            ),
        )
    if report.actions_skipped:
        yield Paragraph(f"{skipped_lines(report.actions_skipped)}.")
    if unread_before is not None:
        yield Paragraph(f"{earlier_actions(moment(unread_before))}.")


def _result(entry: AuditEntry, *, names: bool, overdue: bool) -> str:
    if entry.ended is None:
        return "no end recorded"
    counts = ", ".join(f"{name} {count(number)}" for name, number in entry.counts.items())
    change, unread = "", False
    if entry.change is not None:
        unread = entry.change.unread
        change = f"{entry.change.change.old} to {'unknown' if unread else entry.change.now}"
    words = entry.result.removesuffix(".") if names else "done" if entry.ok else "unknown" if unread else "failed"
    late = "the revert is overdue: there is no record of it" if overdue else ""
    return "; ".join(part for part in (words, counts, change, late) if part)


def moment(at: float) -> str:
    """A point in time, in Unix seconds, as a report writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
