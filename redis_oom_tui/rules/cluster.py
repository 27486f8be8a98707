"""What is true of a cluster and of no single node: who is worst, where nodes differ, what a failover would do."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import short_value
from redis_oom_tui.formatting.sizes import count, percent, size
from redis_oom_tui.models.snapshot import ClusterView, Difference, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Remedy, Verdict
from redis_oom_tui.rules.policies import is_allkeys, is_known, is_volatile

_SEVERITY = {Level.OOM: 0, Level.CRITICAL: 1, Level.UNKNOWN: 2, Level.WARNING: 3, Level.OK: 4}
_NAMED = 3
UNKNOWN_LIMIT = "?"
# Two nodes whose pressures are closer than this are equally full: the one that was shown stays.
_STICKY = 0.05
# A shard this much fuller than the emptiest is worth a sentence, once it is near its limit.
_SKEWED = 0.30
_NEAR = 0.70


def worst_first(views: Iterable[NodeView]) -> tuple[NodeView, ...]:
    """Primaries before replicas, graver verdicts first, then fuller nodes, then by name."""
    return tuple(sorted(views, key=_rank))


def _rank(view: NodeView) -> tuple[bool, int, float, str]:
    level = Level.UNKNOWN if view.verdict is None else view.verdict.level
    return (not view.node.serves, _SEVERITY[level], -(view.pressure or 0.0), view.name)


def servers_in(snapshot: Snapshot | None, *given: str) -> frozenset[str]:
    """The names under which actions on what `snapshot` is of were written down: in a cluster, of every node."""
    if snapshot is None:
        return frozenset(given)
    nodes = () if snapshot.fleet is None else snapshot.fleet.nodes
    return frozenset({*given, str(snapshot.server.address), *(view.name for view in nodes)})


def shown(view: ClusterView, before: str = "") -> NodeView | None:
    """The primary whose figures stand for the cluster: the worst that answered, or the one called `before` if no other
    is clearly worse (a figure that jumps between nodes tells nothing)."""
    answered = [node for node in view.primaries if node.snapshot is not None]
    if not answered:
        return None
    worst = answered[0]
    last = next((node for node in answered if node.name == before), worst)
    if _rank(last)[1] > _rank(worst)[1] or (worst.pressure or 0.0) - (last.pressure or 0.0) > _STICKY:
        return worst
    return last


def told_apart(primaries: Iterable[NodeView]) -> tuple[Difference, ...]:
    """Limit, policy, version and the settings told, where the primaries that answered do not agree."""
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for view in primaries:
        if view.snapshot is None:
            continue
        for name, value in _traits(view, view.snapshot):
            values[name][value].append(view.name)
    differing = []
    for name, by_value in values.items():
        if len(by_value) > 1:
            ordered = sorted(by_value.items(), key=lambda item: -len(item[1]))
            differing.append(Difference(name, tuple((value, tuple(nodes)) for value, nodes in ordered)))
    return tuple(differing)


def _traits(view: NodeView, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    yield "maxmemory", _limit(snapshot)
    yield "maxmemory-policy", snapshot.memory.policy
    yield "version", f"{snapshot.server.flavour} {snapshot.server.version}"
    for name, value in view.settings.items():
        # Replicas often save where masters do not.
        if name not in ("maxmemory", "maxmemory-policy", "save"):
            yield name, value


def _limit(snapshot: Snapshot) -> str:
    memory = snapshot.memory
    if memory.limit_unknown:
        return UNKNOWN_LIMIT
    return "0" if memory.maxmemory_bytes is None else str(memory.maxmemory_bytes)


def for_the_cluster(verdict: Verdict, snapshot: Snapshot) -> Verdict:
    """`verdict` on the node that `snapshot` shows, as one on its cluster: it names the node, and what is not known."""
    fleet = snapshot.fleet
    if fleet is None:
        return verdict
    node, many = safe_text(snapshot.server.node, 80), count(len(fleet.primaries))
    if not fleet.lost and not fleet.open_slots and _all_well(fleet) and verdict.level is Level.OK:
        return replace(verdict, reason=f"All {many} primaries are well; {node}: {verdict.reason}")
    if fleet.lost and verdict.level in (Level.OK, Level.WARNING):
        reason = f"{_lost(fleet)} {node}: {verdict.reason}"
        return replace(verdict, level=Level.UNKNOWN, rule="node-lost", reason=reason)
    reason = f"{node}, the worst of {many} primaries: {verdict.reason}"
    if fleet.nodes[0].name != snapshot.server.node:
        worst = fleet.nodes[0]
        level = Level.UNKNOWN if worst.verdict is None else worst.verdict.level
        reason = f"{node}: {verdict.reason} The worst of {many} primaries, {safe_text(worst.name, 80)}, is {level}."
    return replace(verdict, reason=f"{reason} {_lost(fleet)}" if fleet.lost else reason)


def _all_well(fleet: ClusterView) -> bool:
    return all(view.verdict is None or view.verdict.level is Level.OK for view in fleet.primaries)


def _lost(fleet: ClusterView) -> str:
    share = sum(view.node.slots for view in fleet.lost) / 16384
    return f"{_names(fleet.lost)} did not answer: nothing is known of {percent(share)} of the slots."


def fleet_findings(fleet: ClusterView) -> Iterator[Finding]:
    """What the cluster as a whole lacks: nodes, slots, agreement, balance, replicas that could take over."""
    yield from _absent(fleet)
    yield from _skew(fleet)
    yield from _disagreement(fleet)
    for replica in fleet.replicas:
        primary = next((view for view in fleet.primaries if view.name == replica.node.primary), None)
        if primary is not None and primary.snapshot is not None and replica.snapshot is not None:
            yield from _promotion(replica, replica.snapshot, primary.snapshot)


def _absent(fleet: ClusterView) -> Iterator[Finding]:
    if fleet.open_slots:
        yield Finding(
            id="slots-open",
            level=Level.CRITICAL,
            title=f"{count(fleet.open_slots)} of 16,384 slots are served by no node",
            advice="Every command on their keys fails: bring the lost primary back or promote its replica "
            "(CLUSTER FAILOVER TAKEOVER on it).",
        )
    for view in fleet.nodes:
        if view.snapshot is None and view.error is not None:
            role = "primary" if view.node.serves else "node without slots"
            if not view.node.is_primary:
                role = f"replica of {safe_text(view.node.primary, 80)}"
            opinion = (
                "counts it as failed" if view.node.failed else "does not count it as failed: look at the way there"
            )
            yield Finding(
                id="node-lost",
                level=Level.CRITICAL if view in fleet.lost else Level.WARNING,
                title=f"The {role} {safe_text(view.name, 80)} did not answer",
                advice=f"{_ended(safe_text(view.error, 300))} The cluster itself {opinion}.",
            )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _skew(fleet: ClusterView) -> Iterator[Finding]:
    told = ((view.pressure, view) for view in fleet.primaries if view.pressure is not None)
    pressures = sorted(told, key=lambda pair: pair[0])
    if len(pressures) < 2:
        return
    (low, emptiest), (high, fullest) = pressures[0], pressures[-1]
    if high < _NEAR or high - low < _SKEWED:
        return
    full, empty = safe_text(fullest.name, 80), safe_text(emptiest.name, 80)
    yield Finding(
        id="shard-skew",
        level=Level.WARNING,
        title=f"{full} is {percent(high)} full, {empty} only {percent(low)}",
        advice="One large key or one hash tag holds them on one shard: look for it in Hogs, or move slots away.",
        evidence=tuple(f"{safe_text(view.name, 80)} {percent(pressure)}" for pressure, view in reversed(pressures)),
    )


def _disagreement(fleet: ClusterView) -> Iterator[Finding]:
    for difference in fleet.differences:
        grave = difference.name in ("maxmemory", "maxmemory-policy")
        parts = [
            f"{short_value(difference.name, value) or 'nothing'} on {_names(nodes)}"
            for value, nodes in difference.values
        ]
        yield Finding(
            id=f"differs-{difference.name}",
            level=Level.WARNING if grave else Level.OK,
            title=f"The primaries differ in {safe_text(difference.name, 60)}: {'; '.join(parts)}",
            advice="Set it alike on every node, replicas too, or the next failover or resharding brings a surprise."
            if difference.name != "version"
            else "Finish the upgrade: until then nodes treat the same command differently.",
            lever=Remedy("limits", setting=difference.name, value=difference.values[0][0])
            if grave and difference.values[0][0] != UNKNOWN_LIMIT
            else None,
        )


def promotion_risk(replica: Snapshot, primary: Snapshot) -> str | None:
    """What `replica` would do to the data in the moment it became the primary, in one sentence; None for nothing.

    A replica ignores its own limit (replica-ignore-maxmemory) until then (REDIS_FACTS: it evicted all within 1 s).
    """
    limit, held = replica.memory.maxmemory_bytes, primary.memory.counted_bytes
    policy = replica.memory.policy
    if limit is not None and held is not None and held > limit:
        if is_allkeys(policy):
            return f"on promotion it would evict {size(held - limit)} of data within a second or so ({policy})"
        if is_volatile(policy) and primary.expires:
            return f"on promotion it would evict keys with a TTL until {size(held - limit)} are gone ({policy})"
        if not is_known(policy):
            return f"on promotion it would evict or refuse writes: its policy {safe_text(policy, 24)} is not known here"
        return f"on promotion it would refuse every write at once: it is over its limit by {size(held - limit)}"
    if is_allkeys(policy) and not is_allkeys(primary.memory.policy):
        return f"after a failover any key may be evicted ({policy}), which {primary.memory.policy} never does"
    if limit is not None and not primary.memory.limit_unknown and (primary.memory.maxmemory_bytes or limit + 1) > limit:
        return f"its limit is only {size(limit)}, and the primary may grow beyond it"
    return None


def replica_findings(primary: Snapshot, replicas: Iterable[NodeView]) -> Iterator[Finding]:
    """What a failover of a master without a cluster would bring; a replica that did not answer is named."""
    for view in replicas:
        if view.snapshot is not None:
            yield from _promotion(view, view.snapshot, primary)
        elif view.error is not None:
            yield Finding(
                id="replica-unseen",
                level=Level.OK,
                title=f"The replica {safe_text(view.name, 80)} could not be looked at from here",
                advice=f"{safe_text(view.error, 300)}. Compare its limit and policy before a failover.",
            )


def _promotion(view: NodeView, replica: Snapshot, primary: Snapshot) -> Iterator[Finding]:
    risk = promotion_risk(replica, primary)
    if risk is None:
        return
    held, limit = primary.memory.counted_bytes, replica.memory.maxmemory_bytes
    over = held is not None and limit is not None and held > limit
    yield Finding(
        id="replica-promotion",
        level=Level.CRITICAL if over else Level.WARNING,
        title=f"Replica {safe_text(view.name, 80)}: {risk}",
        advice="Give it the primary's maxmemory and policy now; CONFIG SET on a primary never reaches its replicas.",
        evidence=(
            f"replica: maxmemory {short_value('maxmemory', _limit(replica))}, {safe_text(replica.memory.policy, 40)}",
            f"primary: maxmemory {short_value('maxmemory', _limit(primary))}, {safe_text(primary.memory.policy, 40)}",
        ),
    )


def _names(nodes: Iterable[NodeView | str]) -> str:
    names = [safe_text(node if isinstance(node, str) else node.name, 80) for node in nodes]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more)} more" if more > 0 else "")
