"""What a failover would do: a replica that would evict or refuse once it is promoted, or that lacks keys already."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys, size
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.breakdown import counted_buffers
from redis_oom_tui.rules.cluster import limit_of
from redis_oom_tui.rules.policies import is_allkeys, is_known, is_volatile


class Promotion(Struct, frozen=True):
    """What a failover to one replica would do, in words, and the advice against it.

    `rule` is that of the verdict on such a replica, and '' where a failover does nothing at once.
    """

    what: str
    advice: str
    rule: str = ""


def replicas_of(cluster: ClusterView) -> Iterator[tuple[NodeView, Snapshot, Snapshot]]:
    """The replicas that answered as their primaries did: each with its own figures and those of its primary."""
    primaries = {view.name: view.snapshot for view in cluster.primaries}
    for view in cluster.replicas:
        primary = primaries.get(view.node.primary)
        if view.snapshot is not None and primary is not None:
            yield view, view.snapshot, primary


def with_failovers(verdict: Verdict, snapshot: Snapshot, replicas: Iterable[NodeView] = ()) -> Verdict:
    """`verdict` where all is well; a warning where a failover to a replica loses keys or writes.

    `replicas` are those of a primary without a cluster; in a cluster they are among its nodes. Like the verdict on that
    replica alone: nobody is refused yet.
    """
    if verdict.level is not Level.OK:
        return verdict
    copies = (
        ((view, view.snapshot, snapshot) for view in replicas if view.snapshot is not None)
        if snapshot.cluster is None
        else replicas_of(snapshot.cluster)
    )
    found = (promoted(view.name, *figures) for view, *figures in copies)
    grave = [promotion for promotion in found if promotion is not None and promotion.rule]
    if not grave:
        return verdict
    more = f" So for {count(len(grave) - 1)} more of the replicas." if len(grave) > 1 else ""
    return replace(
        verdict,
        level=Level.WARNING,
        rule=grave[0].rule,
        reason=f"{grave[0].what}.{more} {verdict.reason if snapshot.cluster else 'The primary itself is well.'}",
        first_step=grave[0].advice,
        confirm=("INFO memory (used_memory, maxmemory) on the replica and on its primary",),
    )


def _data(snapshot: Snapshot) -> int | None:
    """What is counted towards its limit without the buffers of clients."""
    counted = snapshot.memory.counted_bytes
    return None if counted is None else counted - counted_buffers(snapshot.memory)


def _held_if_promoted(replica: Snapshot, primary: Snapshot) -> int | None:
    """What it has now, with its own clients' buffers, or the primary's data where that is more."""
    data = _data(primary)
    return None if data is None else max(data, replica.memory.counted_bytes or 0)


# A replica that is up to date has as many keys, but for those that are on their way.
_IN_STEP = 0.95


def _lacking_keys(replica: Snapshot, primary: Snapshot) -> int:
    """Keys that it has evicted, or refused to take, by a limit of its own; 0 where that is not known."""
    lost = replica.counters.evicted_keys_total or replica.counters.refused_writes_total
    if not lost or not (replica.keyspace_known and primary.keyspace_known and replica.activity.master_link_up):
        return 0
    return primary.keys - replica.keys if replica.keys < _IN_STEP * primary.keys else 0


def _over_limit(replica: Snapshot, primary: Snapshot) -> int:
    """By how much it would be over its own limit in the moment it became the primary; 0 where that is not known."""
    limit, held = replica.memory.maxmemory_bytes, _held_if_promoted(replica, primary)
    return 0 if limit is None or held is None else max(held - limit, 0)


def _at_once(replica: Snapshot, primary: Snapshot, over: int) -> str:
    """What it would do to the data then: until then it ignores its limit (replica-ignore-maxmemory).

    Measured: a promoted replica evicted all that was over its limit within a second.
    """
    policy = replica.memory.policy
    if is_allkeys(policy):
        return f"if promoted, it would evict {size(over)} of data within a second or so ({policy})"
    if is_volatile(policy) and primary.expires:
        return f"if promoted, it would evict keys with a TTL until {size(over)} are gone ({policy})"
    if not is_known(policy):
        return f"if promoted, it would evict or refuse writes: its policy {safe_text(policy, 24)} is not known here"
    return f"if promoted, it would refuse every write at once: it is over its limit by {size(over)}"


def _later(replica: Snapshot, primary: Snapshot) -> str:
    """What may come of its limit or policy some time after a failover; '' for nothing."""
    limit, policy = replica.memory.maxmemory_bytes, replica.memory.policy
    if is_allkeys(policy) and not is_allkeys(primary.memory.policy):
        return f"after a failover any key may be evicted ({policy}), which {primary.memory.policy} never does"
    if limit is not None and not primary.memory.limit_unknown and (primary.memory.maxmemory_bytes or limit + 1) > limit:
        return f"its limit is only {size(limit)}, and the primary may grow beyond it"
    return ""


def promoted(name: str, replica: Snapshot, primary: Snapshot) -> Promotion | None:
    """What a failover to the replica called `name` would do; None for nothing."""
    called = f"Replica {safe_text(name, 80)}"
    if lacking := _lacking_keys(replica, primary):
        return Promotion(
            f"{called} lacks {count(lacking)} of {number_of_keys(primary.keys)}: it keeps to its own limit"
            " (replica-ignore-maxmemory no)",
            "A failover would lose them. Set replica-ignore-maxmemory to yes on it, or give it the primary's"
            " maxmemory; then have it copy all data again (REPLICAOF).",
            "replica-own-limit",
        )
    if over := _over_limit(replica, primary):
        return Promotion(f"{called}: {_at_once(replica, primary, over)}", _advice(replica, primary), "replica-limit")
    later = _later(replica, primary)
    return Promotion(f"{called}: {later}", _advice(replica, primary)) if later else None


# A replica takes so much more than its primary's data for the same keys: tables, its own connections.
_AS_MUCH = 1.05


def _advice(replica: Snapshot, primary: Snapshot) -> str:
    if (limit_of(replica), replica.memory.policy) != (limit_of(primary), primary.memory.policy):
        return "Give it the primary's maxmemory and policy now; CONFIG SET on a primary never reaches its replicas."
    as_much = max(_data(primary) or 0, primary.memory.counted_bytes or 0)
    if (replica.memory.counted_bytes or 0) <= _AS_MUCH * as_much:
        return "The primary holds as much under the same limit: a failover makes no room. Free some memory there first."
    return (
        f"It holds more than the primary: {number_of_keys(replica.keys)} beside {count(primary.keys)}, and"
        f" {size(counted_buffers(replica.memory))} in buffers. Find who writes to it (replica-read-only no), or which"
        " of its clients does not read."
    )
