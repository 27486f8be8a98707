"""Snapshots for tests, from the few figures that a test is about."""

from typing import Any

from redis_oom_tui.models.activity import Activity, Counters
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import Database, Memory, Server, Snapshot

MIB = 2**20
GIB = 2**30


def snapshot_of(
    used: int = 100 * MIB,
    limit: int | None = 1000 * MIB,
    policy: str = "noeviction",
    *,
    at: float = 1000.0,
    keys: int = 1000,
    expires: int = 0,
    refused: int | None = 0,
    over_ms: int | None = 0,
    run_id: str = "r1",
    role: str = "master",
    uptime: int = 86_400,
    memory: dict[str, Any] | None = None,
    counters: dict[str, Any] | None = None,
    activity: dict[str, Any] | None = None,
) -> Snapshot:
    """A believable master, with the given figures and whatever else is named."""
    figures: dict[str, Any] = {
        "startup_bytes": MIB,
        "overhead_bytes": 10 * MIB,
        "rss_bytes": int(used * 1.1),
        "host_bytes": 64 * GIB,
        "clients_normal_bytes": 100_000,
    }
    return Snapshot(
        taken_monotonic=at,
        taken_at=at + 1_000_000,
        server=Server("redis", "7.0.15", role, Address(), run_id=run_id, uptime_seconds=uptime),
        memory=Memory(used_bytes=used, maxmemory_bytes=limit, policy=policy, **{**figures, **(memory or {})}),
        databases=(Database(0, keys, expires),) if keys else (),
        counters=Counters(refused_writes_total=refused, eviction_exceeded_ms=over_ms, **(counters or {})),
        activity=Activity(**(activity or {})),
    )
