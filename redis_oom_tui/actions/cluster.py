"""A cluster as what an action is carried out on: its primaries, heirs of slots, and a plan over all of them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from redis_oom_tui.actions.cluster_settings import ClusterSettings
from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.deployment import ActionNode, MakePlan, Place, Standalone
from redis_oom_tui.actions.node_settings import NodeSettings
from redis_oom_tui.actions.planning import PlanMaker, flags_of_keys
from redis_oom_tui.actions.rights import Rights
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.settings import listed
from redis_oom_tui.models.action import PlanningState, PlanningView
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import BadInput, KeyMoved, OtherServer
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import selection
from redis_oom_tui.rules.cluster import cluster_behind
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.cluster.topology import new_nodes
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.tasks import run_all

Sent = Mapping[str, Sequence[KeyId]]
_Made = Sequence[tuple[str, Plan]]


class NodeMakers:
    """Makes the parts of a plan by `criteria`, each by `make`."""

    def __init__(self, source: ClusterSource, criteria: Criteria, make: MakePlan) -> None:
        self._source = source
        self._criteria = criteria
        self._make = make
        self._limit = selection.SharedLimit(criteria)

    def on(self, new_nodes: Collection[str]) -> dict[str, PlanMaker]:
        """A maker for each primary by its name, and for `new_nodes`, which take over their first slots."""
        made = {}
        for name in [*(node.name for node in self._source.topology.primaries), *new_nodes]:
            own = self._share(name)
            if own is not None:
                made[name] = self._make(Place(name), own)
                made[name].share(self._limit)
                made[name].elsewhere = {}
        return made

    def asking(self, keys: Sent) -> dict[str, PlanMaker]:
        """A maker for each of the nodes called so, of keys that it has already of slots that are not its own yet."""
        wanted = tuple(KeyId(key.db, key.key) for key in self._criteria.keys)
        made = {}
        for name, theirs in keys.items():
            made[name] = self._make(Place(name, asking=True), replace(self._criteria, keys=wanted))
            made[name].share(self._limit)
            made[name].only = frozenset(theirs)
        return made

    def _share(self, name: str) -> Criteria | None:
        """The part of the criteria that concerns the node; None where another is meant, or has all marked keys."""
        if self._criteria.node not in ("", name):
            return None
        if not self._criteria.keys:
            return self._criteria
        owner = self._source.members.owner
        own = tuple(KeyId(key.db, key.key) for key in self._criteria.keys if owner(key.key) == name)
        return replace(self._criteria, keys=own) if own else None


class ClusterPlanMaker:
    """A plan in the making on every primary of `nodes`. Implements `ports.Planning`.

    Keys that a node sends on, or has of slots that are not its own yet, are then asked for where they are.
    """

    def __init__(
        self,
        where: str,
        criteria: Criteria,
        nodes: ClusterSource,
        makers: NodeMakers,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._where = where
        self._criteria = criteria
        self._nodes = nodes
        self._make = makers
        self._makers: Mapping[str, PlanMaker] = {}
        self._askers: Mapping[str, PlanMaker] = {}
        self._wall = wall
        self._ended: PlanningView | None = None
        self._clock = ActiveClock()
        self._stop = False
        self._unasked = False

    def stop(self) -> None:
        """End after the pages in flight."""
        self._stop = True
        for maker in (*self._makers.values(), *self._askers.values()):
            maker.stop()

    def view(self) -> PlanningView:
        """How far it is."""
        return self._ended or self._together()

    async def run(self) -> PlanningView:
        """Look on every node, and freeze what fits best of all that was found."""
        self._clock.start()
        self._makers = self._make.on(await new_nodes(self._nodes))
        views = await self._all(self._makers)
        sent_on = self._sent_on()
        self._unasked = self._stop and bool(sent_on)
        self._askers = {} if self._stop else self._make.asking(sent_on)
        asked = await self._all(self._askers)
        self._clock.stop()
        together = self._together()
        plans = [(name, view.plan) for name, view in (*views, *asked) if view.plan is not None]
        if not plans:
            errors = [view.error for _, view in views if view.error is not None]
            error = errors[0] if errors else "no primary of the cluster could be read"
            self._ended = replace(together, state=PlanningState.FAILED, error=error)
            return self._ended
        state = PlanningState.STOPPED if self._stop else PlanningState.COMPLETE
        lost = [str(view.error) for _, view in (*views, *asked) if view.plan is None]
        # As on one node: the screen must answer while a hundred thousand keys are looked through and hashed.
        self._ended = replace(together, state=state, plan=await asyncio.to_thread(self._joined, plans, lost))
        return self._ended

    async def _all(self, makers: Mapping[str, PlanMaker]) -> list[tuple[str, PlanningView]]:
        if self._stop:
            self.stop()
        views = await run_all(list(makers.values()))
        return list(zip(makers, views, strict=True))

    def _sent_on(self) -> Sent:
        """Which keys are to be asked for where: at the node that ASK named, or at the one that listed a stranger."""
        found: dict[str, list[KeyId]] = defaultdict(list)
        for name, maker in self._makers.items():
            asked = self._nodes.topology.by_name(name)
            for key, asks in (maker.elsewhere or {}).items():
                successor = None if asks is None or asked is None else self._nodes.topology.node_at(asks, asked.address)
                found[name if successor is None else successor.name].append(key)
        return found

    def _together(self) -> PlanningView:
        views = [maker.view() for maker in self._makers.values()]
        # What the askers look at was scanned already.
        every = views + [maker.view() for maker in self._askers.values()]
        slowest = max(every, key=lambda view: view.throttled, default=PlanningView())
        return PlanningView(
            scanned_keys=sum(view.scanned_keys for view in views),
            total_keys=sum(view.total_keys for view in views),
            matched_keys=sum(view.matched_keys for view in every),
            matched_bytes=sum(view.matched_bytes for view in every),
            elapsed_seconds=self._clock.elapsed,
            phase=slowest.phase,
            throttled=slowest.throttled,
        )

    def _joined(self, plans: _Made, lost: Sequence[str]) -> Plan:
        chosen = selection.Selected(self._criteria)
        seen: set[tuple[int, bytes]] = set()
        twice = []
        for name, plan in plans:
            for key in plan.keys:
                # A slot that moved meanwhile was read on both of its nodes; the run asks whoever serves it then.
                if (identity := (key.id.db, key.id.key)) in seen:
                    twice.append(key)
                    continue
                seen.add(identity)
                chosen.add(replace(key, id=replace(key.id, node=name)))
        keys = chosen.taken()
        # What follows from the keys of one node is said once, of all.
        counted = {flag for _, plan in plans for flag in flags_of_keys(plan.keys, plan.operation)}
        flags = dict.fromkeys(flag for _, plan in plans for flag in plan.flags if flag not in counted)
        without = [f"{error}: its keys are not in the plan." for error in lost]
        first = plans[0][1]
        limits = [plan.limit_bytes for _, plan in plans]
        # An asker's keys were counted where they were scanned.
        scanned = [
            plan for index, (name, plan) in enumerate(plans) if name not in [other for other, _ in plans[:index]]
        ]
        return frozen(
            replace(
                first,
                keys=keys,
                criteria=self._criteria,
                made_at=self._wall(),
                server=cluster_behind(self._where),
                run_id=None,
                keyspace_keys=sum(plan.keyspace_keys for plan in scanned),
                scanned_keys=sum(plan.scanned_keys for plan in scanned),
                complete=not lost and all(plan.complete for _, plan in plans) and not self._unasked,
                flags=(*flags, *flags_of_keys(keys, first.operation), *map(safe_text, without)),
                matched_keys=sum(plan.matched_keys for _, plan in plans) - len(twice),
                matched_bytes=_known_bytes([plan for _, plan in plans], twice),
                role="1 primary" if len(scanned) == 1 else f"{len(scanned)} primaries",
                limit_bytes=None if None in limits else sum([limit or 0 for limit in limits]),
            )
        )


def _known_bytes(plans: Sequence[Plan], twice: Sequence[PlannedKey]) -> int:
    """What all keys that matched hold; 0 where that is not known of a node's."""
    if any(plan.matched_keys and not plan.matched_bytes for plan in plans):
        return 0
    return sum(plan.matched_bytes for plan in plans) - sum(key.size or 0 for key in twice)


