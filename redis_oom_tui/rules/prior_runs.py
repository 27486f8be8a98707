"""What is told of a plan that was run before: its keys may be gone, and their copies lie in another backup."""

from collections.abc import Iterable

from redis_oom_tui.formatting.sizes import duration, skipped_lines
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.plan import Plan

_TOLD = 3


def runs(history: Iterable[AuditEntry], plan: Plan, now: float) -> tuple[str, ...]:
    """A sentence for each of the last runs of this very plan, the newest first; `now` is Unix seconds."""
    before = [entry for entry in history if entry.plan == plan.hash and entry.server == plan.server]
    newest = sorted(before, key=lambda entry: entry.at, reverse=True)
    return tuple(_told(entry, now) for entry in newest[:_TOLD])


def unread(skipped: int) -> tuple[str, ...]:
    """A sentence where lines of the audit file could not be read: what they tell is not known.

    >>> unread(2)
    ('2 lines of the audit log cannot be read and were skipped: an earlier run may be among them.',)
    """
    return (f"{skipped_lines(skipped)}: an earlier run may be among them.",) if skipped else ()


def _told(entry: AuditEntry, now: float) -> str:
    ago = duration(max(0.0, now - entry.at))
    what = f"ended: {entry.result}"
    if entry.ended is None:
        what = "was cut off, unless it runs still: what it took is counted here, too, and passed over if it is gone."
    copies = f" Its copies are in {entry.undo}" if entry.undo else ""
    return f"A run of this plan, begun {ago} ago, {what}{copies}"
