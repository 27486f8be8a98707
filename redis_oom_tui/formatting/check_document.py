"""The JSON document of `check`: its names and units are a promise, and what is not known is null."""

from typing import Any

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.nodes import node_documents
from redis_oom_tui.formatting.sanitize import glob_text, safe_text
from redis_oom_tui.formatting.server import doubt_fields
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.plan import TtlFilter
from redis_oom_tui.models.snapshot import Memory, Snapshot
from redis_oom_tui.models.verdict import Finding, Verdict

AUDIT_UNREAD = "The audit log cannot be read: whether a setting was to go back by itself and did not is not known."
"""The note where `unreturned` is null."""


def check_document(
    verdict: Verdict,
    address: Address,
    snapshot: Snapshot | None = None,
    findings: tuple[Finding, ...] = (),
    unreturned: tuple[str, ...] | None = (),
) -> dict[str, Any]:
    """What `check --json` prints; without a snapshot every figure is null, and so is what was not looked at."""
    counters = None if snapshot is None else snapshot.counters
    return {
        "verdict": verdict.level.value,
        "reason": verdict.reason,
        "rule": verdict.rule,
        "evidence": list(verdict.evidence),
        "first_step": verdict.first_step or None,
        "confirm": list(verdict.confirm),
        "since_unix_seconds": verdict.since,
        "not_judged": list(verdict.not_judged),
        "server": server_fields(address, snapshot),
        "memory": memory_fields(None if snapshot is None else snapshot.memory),
        "keys_total": snapshot.keys if snapshot is not None and snapshot.keyspace_known else None,
        "keys_with_ttl_total": snapshot.expires if snapshot is not None and snapshot.keyspace_known else None,
        "refused_writes_total": None if counters is None else counters.refused_writes_total,
        "refused_writes_is_lower_bound": None if counters is None else counters.refused_is_lower_bound,
        "evicted_keys_total": None if counters is None else counters.evicted_keys_total,
        "clock_skew_seconds": None if snapshot is None else snapshot.clock_skew_seconds,
        "findings": [finding_fields(finding) for finding in findings],
        "unreturned": None if unreturned is None else list(unreturned),
        "notes": [*([] if snapshot is None else snapshot.notes), *([AUDIT_UNREAD] if unreturned is None else [])],
        "doubts": [] if snapshot is None else doubt_fields(snapshot),
        "nodes": None if snapshot is None or snapshot.fleet is None else node_documents(snapshot.fleet),
    }


def server_fields(address: Address, snapshot: Snapshot | None) -> dict[str, Any]:
    """Who it is; only the address where nobody answered."""
    server = None if snapshot is None else snapshot.server
    return {
        "flavour": None if server is None else server.flavour,
        "product": None if server is None else server.product or None,
        "version": None if server is None else server.version,
        "role": None if server is None else server.role,
        "mode": None if server is None else server.mode,
        "run_id": None if server is None else server.run_id,
        "uptime_seconds": None if server is None else server.uptime_seconds,
        "address": str(address),
    }


def memory_fields(memory: Memory | None) -> dict[str, Any]:
    """Sizes in bytes; `pressure` is the share of maxmemory in use as the server counts it.

    `limit_source` tells a limit that is not set (`server`) from one that is not reported (`not_reported`), and one that
    the operator stated (`operator`).
    """
    return {
        "used_bytes": None if memory is None else memory.used_bytes,
        "counted_bytes": None if memory is None else memory.counted_bytes,
        "peak_bytes": None if memory is None else memory.peak_bytes,
        "rss_bytes": None if memory is None else memory.rss_bytes,
        "maxmemory_bytes": None if memory is None else memory.maxmemory_bytes,
        "pressure": None if memory is None or memory.pressure is None else round(memory.pressure, 4),
        "fragmentation_ratio": None if memory is None else memory.fragmentation_ratio,
        "policy": None if memory is None or memory.policy == "unknown" else memory.policy,
        "limit_source": None if memory is None else memory.limit_source.value,
        "not_counted_bytes": None if memory is None else memory.not_counted_bytes,
        "host_bytes": None if memory is None else memory.host_bytes,
    }


def finding_fields(finding: Finding) -> dict[str, Any]:
    """One finding; `saves_bytes` is the middle of its range, which stands beside it."""
    saves = finding.saves_bytes
    lever = finding.lever
    return {
        "id": finding.id,
        "severity": finding.level.value,
        "title": finding.title,
        "advice": finding.advice,
        "in_the_application": finding.in_the_application or None,
        "evidence": list(finding.evidence),
        "saves_bytes": None if saves is None else sum(saves) // 2,
        "saves_low_bytes": None if saves is None else saves[0],
        "saves_high_bytes": None if saves is None else saves[1],
        "pane": None if lever is None else lever.pane,
        "select": None if lever is None or lever.pattern is None else pattern_text.text(lever.pattern),
        "match": None if lever is None or lever.match is None else glob_text(lever.match),
        "db": None if lever is None else lever.db,
        "ttl": None if lever is None or lever.ttl is TtlFilter.ANY else lever.ttl.value,
        "idle_over_seconds": None if lever is None else lever.idle_over_seconds,
        "setting": None if lever is None else lever.setting,
        "value": None if lever is None or lever.value is None else safe_text(lever.value),
        "client_id": None if lever is None else lever.client_id,
    }
