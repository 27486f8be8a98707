"""`check --warn --crit --perfdata`: the verdict as a monitoring plugin says it."""

from collections.abc import Sequence
from typing import Self

from msgspec import Struct

from redis_oom_tui.formatting.plugin import Range, performance_data, plugin_lines, read_range
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Thresholds, Verdict
from redis_oom_tui.rules.plugin_status import with_ranges


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
