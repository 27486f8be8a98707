"""A cluster's nodes in words, one a line, and as JSON."""

from typing import Any

from redis_oom_tui.formatting.doubts import doubt_fields
from redis_oom_tui.formatting.limits import use_of_limit
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.snapshot import ClusterView, NodeView

# More lines than this tell a person nothing that the worst of them did not.
_SHOWN = 20


def node_lines(fleet: ClusterView, shown: int = _SHOWN) -> list[str]:
    """Worst first, at most `shown` of them; the rest is counted."""
    lines = [_line(view) for view in fleet.nodes[:shown]]
    if len(fleet.nodes) > shown:
        lines.append(f"and {count(len(fleet.nodes) - shown)} more nodes, each better off than these")
    return lines


def _line(view: NodeView) -> str:
    role = (
        f"{count(view.node.slots)} slots" if view.node.is_primary else f"replica of {safe_text(view.node.primary, 60)}"
    )
    level = "unknown" if view.verdict is None else view.verdict.level.value
    name = f"{level.upper():<8} {safe_text(view.name, 60)}"
    if view.snapshot is None:
        return f"{name}  {role}  {safe_text(view.error or 'not asked', 200)}"
    memory = view.snapshot.memory
    use = use_of_limit(memory)
    return f"{name}  {role}  {use}, {safe_text(memory.policy, 30)}, {count(view.snapshot.keys)} keys"


def node_documents(fleet: ClusterView) -> list[dict[str, Any]]:
    """Every node, worst first: sizes in bytes, null for what is not known."""
    return [_document(view) for view in fleet.nodes]


def _document(view: NodeView) -> dict[str, Any]:
    snapshot = view.snapshot
    memory = None if snapshot is None else snapshot.memory
    return {
        "node": view.name,
        "role": "master" if view.node.is_primary else "replica",
        "replica_of": None if view.node.is_primary else view.node.primary,
        "slots": view.node.slots,
        "failed": view.node.failed,
        "verdict": "unknown" if view.verdict is None else view.verdict.level.value,
        "reason": view.error if view.verdict is None else view.verdict.reason,
        "used_bytes": None if memory is None else memory.used_bytes,
        "counted_bytes": None if memory is None else memory.counted_bytes,
        "maxmemory_bytes": None if memory is None else memory.maxmemory_bytes,
        "pressure": None if memory is None or memory.pressure is None else round(memory.pressure, 4),
        "policy": None if memory is None or memory.policy == "unknown" else memory.policy,
        "limit_source": None if memory is None else memory.limit_source.value,
        "doubts": [] if snapshot is None else doubt_fields(snapshot),
        "keys_total": None if snapshot is None else snapshot.keys,
        "refused_writes_total": None if snapshot is None else snapshot.counters.refused_writes_total,
        "evicted_keys_total": None if snapshot is None else snapshot.counters.evicted_keys_total,
    }
