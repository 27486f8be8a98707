"""An incident as a whole: what the verdicts were over time, what holds the memory, what was done about it."""

from msgspec import Struct

from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.trend import Forecast
from redis_oom_tui.models.verdict import Finding, Level, Verdict


class Episode(Struct, frozen=True):
    """A stretch of time with one verdict. Unix seconds; `reason` is the verdict's own sentence as it began.

    `peak_pressure` is the highest share of maxmemory met, `refused_writes` how many were seen being refused.
    """

    began: float
    ended: float
    level: Level
    rule: str
    reason: str
    peak_pressure: float | None = None
    refused_writes: int = 0


class IncidentReport(Struct, frozen=True):
    """What goes into the report. `first` and `last` are the snapshots at its ends, one and the same where one was
    taken; `actions` are in the order in which they happened. `names` says whether names of keys may be shown,
    `actions_skipped` counts lines of the audit log that could not be read, `values_read` whether values could be looked
    into: None where no string was sampled. `overdue` are the ids of actions whose timed return is, as far as is known.
    """

    made_at: float
    first: Snapshot
    last: Snapshot
    verdict: Verdict
    episodes: tuple[Episode, ...] = ()
    findings: tuple[Finding, ...] = ()
    forecast: Forecast | None = None
    scan: ScanView | None = None
    actions: tuple[AuditEntry, ...] = ()
    names: bool = True
    values_read: bool | None = None
    actions_skipped: int = 0
    overdue: frozenset[str] = frozenset()
