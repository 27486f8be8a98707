"""The members of a cluster: who serves what, as last asked, and a server for each of them."""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.errors import CommandRefused, KeyMoved, NotRedis, ServerUnreachable, TriageError
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.cluster.topology import Owners, Topology, discover
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.live import LiveServer


class Servers:
    """Makes a server of each address, reached as `connection` says. Each way of reaching it has its own connections.

    `superseded` asks whether what the node at an address served is served elsewhere now.
    """

    def __init__(
        self, connection: Connection, monotonic: Callable[[], float], superseded: Callable[[Address], Awaitable[bool]]
    ) -> None:
        self._connection = replace(connection, cluster=False, sentinel=None)
        self._monotonic = monotonic
        self._superseded = superseded
        self._made: dict[Connection, LiveServer] = {}
        self._closed = False

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
        """Let go of every connection. What is under way asks the same servers, which know that they are closed; so do
        those of nodes that are first met then.
        """
        self._closed = True
        async with contextlib.AsyncExitStack() as leaving:
            for server in self._made.values():
                leaving.push_async_callback(server.close)

    def reopen(self) -> None:
        """Where they were closed: each is made anew, and keeps its connections again."""
        if self._closed:
            self._made, self._closed = {}, False

    def _server(self, connection: Connection) -> LiveServer:
        if connection not in self._made:
            made = LiveServer(connection, monotonic=self._monotonic, closed=self._closed)
            self._made[connection] = made
            made.superseded = partial(self._superseded, connection.address)
        return self._made[connection]


# Who serves what changes rarely; a lost node or a changed role asks for it at once.
_TOPOLOGY_EVERY = 10.0
# So many nodes are asked whether another one is lost for good: they may be lost as well.
_ASKED_OF = 3
# Nodes named where one is asked for that is not there.
_NAMED = 12


class Nodes:
    """The nodes of the cluster behind `connection`. What changed of them is said once, in `new_notes`."""

    def __init__(self, connection: Connection, monotonic: Callable[[], float]) -> None:
        self.address = connection.address
        self._monotonic = monotonic
        self._servers = Servers(connection, monotonic, self._superseded)
        self._topology: Topology | None = None
        self._served: set[Address] = set()
        self._due = 0.0
        self._owners: Owners | None = None
        self._answered: tuple[Address, ...] = ()
        self._new_notes: list[str] = []

    @property
    def topology(self) -> Topology:
        """Who serves what, as last asked."""
        return self._topology or Topology(())

    @property
    def due(self) -> bool:
        """Whether it is time to ask who serves what."""
        return self._topology is None or self._monotonic() >= self._due

    def new_notes(self) -> tuple[str, ...]:
        """What has changed since this was asked last."""
        new_notes, self._new_notes = tuple(self._new_notes), []
        return new_notes

    async def open(self) -> None:
        """Connect to the node that was given, and find the others. Raises one of `models.errors`."""
        self._servers.reopen()
        seed = self.at(self.address)
        await seed.open()
        await self._discover(seed)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._servers.close()

    def at(self, address: Address) -> LiveServer:
        """The server at `address`, made on first use."""
        return self._servers.at(address)

    def node(self, name: str) -> LiveServer:
        """The node called `name`, as a source of its own. Raises ServerUnreachable where there is none."""
        return self._servers.at(self._address_of(name))

    def importer(self, name: str) -> LiveServer:
        """The node called `name`, for the keys that it has of slots that are not its own yet. Raises as `node` does."""
        return self._servers.importer(self._address_of(name))

    def replica_of(self, name: str, but: Collection[str] = ()) -> LiveServer | None:
        """A replica of the node called `name` that answers and is none of `but`, for reading keys; None without one."""
        fit = [
            node.address
            for node in self.topology.nodes
            if node.primary == name != node.name and not node.failed and node.name not in but
        ]
        fit.sort(key=lambda address: address not in self._answered)
        return self._servers.reader(fit[0]) if fit else None

    def primaries(self) -> tuple[LiveServer, ...]:
        """The servers that serve slots, in the order of their slots."""
        return tuple(self.at(node.address) for node in self.topology.primaries)

    def owner(self, key: bytes) -> str | None:
        """The name of the node that serves `key`, as last asked; None where none does."""
        if self._owners is None:
            self._owners = self.topology.owners()
        found = self._owners.of_key(key)
        return None if found is None else found.name

    def sends_on(self, name: str, refusal: KeyMoved) -> str | None:
        """The node that a key is to be asked of behind ASKING, after the node called `name` refused it so."""
        asked = self.topology.by_name(name)
        successor = None if asked is None else self.topology.node_at(refusal.asks or "", asked.address)
        return None if successor is None else successor.name

    def answered(self, addresses: Iterable[Address]) -> None:
        """These answered last: they are asked first."""
        self._answered = tuple(addresses)

    async def refresh(self) -> bool:
        """Ask who serves what, of the first node that answers; True where that changed since. Raises if none does."""
        failure: TriageError | None = None
        rest = [node.address for node in self.topology.nodes]
        # The one that was given is always among them.
        for address in dict.fromkeys([*self._answered, self.address, *rest]):
            try:
                return await self._discover(self.at(address))
            except TriageError as error:
                failure = error
        raise failure or ServerUnreachable(f"no node of the cluster behind {self.address} answers")

    async def _superseded(self, address: Address) -> bool:
        """Whether the node at `address` served slots, and another that answers says that it does no more."""
        others = dict.fromkeys([*self._answered, *(node.address for node in self.topology.primaries)])
        for other in [other for other in others if other != address][:_ASKED_OF]:
            with contextlib.suppress(TriageError):
                await self._discover(self.at(other))
                break
        return address in self._served and all(node.address != address for node in self.topology.primaries)

    def _address_of(self, name: str) -> Address:
        known = self.topology.by_name(name)
        if known is None:
            nodes = sorted(node.name for node in self.topology.nodes)
            names = ", ".join(nodes[:_NAMED]) + (f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else "")
            raise ServerUnreachable(f"the cluster has no node {name} now; it has {names}")
        return known.address

    async def _discover(self, server: LiveServer) -> bool:
        try:
            with translated(server.address, "CLUSTER SLOTS"):
                found = await discover(server.client(), server.address)
        except CommandRefused as error:
            if "cluster support disabled" in error.text.lower():
                raise NotRedis(f"{server.address} is not part of a cluster: leave out -c") from None
            raise
        if not found.primaries:
            raise NotRedis(f"{server.address} knows no node that serves slots: it was never joined to a cluster")
        before, self._topology, self._owners = self._topology, found, None
        self._served.update(node.address for node in found.primaries)
        self._due = self._monotonic() + _TOPOLOGY_EVERY
        if before is None or before == found:
            return False
        self._new_notes += _what_changed(before, found)
        return True


def _what_changed(before: Topology, now: Topology) -> list[str]:
    old, new = ({node.name: node for node in each.primaries} for each in (before, now))
    notes = []
    for name in new.keys() - old.keys():
        known = before.by_name(name)
        replaced = None if known is None or known.is_primary else known.primary
        taken = f" instead of {replaced}" if replaced in old and replaced not in new else ""
        notes.append(f"{name} is a primary now{taken}")
    notes += [f"{name} is not a primary any more" for name in old.keys() - new.keys()]
    moved = sum(new[name].slots != old[name].slots for name in new.keys() & old.keys())
    if moved:
        notes.append(f"slots moved: {moved} primaries serve other slots than before")
    return sorted(notes)
