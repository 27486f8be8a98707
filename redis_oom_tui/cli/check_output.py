"""What `check` prints: a few lines for people, or the promised document."""

import json
from datetime import datetime

from redis_oom_tui.cli.check_samples import Answer
from redis_oom_tui.formatting.check import AUDIT_UNREAD, check_document
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import doubt_lines, server_text, share_of_limit
from redis_oom_tui.formatting.sizes import ago, count, size
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.history import skew_sentence

_SHOWN = 5
_DOUBTS = 5


def told(answer: Answer, *, as_json: bool) -> str:
    """The answer in full."""
    if not as_json:
        return "\n".join(_lines(answer))
    snapshot = answer.snapshot
    return json.dumps(
        check_document(answer.verdict, snapshot.server.address, snapshot, answer.findings, answer.unreturned)
    )


def unknown(verdict: Verdict, address: Address, *, as_json: bool) -> str:
    """That there is none, and why."""
    if as_json:
        return json.dumps(check_document(verdict, address))
    return f"{verdict.level.value.upper()}: {verdict.reason}"


def _keys(snapshot: Snapshot) -> str:
    least = "" if snapshot.keyspace_known else "at least "
    return f"{least}{count(snapshot.keys)} keys, {least}{count(snapshot.expires)} with a TTL"


def _lines(answer: Answer) -> list[str]:
    verdict, snapshot = answer.verdict, answer.snapshot
    server, memory = snapshot.server, snapshot.memory
    counters = snapshot.counters
    use = f"used {size(memory.used_bytes)} ({share_of_limit(memory)}), rss {size(memory.rss_bytes)}"
    totals = f"refused writes {count(counters.refused_writes_total)}, evicted keys {count(counters.evicted_keys_total)}"
    lines = [
        f"{verdict.level.value.upper()}: {verdict.reason}",
        f"  {server.address}  {server_text(server)}, {server.role}",
        f"  {use}, peak {size(memory.peak_bytes)}, {memory.policy}",
        f"  {totals}, {_keys(snapshot)}",
    ]
    if verdict.since is not None:
        began = datetime.fromtimestamp(verdict.since).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
        lines.append(f"  since {began}, {ago(snapshot.taken_at - verdict.since)}")
    lines += [f"  ! {safe_text(note)}" for note in snapshot.notes]
    lines += [f"  ! {sentence}" for sentence in ((AUDIT_UNREAD,) if answer.unreturned is None else answer.unreturned)]
    if sentence := skew_sentence(snapshot):
        lines.append(f"  ! {sentence}: expiries and idle times are by the server's")
    lines += [f"  ? {line}" for line in doubt_lines(snapshot, _DOUBTS)]
    if snapshot.fleet is not None:
        from redis_oom_tui.formatting.check import node_lines

        lines += [f"  {line}" for line in node_lines(snapshot.fleet)]
    if verdict.first_step:
        lines.append(f"  First: {verdict.first_step}")
    if verdict.confirm and verdict.level is not Level.OK:
        lines.append(f"  To confirm: {'; '.join(verdict.confirm)}")
    lines += [f"  - {finding.title}. {finding.advice}" for finding in answer.findings[:_SHOWN]]
    return lines
