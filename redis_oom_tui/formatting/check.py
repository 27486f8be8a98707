"""What `check` says as JSON (names and units are a promise, what is not known is null); a cluster's nodes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from redis_oom_tui.formatting import SCHEMA, pattern_text, sizes
from redis_oom_tui.formatting.columns import Column, row_document, text_table
from redis_oom_tui.formatting.sanitize import glob_text, safe_text
from redis_oom_tui.formatting.server import advice_with_commands, doubt_fields, limit_text, with_commands
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.breakdown import Breakdown
from redis_oom_tui.models.plan import TtlFilter
from redis_oom_tui.models.snapshot import ClusterView, Memory, NodeView, Snapshot
from redis_oom_tui.models.verdict import Finding, Verdict

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.check import (
        CheckDocument,
        FindingFields,
        MemoryFields,
        MemoryPart,
        NodeFields,
        ServerFields,
    )

AUDIT_UNREAD = "The audit log cannot be read: overdue reverts of settings are not known."
"""The note where `unreturned` is null."""
# More lines than this tell a person nothing that the worst of them did not.
_SHOWN = 20
_PARTS_SHOWN = 4


def _memory(view: NodeView) -> Memory | None:
    return None if view.snapshot is None else view.snapshot.memory


def _of_memory(name: str) -> Callable[[NodeView], Any]:
    return lambda view: getattr(_memory(view), name, None)


def _of_counters(name: str) -> Callable[[NodeView], Any]:
    return lambda view: None if view.snapshot is None else getattr(view.snapshot.counters, name)


def _policy(view: NodeView) -> str | None:
    memory = _memory(view)
    return None if memory is None or memory.policy == "unknown" else memory.policy


def _limit_source(view: NodeView) -> str | None:
    memory = _memory(view)
    return None if memory is None else memory.limit_source.value


def _level(view: NodeView) -> str:
    return "unknown" if view.verdict is None else view.verdict.level.value


def _role_text(view: NodeView) -> str:
    if view.node.is_primary:
        return f"{sizes.count(view.node.slots)} slots"
    return f"replica of {safe_text(view.node.primary, 60)}"


def _limit_cell(view: NodeView) -> str:
    memory = _memory(view)
    return "?" if memory is None else limit_text(memory)


def _keys_cell(view: NodeView) -> str:
    """How many keys it holds; of a node that did not answer, why."""
    return safe_text(view.error or "no answer", 200) if view.snapshot is None else sizes.count(view.snapshot.keys)


NODE_COLUMNS: tuple[Column[NodeView], ...] = (
    Column(
        "verdict",
        "VERDICT",
        8,
        lambda view, _: _level(view).upper(),
        fields={"verdict": _level, "reason": lambda view: view.error if view.verdict is None else view.verdict.reason},
    ),
    Column("node", "NODE", 30, lambda view, _: safe_text(view.name, 60), fields={"node": lambda view: view.name}),
    Column(
        "role",
        "ROLE",
        24,
        lambda view, _: _role_text(view),
        fields={
            "role": lambda view: "master" if view.node.is_primary else "replica",
            "replica_of": lambda view: None if view.node.is_primary else view.node.primary,
            "slots": lambda view: view.node.slots,
            "failed": lambda view: view.node.failed,
        },
    ),
    Column(
        "used",
        "USED_MEMORY",
        8,
        lambda view, _: sizes.size(_of_memory("used_bytes")(view)),
        align="right",
        fields={"used_bytes": _of_memory("used_bytes"), "counted_bytes": _of_memory("counted_bytes")},
    ),
    Column(
        "limit",
        "MAXMEMORY",
        8,
        lambda view, _: _limit_cell(view),
        align="right",
        fields={"maxmemory_bytes": _of_memory("maxmemory_bytes"), "limit_source": _limit_source},
    ),
    Column(
        "pressure",
        "PRESSURE",
        6,
        lambda view, _: sizes.percent_beside(view.pressure, (1.0,), 1),
        align="right",
        fields={"pressure": lambda view: None if view.pressure is None else round(view.pressure, 4)},
    ),
    Column("policy", "POLICY", 16, lambda view, _: safe_text(_policy(view) or "?", 30), fields={"policy": _policy}),
    Column(
        "keys",
        "KEYS",
        9,
        lambda view, _: _keys_cell(view),
        fields={"keys_total": lambda view: None if view.snapshot is None else view.snapshot.keys},
    ),
    Column(
        "counters",
        fields={
            "refused_writes_total": _of_counters("refused_writes_total"),
            "evicted_keys_total": _of_counters("evicted_keys_total"),
            "doubts": lambda view: [] if view.snapshot is None else doubt_fields(view.snapshot),
        },
    ),
)
"""The columns of a cluster's nodes; those without an answer say why in place of their keys."""


def node_lines(cluster: ClusterView) -> list[str]:
    """A table of them, worst first, at most `_SHOWN`; the rest is counted."""
    lines = text_table(cluster.nodes[:_SHOWN], NODE_COLUMNS)
    more = len(cluster.nodes) - _SHOWN
    return [*lines, f"and {sizes.number_of(more, 'more node')} in a better state"] if more > 0 else lines


