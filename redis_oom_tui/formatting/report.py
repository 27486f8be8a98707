"""The incident report as Markdown for people, as one JSON document for programs, and as one HTML file."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from redis_oom_tui.formatting import SCHEMA, pattern_text
from redis_oom_tui.formatting.applications import application_documents
from redis_oom_tui.formatting.charts import keyspace_chart, memory_chart, verdict_chart
from redis_oom_tui.formatting.check import finding_fields, memory_fields, node_documents, part_documents, server_fields
from redis_oom_tui.formatting.columns import key_columns, row_document, share_base
from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.formatting.report_sections import (
    FIGURES,
    PATTERNS,
    VERDICTS,
    Block,
    Bullets,
    Heading,
    Paragraph,
    Table,
    sections,
)
from redis_oom_tui.formatting.sanitize import glob_text, safe_text
from redis_oom_tui.formatting.server import with_code, with_commands
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.trend import Episode, IncidentReport

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.report import (
        ActionFields,
        EpisodeFields,
        ReportDocument,
        ReportScan,
        StateFields,
    )


_KEY_FIELDS = ("key", "key_base64", "db", "type", "bytes", "size_kind", "bytes_low", "bytes_high")
_PATTERN_FIELDS = ("pattern", "db", "select", "match", "keys", "bytes", "no_ttl_keys", "application")
# What is markup anywhere in a line, and what viewers make links of unasked.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&!@]|(?<=:)/(?=/)|(?<=www)\.)")


def markdown(report: IncidentReport) -> str:
    """The report as Markdown; names are escaped, so none of them can become markup, a link or an image."""
    return "\n\n".join(map(_in_markdown, sections(report))) + "\n"


def _in_markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_plain(text)}"
        case Paragraph(text, strong):
            return f"**{_plain(text)}**" if strong else _sentences(text)
        case Bullets(items):
            return "\n".join(f"- {_sentences(text)}" for text in items)
        case Table(header, rows):
            return "\n".join(_lines(header, rows))


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_plain, header))} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    r"""`text` with everything escaped that Markdown or HTML might take for more.

    >>> print(_plain("[x](y) <b>|user:*"))
    \[x\](y) \<b\>\|user:\*
    """
    return _SPECIAL.sub(r"\\\1", safe_text(text))


def _sentences(text: str) -> str:
    """The same, its commands as code: they are copied as they stand."""
    return with_code(safe_text(text), _plain, lambda line: f"`{line}`")


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
            "first_step": with_commands(report.verdict.first_step, report.connection_args, report.verdict.client_id)
            or None,
        },
        "notes": list(report.notes),
        "nodes": None if report.last.cluster is None else node_documents(report.last.cluster),
        "before": _state(report.first),
        "after": _state(report.last),
        "memory_parts": part_documents(report.split),
        "episodes": [_episode_fields(episode) for episode in report.episodes],
        "findings": [finding_fields(finding, report.connection_args) for finding in report.findings],
        "values_read": report.values_read,
        "scan": None if report.scan is None else _scan_fields(report.scan, report.recognition, names=report.names),
        "actions": [
            _action_fields(entry, names=report.names, overdue=entry.id in report.overdue) for entry in report.actions
        ],
        "actions_skipped": report.actions_skipped,
        "actions_unread_before_unix_seconds": report.actions_unread_before,
    }


def _scan_fields(scan: ScanView, recognition: Recognition, *, names: bool) -> "ReportScan":
    columns = pattern_columns(ttls_known=scan.ttls_known, recognition=recognition)
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


HTML_SUFFIXES = (".html", ".htm")
# Columns of names, which may be long and are read letter by letter.
_NAMES = {"pattern", "key", "cleanup --pattern", "what"}
_KEY = (
    'Color:<span class="key lasting"></span>no TTL<span class="key mixed"></span>some with a TTL'
    '<span class="key expiring"></span>with a TTL. The table below has the figures.'
)

_NO_KEY = "TTLs are unknown here. The table below has the figures."


def page(report: IncidentReport) -> str:
    """The whole file. Every text is escaped, and the policy in its head allows its own style and nothing else."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = _text(f"Memory incident report: {report.last.server.address}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(_parts(report))
        + "\n</main>\n</body>\n</html>\n"
    )


def _parts(report: IncidentReport) -> Iterator[str]:
    pictures = _pictures(report)
    for block in sections(report):
        yield _in_html(block, report.verdict.level.value)
        if isinstance(block, Heading) and (picture := pictures.pop(block.text, "")):
            yield picture


def _pictures(report: IncidentReport) -> dict[str, str]:
    """What stands under a section's heading, by the heading."""
    counters = report.last.counters
    memory_picture = memory_chart(
        report.samples,
        refused_known=counters.refused_writes_total is not None,
        evicted_known=counters.evicted_keys_total is not None,
    )
    memory = _figure(memory_picture, "Memory over time, with refused writes and evicted keys.")
    verdicts = _figure(verdict_chart(report.episodes), "The verdicts over time.")
    scan = report.scan
    ttls_known = scan is None or scan.ttls_known
    picture = ""
    if scan is not None:
        whole = share_base(scan).size()
        picture = keyspace_chart(scan.patterns, lambda row: glob_text(row.pattern), ttls_known=ttls_known, whole=whole)
    keyspace = _figure(picture, _KEY if ttls_known else _NO_KEY)
    return {**dict.fromkeys(FIGURES, memory), VERDICTS: verdicts, PATTERNS: keyspace}


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>" if picture else ""


def _in_html(block: Block, level: str) -> str:
    match block:
        case Heading(text, depth):
            return f"<h{depth}>{_text(text)}</h{depth}>"
        case Paragraph(text, strong):
            return f'<p class="verdict {level}">{_text(text)}</p>' if strong else f"<p>{_html_sentences(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{_html_sentences(item)}</li>' for item in items)}</ul>"
        case Table(header, rows):
            head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
            kinds = [' class="name"' if title in _NAMES else "" for title in header]
            cells = (
                "".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows
            )
            body = "".join(f"<tr>{line}</tr>" for line in cells)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            return f'<div class="scroll" tabindex="0" role="region" aria-label="table">{table}</div>'


def _text(raw: str) -> str:
    return escape(safe_text(raw), quote=True)


def _html_sentences(raw: str) -> str:
    """The same, its commands as code."""
    return with_code(safe_text(raw), _text, lambda line: f"<code>{_text(line)}</code>")
