"""A cluster as what an action is carried out on: its primaries, and the nodes that take over slots."""

import time
from collections.abc import Callable, Sequence

from redis_oom_tui.actions.cluster_planning import ClusterPlanMaker, NodeMakers
from redis_oom_tui.actions.cluster_settings import ClusterSettings
from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.deployment import ActionNode, MakePlan, Place, Standalone
from redis_oom_tui.actions.node_settings import NodeSettings
from redis_oom_tui.actions.rights import Rights
from redis_oom_tui.formatting.settings import listed
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import BadInput, KeyMoved, OtherServer
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.cluster import cluster_behind
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer


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
