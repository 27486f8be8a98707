"""MEMORY PURGE: asking the allocator to give back what it holds free."""

from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.tui.dialogs.confirm import ConfirmDialog, Question
from redis_oom_tui.words.sizes import size


class PurgeDialog(ConfirmDialog):
    """Asks before the allocator is purged."""

    def __init__(self, where: str, snapshot: Snapshot | None) -> None:
        lines = [f"On {where}: the allocator gives unused pages back to the system."]
        if snapshot is not None:
            memory = snapshot.memory
            lines.append(f"Now RSS is {size(memory.rss_bytes)}, and {size(memory.used_bytes)} are in use.")
        lines.append("No key is touched. It can lower RSS, never used_memory: it does not cure an OOM.")
        question = Question("Purge free memory?", tuple(lines), "Purge", danger=False)
        super().__init__(question)
