"""The incident report: Markdown for people, one JSON document for programs. It holds no secret."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from redis_oom_tui.formatting import SCHEMA, pattern_text
from redis_oom_tui.formatting.applications import application_columns, application_documents
from redis_oom_tui.formatting.check import (
    NODE_COLUMNS,
    finding_fields,
    memory_fields,
    node_documents,
    part_documents,
    server_fields,
)
from redis_oom_tui.formatting.columns import Column, key_columns, row_document
from redis_oom_tui.formatting.keys import all_exact, kind_of_sum, mark_of_sum
from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.formatting.sanitize import glob_text, safe_text
from redis_oom_tui.formatting.server import advice_with_commands, limit_text, role_text, server_text, with_commands
from redis_oom_tui.formatting.sizes import count, duration, known_bytes, percent, size, skipped_lines, spoken
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.plan import TtlFilter
from redis_oom_tui.models.recognition import Recognition
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.snapshot import ClusterView, Snapshot
from redis_oom_tui.models.trend import Episode, Forecast, IncidentReport, Trend
from redis_oom_tui.models.verdict import Finding, Remedy

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.server import (
        ActionFields,
        EpisodeFields,
        ReportDocument,
        ReportScan,
        StateFields,
    )

R = TypeVar("R")
_ROWS = 15
_KEY_FIELDS = ("key", "key_base64", "db", "type", "bytes", "size_kind", "bytes_low", "bytes_high")
_PATTERN_FIELDS = ("pattern", "db", "select", "match", "keys", "bytes", "no_ttl_keys", "application")
_NODES = 50
_LONGEST_SELECT = 120
# Snapshots closer together than this show one state, not a before and an after.
_ONE_LOOK_SECONDS = 60.0
_UNREAD = (
    "Values not sampled: CLIENT NO-TOUCH is not available here (Redis 7.2, 7.4, 8.4 and Valkey have it). Without it,"
    " reading values would make idle keys look used. So this report says nothing about compression, numbers stored as"
    " text and the length of values."
)
# What is markup anywhere in a line, and what viewers make links of unasked.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&!@]|(?<=:)/(?=/)|(?<=www)\.)")


def markdown(report: IncidentReport) -> str:
    """The report as Markdown; names are escaped, so none of them can become markup, a link or an image."""
    parts = [
        _heading(report),
        _figures(report),
        _where(report),
        _nodes(report.last.fleet),
        _timeline(report.episodes),
        _findings(report),
        _applications(report),
        _patterns(report),
        _keys(report),
        _actions(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(report: IncidentReport) -> str:
    server, verdict = report.last.server, report.verdict
    kind = f"{_plain(server_text(server))}, {_plain(role_text(server.role))}"
    # Of a cluster the worst primary is shown, now this one and now that: it has no time since when it is up.
    up = "" if server.uptime_seconds is None else f", up for {spoken(server.uptime_seconds)}"
    lines = [
        f"# Memory incident report: {_plain(str(server.address))}",
        f"Made {_time(report.made_at)} by redis-oom-tui. Server: {kind}{up}.",
        f"**{verdict.level.value.upper()}: {_plain(verdict.reason)}**",
    ]
    if verdict.first_step:
        lines.append(f"Next: {_plain(with_commands(verdict.first_step))}")
    lines.append("\n".join(f"- {_plain(text)}" for text in verdict.evidence))
    lines.append(_outlook(report.forecast))
    return "\n\n".join(line for line in lines if line)


def _outlook(forecast: Forecast | None) -> str:
    if forecast is None or forecast.trend is Trend.UNKNOWN:
        return ""
    watched = duration(forecast.watched_seconds)
    if forecast.seconds_to_limit is None or forecast.slope is None:
        return f"Trend over {watched}: {forecast.trend.value}."
    low, high = forecast.seconds_to_limit
    until = f"to {duration(high)}" if high is not None else "or more"
    return f"Trend over {watched}: {size(int(forecast.slope * 60))} a minute; full in {duration(low)} {until}."


def _figures(report: IncidentReport) -> str:
    first, last = report.first, report.last
    rows = [
        ("used_memory", size(first.memory.used_bytes), size(last.memory.used_bytes)),
        ("maxmemory", _limit(first), _limit(last)),
        ("pressure", percent(first.memory.pressure, 1), percent(last.memory.pressure, 1)),
        ("maxmemory-policy", _plain(first.memory.policy), _plain(last.memory.policy)),
        ("rss", size(first.memory.rss_bytes), size(last.memory.rss_bytes)),
        ("keys", count(first.keys), count(last.keys)),
        ("keys with a TTL", count(first.expires), count(last.expires)),
        ("refused writes", count(first.counters.refused_writes_total), count(last.counters.refused_writes_total)),
        ("evicted keys", count(first.counters.evicted_keys_total), count(last.counters.evicted_keys_total)),
    ]
    header = ("", _time(first.taken_at), _time(last.taken_at))
    if last.taken_at - first.taken_at < _ONE_LOOK_SECONDS:
        return "## Figures\n\n" + _table(("", header[2]), ((name, now) for name, _, now in rows))
    return "## Before and after\n\n" + _table(header, rows)


def _where(report: IncidentReport) -> str:
    """Where the memory is; of a cluster, of its worst primary."""
    used = sum(part.size for part in report.split.parts)
    rows = (
        (part.share.value, f"{'at least ' * part.estimated}{size(part.size)}", percent(part.size / used))
        for part in sorted(report.split.parts, key=lambda part: -part.size)
    )
    room = report.split.data_room_bytes
    free = "" if room is None else f"\n\nRoom for data, beside start-up, buffers, backlog and scripts: {size(room)}."
    return "## Where the memory is\n\n" + _table(("part", "bytes", "share"), rows) + free if used else ""


def _nodes(cluster: ClusterView | None) -> str:
    """Every node of a cluster, worst first: the figures around this are those of one of them."""
    if cluster is None:
        return ""
    more = len(cluster.nodes) - _NODES
    table = _row_table(cluster.nodes[:_NODES], NODE_COLUMNS)
    return f"## Nodes\n\n{table}" + (f"\n\nAnd {count(more)} more." if more > 0 else "")


def _row_table(rows: Sequence[R], columns: Sequence[Column[R]]) -> str:
    """A table of the columns that have a title."""
    shown = [column for column in columns if column.title]
    header = [column.head for column in shown]
    return _table(header, ([_plain(column.wordy_cell(row)) for column in shown] for row in rows))


def _timeline(episodes: Sequence[Episode]) -> str:
    if len(episodes) < 2:
        return ""
    rows = (
        (
            _time(episode.began),
            duration(episode.ended - episode.began),
            episode.level.value,
            percent(episode.peak_pressure),
            count(episode.refused_writes),
            _plain(episode.reason),
        )
        for episode in episodes
    )
    return "## Verdicts over time\n\n" + _table(("began", "lasted", "level", "peak", "refused", "verdict"), rows)


def _findings(report: IncidentReport) -> str:
    parts = [*map(_finding, report.findings), *([_UNREAD] if report.values_read is False else [])]
    return "\n\n".join(("## Findings", *parts)) if parts else ""


def _finding(finding: Finding) -> str:
    saves = finding.saves_bytes
    worth = f" Frees {size(saves[0])} to {size(saves[1])}." if saves and saves[1] else ""
    lines = [f"### {_plain(finding.title)}", f"{_plain(advice_with_commands(finding))}{worth}"]
    if finding.in_the_application:
        lines.append(f"In the application: {_plain(finding.in_the_application)}")
    lines.append("\n".join(f"- {_plain(text)}" for text in finding.evidence))
    plan = _to_plan(finding.remedy)
    return "\n\n".join([*lines, *([f"To plan it: {_plain(plan)}"] if plan else [])])


def _to_plan(remedy: Remedy | None) -> str:
    """The command that plans a cleanup of exactly the keys that a finding counts; '' where there is none."""
    chosen = [] if remedy is None or remedy.pattern is None else pattern_text.cleanup_options(remedy.pattern)
    if remedy is None or not chosen or remedy.pane != "cleanup":
        return ""
    words = ["redis-oom-tui", *([] if remedy.db is None else ["-n", str(remedy.db)]), "cleanup", *chosen]
    words += ["--no-ttl"] if remedy.ttl is TtlFilter.WITHOUT else []
    words += [] if remedy.idle_over_seconds is None else ["--idle-over", f"{remedy.idle_over_seconds}s"]
    return shlex.join(words)


def _applications(report: IncidentReport) -> str:
    if report.scan is None or not report.recognition.found:
        return ""
    return "## Applications\n\n" + _row_table(report.recognition.found, application_columns(report.scan))


def _patterns(report: IncidentReport) -> str:
    scan = report.scan
    if scan is not None and scan.error and not scan.scanned_keys:
        return f"## What uses the memory\n\nThe keys could not be scanned: {_plain(scan.error)}."
    if scan is None or not scan.patterns:
        return ""
    shown = sorted((row for row in scan.patterns if row.level == 1), key=lambda row: -row.size)[:_ROWS]
    columns = pattern_columns(
        ttls_told=scan.ttls_told,
        all_read=bool(scan.bytes_seen) and not scan.refused_keys,
        exact=all_exact(scan),
        recognition=report.recognition,
    )
    table = _row_table(shown, [*columns, *([_SELECT] if report.names else [])])
    known = known_bytes(scan.bytes_seen, scan.scanned_keys)
    held = mark_of_sum(kind_of_sum((row.type for row in scan.types), known, scan)) + size(known)
    whole = (
        ("all keys that this user may read" if scan.refused_keys else "all keys")
        if scan.complete
        else f"{percent(scan.share_scanned)} of the keys"
    )
    more = [f"{count(scan.refused_keys)} more may not be read by this user"] if scan.refused_keys else []
    notes = "".join(f" {_plain(note[:1].upper() + note[1:])}." for note in (*more, *_contradiction(scan), *scan.notes))
    title = f"## What uses the memory\n\nBy a scan of {whole} ({count(scan.scanned_keys)}, {held}).{notes}\n\n"
    return title + table


def _select(row: PatternRow) -> str:
    """What takes exactly these keys, quoted for a shell; where only a glob can, which one, and how wide it is."""
    select = None if row.select is None else pattern_text.text(row.select)
    if select is not None and len(select) <= _LONGEST_SELECT:
        return shlex.quote(select)
    return f"a glob may take more: --match {shlex.quote(glob_text(row.match))}"


_SELECT: Column[PatternRow] = Column("select", "CLEANUP --PATTERN", text=lambda row, _: _select(row))


def _contradiction(scan: ScanView) -> tuple[str, ...]:
    return () if scan.contradiction is None else (scan.contradiction.removesuffix("."),)


def _keys(report: IncidentReport) -> str:
    scan = report.scan
    if scan is None or not scan.top:
        return ""
    nodes = any(row.id.node for row in scan.top)
    columns = key_columns(lambda: scan.bytes_seen, nodes=nodes, ttls_told=scan.ttls_told)
    return "## Largest keys\n\n" + _row_table(scan.top[:_ROWS], columns)


def _actions(report: IncidentReport) -> str:
    note = f"{skipped_lines(report.actions_skipped)}.\n" if report.actions_skipped else ""
    if not report.actions:
        return f"## What was done\n\n{note}" if note else ""
    rows = (
        (
            _time(entry.at),
            _plain(entry.who),
            _plain(entry.action),
            _plain(entry.server),
            _plain(entry.what) if report.names else "",
            _plain(_result(entry, names=report.names, overdue=entry.id in report.overdue)),
        )
        for entry in report.actions
    )
    table = _table(("when", "who", "action", "on", "what", "result"), rows)
    return f"## What was done\n\n{table}" + (f"\n{note}" if note else "")


def _result(entry: AuditEntry, *, names: bool, overdue: bool) -> str:
    if entry.ended is None:
        return "no end recorded"
    counts = ", ".join(f"{name} {count(number)}" for name, number in entry.counts.items())
    change = f"{entry.change.change.old} to {entry.change.now}" if entry.change else ""
    words = entry.result if names else "done" if entry.ok else "failed"
    late = "the revert is overdue: there is no record of it" if overdue else ""
    return "; ".join(part for part in (words, counts, change, late) if part)


def document(report: IncidentReport) -> "ReportDocument":
    """The report as one JSON document; what is not known is null, times are Unix seconds."""
    return {
        "schema": SCHEMA,
        "made_at_unix_seconds": report.made_at,
        "server": server_fields(report.last.server.address, report.last),
        "verdict": {
            "level": report.verdict.level.value,
            "rule": report.verdict.rule,
            "reason": report.verdict.reason,
            "evidence": list(report.verdict.evidence),
            "first_step": with_commands(report.verdict.first_step) or None,
        },
        "nodes": None if report.last.fleet is None else node_documents(report.last.fleet),
        "before": _state(report.first),
        "after": _state(report.last),
        "memory_parts": part_documents(report.split),
        "episodes": [_episode_fields(episode) for episode in report.episodes],
        "findings": [finding_fields(finding) for finding in report.findings],
        "values_read": report.values_read,
        "scan": None if report.scan is None else _scan_fields(report.scan, report.recognition, names=report.names),
        "actions": [
            _action_fields(entry, names=report.names, overdue=entry.id in report.overdue) for entry in report.actions
        ],
        "actions_skipped": report.actions_skipped,
    }


def _scan_fields(scan: ScanView, recognition: Recognition, *, names: bool) -> "ReportScan":
    columns = pattern_columns(ttls_told=scan.ttls_told, recognition=recognition)
    return {
        "complete": scan.complete,
        "scanned_keys": scan.scanned_keys,
        "scanned_bytes": known_bytes(scan.bytes_seen, scan.scanned_keys),
        "patterns": [
            row_document(row, columns, _PATTERN_FIELDS)
            | ({"match_keys": taken} if names else {"match_keys": taken, "match": None})
            for row, taken in zip(scan.patterns[:100], pattern_text.keys_of_globs(scan.patterns), strict=False)
        ],
        "applications": application_documents(recognition),
        "contradiction": scan.contradiction,
        "unsized_keys": scan.unsized_keys,
        "keys": [row_document(row, key_columns(), _KEY_FIELDS) for row in scan.top[:100]],
    }


def _state(snapshot: Snapshot) -> "StateFields":
    return {
        "at_unix_seconds": snapshot.taken_at,
        "memory": memory_fields(snapshot.memory),
        "keys_total": snapshot.keys,
        "keys_with_ttl_total": snapshot.expires,
        "refused_writes_total": snapshot.counters.refused_writes_total,
        "evicted_keys_total": snapshot.counters.evicted_keys_total,
    }


def _episode_fields(episode: Episode) -> "EpisodeFields":
    return {
        "began_unix_seconds": episode.began,
        "ended_unix_seconds": episode.ended,
        "level": episode.level.value,
        "rule": episode.rule,
        "reason": episode.reason,
        "peak_pressure": episode.peak_pressure,
        "refused_writes": episode.refused_writes,
    }


def _action_fields(entry: AuditEntry, *, names: bool, overdue: bool) -> "ActionFields":
    return {
        "at_unix_seconds": entry.at,
        "ended_unix_seconds": entry.ended,
        "action": entry.action,
        "who": entry.who,
        "server": entry.server,
        "what": entry.what if names else None,
        "result": entry.result if names else None,
        "ok": entry.ok,
        "counts": dict(entry.counts),
        "overdue": overdue,
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_lines(header, rows))


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _limit(snapshot: Snapshot) -> str:
    return limit_text(snapshot.memory)


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _plain(text: str) -> str:
    r"""`text` with everything escaped that Markdown or HTML might take for more.

    >>> print(_plain("[x](y) <b>|user:*"))
    \[x\](y) \<b\>\|user:\*
    """
    return _SPECIAL.sub(r"\\\1", safe_text(text))
