"""A cluster's nodes: their columns, and what they make in words and as JSON."""

from collections.abc import Callable
from typing import Any

from redis_oom_tui.formatting import sizes
from redis_oom_tui.formatting.columns import Column, row_document, text_table
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import doubt_fields, limit_text
from redis_oom_tui.models.snapshot import ClusterView, Memory, NodeView

# More lines than this tell a person nothing that the worst of them did not.
_SHOWN = 20


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


def node_lines(cluster: ClusterView, shown: int = _SHOWN) -> list[str]:
    """A table of them, worst first, at most `shown`; the rest is counted."""
    lines = text_table(cluster.nodes[:shown], NODE_COLUMNS)
    more = len(cluster.nodes) - shown
    return [*lines, f"and {sizes.count(more)} more nodes, each better off than these"] if more > 0 else lines


def node_documents(cluster: ClusterView) -> list[dict[str, Any]]:
    """Every node, worst first: sizes in bytes, null for what is not known."""
    return [row_document(view, NODE_COLUMNS) for view in cluster.nodes]
