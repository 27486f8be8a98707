"""A cluster at one moment: its nodes, worst first, and where they differ."""

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.frozen import dataclass
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node as the cluster itself lists it; `name` is its address.

    `primary` is the name of the node that it copies, its own for a primary. `ranges` are the slots that it serves,
    both ends included. `failed` is the cluster's own opinion.
    """

    name: str
    id: str
    address: Address
    primary: str
    ranges: tuple[tuple[int, int], ...] = ()
    failed: bool = False

    @property
    def is_primary(self) -> bool:
        """Whether it is no copy of another."""
        return self.primary == self.name

    @property
    def serves(self) -> bool:
        """Whether keys are written here: a primary with slots. One that failed over keeps its name, not its slots."""
        return self.is_primary and bool(self.ranges)

    @property
    def slots(self) -> int:
        """How many slots it serves."""
        return sum(last - first + 1 for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node and what it said: a snapshot with its verdict, or the sentence why there is none.

    `settings` are those that CONFIG GET told when last asked, empty where it did not.
    """

    node: ClusterNode
    snapshot: Snapshot | None = None
    verdict: Verdict | None = None
    error: str | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """Its address, as text."""
        return self.node.name

    @property
    def pressure(self) -> float | None:
        """The share of its limit in use; None without a limit or an answer."""
        return None if self.snapshot is None else self.snapshot.memory.pressure


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same on all primaries: each value and the nodes that have it, most common first."""

    name: str
    values: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The whole cluster: `nodes` are primaries and replicas, worst first; `open_slots` are served by nobody."""

    nodes: tuple[NodeView, ...]
    differences: tuple[Difference, ...] = ()
    open_slots: int = 0

    @property
    def primaries(self) -> tuple[NodeView, ...]:
        """Those that serve slots, worst first."""
        return tuple(view for view in self.nodes if view.node.serves)

    @property
    def replicas(self) -> tuple[NodeView, ...]:
        """Those that copy another."""
        return tuple(view for view in self.nodes if not view.node.is_primary)

    @property
    def lost(self) -> tuple[NodeView, ...]:
        """Primaries with slots that did not answer: nothing is known of their keys."""
        return tuple(view for view in self.primaries if view.snapshot is None)

    @property
    def keys(self) -> int | None:
        """Keys on all primaries; None where one of them did not answer."""
        return self._sum(lambda snapshot: snapshot.keys)

    @property
    def expires(self) -> int | None:
        """Keys with a TTL on all primaries; None where one of them did not answer."""
        return self._sum(lambda snapshot: snapshot.expires)

    @property
    def rss_bytes(self) -> int | None:
        """RSS of all primaries; None where one of them did not answer."""
        return self._sum(lambda snapshot: snapshot.memory.rss_bytes)

    @property
    def used_bytes(self) -> int | None:
        """used_memory of all primaries; None where one of them did not answer."""
        return self._sum(lambda snapshot: snapshot.memory.used_bytes)

    @property
    def maxmemory_bytes(self) -> int | None:
        """The limits of all primaries; None where one has none, or did not answer."""
        return self._sum(lambda snapshot: snapshot.memory.maxmemory_bytes)

    def _sum(self, part: Callable[[Snapshot], int | None]) -> int | None:
        total = 0
        for view in self.primaries:
            value = None if view.snapshot is None else part(view.snapshot)
            if value is None:
                return None
            total += value
        return total
