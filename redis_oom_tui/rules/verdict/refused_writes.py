"""The rules of the verdict for servers that refuse every write, deletions too, whatever the memory."""

from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.phrases import say

_SAVE_STEP = "Look at the disk and at the memory for the fork (server log); deletions work again after a good save."
_REPLICAS_STEP = "Bring the replicas back, or lower min-replicas-to-write."


def writes_blocked(facts: Facts) -> Verdict | None:
    """MISCONF and NOREPLICAS refuse every write."""
    lacking, unsaved = too_few_replicas(facts), unsaved_stops_writes(facts)
    few = f"too few replicas are in touch{_replicas(facts)}"
    if unsaved and lacking:
        reason = (
            f"Refusing every write, also deletions: its last save to disk failed (MISCONF), and {few} (NOREPLICAS)."
        )
        return say(facts, Level.CRITICAL, "misconf", reason, f"{_SAVE_STEP} {_REPLICAS_STEP}")
    if unsaved:
        reason = "Refusing every write, also deletions, with MISCONF: its last save to disk failed."
        return say(facts, Level.CRITICAL, "misconf", reason, _SAVE_STEP)
    if lacking:
        reason = f"Refusing every write, also deletions, with NOREPLICAS: {few}."
        return say(facts, Level.CRITICAL, "noreplicas", reason, _REPLICAS_STEP)
    return None


def last_save_failed(facts: Facts) -> Verdict | None:
    """A failed save that is not known to stop writes."""
    if not facts.now.activity.last_save_failed:
        return None
    if unsaved_stops_writes(facts) is False:
        reason = "Its last save to disk failed; its settings (save, stop-writes-on-bgsave-error) let writes pass."
        return say(facts, Level.WARNING, "save-failed", reason, "Look at the disk and the server log.")
    refused = facts.now.counters.errors_by_kind.get("MISCONF")
    before = f"; {count(refused)} commands got it since its counters began" if refused else ""
    reason = (
        "Its last save to disk failed: it may refuse every write, also deletions, with MISCONF, and its settings are"
        f" not known{before}."
    )
    step = "Look at the disk and the server log, and at stop-writes-on-bgsave-error and save."
    return say(facts, Level.WARNING, "save-failed", reason, step)


def unsaved_stops_writes(facts: Facts) -> bool | None:
    """Whether writes are refused with MISCONF (server.c, writeCommandsDeniedByDiskError); None where it is not known.

    That some were refused in the past says nothing: settings may have changed since.
    """
    activity = facts.now.activity
    if facts.rates.errors_by_kind.get("MISCONF"):
        return True
    if not activity.last_save_failed:
        return False
    if facts.is_replica:
        return None
    return True if activity.aof_write_failed else activity.save_needed


def too_few_replicas(facts: Facts) -> bool:
    """Whether writes are refused with NOREPLICAS. INFO tells the good replicas only where writes need some."""
    good = facts.now.activity.good_replicas
    if facts.rates.errors_by_kind.get("NOREPLICAS"):
        return True
    return not facts.is_replica and good is not None and good < (facts.now.activity.wanted_replicas or 1)


def _replicas(facts: Facts) -> str:
    good, wanted = facts.now.activity.good_replicas, facts.now.activity.wanted_replicas
    return "" if good is None else f" ({count(good)} of {count(wanted)})" if wanted else f" ({count(good)})"


def unblocked_first(facts: Facts, step: str) -> str:
    """`step`, behind what has to come before it where deletions are refused as well."""
    unsaved = unsaved_stops_writes(facts)
    if unsaved is not False:
        are = "are" if unsaved else "may be"
        step = (
            f"First make saving work again, or set stop-writes-on-bgsave-error to no: the last save to disk failed, so"
            f" deletions {are} refused too (MISCONF). Then: {step}"
        )
    if too_few_replicas(facts):
        return (
            "First bring the replicas back, or lower min-replicas-to-write: deletions are refused too (NOREPLICAS)."
            f" Then: {step}"
        )
    return step
