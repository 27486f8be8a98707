"""What is true of a cluster and of no single node: who is worst, where nodes differ, what a failover would do.

Also which profiles lead to one server.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of, percent
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.scan import SavedScan
from redis_oom_tui.models.settings import Difference
from redis_oom_tui.models.snapshot import ClusterView, NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict

_SEVERITY = {Level.OOM: 0, Level.CRITICAL: 1, Level.UNKNOWN: 2, Level.WARNING: 3, Level.OK: 4}
_NAMED = 3
UNKNOWN_LIMIT = "?"
# Two nodes whose pressures are closer than this are equally full: the one that was shown stays.
_STICKY = 0.05


def worst_first(views: Iterable[NodeView]) -> tuple[NodeView, ...]:
    """Primaries before replicas, graver verdicts first, then fuller nodes, then by name."""
    return tuple(sorted(views, key=_rank))


def _rank(view: NodeView) -> tuple[bool, int, float, str]:
    level = Level.UNKNOWN if view.verdict is None else view.verdict.level
    return (not view.node.serves, _SEVERITY[level], -(view.pressure or 0.0), view.name)


def servers_in(snapshot: Snapshot | None, *given: str) -> frozenset[str]:
    """The names under which actions on what `snapshot` is of were written down.

    In a cluster they are those of every node, and of the whole by every node that may have been asked for it.
    """
    if snapshot is None:
        return frozenset(given)
    nodes = [] if snapshot.cluster is None else [view.name for view in snapshot.cluster.nodes]
    return frozenset({*given, str(snapshot.server.address), *nodes, *map(cluster_behind, nodes)})


class SameServer(Struct, frozen=True):
    """The other `profiles` that lead to a server, by its run_id; `as_node`: they are clusters that it is a node of."""

    profiles: tuple[str, ...] = ()
    as_node: bool = False

    def __bool__(self) -> bool:
        return bool(self.profiles)

    @property
    def words(self) -> str:
        """That in a sentence; '' where there is none.

        >>> SameServer(("a", "b")).words, SameServer(("ring",), as_node=True).words
        ('The same server as a and b (same run_id).', 'A node of ring (same run_id).')
        """
        names = " and ".join(safe_text(name, 40) for name in self.profiles)
        return f"{'A node of' if self.as_node else 'The same server as'} {names} (same run_id)." if names else ""


def same_servers(snapshots: Mapping[str, Snapshot]) -> Mapping[str, SameServer]:
    """By profile, the others that lead to the same server: one process counts once, whatever its addresses are."""
    ids = {name: run_ids(snapshot) for name, snapshot in sorted(snapshots.items())}
    found: dict[str, SameServer] = {}
    for name, snapshot in snapshots.items():
        others = [other for other, theirs in ids.items() if other != name and theirs & ids[name]]
        clusters = tuple(other for other in others if snapshots[other].cluster is not None)
        servers = tuple(other for other in others if snapshots[other].cluster is None)
        if snapshot.cluster is not None and clusters:
            found[name] = SameServer(clusters)
        elif snapshot.cluster is None and others:
            found[name] = SameServer(servers) if servers else SameServer(clusters, as_node=True)
    return found


def profiles_of_servers(found: Sequence[tuple[str, SameServer]]) -> str:
    """How many profiles there are and, where several lead to one server, how many servers.

    >>> profiles_of_servers([("a", SameServer(("b",))), ("b", SameServer(("a",))), ("c", SameServer())])
    '3 profiles of 2 servers'
    """
    before = sum(bool(same) and (same.as_node or same.profiles[0] < name) for name, same in found)
    return number_of(len(found), "profile") + (f" of {number_of(len(found) - before, 'server')}" if before else "")


def run_ids(snapshot: Snapshot | None) -> frozenset[str]:
    """The run_id of the process that answered, or of each node; one of a single character repeated is none."""
    if snapshot is None:
        return frozenset()
    nodes = [] if snapshot.cluster is None else [view.snapshot for view in snapshot.cluster.nodes]
    answered = [each.server.run_id for each in (snapshot, *nodes) if each is not None]
    return frozenset(run_id for run_id in answered if is_run_id(run_id))


def is_run_id(text: str | None) -> TypeGuard[str]:
    """Whether it tells a process from another; one of a single character repeated does not."""
    return text is not None and len(set(text)) > 1


def origin_notes(scan: SavedScan, called: str, server: str, run_id: str | None) -> tuple[str, ...]:
    """What speaks against a scan, `called` so, being of the process with that `run_id` at the address `server`."""
    known = is_run_id(scan.run_id) and is_run_id(run_id)
    same = known and scan.run_id == run_id
    if scan.server != server and not same:
        return (f"the {called} scan is of another address, {safe_text(scan.server, 200)}",)
    if known and not same:
        changed = "the server was restarted since, or another one has its address"
        return (f"the run_id is not that of the {called} scan: {changed}",)
    return ()


def actions_on(snapshot: Snapshot | None, entries: Iterable[AuditEntry], *given: str) -> tuple[AuditEntry, ...]:
    """Those of `entries` on what `snapshot` is of: by one of its names, or by its run_id under another address."""
    names, ids = servers_in(snapshot, *given), run_ids(snapshot)
    return tuple(entry for entry in entries if entry.server in names or entry.run_id in ids)


def under_one_name(entries: Iterable[AuditEntry], server: str, run_id: str | None) -> tuple[AuditEntry, ...]:
    """`entries`, those on the process with that `run_id` as on `server`, whatever its address was."""
    known = is_run_id(run_id)
    return tuple(replace(entry, server=server) if known and entry.run_id == run_id else entry for entry in entries)


_BEHIND = "the cluster behind "


def cluster_behind(address: object) -> str:
    """The name of a whole cluster that was reached by the node at `address`.

    >>> cluster_behind("cache-1:7000")
    'the cluster behind cache-1:7000'
    """
    return f"{_BEHIND}{address}"


def address_behind(name: str) -> str:
    """The address in what `cluster_behind` named; the name of a single server as it is.

    >>> address_behind("the cluster behind cache-1:7000"), address_behind("cache-1:7000")
    ('cache-1:7000', 'cache-1:7000')
    """
    return name.removeprefix(_BEHIND)


def of_node(snapshot: Snapshot, name: str) -> Snapshot:
    """The figures of the node called `name` of the cluster in `snapshot`; `snapshot` itself where none tells them."""
    views = () if snapshot.cluster is None or not name else snapshot.cluster.nodes
    own = next((view.snapshot for view in views if view.name == name), None)
    return snapshot if own is None else replace(own, server=replace(own.server, node=name))


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


def differences(primaries: Iterable[NodeView]) -> tuple[Difference, ...]:
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
    yield "maxmemory", limit_of(snapshot)
    yield "maxmemory-policy", snapshot.memory.policy
    yield "version", f"{snapshot.server.flavour} {snapshot.server.version}"
    for name, value in view.settings.items():
        # Replicas often save where masters do not.
        if name not in ("maxmemory", "maxmemory-policy", "save"):
            yield name, value


def limit_of(snapshot: Snapshot) -> str:
    """maxmemory as the server has it: 0 is no limit, and `UNKNOWN_LIMIT` stands where it is not reported."""
    memory = snapshot.memory
    if memory.limit_unknown:
        return UNKNOWN_LIMIT
    return "0" if memory.maxmemory_bytes is None else str(memory.maxmemory_bytes)


def for_the_cluster(verdict: Verdict, snapshot: Snapshot, *, in_keys: bool = True) -> Verdict:
    """`verdict` on the node that `snapshot` shows, as one on its cluster: it names the node, and what is not known.

    `in_keys` says that keys hold what fills that node: some may then go to others that have room.
    """
    cluster = snapshot.cluster
    if cluster is None:
        return verdict
    node, many = safe_text(snapshot.server.node, 80), count(len(cluster.primaries))
    named = verdict.reason if verdict.rule in _NAMING_NODE else f"{node}: {verdict.reason}"
    if cluster.open_slots and verdict.level in (Level.OK, Level.WARNING):
        reason = f"{unserved_slots(cluster)}: every command on their keys fails. {named}"
        step, confirm = SERVE_SLOTS, ("CLUSTER INFO (cluster_state, cluster_slots_assigned)", "CLUSTER SHARDS")
        return replace(
            verdict, level=Level.CRITICAL, rule="slots-open", reason=reason, first_step=step, confirm=confirm
        )
    if not cluster.lost and _all_well(cluster) and verdict.level is Level.OK:
        return replace(verdict, reason=f"All {many} primaries are healthy; {named}")
    if cluster.lost and verdict.level in (Level.OK, Level.WARNING):
        return replace(verdict, level=Level.UNKNOWN, rule="node-lost", reason=f"{_lost(cluster)} {named}")
    reason = f"{node} (worst of {many} primaries): {verdict.reason}"
    if cluster.nodes[0].name != snapshot.server.node:
        worst = cluster.nodes[0]
        level = Level.UNKNOWN if worst.verdict is None else worst.verdict.level
        reason = f"{named} The worst of {many} primaries, {safe_text(worst.name, 80)}, is {level}."
    reason = f"{reason} {_lost(cluster)}" if cluster.lost else reason
    apart = far_apart(cluster)
    if apart is None or apart[1].name != snapshot.server.node or not verdict.first_step:
        return replace(verdict, reason=reason)
    step = f"{verdict.first_step} {MOVE_SLOTS}" if in_keys else verdict.first_step
    emptiest = percent(apart[0].pressure or 0.0)
    others = count(len(cluster.primaries) - 1)
    return replace(verdict, reason=f"{reason} Of the other {others}, the emptiest is at {emptiest}.", first_step=step)


SERVE_SLOTS = (
    "Bring the lost primary back, promote its replica (CLUSTER FAILOVER TAKEOVER on it), or give the slots to a node"
    " (redis-cli --cluster fix)."
)
# Verdicts whose sentence names its node itself.
_NAMING_NODE = frozenset({"healthy", "evicting", "full-cache", "no-limit"})


def unserved_slots(cluster: ClusterView) -> str:
    """How many slots no node serves."""
    return f"{count(cluster.open_slots)} of 16,384 slots are not served by any node"


MOVE_SLOTS = (
    "Only a part of the cluster is full: move slots to primaries with room, unless one key or hash tag holds it."
)
# A shard this much fuller than the emptiest is worth a sentence, once it is near its limit.
_SKEWED, _NEAR = 0.30, 0.70


def far_apart(cluster: ClusterView) -> tuple[NodeView, NodeView] | None:
    """The emptiest and the fullest primary, where the one is near its limit and the other far from it."""
    known = sorted(
        (view for view in cluster.primaries if view.pressure is not None), key=lambda view: view.pressure or 0
    )
    if len(known) < 2:
        return None
    low, high = known[0].pressure or 0.0, known[-1].pressure or 0.0
    return None if high < _NEAR or high - low < _SKEWED else (known[0], known[-1])


def _all_well(cluster: ClusterView) -> bool:
    return all(view.verdict is None or view.verdict.level is Level.OK for view in cluster.primaries)


def _lost(cluster: ClusterView) -> str:
    share = sum(view.node.slots for view in cluster.lost) / 16384
    return f"{node_names(cluster.lost)} did not answer: nothing is known of {percent(share)} of the slots."


def node_names(nodes: Iterable[NodeView | str]) -> str:
    """The first few of them."""
    names = [safe_text(node if isinstance(node, str) else node.name, 80) for node in nodes]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more)} more" if more > 0 else "")
