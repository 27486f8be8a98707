"""The nodes of a cluster as servers of their own: each made on first use, and all let go together."""

from collections.abc import Callable

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer


class Servers:
    """Makes a server of each address, reached as `connection` says. Each way of reaching it has its own connections."""

    def __init__(self, connection: Connection, monotonic: Callable[[], float]) -> None:
        self._connection = replace(connection, cluster=False, sentinel=None)
        self._monotonic = monotonic
        self._made: dict[Connection, LiveServer] = {}

    def at(self, address: Address) -> LiveServer:
        """The node at `address`, for what it serves itself."""
        return self._server(replace(self._connection, address=address))

    def reader(self, address: Address) -> LiveServer:
        """The replica at `address`, for the keys of its primary."""
        return self._server(replace(self._connection, address=address, replica_reads=True))

    def importer(self, address: Address) -> LiveServer:
        """The node at `address`, for the keys that it has already of slots that it takes over."""
        return self._server(replace(self._connection, address=address, asking=True))

    async def close(self) -> None:
        """Let go of every connection."""
        servers, self._made = list(self._made.values()), {}
        for server in servers:
            await server.close()

    def _server(self, connection: Connection) -> LiveServer:
        if connection not in self._made:
            self._made[connection] = LiveServer(connection, monotonic=self._monotonic)
        return self._made[connection]
