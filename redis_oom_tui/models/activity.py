"""What goes on at a server, by its INFO: totals since it started, and the states that it is in."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from msgspec import Struct, field

from redis_oom_tui.models.structs import info


class Counters(Struct, frozen=True):
    """Totals since the server started or CONFIG RESETSTAT; compare two snapshots for what happened between them.

    `refused_writes_total` is errorstat_OOM; a lower bound where `refused_is_lower_bound` (6.2 books refused scripts
    elsewhere). `refused_by_command` counts commandstats' rejected_calls, whatever the reason of the refusal;
    `errors_by_kind` counts error replies by their first word (OOM, MISCONF, LOADING, ...).
    `eviction_exceeded_ms` is how long the server has been over its limit without a break; 0 when it is not.
    `expired_in_sample` is how many of how many keys had expired, where `expired_stale_percent` is by such a sample.
    """

    refused_writes_total: int | None = None
    refused_is_lower_bound: bool = False
    refused_by_command: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    errors_by_kind: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    evicted_keys_total: Annotated[int | None, info("evicted_keys")] = None
    evicted_clients_total: Annotated[int | None, info("evicted_clients")] = None
    expired_keys_total: Annotated[int | None, info("expired_keys")] = None
    expired_stale_percent: float | None = None
    expired_in_sample: tuple[int, int] | None = None
    eviction_exceeded_ms: Annotated[int | None, info("current_eviction_exceeded_time")] = None
    commands_total: Annotated[int | None, info("total_commands_processed")] = None
    commands_per_second: Annotated[int | None, info("instantaneous_ops_per_sec")] = None
    keyspace_hits_total: Annotated[int | None, info("keyspace_hits")] = None
    keyspace_misses_total: Annotated[int | None, info("keyspace_misses")] = None
    cpu_main_thread_seconds: float | None = None


class Activity(Struct, frozen=True):
    """What else goes on: clients, replicas, and the states in which figures or commands cannot be trusted.

    `failing_over` is a FAILOVER under way, `copying_master` a replica's full copy of its master's data. `good_replicas`
    are those in touch, told only where writes need some; `wanted_replicas` is how many they need. `save_needed` is
    whether a failed save to disk stops writes, `minds_limit` whether a replica keeps to its own maxmemory, by the
    server's settings. `paused` is whether clients are paused, and `paused_ms` for how much longer (Valkey tells it);
    `modules` are the names of those loaded. What is not told is None.
    """

    connected_clients: Annotated[int | None, info("connected_clients")] = None
    blocked_clients: Annotated[int | None, info("blocked_clients")] = None
    paused: bool | None = None
    paused_ms: int | None = None
    connected_replicas: Annotated[int | None, info("connected_slaves")] = None
    loading: Annotated[bool, info("loading", kind="flag")] = False
    saving: Annotated[bool, info("rdb_bgsave_in_progress", kind="flag")] = False
    rewriting_aof: Annotated[bool, info("aof_rewrite_in_progress", kind="flag")] = False
    last_save_failed: bool = False
    failing_over: bool = False
    master_link_up: bool | None = None
    copying_master: Annotated[bool, info("master_sync_in_progress", kind="flag")] = False
    pubsub_channels: Annotated[int | None, info("pubsub_channels")] = None
    pubsub_patterns: Annotated[int | None, info("pubsub_patterns")] = None
    shard_channels: Annotated[int | None, info("pubsubshard_channels")] = None
    watched_keys: Annotated[int | None, info("total_watched_keys")] = None
    tracking_keys: Annotated[int | None, info("tracking_total_keys")] = None
    tracking_items: Annotated[int | None, info("tracking_total_items")] = None
    tracking_prefixes: Annotated[int | None, info("tracking_total_prefixes")] = None
    replica_expires_tracked: Annotated[int | None, info("slave_expires_tracked_keys")] = None
    cached_scripts: Annotated[int | None, info("number_of_cached_scripts")] = None
    loaded_keys: Annotated[int | None, info("rdb_last_load_keys_loaded")] = None
    never_evicted_keys: Annotated[int | None, info("blessed_keys")] = None
    aof_enabled: Annotated[bool, info("aof_enabled", kind="flag")] = False
    aof_write_failed: bool = False
    good_replicas: Annotated[int | None, info("min_slaves_good_slaves")] = None
    wanted_replicas: int | None = None
    save_needed: bool | None = None
    minds_limit: bool | None = None
    modules: tuple[str, ...] = ()

    @property
    def has_child(self) -> bool:
        """Whether a BGSAVE or AOF child lives: reads and writes leave no LRU mark meanwhile."""
        return self.saving or self.rewriting_aof
