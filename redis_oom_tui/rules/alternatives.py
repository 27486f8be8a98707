"""What to try where a command that changes something is refused."""

from redis_oom_tui.models.capabilities import Capabilities, Feature

_INSTEAD = {
    Feature.UNLINK: "delete with a program that may",
    Feature.EXPIRE: "delete the keys instead",
    Feature.RESTORE: "put the backup back on a server that takes it",
    Feature.CONFIG_REWRITE: "write the setting into the server's configuration file by hand",
    Feature.CLIENT_KILL: "close the connection where that client runs",
    Feature.MEMORY_PURGE: "wait, as the allocator gives memory back by itself in time",
}


def refused(feature: Feature, reason: str, known: Capabilities) -> str:
    """That `feature` is refused, the server's `reason`, and what to try.

    >>> refused(Feature.UNLINK, "unknown command 'UNLINK'", Capabilities())
    "UNLINK is refused here (unknown command 'UNLINK'): let the keys expire instead of deleting them"
    """
    other = _INSTEAD.get(feature, "")
    if feature is Feature.UNLINK and known.has(Feature.EXPIRE):
        other = "let the keys expire instead of deleting them"
    tries = [*(["log in as a user who may"] if "permission" in reason else []), *([other] if other else [])]
    return f"{feature.value} is refused here ({reason})" + (f": {', or '.join(tries)}" if tries else "")


def no_copy(known: Capabilities) -> str | None:
    """Why no key can be copied before it is deleted, and what to do; None where it can."""
    reason = known.why_not(Feature.DUMP)
    if reason is None:
        return None
    return (
        f"No key can be copied before it goes, as DUMP is refused here ({reason}): decline the backup (--no-backup),"
        " and there is no undo"
    )
