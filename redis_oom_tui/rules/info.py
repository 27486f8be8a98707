"""INFO's own words made into a Snapshot: any field may be missing, and nonsense reads as unknown, never as 0."""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import CommandRefused, NotRedis
from redis_oom_tui.models.snapshot import Activity, Counters, Database, Memory, Server, Snapshot
from redis_oom_tui.words.hostile import safe_text

# Sizes beyond this come from a 64-bit underflow in the server (used_memory_dataset on Valkey 9.1), not from memory.
_LARGEST = 2**53
_LONGEST = 80
_DATABASE = re.compile(r"db(\d+)")
# Servers count errors of at most this many kinds apart (server.c, ERROR_STATS_NUMBER); more would be junk names.
_MAX_KINDS = 128
# With more kinds than that, newer servers book nothing apart any more: no OOM there does not mean that none happened.
_OVERFLOWED = frozenset({"ERRORSTATS_DISABLED", "ERRORSTATS_OVERFLOW"})


def snapshot_from_info(
    info: Mapping[str, object],
    *,
    address: Address,
    monotonic: float,
    wall: float,
    took: float | None = None,
    node: str = "",
) -> Snapshot:
    """What one INFO ALL says; `info` is redis-py's parsed reply, the times are in seconds.

    Raises NotRedis for a Sentinel, whose INFO has no memory, and CommandRefused where used_memory is held back.
    """
    return Snapshot(
        taken_monotonic=monotonic,
        taken_at=wall,
        server=_server(info, address, node),
        memory=_memory(info, address),
        databases=_databases(info),
        counters=_counters(info),
        activity=_activity(info),
        took_seconds=took,
    )


def _server(info: Mapping[str, object], address: Address, node: str) -> Server:
    flavour, version = _flavour(info)
    role = _text(info, "role") or "unknown"
    return Server(
        flavour=flavour,
        version=version,
        role="replica" if role == "slave" else role,
        address=address,
        mode=_mode(info),
        run_id=_text(info, "run_id"),
        uptime_seconds=_whole(info, "uptime_in_seconds"),
        node=node,
        process_id=_whole(info, "process_id"),
    )


def _flavour(info: Mapping[str, object]) -> tuple[str, str]:
    """Valkey also reports a redis_version, the one that it stays compatible with: 7.2.4."""
    if "valkey_version" in info or _text(info, "server_name") == "valkey":
        return "valkey", _text(info, "valkey_version") or "unknown"
    if "dragonfly_version" in info:
        return "other", _text(info, "dragonfly_version") or "unknown"
    version = _text(info, "redis_version")
    return ("redis" if version else "other"), version or "unknown"


def _mode(info: Mapping[str, object]) -> str:
    """Valkey 9 has server_mode and no redis_mode."""
    return _text(info, "server_mode") or _text(info, "redis_mode") or "standalone"


def _memory(info: Mapping[str, object], address: Address) -> Memory:
    used = _whole(info, "used_memory")
    if used is None:
        raise _no_memory(info, address)
    return Memory(
        used_bytes=used,
        maxmemory_bytes=_whole(info, "maxmemory") or None,
        policy=_text(info, "maxmemory_policy") or "unknown",
        rss_bytes=_whole(info, "used_memory_rss"),
        peak_bytes=_whole(info, "used_memory_peak"),
        fragmentation_ratio=_number(info, "mem_fragmentation_ratio"),
        not_counted_bytes=_whole(info, "mem_not_counted_for_evict") or 0,
        startup_bytes=_whole(info, "used_memory_startup"),
        overhead_bytes=_whole(info, "used_memory_overhead"),
        dataset_bytes=_whole(info, "used_memory_dataset"),
        clients_normal_bytes=_whole(info, "mem_clients_normal"),
        clients_replicas_bytes=_whole(info, "mem_clients_slaves"),
        replication_backlog_bytes=_whole(info, "mem_replication_backlog"),
        replication_buffers_bytes=_whole(info, "mem_total_replication_buffers"),
        aof_buffer_bytes=_whole(info, "mem_aof_buffer"),
        cluster_links_bytes=_whole(info, "mem_cluster_links"),
        lua_bytes=_whole(info, "used_memory_vm_total", "used_memory_lua"),
        scripts_bytes=_whole(info, "used_memory_scripts_eval", "used_memory_scripts"),
        functions_bytes=_whole(info, "used_memory_functions"),
        allocator=_text(info, "mem_allocator"),
        allocator_active_bytes=_whole(info, "allocator_active"),
        allocator_resident_bytes=_whole(info, "allocator_resident"),
        lazyfree_pending_objects=_whole(info, "lazyfree_pending_objects"),
        lazyfreed_objects_total=_whole(info, "lazyfreed_objects"),
        host_bytes=_whole(info, "total_system_memory") or None,
    )


