"""The nodes that an action is carried out on, by name; a server without a cluster is a deployment of one."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import KeyMoved
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.server.cluster.topology import Topology
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.pinned_connection import OtherServer


class Place(NamedTuple):
    """A node by its name; `asking` for what it has of slots that it takes over, each command behind ASKING."""

    node: str
    asking: bool = False


class ActionNode(NamedTuple):
    """A server that is acted on; `learn` finds out, once, what may be used there."""

    server: LiveServer
    learn: Callable[[], Awaitable[Capabilities]]


class Deployment(Protocol):
    """Where the keys of a plan and of a backup are."""

    @property
    def clustered(self) -> bool:
        """Whether keys are placed by slot."""

    @property
    def name(self) -> str:
        """What it is called in the audit file."""

    async def refresh(self) -> None:
        """Ask who serves what. Raises where nobody tells."""

    def recognize(self, plan: Plan, snapshots: Sequence[Snapshot], /) -> None:
        """Raise OtherServer where this is not what `plan` was made on; `snapshots` are of the nodes that answered."""

    def place_of(self, key: bytes, refused_by: Place | None = None, refusal: KeyMoved | None = None, /) -> Place | None:
        """Where to try `key` next: where ASK sent it on to, else with whoever serves its slot now; None without one."""

    def node(self, place: Place, /) -> ActionNode:
        """The server there. Raises ServerUnreachable where there is none of that name now."""


class Standalone:
    """One server without a cluster. Implements `Deployment`."""

    clustered = False

    def __init__(self, server: LiveServer, learn: Callable[[], Awaitable[Capabilities]]) -> None:
        self._node = ActionNode(server, learn)
        self._place = Place(str(server.address))

    @property
    def name(self) -> str:
        """The address of the server."""
        return str(self._node.server.address)

    async def refresh(self) -> None:
        """Nothing can move."""

    def recognize(self, plan: Plan, snapshots: Sequence[Snapshot], /) -> None:
        """By its run id, else by its address."""
        here, then = str(self._node.server.address), plan.run_id
        for now in (snapshot.server.run_id for snapshot in snapshots):
            if (now != then) if now and then else (here != plan.server):
                raise OtherServer(
                    f"{here} is not the server of this plan ({plan.server}), or was restarted since (its run id"
                    " changed): make the plan again"
                )

    def place_of(self, *_: object) -> Place | None:
        """Always here."""
        return self._place

    def node(self, _place: Place, /) -> ActionNode:
        """The only one."""
        return self._node


class PlacementNodes(Protocol):
    """What finding the place of a key needs of the cluster."""

    @property
    def topology(self) -> Topology:
        """Who serves what, as last asked."""

    async def refresh(self) -> bool:
        """Ask who serves what; whether it changed."""

    def owner(self, key: bytes) -> str | None:
        """The name of the node that serves `key` now."""

    def sends_on(self, name: str, refusal: KeyMoved) -> str | None:
        """The node that a key is to be asked of behind ASKING, after the node called `name` refused it so."""


class Cluster:
    """The primaries of a cluster, and nodes that take over slots. Implements `Deployment`; `at` gives the servers."""

    clustered = True

    def __init__(self, address: str, nodes: PlacementNodes, at: Callable[[Place], ActionNode]) -> None:
        self._address = address
        self._nodes = nodes
        self._at = at

    @property
    def name(self) -> str:
        """As the plans of a cluster name it."""
        return f"the cluster behind {self._address}"

    async def refresh(self) -> None:
        """Ask who serves what."""
        await self._nodes.refresh()

    def recognize(self, plan: Plan, _snapshots: Sequence[Snapshot], /) -> None:
        """By the names of its nodes."""
        known = {node.name for node in self._nodes.topology.nodes}
        planned = {key.id.node for key in plan.keys} - {""} or {plan.server}
        if known.isdisjoint(planned):
            raise OtherServer(f"this is not the cluster of the plan (made on {plan.server}): none of its nodes is here")

    def place_of(self, key: bytes, refused_by: Place | None = None, refusal: KeyMoved | None = None, /) -> Place | None:
        """By its slot."""
        heir = None if refused_by is None or refusal is None else self._nodes.sends_on(refused_by.node, refusal)
        if heir is not None:
            return Place(heir, asking=True)
        owner = self._nodes.owner(key)
        return None if owner is None else Place(owner)

    def node(self, place: Place, /) -> ActionNode:
        """As the cluster names it."""
        return self._at(place)


def said_by(node: str, sentence: str) -> str:
    """`sentence` with its node in front, unless it begins with that.

    >>> said_by("n:1", "it is full"), said_by("n:1", "n:1 refuses connections")
    ('n:1: it is full', 'n:1 refuses connections')
    """
    return sentence if sentence.startswith(f"{node} ") else f"{node}: {sentence}"
