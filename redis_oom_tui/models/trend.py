"""What changes over time: rates between two polls, where memory goes, and the report of an incident."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.breakdown import Breakdown
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Finding, Level, Verdict


class LastRefused(Struct, frozen=True):
    """The newest of the refused writes: how many the last look alone saw, and how long ago a look saw one.

    `pressure` is the least share of maxmemory that was seen while they were refused; None where it is unknown.
    """

    just_now: int
    seconds_ago: float
    pressure: float | None = None


class Rates(Struct, frozen=True):
    """What a server's counters gained over `seconds`; None where they cannot be compared.

    `restarted` says that the server was another process before, `reset` that CONFIG RESETSTAT zeroed its counters:
    a gain then counts from that moment, so it is a lower bound. `last_refused` is what the looks within the span tell
    of the refused writes, where a next look will show a cure; else None. `not_judged` says why there are no counts,
    where the rule failed.
    """

    seconds: float = 0.0
    refused_writes: int | None = None
    refused_by_command: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    errors_by_kind: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    evicted_keys: int | None = None
    expired_keys: int | None = None
    commands: int | None = None
    keyspace_hits: int | None = None
    keyspace_misses: int | None = None
    growth_bytes: int | None = None
    restarted: bool = False
    reset: bool = False
    last_refused: LastRefused | None = None
    not_judged: str = ""

    def per_second(self, gain: int | None) -> float | None:
        """`gain`, one of the counts above, as a rate; None where it is unknown or no time has passed."""
        return None if gain is None or self.seconds <= 0 else gain / self.seconds

    @property
    def hit_ratio(self) -> float | None:
        """The share of look-ups that found their key; None without any."""
        if self.keyspace_hits is None or self.keyspace_misses is None:
            return None
        lookups = self.keyspace_hits + self.keyspace_misses
        return self.keyspace_hits / lookups if lookups else None


class TrendSample(Struct, frozen=True):
    """One point of the history. The totals count from when the tool began to watch, across resets and restarts.

    `ours`: since the one before, this tool itself took or gave back memory (a restore, a cleanup).
    """

    monotonic: float
    at: float
    used_bytes: int
    counted_bytes: int
    maxmemory_bytes: int | None = None
    rss_bytes: int | None = None
    keys: int = 0
    refused_writes: int = 0
    evicted_keys: int = 0
    restarted: bool = False
    ours: bool = False


class Trend(StrEnum):
    """Which way used memory goes, as far as the samples can tell."""

    GROWING = "growing"
    SHRINKING = "shrinking"
    NONE = "no trend"
    UNKNOWN = "unknown"


class Forecast(Struct, frozen=True):
    """Growth in bytes per second, and how long until the limit, in seconds, as a range.

    `seconds_to_limit` is None without a limit or without growth; its upper end is None where growth may also stop.
    `watched_seconds` is the span that it rests on; `not_judged` says why there is none, where the rule failed.
    """

    trend: Trend = Trend.UNKNOWN
    slope: float | None = None
    seconds_to_limit: tuple[float, float | None] | None = None
    watched_seconds: float = 0.0
    not_judged: str = ""


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
    `actions_skipped` counts lines of the audit log that could not be read, `actions_unread_before` is when the actions
    begin that are listed where older ones were left out, in Unix seconds, `values_read` whether values could be looked
    into: None where no string was sampled. `overdue` are the ids of actions whose timed return is, as far as is known;
    `recognition` are the applications of the scanned keys. `split` is where the memory is at the end, `samples` how it
    went, oldest first. `notes` are what must be said of all its figures; `connection_args` are the words of a command
    that leads to the server.
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
    actions_unread_before: float | None = None
    overdue: frozenset[str] = frozenset()
    recognition: Recognition = field(default_factory=Recognition)
    split: Breakdown = Breakdown(())
    samples: tuple[TrendSample, ...] = ()
    notes: tuple[str, ...] = ()
    connection_args: tuple[str, ...] = ()
