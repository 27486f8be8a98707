"""The status of a monitoring plugin: the verdict, with the operator's threshold ranges in place of ours."""

from redis_oom_tui.formatting.plugin import Range
from redis_oom_tui.formatting.sizes import percent_beside
from redis_oom_tui.models.snapshot import Memory
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict

# Verdicts of these names take their level from the share of the limit in use.
_BY_SHARE = ("close-", "buffers")
_RANK = (Level.OK, Level.UNKNOWN, Level.WARNING, Level.CRITICAL, Level.OOM)


def with_ranges(verdict: Verdict, memory: Memory, warn: Range | None, crit: Range | None) -> Verdict:
    """`verdict` at the level that the ranges give it, where they give one; None stands for our own threshold.

    What does not come from the share in use (refused writes, a failed save, no answer) stands as it is. Without a known
    limit there is no share, and the ranges say nothing.
    """
    share = memory.pressure
    if share is None or (warn is None and crit is None):
        return verdict
    level = verdict.level
    by_share = verdict.rule.startswith(_BY_SHARE)
    if by_share and level is Level.CRITICAL and crit is not None:
        level = Level.WARNING
    if by_share and level is Level.WARNING and warn is not None:
        level = Level.OK
    reason = verdict.reason
    for option, found, alert in (("--warn", warn, Level.WARNING), ("--crit", crit, Level.CRITICAL)):
        if found is not None and found.alerts(share * 100) and _RANK.index(alert) > _RANK.index(level):
            marks = (found.low / 100, found.high / 100)
            level = alert
            side = "inside" if found.inside else "outside"
            reason = f"{percent_beside(share, marks, 1)} of maxmemory is used, {side} {option} {found.text()}"
            # That all is well is not said of what the range alerts on.
            reason = f"{reason}." if verdict.level is Level.OK else f"{reason}. {verdict.reason}"
    return replace(verdict, level=level, reason=reason)
