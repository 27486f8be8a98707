"""What a change of a setting leaves as it is: CONFIG SET reaches neither replicas nor other nodes of a cluster."""

from collections.abc import Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import listed
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.rules.policies import UNKNOWN

PER_NODE = "A setting is per node: the other nodes keep theirs."


def policies_kept(new: str, snapshot: Snapshot, replicas: Sequence[NodeView]) -> tuple[str, ...]:
    """That replicas keep another maxmemory-policy than `new`, also when one becomes the primary; nothing where all that
    were asked have it already.
    """
    if snapshot.server.is_replica or snapshot.server.mode == "cluster" or not replicas:
        return settings_kept("maxmemory-policy", snapshot)
    others = [f"{safe_text(each.name, 60)}: {_policy(each)}" for each in replicas if _policy(each) != new]
    return (_kept("maxmemory-policy", len(others), f" ({listed(others)})"),) if others else ()


def settings_kept(name: str, snapshot: Snapshot) -> tuple[str, ...]:
    """The same of any setting, where nobody asked the replicas."""
    if snapshot.server.is_replica:
        return ()
    if snapshot.server.mode == "cluster":
        return (PER_NODE,)
    connected = snapshot.activity.connected_replicas
    return (_kept(name, connected, ""),) if connected else ()


def _policy(replica: NodeView) -> str:
    policy = None if replica.snapshot is None else replica.snapshot.memory.policy
    return "not known" if policy is None or policy == UNKNOWN else safe_text(policy, 24)


def _kept(name: str, replicas: int, values: str) -> str:
    whose = "Its replica keeps its own" if replicas == 1 else "Its replicas keep their own"
    return f"{whose} {name}{values}, also after a failover: CONFIG SET is not replicated. Set it there as well."
