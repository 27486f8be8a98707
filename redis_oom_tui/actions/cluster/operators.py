"""An operator for each node of a cluster, made on first use."""

from collections.abc import Callable

from redis_oom_tui.actions.deployment import Place
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer


class Operators:
    """The operators of the nodes of `source`, by name; `make` makes one of a server."""

    def __init__(self, source: ClusterSource, make: Callable[[LiveServer], LiveOperator]) -> None:
        self._source = source
        self._make = make
        self._made: dict[tuple[str, bool], LiveOperator] = {}

    @property
    def primaries(self) -> list[str]:
        """The names of the nodes that serve slots."""
        return [node.name for node in self._source.topology.primaries]

    @property
    def shown_name(self) -> str:
        """The node that the source shows; before its first snapshot, the first primary."""
        names = self.primaries
        if self._source.shown in names:
            return self._source.shown
        return names[0] if names else str(self._source.address)

    def shown(self) -> LiveOperator:
        """Acts on the node that is shown."""
        return self.at(self.shown_name)

    def in_place(self, place: Place) -> LiveOperator:
        """Acts there."""
        return self.asking(place.node) if place.asking else self.at(place.node)

    def at(self, name: str) -> LiveOperator:
        """Acts on the node called so; raises ServerUnreachable where there is none."""
        given = name == str(self._source.address)
        return self._at(
            name, lambda: self._source.members.at(self._source.address) if given else self._source.node(name)
        )

    def asking(self, name: str) -> LiveOperator:
        """Acts on what that node has already of slots that it takes over, and on nothing else there."""
        return self._at(name, lambda: self._source.members.importer(name), asking=True)

    def _at(self, name: str, server: Callable[[], LiveServer], *, asking: bool = False) -> LiveOperator:
        if (name, asking) not in self._made:
            self._made[name, asking] = self._make(server())
        return self._made[name, asking]

    async def close(self) -> None:
        """Settle what still waits on any node."""
        for operator in self._made.values():
            await operator.close()
