"""The nodes that an action is carried out on, by name; a server without a cluster is a deployment of one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.node_settings import NodeSettings
from redis_oom_tui.actions.planning import PlanMaker
from redis_oom_tui.actions.rights import Rights
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import BadInput, KeyMoved, OtherServer
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.ports.operator import Planning, SettingChanges
from redis_oom_tui.rules.plan_warnings import other_server
from redis_oom_tui.server.live import LiveServer


class Place(NamedTuple):
    """A node by its name; `asking` for what it has of slots that it takes over, each command behind ASKING."""

    node: str
    asking: bool = False


class ActionNode(NamedTuple):
    """A server that is acted on, and what may be done to it."""

    server: LiveServer
    rights: Rights


MakePlan = Callable[[Place, Criteria], PlanMaker]
"""A plan in the making of the keys in one place."""


class Deployment(Protocol):
    """Where the keys of a plan and of a backup are, and whose settings are changed."""

    @property
    def name(self) -> str:
        """What it is called in the audit file."""

    @property
    def clustered(self) -> bool:
        """Whether keys are placed by slot."""

    @property
    def connection(self) -> Connection:
        """How it is reached."""

    @property
    def primaries(self) -> tuple[str, ...]:
        """The names of the nodes that hold keys."""

    @property
    def serves_all_slots(self) -> bool:
        """Whether all keys there are can be asked for: False where no node serves some slots of a cluster."""

    @property
    def shown(self) -> str:
        """The name of the node whose figures are shown."""

    def alone(self, name: str) -> "Deployment":
        """The node called `name` and no other. Raises ServerUnreachable where there is none."""

    def node(self, place: Place, /) -> ActionNode:
        """The server there. Raises ServerUnreachable where there is none of that name now."""

    async def refresh(self) -> None:
        """Ask who serves what. Raises where nobody tells."""

    def recognize(self, plan: Plan, snapshots: Sequence[Snapshot], /) -> None:
        """Raise OtherServer where this is not what `plan` was made on; `snapshots` are of the nodes that answered."""

    def place_of(self, key: bytes, refused_by: Place | None = None, refusal: KeyMoved | None = None, /) -> Place | None:
        """Where to try `key` next: where ASK sent it on to, else with whoever serves its slot now; None without one."""

    def holders(self, plan: Plan, /) -> list[str]:
        """The node that has each key now: another than planned, where that one is not a primary any more."""

    def planning(self, criteria: Criteria, make: MakePlan, /) -> Planning:
        """A plan by `criteria` that has not been looked for yet; `make` makes the part of one node."""

    def settings(self, context: ActionContext, /) -> SettingChanges:
        """Reads and sets the settings of all nodes."""


class Standalone:
    """One server, without a cluster or by itself. Implements `Deployment`."""

    clustered = False
    serves_all_slots = True

    def __init__(self, server: LiveServer, rights: Rights | None = None) -> None:
        self._node = ActionNode(server, rights or Rights(server))

    @property
    def name(self) -> str:
        """The address of the server."""
        return str(self._node.server.address)

    @property
    def connection(self) -> Connection:
        return self._node.server.connection

    @property
    def primaries(self) -> tuple[str, ...]:
        """The only one."""
        return (self.name,)

    @property
    def shown(self) -> str:
        """The only one."""
        return self.name

    def alone(self, _name: str) -> "Standalone":
        """It is alone."""
        return self

    def node(self, _place: Place, /) -> ActionNode:
        """The only one."""
        return self._node

    async def refresh(self) -> None:
        """Nothing can move."""

    def recognize(self, plan: Plan, snapshots: Sequence[Snapshot], /) -> None:
        """By its run id, else by its address."""
        for snapshot in snapshots:
            if other := other_server(plan, self.name, snapshot.server.run_id):
                raise OtherServer(other)

    def place_of(self, *_: object) -> Place | None:
        """Always here."""
        return Place(self.name)

    def holders(self, plan: Plan, /) -> list[str]:
        """The only one."""
        return [self.name] * len(plan.keys)

    def planning(self, criteria: Criteria, make: MakePlan, /) -> PlanMaker:
        """The plan of the only node. Raises BadInput where another is meant."""
        if criteria.node not in ("", self.name):
            raise BadInput(f"{criteria.node!r} is another server: this is {self.name}")
        return make(Place(self.name), criteria)

    def settings(self, context: ActionContext) -> SettingChanges:
        """Of the only one."""
        return NodeSettings(context, *self._node)


def prefixed(node: str, sentence: str) -> str:
    """`sentence` with its node in front, unless it begins with that.

    >>> prefixed("n:1", "it is full"), prefixed("n:1", "n:1 refuses connections")
    ('n:1: it is full', 'n:1 refuses connections')
    """
    return sentence if sentence.startswith(f"{node} ") else f"{node}: {sentence}"
