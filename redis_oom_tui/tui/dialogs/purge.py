"""MEMORY PURGE: asking the allocator to give back what it holds free."""

from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.tui.dialogs.confirm import ConfirmDialog, Question


class PurgeDialog(ConfirmDialog):
    """Asks before the allocator is purged."""

    def __init__(self, where: str, snapshot: Snapshot | None) -> None:
        lines = [f"On {where}: the allocator gives unused pages back to the system."]
        held = None if snapshot is None else snapshot.fleet or snapshot.memory
        if held is not None:
            whose = " of all primaries" if snapshot is not None and snapshot.fleet is not None else ""
            lines.append(f"Now RSS{whose} is {size(held.rss_bytes)}, and {size(held.used_bytes)} are in use.")
        lines.append("No key is touched. It can lower RSS, never used_memory: it does not cure an OOM.")
        question = Question("Purge free memory?", tuple(lines), "Purge", danger=False)
        super().__init__(question)
