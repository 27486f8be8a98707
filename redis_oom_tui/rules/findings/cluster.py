"""Findings about a cluster as a whole, and about replicas: what is lost, uneven, different, or lost in a failover."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from redis_oom_tui.formatting.keys import slots_by_number
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import short_value, shown_value
from redis_oom_tui.formatting.sizes import count, number_of_keys, percent, size
from redis_oom_tui.models.address import MovingSlot
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.breakdown import break_down
from redis_oom_tui.rules.cluster import SERVE_SLOTS, UNKNOWN_LIMIT, far_apart, limit_of, node_names, unserved_slots
from redis_oom_tui.rules.failover import promoted, replicas_of
from redis_oom_tui.rules.findings.case import MIB, Case, finding

_SLOTS_NAMED = 5
# What waits for other nodes is worth a line from this share of used_memory on.
_LINKS_SHARE = 0.1
# A node at this part of its limit may refuse the keys of a slot that it takes over.
_FULL = 0.98


@finding("slots-open", "slots-half-moved", "node-lost", "shard-skew", "differs-", "replica-promotion")
def cluster(case: Case) -> Iterator[Finding]:
    """What the cluster lacks, where there is one."""
    cluster_view = case.now.cluster
    if cluster_view is None:
        return
    apart = far_apart(cluster_view)
    # The cause is that of the node that is shown, which need not be the fullest.
    elsewhere = apart is not None and apart[1].name != case.now.server.node
    yield from node_findings(cluster_view, in_keys=elsewhere or case.cause.in_keys)


@finding("replica-promotion", "replica-unseen")
def replicas(case: Case) -> Iterator[Finding]:
    """What a failover of a server without a cluster would bring."""
    yield from replica_findings(case.now, case.replicas)


@finding("cluster-links")
def links(case: Case) -> Iterator[Finding]:
    """What waits for the cluster's other nodes."""
    held = break_down(case.memory).size(Share.LINKS)
    if held < 4 * MIB or not case.matters(held, _LINKS_SHARE):
        return
    yield Finding(
        id="cluster-links",
        level=Level.CRITICAL if 2 * held > (case.memory.used_bytes or 0) else Level.WARNING,
        title=f"The links of the cluster bus hold {size(held)}",
        advice="Find the node that does not read, or who publishes so much: PUBLISH goes to every node."
        " cluster-link-sendbuf-limit closes a link that holds more.",
        evidence=(f"mem_cluster_links {size(held)}",),
        saves_bytes=(held // 2, held),
        in_the_application="SPUBLISH goes to the nodes of one shard only.",
    )


def node_findings(cluster_view: ClusterView, *, in_keys: bool = True) -> Iterator[Finding]:
    """What the cluster as a whole lacks: nodes, slots, agreement, balance, replicas that could take over.

    `in_keys` says that keys hold what fills the fullest node.
    """
    yield from _absent(cluster_view)
    yield from _half_moved(cluster_view)
    yield from _skew(cluster_view, in_keys=in_keys)
    yield from _disagreement(cluster_view)
    for replica, copy, original in replicas_of(cluster_view):
        yield from _promotion(replica, copy, original)


def _absent(cluster_view: ClusterView) -> Iterator[Finding]:
    if cluster_view.open_slots:
        yield Finding(
            id="slots-open",
            level=Level.CRITICAL,
            title=unserved_slots(cluster_view),
            advice=f"Every command on their keys fails. {SERVE_SLOTS}",
        )
    for view in cluster_view.nodes:
        if view.snapshot is None and view.error is not None:
            role = "primary" if view.node.serves else "node without slots"
            if not view.node.is_primary:
                role = f"replica of {safe_text(view.node.primary, 80)}"
            opinion = (
                "counts it as failed" if view.node.failed else "does not count it as failed: check the network path"
            )
            yield Finding(
                id="node-lost",
                level=Level.CRITICAL if view in cluster_view.lost else Level.WARNING,
                title=f"The {role} {safe_text(view.name, 80)} did not answer",
                advice=f"{_ended(safe_text(view.error, 300))} The cluster itself {opinion}.",
            )


def _half_moved(cluster_view: ClusterView) -> Iterator[Finding]:
    """A slot left MIGRATING or IMPORTING: one finding for all of which the same is to be done."""
    by_advice: dict[str, list[MovingSlot]] = defaultdict(list)
    for moving in cluster_view.moving:
        by_advice[_how_to_end(moving, "N", cluster_view)].append(moving)
    for of_all, moves in by_advice.items():
        one = len(moves) == 1
        each = f"{of_all} N: {slots_by_number(moving.slot for moving in moves)}."
        yield Finding(
            id="slots-half-moved",
            level=Level.WARNING,
            title=f"{_on_its_way(moves[0])}{'' if one else f', and {count(len(moves) - 1)} more are'}",
            advice="Unless a resharding runs now: "
            + (_how_to_end(moves[0], str(moves[0].slot), cluster_view) if one else each),
            evidence=tuple(map(_on_its_way, moves[:_SLOTS_NAMED])),
        )


def _on_its_way(moving: MovingSlot) -> str:
    (source, left), (target, arrived) = (
        (safe_text(name or "an unknown node", 80), "? keys" if keys is None else number_of_keys(keys))
        for name, keys in ((moving.source, moving.left_keys), (moving.target, moving.arrived_keys))
    )
    return f"Slot {moving.slot} is half moved from {source} ({left} left) to {target} ({arrived})"


def _how_to_end(moving: MovingSlot, slot: str, cluster_view: ClusterView) -> str:
    """STABLE only where nothing has arrived: what has would be out of reach, and still take memory."""
    source, target = (safe_text(name or "the other node", 80) for name in (moving.source, moving.target))
    counted = None not in (moving.left_keys, moving.arrived_keys)
    if counted and not moving.arrived_keys:
        return f"nothing was moved, so end it with CLUSTER SETSLOT {slot} STABLE on {source} and on {target}."
    if counted and not moving.left_keys and moving.target_id is not None:
        return (
            f"all its keys are on {target}, so give it the slot: CLUSTER SETSLOT {slot} NODE {moving.target_id}"
            f" on {target}, then on {source}. With STABLE, nobody would find these keys."
        )
    # By its version, redis-cli takes the keys on or back.
    repair = f"end it with redis-cli --cluster fix {source}, which brings all its keys to one node"
    if not counted:
        return (
            f"count its keys on both nodes (CLUSTER COUNTKEYSINSLOT {slot}). With none on {target}, CLUSTER"
            f" SETSLOT {slot} STABLE on both ends it; else {repair}."
        )
    ends = (view for view in cluster_view.nodes if view.name in (moving.source, moving.target))
    full = node_names(view for view in ends if (view.pressure or 0.0) >= _FULL)
    room = f" First make room on {full}: a full node takes no keys (OOM)." if full else ""
    return f"{repair}. With CLUSTER SETSLOT STABLE, nobody would find those on {target}.{room}"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _skew(cluster_view: ClusterView, *, in_keys: bool) -> Iterator[Finding]:
    apart = far_apart(cluster_view)
    if apart is None:
        return
    emptiest, fullest = apart
    known = ((view.pressure, view) for view in cluster_view.primaries if view.pressure is not None)
    pressures = sorted(known, key=lambda pair: pair[0])
    full, empty = safe_text(fullest.name, 80), safe_text(emptiest.name, 80)
    cure = "One large key or one hash tag holds them on one shard: find it (Hogs), or move slots away"
    slots_known = isinstance(fullest.heaviest_slots, tuple) and fullest.heaviest_slots
    cure += f"; {_heaviest(fullest)}." if slots_known else "."
    yield Finding(
        id="shard-skew",
        level=Level.WARNING,
        title=f"{full} is {percent(pressures[-1][0])} full, {empty} only {percent(pressures[0][0])}",
        advice=cure if in_keys else "No key fills it: to move slots away does not help. See what else it holds.",
        evidence=(
            *(f"{safe_text(view.name, 80)} {percent(pressure)}" for pressure, view in reversed(pressures)),
            _heaviest(fullest),
        ),
    )


def _heaviest(view: NodeView) -> str:
    """The slots of a node to move first, and what moving each takes along."""
    slots = view.heaviest_slots
    if isinstance(slots, str):
        return f"its heaviest slots are not known: {slots or 'it was not asked'}"
    by_memory = any(stats.memory_bytes is not None for stats in slots)
    each = [
        f"{stats.slot} ({number_of_keys(stats.keys)}{f', {size(stats.memory_bytes)}' if by_memory else ''})"
        for stats in slots
    ]
    return f"slots with most {'memory' if by_memory else 'keys'}: {', '.join(each) or 'none has keys'}"


def _disagreement(cluster_view: ClusterView) -> Iterator[Finding]:
    for difference in cluster_view.differences:
        grave = difference.name in ("maxmemory", "maxmemory-policy")
        short = {short_value(difference.name, value) for value, _ in difference.values}
        # Rounded, different sizes may look the same.
        words = short_value if len(short) == len(difference.values) else shown_value
        parts = [
            f"{words(difference.name, value) or 'nothing'} on {node_names(nodes)}" for value, nodes in difference.values
        ]
        yield Finding(
            id=f"differs-{difference.name}",
            level=Level.WARNING if grave else Level.OK,
            title=f"The primaries differ in {safe_text(difference.name, 60)}: {'; '.join(parts)}",
            advice="Set the same value on every node, replicas included, or the next failover changes it."
            if difference.name != "version"
            else "Finish the upgrade: until then nodes treat the same command differently.",
            remedy=Remedy("limits", setting=difference.name, value=difference.values[0][0])
            if grave and difference.values[0][0] != UNKNOWN_LIMIT
            else None,
        )


def replica_findings(primary: Snapshot, replicas: Iterable[NodeView]) -> Iterator[Finding]:
    """What a failover of a master without a cluster would bring; a replica that did not answer is named."""
    for view in replicas:
        if view.snapshot is not None:
            yield from _promotion(view, view.snapshot, primary)
        elif view.error is not None:
            yield Finding(
                id="replica-unseen",
                level=Level.OK,
                title=f"The replica {safe_text(view.name, 80)} could not be reached from here",
                advice=f"{safe_text(view.error, 300).rstrip('.?')}. Compare its limit and policy before a failover.",
            )


def _promotion(view: NodeView, replica: Snapshot, primary: Snapshot) -> Iterator[Finding]:
    promotion = promoted(view.name, replica, primary)
    if promotion is not None:
        # As grave as the verdict on such a replica.
        yield Finding(
            id="replica-promotion",
            level=Level.WARNING,
            title=promotion.what,
            advice=promotion.advice,
            evidence=_limits(replica, primary),
        )


def _limits(replica: Snapshot, primary: Snapshot) -> tuple[str, ...]:
    return tuple(
        f"{role}: maxmemory {short_value('maxmemory', limit_of(each))}, {safe_text(each.memory.policy, 40)}"
        for role, each in (("replica", replica), ("primary", primary))
    )