def node_documents(cluster: ClusterView) -> "list[NodeFields]":
    """Every node, worst first: sizes in bytes, null for what is not known."""
    return [row_document(view, NODE_COLUMNS) for view in cluster.nodes]


def check_document(
    verdict: Verdict,
    address: Address,
    snapshot: Snapshot | None = None,
    findings: tuple[Finding, ...] = (),
    unreturned: tuple[str, ...] | None = (),
    split: Breakdown | None = None,
    connection_args: Sequence[str] = (),
) -> "CheckDocument":
    """What `check --json` prints; without a snapshot every figure is null, and so is what was not looked at."""
    counters = None if snapshot is None else snapshot.counters
    return {
        "schema": SCHEMA,
        "verdict": verdict.level.value,
        "reason": verdict.reason,
        "rule": verdict.rule,
        "evidence": list(verdict.evidence),
        "first_step": with_commands(verdict.first_step, connection_args, verdict.client_id) or None,
        "confirm": list(verdict.confirm),
        "since_unix_seconds": verdict.since,
        "not_judged": list(verdict.not_judged),
        "server": server_fields(address, snapshot),
        "memory": memory_fields(None if snapshot is None else snapshot.memory),
        "memory_parts": [] if split is None else part_documents(split),
        "room_for_data_bytes": None if split is None else split.data_room_bytes,
        "keys_total": snapshot.keys if snapshot is not None and snapshot.keyspace_known else None,
        "keys_with_ttl_total": snapshot.expires if snapshot is not None and snapshot.keyspace_known else None,
        "refused_writes_total": None if counters is None else counters.refused_writes_total,
        "refused_writes_is_lower_bound": None if counters is None else counters.refused_is_lower_bound,
        "evicted_keys_total": None if counters is None else counters.evicted_keys_total,
        "clock_skew_seconds": None if snapshot is None else snapshot.clock_skew_seconds,
        "findings": [finding_fields(finding, connection_args) for finding in findings],
        "unreturned": None if unreturned is None else list(unreturned),
        "notes": [*([] if snapshot is None else snapshot.notes), *([AUDIT_UNREAD] if unreturned is None else [])],
        "doubts": [] if snapshot is None else doubt_fields(snapshot),
        "nodes": None if snapshot is None or snapshot.cluster is None else node_documents(snapshot.cluster),
    }


def server_fields(address: Address, snapshot: Snapshot | None) -> "ServerFields":
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


def parts_text(split: Breakdown) -> str:
    """The largest parts in a line; '' where they are not known.

    >>> from redis_oom_tui.models.breakdown import Part, Share
    >>> parts_text(Breakdown((Part(Share.DATA, 3072), Part(Share.CHANNELS, 1024, True)), data_room_bytes=4096))
    'memory: data 3.0 KiB (75%), pub/sub at least 1.0 KiB (25%); room for data 4.0 KiB'
    """
    used = sum(part.size for part in split.parts)
    if not used:
        return ""
    parts = (part for part in split.parts if 100 * part.size >= used)
    largest = sorted(parts, key=lambda part: -part.size)[:_PARTS_SHOWN]
    texts = (
        f"{part.share.value} {'at least ' * part.estimated}{sizes.size(part.size)} ({sizes.percent(part.size / used)})"
        for part in largest
    )
    for_data = "" if split.data_room_bytes is None else f"; room for data {sizes.size(split.data_room_bytes)}"
    return f"memory: {', '.join(texts)}{for_data}"


def part_documents(split: Breakdown) -> "list[MemoryPart]":
    """Where used_memory is; empty where that is not known."""
    return [{"name": part.share.value, "bytes": part.size, "estimated": part.estimated} for part in split.parts]


def memory_fields(memory: Memory | None) -> "MemoryFields":
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


def finding_fields(finding: Finding, connection_args: Sequence[str]) -> "FindingFields":
    """One finding; `saves_bytes` is the middle of its range, which stands beside it."""
    saves = finding.saves_bytes
    remedy = finding.remedy
    return {
        "id": finding.id,
        "severity": finding.level.value,
        "title": finding.title,
        "advice": advice_with_commands(finding, connection_args),
        "in_the_application": finding.in_the_application or None,
        "evidence": list(finding.evidence),
        "saves_bytes": None if saves is None else sum(saves) // 2,
        "saves_low_bytes": None if saves is None else saves[0],
        "saves_high_bytes": None if saves is None else saves[1],
        "pane": None if remedy is None else remedy.pane,
        "select": None if remedy is None or remedy.pattern is None else pattern_text.text(remedy.pattern),
        "match": None if remedy is None or remedy.match is None else glob_text(remedy.match),
        "db": None if remedy is None else remedy.db,
        "ttl": None if remedy is None or remedy.ttl is TtlFilter.ANY else remedy.ttl.value,
        "idle_over_seconds": None if remedy is None else remedy.idle_over_seconds,
        "setting": None if remedy is None else remedy.setting,
        "value": None if remedy is None or remedy.value is None else safe_text(remedy.value),
        "client_id": None if remedy is None else remedy.client_id,
    }
