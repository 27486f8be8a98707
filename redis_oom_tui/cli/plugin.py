"""`check --warn --crit --perfdata`: the verdict as a monitoring plugin says it, by the threshold ranges given."""

from collections.abc import Sequence
from typing import Self

from msgspec import Struct

from redis_oom_tui.formatting.plugin import Range, performance_data, plugin_lines, read_range
from redis_oom_tui.formatting.sizes import percent_beside
from redis_oom_tui.models.snapshot import Memory, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Thresholds, Verdict

# Verdicts of these names take their level from the share of the limit in use.
_BY_SHARE = ("close-", "buffers")
_RANK = (Level.OK, Level.UNKNOWN, Level.WARNING, Level.CRITICAL, Level.OOM)


class Plugin(Struct, frozen=True):
    """The ranges as given, None for those that are not, and whether performance data are wanted."""

    warn: Range | None
    crit: Range | None
    perfdata: bool

    @classmethod
    def of(cls, warn: str | None, crit: str | None, *, perfdata: bool) -> Self:
        """What these options ask for. Raises BadInput for what is no range."""
        return cls(
            None if warn is None else read_range(warn, "--warn"),
            None if crit is None else read_range(crit, "--crit"),
            perfdata,
        )

    def judged(self, verdict: Verdict, snapshot: Snapshot) -> Verdict:
        """The verdict by these ranges."""
        return with_ranges(verdict, snapshot.memory, self.warn, self.crit)

    def text(self, verdict: Verdict, snapshot: Snapshot, more: Sequence[str], thresholds: Thresholds) -> str:
        """What is printed; performance data name our own `thresholds` where no range was given."""
        warn = self.warn or Range(high=thresholds.warn * 100)
        crit = self.crit or Range(high=thresholds.crit * 100)
        data = performance_data(snapshot, warn, crit) if self.perfdata else []
        return "\n".join(plugin_lines(verdict.level, verdict.reason, more, data))


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
