"""Where a key is acted on: the node that serves its slot, or the one that has it already of a slot half moved."""

from typing import NamedTuple, Protocol

from redis_oom_tui.models.errors import KeyMoved
from redis_oom_tui.server.cluster.topology import Topology


class Place(NamedTuple):
    """A node by its name; `asking` for what it has of slots that it takes over, each command behind ASKING."""

    node: str
    asking: bool = False


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


def place_of(nodes: PlacementNodes, key: bytes, refused_by: Place | None, refusal: KeyMoved | None) -> Place | None:
    """Where to try `key` next: where ASK sent it on to, else with whoever serves its slot now; None without one."""
    heir = None if refused_by is None or refusal is None else nodes.sends_on(refused_by.node, refusal)
    if heir is not None:
        return Place(heir, asking=True)
    owner = nodes.owner(key)
    return None if owner is None else Place(owner)


def said_by(node: str, sentence: str) -> str:
    """`sentence` with its node in front, unless it begins with that.

    >>> said_by("n:1", "it is full"), said_by("n:1", "n:1 refuses connections")
    ('n:1: it is full', 'n:1 refuses connections')
    """
    return sentence if sentence.startswith(f"{node} ") else f"{node}: {sentence}"
