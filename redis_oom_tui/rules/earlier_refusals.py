"""Writes that were refused before, on a server that has room now: what its peak tells of the cause."""

from enum import StrEnum

from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.verdict import Thresholds


class Earlier(StrEnum):
    """Why writes were refused: memory was full for a while, or each of them was too large for the room there was."""

    BURST = "its peak reached the limit: a burst that is over, or another node"
    LARGE = "its peak stayed below the limit: large values, or a limit that was lower then"


def earlier_refusals(snapshot: Snapshot, thresholds: Thresholds) -> Earlier | None:
    """What its peak tells; None where nothing was refused, where it is full now, and where a figure is missing."""
    memory = snapshot.memory
    limit, peak, pressure = memory.maxmemory_bytes, memory.peak_bytes, memory.pressure
    if not snapshot.counters.refused_writes_total or limit is None or peak is None or pressure is None:
        return None
    if pressure >= thresholds.warn or memory.limit_source is not LimitSource.SERVER:
        return None
    return Earlier.BURST if peak >= thresholds.crit * limit else Earlier.LARGE
