"""A cluster of primaries with a replica each, on the loopback, from the bundled Valkey."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.structs import replace
from tests.support.ports import BUS, free_ports
from tests.support.servers import RunningServer, started
from tests.support.waiting import until

SLOTS = 16384
# While the nodes meet they ping each other often; in a test whose nodes all live, none may be taken for dead by a
# loaded machine.
_MEETING_MS = 1500
STEADY_MS = 30_000
_TRIES = 5
QUICK_MS = 2000
"""For tests that kill a primary and wait for its replica."""


@dataclass
class Node:
    """One server of the cluster; `server` is also on its unix socket, for the test's own hands."""

    server: RunningServer
    port: int
    bus: int

    @property
    def name(self) -> str:
        """As the product calls it."""
        return f"127.0.0.1:{self.port}"

    @property
    def id(self) -> str:
        """The node's own id."""
        with self.server.client() as client:
            return str(client.execute_command("CLUSTER MYID"), "ascii")

    def role(self) -> str:
        """master or slave, as the node itself sees it."""
        with self.server.client() as client:
            return str(client.info("replication")["role"])


@dataclass
class RunningCluster:
    """`nodes` are the primaries in the order of their slots, then a replica of each, in the same order."""

    primaries: list[Node]
    replicas: list[Node]

    @property
    def nodes(self) -> list[Node]:
        """All of them."""
        return [*self.primaries, *self.replicas]

    @property
    def connection(self) -> Connection:
        """How the product is given it: one node, and -c."""
        return Connection(Address(port=self.primaries[0].port), cluster=True)

    def owner(self, slot: int) -> Node:
        """The primary that was given `slot` at the start."""
        return self.primaries[min(slot * len(self.primaries) // SLOTS, len(self.primaries) - 1)]


def slot_range(index: int, count: int) -> tuple[int, int]:
    """The first and last slot of primary `index` of `count`."""
    return -(-index * SLOTS // count), -(-(index + 1) * SLOTS // count) - 1


@contextmanager
def clustered(
    count: int = 3, *config: str, replicas: bool = True, timeout_ms: int = STEADY_MS, flavour: str = "valkey"
) -> Iterator[RunningCluster]:
    """A cluster that is up: every node knows every other, every replica is in step.

    `timeout_ms` is how long a node may be silent before the others count it as failed.
    """
    lines = ("bind 127.0.0.1", "cluster-enabled yes", f"cluster-node-timeout {_MEETING_MS}", *config)
    lines += ("repl-diskless-sync yes", "repl-diskless-sync-delay 0", "cluster-require-full-coverage no")
    with ExitStack() as stack:
        nodes = [_node(stack, flavour, lines) for _ in range(count * (2 if replicas else 1))]
        cluster = RunningCluster(nodes[:count], nodes[count:])
        _join(cluster)
        for node in cluster.nodes:
            with node.server.client() as client:
                client.config_set("cluster-node-timeout", timeout_ms)
        yield cluster


def _node(stack: ExitStack, flavour: str, lines: tuple[str, ...]) -> Node:
    """A node on ports of its own; on others where somebody took one of them in the meantime."""
    for _ in range(_TRIES):
        try:
            return stack.enter_context(_started(flavour, lines))
        except RuntimeError as error:
            failure = error
    raise failure


@contextmanager
def _started(flavour: str, lines: tuple[str, ...]) -> Iterator[Node]:
    if flavour == "redis6":
        # It has no setting for the port of its bus.
        port = free_ports()[0]
        bus = port + BUS
        ports: tuple[str, ...] = (f"port {port}",)
    else:
        port, bus = free_ports(2)
        ports = (f"port {port}", f"cluster-port {bus}")
    with started(flavour, *ports, *lines) as server:
        yield Node(server, port, bus)


def _join(cluster: RunningCluster) -> None:
    first = cluster.primaries[0]
    for epoch, node in enumerate(cluster.nodes, start=1):
        with node.server.client() as client:
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
            if node is not first:
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, first.bus)
    for index, node in enumerate(cluster.primaries):
        with node.server.client() as client:
            first_slot, last_slot = slot_range(index, len(cluster.primaries))
            # ADDSLOTSRANGE is of Redis 7.
            client.execute_command("CLUSTER ADDSLOTS", *range(first_slot, last_slot + 1))
    until(lambda: all(_knows(node, len(cluster.nodes)) for node in cluster.nodes), "the nodes to meet")
    for primary, node in zip(cluster.primaries, cluster.replicas, strict=False):
        with node.server.client() as client:
            client.execute_command("CLUSTER REPLICATE", primary.id)
    until(lambda: all(_ready(node) for node in cluster.nodes), "the cluster to be ready")
    until(lambda: all(_in_step(node) for node in cluster.replicas), "the replicas in step")
    until(lambda: all(_sees_replicas(node, cluster) for node in cluster.nodes), "all to know the replicas")


def _lines(node: Node) -> list[str]:
    with node.server.client() as client:
        client.response_callbacks.pop("CLUSTER NODES", None)
        return str(client.execute_command("CLUSTER NODES"), "ascii").splitlines()


def _knows(node: Node, count: int) -> bool:
    lines = _lines(node)
    return len(lines) == count and not any("handshake" in line or "noaddr" in line for line in lines)


def _ready(node: Node) -> bool:
    with node.server.client() as client:
        info: dict[str, str] = client.execute_command("CLUSTER INFO")
    return info.get("cluster_state") == "ok" and info.get("cluster_slots_ok") == str(SLOTS)


def _in_step(node: Node) -> bool:
    with node.server.client() as client:
        return str(client.info("replication").get("master_link_status")) == "up"


def _sees_replicas(node: Node, cluster: RunningCluster) -> bool:
    return sum(" slave " in line or ",slave" in line for line in _lines(node)) == len(cluster.replicas)


def half_moved(cluster: RunningCluster, slot: int, target: Node, *names: bytes) -> None:
    """Begin to move `slot` from its first owner to `target`, with the keys called so: a resharding that broke off."""
    source = cluster.owner(slot)
    with source.server.client() as old, target.server.client() as new:
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 60_000, "KEYS", *names)


def moved_slot(cluster: RunningCluster, slot: int, target: Node) -> None:
    """Move `slot` and its keys from its first owner to `target`, as a resharding does, and wait until all know."""
    source = cluster.owner(slot)
    with source.server.client() as old, target.server.client() as new:
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
        while keys := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 60_000, "KEYS", *keys)
    # The new owner first; the others are told too, as redis-cli does, and need not wait for gossip.
    for node in sorted(cluster.primaries, key=lambda node: (node is not target, node is not source)):
        with node.server.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", target.id)
    until(lambda: all(owns(node, slot, target) for node in cluster.primaries), "the slot's new owner to be known")


def take_over(replica: Node) -> None:
    """Make `replica` the primary of its shard now, whatever the others think: no election to wait for."""
    with replica.server.client() as client:
        client.execute_command("CLUSTER FAILOVER", "TAKEOVER")
    until(lambda: replica.role() == "master", "the replica to be the primary")


def owns(node: Node, slot: int, owner: Node) -> bool:
    """Whether `node` knows `owner` as the one that serves `slot`."""
    with node.server.client() as client:
        client.response_callbacks.pop("CLUSTER SLOTS", None)
        ranges: list[list[Any]] = client.execute_command("CLUSTER SLOTS")
    return any(start <= slot <= end and int(primary[1]) == owner.port for start, end, primary, *_ in ranges)


def through(cluster: RunningCluster, connection: Connection, node: Node) -> Connection:
    """`connection`, led to `node`."""
    return replace(connection, address=Address(port=node.port))
