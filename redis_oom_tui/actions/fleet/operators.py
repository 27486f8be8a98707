"""An operator for each node of a cluster, made on first use."""

from collections.abc import Callable

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.store.fleet.cluster import ClusterSource
from redis_oom_tui.store.live import LiveServer


class Operators:
    """The operators of the nodes of `source`, by name; `make` makes one of a server."""

    def __init__(self, source: ClusterSource, make: Callable[[LiveServer], LiveOperator]) -> None:
        self._source = source
        self._make = make
        self._made: dict[tuple[str, bool], LiveOperator] = {}

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
