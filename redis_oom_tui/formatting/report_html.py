"""The incident report as one HTML file: no script, no network, light and dark, fit for print."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from pathlib import Path

from redis_oom_tui.formatting.charts import keyspace_chart, memory_chart, verdict_chart
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
from redis_oom_tui.formatting.server import with_code
from redis_oom_tui.models.trend import IncidentReport

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
    ttls_known = report.scan is None or report.scan.ttls_known
    rows = () if report.scan is None else report.scan.patterns
    picture = keyspace_chart(rows, lambda row: glob_text(row.pattern), ttls_known=ttls_known)
    keyspace = _figure(picture, _KEY if ttls_known else _NO_KEY)
    return {**dict.fromkeys(FIGURES, memory), VERDICTS: verdicts, PATTERNS: keyspace}


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>" if picture else ""


def _in_html(block: Block, level: str) -> str:
    match block:
        case Heading(text, depth):
            return f"<h{depth}>{_text(text)}</h{depth}>"
        case Paragraph(text, strong):
            return f'<p class="verdict {level}">{_text(text)}</p>' if strong else f"<p>{_sentences(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{_sentences(item)}</li>' for item in items)}</ul>"
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


def _sentences(raw: str) -> str:
    """The same, its commands as code."""
    return with_code(safe_text(raw), _text, lambda line: f"<code>{_text(line)}</code>")
