"""Reaping: looking at each key once, by which the server drops those that have expired."""

from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.tui.dialogs.confirm import ConfirmDialog, Question


class ReapDialog(ConfirmDialog):
    """Asks before all keys are walked for their dead."""

    def __init__(self, where: str, snapshot: Snapshot | None) -> None:
        lines = [f"On {where}: every key is walked by SCAN, and the server removes those that have expired already."]
        held = None if snapshot is None else snapshot.fleet or snapshot
        if held is not None:
            lines.append(f"{count(held.expires)} of {count(held.keys)} keys have a TTL.")
        lines.append("Only keys that are dead to every client go; there is nothing to undo.")
        question = Question("Remove expired keys now?", tuple(lines), "Remove them", danger=False)
        super().__init__(question)
