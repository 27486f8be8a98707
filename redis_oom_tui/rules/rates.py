"""What happened between two snapshots, with restarts and reset counters noticed."""

from collections.abc import Mapping
from types import MappingProxyType

from redis_oom_tui.models.snapshot import Counters, Snapshot
from redis_oom_tui.models.trend import Rates
from redis_oom_tui.rules.guarded import attempt


def between(before: Snapshot | None, now: Snapshot) -> Rates:
    """The gains from `before` to `now`; empty without a `before`, where no time has passed, or between two nodes."""
    return attempt(
        "what happened lately is", lambda: _between(before, now), lambda fault: Rates(not_judged=fault.words)
    )


def _between(before: Snapshot | None, now: Snapshot) -> Rates:
    if before is None or now.taken_monotonic <= before.taken_monotonic or before.server.node != now.server.node:
        return Rates()
    seconds = now.taken_monotonic - before.taken_monotonic
    if _restarted(before, now):
        return Rates(seconds=seconds, restarted=True)
    old, new = before.counters, now.counters
    return Rates(
        seconds=seconds,
        refused_writes=_gain(old.refused_writes_total, new.refused_writes_total),
        refused_by_command=_gains(old.refused_by_command, new.refused_by_command),
        errors_by_kind=_gains(old.errors_by_kind, new.errors_by_kind),
        evicted_keys=_gain(old.evicted_keys_total, new.evicted_keys_total),
        evicted_clients=_gain(old.evicted_clients_total, new.evicted_clients_total),
        expired_keys=_gain(old.expired_keys_total, new.expired_keys_total),
        commands=_gain(old.commands_total, new.commands_total),
        keyspace_hits=_gain(old.keyspace_hits_total, new.keyspace_hits_total),
        keyspace_misses=_gain(old.keyspace_misses_total, new.keyspace_misses_total),
        growth_bytes=_growth(before, now),
        reset=_was_reset(old, new),
    )


def _growth(before: Snapshot, now: Snapshot) -> int | None:
    old, new = before.memory.counted_bytes, now.memory.counted_bytes
    return None if old is None or new is None else new - old


def _restarted(before: Snapshot, now: Snapshot) -> bool:
    """A run_id is the process's own; where none is told, an uptime that fell says the same."""
    old, new = before.server, now.server
    if old.run_id is not None and new.run_id is not None:
        return old.run_id != new.run_id
    if old.uptime_seconds is None or new.uptime_seconds is None:
        return False
    return new.uptime_seconds < old.uptime_seconds


def _was_reset(old: Counters, new: Counters) -> bool:
    pairs = (
        (old.commands_total, new.commands_total),
        (old.evicted_keys_total, new.evicted_keys_total),
        (old.refused_writes_total, new.refused_writes_total),
    )
    return any(a is not None and b is not None and b < a for a, b in pairs)


def _gain(old: int | None, new: int | None) -> int | None:
    """A counter that fell was set to zero in between: all that it shows now came after that.

    >>> _gain(5, 8), _gain(5, 2), _gain(None, 2)
    (3, 2, None)
    """
    if old is None or new is None:
        return None
    return new - old if new >= old else new


def _gains(old: Mapping[str, int], new: Mapping[str, int]) -> Mapping[str, int]:
    gains = {name: _gain(old.get(name, 0), count) or 0 for name, count in new.items()}
    return MappingProxyType({name: gain for name, gain in gains.items() if gain})
