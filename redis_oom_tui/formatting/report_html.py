"""The incident report as one HTML file: no script, no network, light and dark, fit for print."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape

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
from redis_oom_tui.models.trend import IncidentReport

HTML_SUFFIXES = (".html", ".htm")
_STYLE = """
:root{color-scheme:light dark;--text:#1d232a;--ground:#fff;--soft:#57606a;--rule:#d0d7de;--head:#f3f5f7;
--ok:#1a7f37;--warning:#8a5a00;--critical:#b42318;--oom:#b42318;--unknown:#57606a;
--lasting:#f3c7a6;--mixed:#efe3a1;--expiring:#b7d9f2;--used:#0b62c4;--area:#0b62c41f}
@media screen and (prefers-color-scheme:dark){:root{--text:#dde3ea;--ground:#12161b;--soft:#9aa5b1;--rule:#38414b;
--head:#1c2229;--ok:#4ac26b;--warning:#e2b340;--critical:#ff7b72;--oom:#ff7b72;--unknown:#9aa5b1;
--lasting:#7a4a26;--mixed:#66591a;--expiring:#224f70;--used:#6cb1ff;--area:#6cb1ff2b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1040px;padding:24px 20px 64px;color:var(--text);background:var(--ground);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:24px;line-height:1.25;margin:8px 0 4px;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 8px;padding-top:12px;border-top:1px solid var(--rule)}
h3{font-size:15px;margin:20px 0 4px;overflow-wrap:anywhere}
p,ul{margin:6px 0;overflow-wrap:anywhere}ul{padding-left:20px;color:var(--soft)}
.verdict{font-size:17px;font-weight:600;margin:14px 0;padding:12px 14px;border:1px solid;border-left-width:8px;
border-radius:4px}
.verdict.ok{border-color:var(--ok)}.verdict.warning{border-color:var(--warning)}
.verdict.critical,.verdict.oom{border-color:var(--critical)}.verdict.unknown{border-color:var(--unknown)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%}
th,td{text-align:left;vertical-align:top;padding:4px 10px 4px 0;border-bottom:1px solid var(--rule)}
th{background:var(--head);color:var(--soft);font-weight:600;white-space:nowrap}
td.name{font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere;min-width:14em}
figure{margin:10px 0}figcaption{color:var(--soft);font-size:13px}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}
svg .tile{fill:var(--text);font:11.5px ui-monospace,Menlo,Consolas,monospace}svg .on{fill:var(--ground);font-weight:600}
.rule{stroke:var(--rule)}.used{fill:none;stroke:var(--used);stroke-width:2}.area{fill:var(--area)}
.limit{fill:none;stroke:var(--critical);stroke-width:1.5;stroke-dasharray:7 4}.bar{fill:var(--critical)}
rect.ok{fill:var(--ok)}rect.warning{fill:var(--warning)}rect.critical{fill:var(--critical)}
rect.oom{fill:var(--oom)}rect.unknown{fill:var(--unknown)}
rect.lasting{fill:var(--lasting)}rect.mixed{fill:var(--mixed)}rect.expiring{fill:var(--expiring)}
rect.lasting,rect.mixed,rect.expiring{stroke:var(--ground);stroke-width:1}
.outer{stroke-width:2}
.key{display:inline-block;width:11px;height:11px;margin:0 5px 0 12px;border:1px solid var(--rule)}
.key.lasting{background:var(--lasting)}.key.mixed{background:var(--mixed)}.key.expiring{background:var(--expiring)}
@media print{body{max-width:none;padding:0;font-size:11pt}h2,h3{break-after:avoid}figure,tr{break-inside:avoid}
.scroll{overflow:visible}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
# Columns of names, which may be long and are read letter by letter.
_NAMES = {"pattern", "key", "cleanup --pattern", "what"}
_KEY = (
    'Color:<span class="key lasting"></span>no TTL<span class="key mixed"></span>some with a TTL'
    '<span class="key expiring"></span>with a TTL. The table below has the figures.'
)


def page(report: IncidentReport) -> str:
    """The whole file. Every text is escaped, and the policy in its head allows its own style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = _text(f"Memory incident report: {report.last.server.address}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
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
    memory = _figure(memory_chart(report.samples), "Memory over time, with refused writes and evicted keys.")
    verdicts = _figure(verdict_chart(report.episodes), "The verdicts over time.")
    rows = () if report.scan is None else report.scan.patterns
    keyspace = _figure(keyspace_chart(rows, lambda row: glob_text(row.pattern)), _KEY)
    return {**dict.fromkeys(FIGURES, memory), VERDICTS: verdicts, PATTERNS: keyspace}


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>" if picture else ""


def _in_html(block: Block, level: str) -> str:
    match block:
        case Heading(text, depth):
            return f"<h{depth}>{_text(text)}</h{depth}>"
        case Paragraph(text, strong):
            return f'<p class="verdict {level}">{_text(text)}</p>' if strong else f"<p>{_text(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>"
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