class Cluster:
    """The nodes of `source`. Implements `Deployment`."""

    clustered = True

    def __init__(self, source: ClusterSource, *, wall: Callable[[], float] = time.time) -> None:
        self._source = source
        self._members = source.members
        self._wall = wall
        self._nodes: dict[Place, ActionNode] = {}

    @property
    def name(self) -> str:
        """As plans name it."""
        return cluster_behind(self._source.address)

    @property
    def connection(self) -> Connection:
        return self._source.connection

    @property
    def primaries(self) -> tuple[str, ...]:
        return tuple(node.name for node in self._source.topology.primaries)

    @property
    def serves_all_slots(self) -> bool:
        """Whether each slot has a node, as last asked."""
        return not self._source.topology.open_slots

    @property
    def shown(self) -> str:
        """The node that the source shows; before its first snapshot, the first primary."""
        names = self.primaries
        if self._source.shown in names:
            return self._source.shown
        return names[0] if names else str(self._source.address)

    def alone(self, name: str) -> Standalone:
        return Standalone(*self.node(Place(name)))

    def node(self, place: Place, /) -> ActionNode:
        """As the cluster names it."""
        if place not in self._nodes:
            server = self._server(place)
            self._nodes[place] = ActionNode(server, Rights(server))
        return self._nodes[place]

    def _server(self, place: Place) -> LiveServer:
        if place.asking:
            return self._members.importer(place.node)
        given = place.node == str(self._source.address)
        return self._members.at(self._source.address) if given else self._source.node(place.node)

    async def refresh(self) -> None:
        await self._members.refresh()

    def recognize(self, plan: Plan, _snapshots: Sequence[Snapshot], /) -> None:
        """By the names of its nodes."""
        known = {node.name for node in self._source.topology.nodes}
        planned = {key.id.node for key in plan.keys} - {""} or {plan.server}
        if known.isdisjoint(planned):
            raise OtherServer(f"this is not the cluster of the plan (made on {plan.server}): none of its nodes is here")

    def place_of(self, key: bytes, refused_by: Place | None = None, refusal: KeyMoved | None = None, /) -> Place | None:
        """By its slot."""
        successor = None if refused_by is None or refusal is None else self._members.sends_on(refused_by.node, refusal)
        if successor is not None:
            return Place(successor, asking=True)
        owner = self._members.owner(key)
        return None if owner is None else Place(owner)

    def holders(self, plan: Plan, /) -> list[str]:
        """By name while that is a primary, else by its slot."""
        serving = set(self.primaries)
        named = [(key.id.node, key.id.key) for key in plan.keys]
        return [name if name in serving else self._members.owner(key) or name or "?" for name, key in named]

    def planning(self, criteria: Criteria, make: MakePlan, /) -> ClusterPlanMaker:
        """Over all primaries, or the one that is meant. Raises BadInput where that is none."""
        if criteria.node and criteria.node not in self.primaries:
            primaries = listed(self.primaries)
            raise BadInput(f"{criteria.node} is not a primary of the cluster now. Its primaries: {primaries}")
        makers = NodeMakers(self._source, criteria, make)
        return ClusterPlanMaker(str(self._source.address), criteria, self._source, makers, self._wall)

    def settings(self, context: ActionContext) -> ClusterSettings:
        """Of every node, replicas too."""
        return ClusterSettings(
            self._source, lambda name: NodeSettings(context, *self.node(Place(name))), lambda: self.shown
        )