def _no_memory(info: Mapping[str, object], address: Address) -> NotRedis | CommandRefused:
    if _mode(info) == "sentinel":
        return NotRedis(
            f"{address} is a Sentinel and holds no data: give it as --sentinel {address} with --master NAME instead"
        )
    return CommandRefused(
        f"{address} answers INFO without used_memory, so nothing can be said about its memory:"
        " try a user who may read all of INFO, or the server's own port instead of a proxy's",
        command="INFO",
    )


def _databases(info: Mapping[str, object]) -> tuple[Database, ...]:
    found = []
    for name, value in info.items():
        match = _DATABASE.fullmatch(name)
        if match and isinstance(value, Mapping):
            found.append(Database(int(match[1]), _whole(value, "keys") or 0, _whole(value, "expires") or 0))
    return tuple(sorted(found, key=lambda database: database.db))


def _counters(info: Mapping[str, object]) -> Counters:
    """INFO errorstats and commandstats exist since 6.2; a server that has them books OOM only once it happened."""
    errors = _errors(info)
    overflowed = not _OVERFLOWED.isdisjoint(errors)
    counted = _counts_errors(info) and not overflowed
    return Counters(
        refused_writes_total=errors.get("OOM", 0 if counted else None),
        refused_is_lower_bound=overflowed or "current_eviction_exceeded_time" not in info,
        refused_by_command=_rejected(info),
        errors_by_kind=MappingProxyType(errors),
        evicted_keys_total=_whole(info, "evicted_keys"),
        evicted_clients_total=_whole(info, "evicted_clients"),
        expired_keys_total=_whole(info, "expired_keys"),
        expired_stale_percent=_number(info, "expired_stale_perc"),
        eviction_exceeded_ms=_whole(info, "current_eviction_exceeded_time"),
        commands_total=_whole(info, "total_commands_processed"),
        commands_per_second=_whole(info, "instantaneous_ops_per_sec"),
        keyspace_hits_total=_whole(info, "keyspace_hits"),
        keyspace_misses_total=_whole(info, "keyspace_misses"),
        cpu_main_thread_seconds=_main_thread(info),
    )


def _counts_errors(info: Mapping[str, object]) -> bool:
    return "total_error_replies" in info or any(name.startswith("errorstat_") for name in info)


def _errors(info: Mapping[str, object]) -> dict[str, int]:
    errors: dict[str, int] = {}
    for name, value in info.items():
        if name.startswith("errorstat_") and isinstance(value, Mapping) and len(errors) < _MAX_KINDS:
            count = _whole(value, "count")
            if count is not None:
                errors[safe_text(name.removeprefix("errorstat_"), _LONGEST)] = count
    return errors


def _rejected(info: Mapping[str, object]) -> Mapping[str, int]:
    rejected = {}
    for name, value in info.items():
        if name.startswith("cmdstat_") and isinstance(value, Mapping):
            count = _whole(value, "rejected_calls")
            if count:
                rejected[safe_text(name.removeprefix("cmdstat_"), _LONGEST)] = count
    return MappingProxyType(rejected)


def _main_thread(info: Mapping[str, object]) -> float | None:
    system = _number(info, "used_cpu_sys_main_thread")
    user = _number(info, "used_cpu_user_main_thread")
    return None if system is None or user is None else system + user


def _activity(info: Mapping[str, object]) -> Activity:
    link = _text(info, "master_link_status")
    return Activity(
        connected_clients=_whole(info, "connected_clients"),
        blocked_clients=_whole(info, "blocked_clients"),
        connected_replicas=_whole(info, "connected_slaves"),
        loading=bool(_whole(info, "loading")),
        saving=bool(_whole(info, "rdb_bgsave_in_progress")),
        rewriting_aof=bool(_whole(info, "aof_rewrite_in_progress")),
        last_save_failed=_text(info, "rdb_last_bgsave_status") == "err"
        or _text(info, "aof_last_write_status") == "err",
        master_link_up=None if link is None else link == "up",
        copying_master=bool(_whole(info, "master_sync_in_progress")),
        pubsub_channels=_whole(info, "pubsub_channels"),
        tracking_keys=_whole(info, "tracking_total_keys"),
        cached_scripts=_whole(info, "number_of_cached_scripts"),
        aof_enabled=bool(_whole(info, "aof_enabled")),
    )


def _number(info: Mapping[str, object], name: str) -> float | None:
    value = info.get(name)
    if isinstance(value, str):
        try:
            value = float(value.rstrip("%"))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= _LARGEST else None


def _whole(info: Mapping[str, object], *names: str) -> int | None:
    """The first of `names` that holds a believable count."""
    for name in names:
        value = _number(info, name)
        if value is not None:
            return int(value)
    return None


def _text(info: Mapping[str, object], name: str) -> str | None:
    """A word of the server's, made harmless: it is a stranger until proven otherwise."""
    value = info.get(name)
    return safe_text(str(value), _LONGEST) if isinstance(value, str | int | float) and value != "" else None
