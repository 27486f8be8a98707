"""What is said of the room below maxmemory before a backup is restored."""

from collections.abc import Iterator

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import percent, percent_beside, size
from redis_oom_tui.models.action import Backup
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.budget import FILLED_TO, putting_back


def full(backup: Backup | None, snapshot: Snapshot) -> tuple[str, ...]:
    """A warning for each server that holds too much for any key to be restored to it.

    Former expiries need no room.
    """
    if backup is not None and backup.deed == Operation.EXPIRE.value:
        return ()
    return tuple(_warnings(snapshot))


def _warnings(snapshot: Snapshot) -> Iterator[str]:
    for name, seen in _servers(snapshot):
        pressure = seen.memory.pressure
        if pressure is None or pressure < FILLED_TO:
            continue
        is_at = "over maxmemory, at" if pressure > 1 else "at"
        yield (
            f"{name} is {is_at} {percent_beside(pressure, (FILLED_TO, 1.0))} of maxmemory. Nothing is restored there"
            f" above {percent(FILLED_TO)}: free memory or raise maxmemory first."
        )


def _servers(snapshot: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    if snapshot.fleet is None:
        yield "The server", snapshot
        return
    for view in snapshot.fleet.nodes:
        if view.node.serves and view.snapshot is not None:
            yield safe_text(view.name, 80), view.snapshot


def outlook(backup: Backup | None, snapshot: Snapshot) -> tuple[str, ...]:
    """How full the server would be with the backup's keys, or how much room there is; nothing of a cluster, of which
    nobody knows beforehand which node takes how much.
    """
    memory = snapshot.memory
    if snapshot.fleet is not None or (backup is not None and backup.deed == Operation.EXPIRE.value):
        return ()
    filling = None if backup is None else putting_back(backup, snapshot)
    if filling is not None:
        return (filling,)
    if memory.maxmemory_bytes is None or memory.counted_bytes is None or memory.counted_bytes >= memory.maxmemory_bytes:
        return ()
    return (f"There is room for {size(memory.maxmemory_bytes - memory.counted_bytes)} below maxmemory.",)
