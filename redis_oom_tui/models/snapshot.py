"""One look at a server: everything that INFO says and the product uses, at one moment.

Every figure that a server may leave out is None where it did: unknown is never 0.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from msgspec import Struct, field

from redis_oom_tui.models.activity import Activity, Counters
from redis_oom_tui.models.address import Address, ClusterNode, MovingSlot, SlotStats
from redis_oom_tui.models.keys import SizeHistogram
from redis_oom_tui.models.settings import Difference
from redis_oom_tui.models.structs import info
from redis_oom_tui.models.verdict import Verdict


class LimitSource(StrEnum):
    """Who gave the limit: the server in INFO, nobody, or the operator (--limit)."""

    SERVER = "server"
    NOT_REPORTED = "not_reported"
    OPERATOR = "operator"


# The reason of a field that is missing altogether.
NOT_REPORTED = "is not reported"


class Doubt(Struct, frozen=True):
    """A figure of INFO that is missing or cannot be true, so that it counts as unknown. `field` is INFO's own name."""

    field: str
    reason: str


class Server(Struct, frozen=True):
    """Who answered. `flavour` is redis, valkey or other; `mode` is standalone, cluster or sentinel.

    `product` names what is built on Redis's protocol or on Redis itself (Dragonfly, Redis Enterprise); else ''.
    `replication_id` is what a primary and the replicas that have its data tell alike. `primary` is the address that a
    replica copies, '' where it does not tell, and of a primary.
    """

    flavour: str
    version: str
    role: str
    address: Address
    mode: str = "standalone"
    run_id: Annotated[str | None, info("run_id", kind="text")] = None
    uptime_seconds: Annotated[int | None, info("uptime_in_seconds")] = None
    node: str = ""
    process_id: Annotated[int | None, info("process_id", kind="positive")] = None
    product: str = ""
    primary: str = ""
    replication_id: Annotated[str | None, info("master_replid", kind="text")] = None

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) where the version is not two numbers.

        >>> Server("redis", "7.0.15", "master", Address()).release, Server("redis", "x", "master", Address()).release
        ((7, 0), (0, 0))
        """
        parts = self.version.split(".")[:2]
        return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(map(str.isdigit, parts)) else (0, 0)

    @property
    def is_replica(self) -> bool:
        """Whether it copies another: it ignores its own limit by default, and is written to by that one only."""
        return self.role in {"slave", "replica"}

    @property
    def is_foreign(self) -> bool:
        """Whether it is neither Redis nor Valkey: it has rules of its own for what it refuses and evicts.

        One that does not say who it is may be either.
        """
        return self.flavour == "other" and bool(self.product)


class Memory(Struct, frozen=True):
    """INFO memory. Sizes in bytes, None where unknown.

    `maxmemory_bytes` is None where no limit is set, and where none is reported: `limit_source` tells which.
    `host_free_bytes` (what may still be taken there, by the kernel and the cgroup), `neighbours` (how many other Redis
    and Valkey servers run there, and the RSS of all) and `swapped_bytes` are the kernel's own figures, known only where
    server and tool share a machine.
    """

    used_bytes: int | None
    maxmemory_bytes: int | None = None
    policy: str = "unknown"
    rss_bytes: int | None = None
    peak_bytes: Annotated[int | None, info("used_memory_peak", kind="memory")] = None
    fragmentation_ratio: float | None = None
    not_counted_bytes: int = 0
    startup_bytes: Annotated[int | None, info("used_memory_startup", kind="positive")] = None
    overhead_bytes: Annotated[int | None, info("used_memory_overhead")] = None
    dataset_bytes: Annotated[int | None, info("used_memory_dataset")] = None
    clients_normal_bytes: Annotated[int | None, info("mem_clients_normal")] = None
    clients_replicas_bytes: Annotated[int | None, info("mem_clients_slaves")] = None
    replication_backlog_bytes: Annotated[int | None, info("mem_replication_backlog")] = None
    replication_buffers_bytes: Annotated[int | None, info("mem_total_replication_buffers")] = None
    aof_buffer_bytes: Annotated[int | None, info("mem_aof_buffer")] = None
    cluster_links_bytes: Annotated[int | None, info("mem_cluster_links")] = None
    migration_bytes: int | None = None
    rehashing_bytes: Annotated[int | None, info("mem_overhead_db_hashtable_rehashing")] = None
    lua_bytes: Annotated[int | None, info("used_memory_vm_total", "used_memory_lua")] = None
    scripts_bytes: int | None = None
    functions_bytes: int | None = None
    allocator: Annotated[str | None, info("mem_allocator", kind="text")] = None
    allocator_active_bytes: Annotated[int | None, info("allocator_active", kind="positive")] = None
    allocator_resident_bytes: Annotated[int | None, info("allocator_resident", kind="positive")] = None
    lazyfree_pending_objects: Annotated[int | None, info("lazyfree_pending_objects")] = None
    lazyfreed_objects_total: Annotated[int | None, info("lazyfreed_objects")] = None
    fork_copied_bytes: Annotated[int | None, info("current_cow_size")] = None
    host_bytes: Annotated[int | None, info("total_system_memory", kind="memory")] = None
    host_free_bytes: int | None = None
    neighbours: tuple[int, int] = (0, 0)
    swapped_bytes: int | None = None
    limit_source: LimitSource = LimitSource.SERVER

    @property
    def limit_unknown(self) -> bool:
        """Whether nobody says if there is a limit."""
        return self.maxmemory_bytes is None and self.limit_source is LimitSource.NOT_REPORTED

    @property
    def unlimited(self) -> bool:
        """Whether the server says that no limit is set."""
        return self.maxmemory_bytes is None and not self.limit_unknown

    @property
    def counted_bytes(self) -> int | None:
        """What the server compares with maxmemory: used_memory less what it does not count for eviction."""
        return None if self.used_bytes is None else max(0, self.used_bytes - self.not_counted_bytes)

    @property
    def pressure(self) -> float | None:
        """The share of maxmemory in use, 1.0 at the limit; None without one, or unknown (evict.c, getMaxmemoryState).

        >>> Memory(used_bytes=75, maxmemory_bytes=100).pressure
        0.75
        >>> Memory(used_bytes=75).pressure is None
        True
        """
        counted = self.counted_bytes
        return None if self.maxmemory_bytes is None or counted is None else counted / self.maxmemory_bytes

    def over(self, share: float = 1.0) -> int | None:
        """The bytes that must go until so much of maxmemory is in use; None without one, or where that is not known.

        >>> Memory(used_bytes=95, maxmemory_bytes=100).over(0.9), Memory(used_bytes=95, maxmemory_bytes=100).over()
        (5, 0)
        """
        counted = self.counted_bytes
        if self.maxmemory_bytes is None or counted is None:
            return None
        return max(0, counted - round(share * self.maxmemory_bytes))


class Database(Struct, frozen=True):
    """A line of INFO keyspace: how many keys, how many of them can expire, and how many only have fields that can."""

    db: int
    keys: int
    expires: int
    field_expires: int = 0


class Snapshot(Struct, frozen=True):
    """One poll of one server.

    `taken_monotonic` and `taken_at` are the tool's clocks, in seconds, when the reply had been read; the second is
    the time of day (Unix). `took_seconds` is the round trip. `notes` are sentences on what became of the connection
    since the snapshot before: a failover that was followed, a node that was lost. `cluster` is there for a cluster:
    the rest of the snapshot is then its worst primary's. `doubts` are the figures that count as unknown, with the
    reason of each; without `keyspace_known` there are more keys than are counted here. `clock_skew_seconds` is by how
    much the server's clock is ahead of the tool's (negative: behind), give or take half the round trip; None where its
    time is not told. `size_histograms` are empty where the server tells no INFO keysizes.
    """

    taken_monotonic: float
    taken_at: float
    server: Server
    memory: Memory
    databases: tuple[Database, ...] = ()
    counters: Counters = field(default_factory=Counters)
    activity: Activity = field(default_factory=Activity)
    took_seconds: float | None = None
    notes: tuple[str, ...] = ()
    # Recordings have had this name for it since the first of them.
    cluster: "ClusterView | None" = field(default=None, name="fleet")
    doubts: tuple[Doubt, ...] = ()
    keyspace_known: bool = True
    clock_skew_seconds: float | None = None
    size_histograms: tuple[SizeHistogram, ...] = ()

    @property
    def keys(self) -> int:
        """Keys in all databases."""
        return sum(database.keys for database in self.databases)

    @property
    def expires(self) -> int:
        """Keys with a TTL, in all databases: all that a volatile-* policy may evict."""
        return sum(database.expires for database in self.databases)

    @property
    def field_expires(self) -> int:
        """Hashes of which only fields have a TTL: no policy evicts for that."""
        return sum(database.field_expires for database in self.databases)


class NodeView(Struct, frozen=True):
    """A node and what it said: a snapshot with its verdict, or the sentence why there is none.

    `settings` are those that CONFIG GET told when last asked, empty where it did not. `heaviest_slots` are the first by
    memory, or by keys where the server does not count memory by slot; where it tells nothing of slots, a clause that
    says why, '' where it was not asked.
    """

    node: ClusterNode
    snapshot: Snapshot | None = None
    verdict: Verdict | None = None
    error: str | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    heaviest_slots: tuple[SlotStats, ...] | str = ""

    @property
    def name(self) -> str:
        """Its address, as text."""
        return self.node.name

    @property
    def pressure(self) -> float | None:
        """The share of its limit in use; None without a limit or an answer."""
        return None if self.snapshot is None else self.snapshot.memory.pressure


class ClusterView(Struct, frozen=True):
    """The whole cluster: `nodes`, the worst first; nobody serves `open_slots`; `moving` are changing their node."""

    nodes: tuple[NodeView, ...]
    differences: tuple[Difference, ...] = ()
    open_slots: int = 0
    moving: tuple[MovingSlot, ...] = ()

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

    @property
    def refused_writes_total(self) -> int | None:
        """Writes refused on all primaries; None where one does not tell, or did not answer."""
        return self._sum(lambda snapshot: snapshot.counters.refused_writes_total)

    @property
    def evicted_keys_total(self) -> int | None:
        """Keys evicted on all primaries; None where one does not tell, or did not answer."""
        return self._sum(lambda snapshot: snapshot.counters.evicted_keys_total)

    def _sum(self, part: Callable[[Snapshot], int | None]) -> int | None:
        parts = [None if view.snapshot is None else part(view.snapshot) for view in self.primaries]
        return None if None in parts else sum(value or 0 for value in parts)
