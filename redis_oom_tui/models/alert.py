"""Alerts: what was read, what that set off, and what stands now. Times `at` are Unix seconds."""

from enum import StrEnum

from msgspec import Struct, field

from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.verdict import Level


class EventKind(StrEnum):
    """What happened. EASED is a step down that is not yet all clear; RESTARTED and CLEANUP are no alarms."""

    WARNING = "warning"
    CRITICAL = "critical"
    OOM = "oom"
    EASED = "eased"
    RECOVERED = "recovered"
    LOST = "lost"
    BACK = "back"
    RESTARTED = "restarted"
    CLEANUP = "cleanup"


class Figures(Struct, frozen=True):
    """The numbers that go with an event; None where the server does not tell."""

    used_bytes: int | None = None
    maxmemory_bytes: int | None = None
    pressure: float | None = None
    policy: str | None = None
    refused_writes_total: int | None = None
    evicted_keys_total: int | None = None
    limit_source: LimitSource = LimitSource.SERVER


class JudgedSample(Struct, frozen=True):
    """One answer of the server, judged. `monotonic` is the tool's clock when it came, in seconds.

    `rising` is the level by the thresholds themselves, `staying` by thresholds lowered by the hysteresis: an alert
    begins by the first and ends by the second. `server` is the address that answered; '' for one of several nodes.
    """

    monotonic: float
    at: float
    rising: Level
    staying: Level
    reason: str = ""
    rule: str = ""
    figures: Figures = field(default_factory=Figures)
    run_id: str | None = None
    uptime_seconds: int | None = None
    server: str = ""


class Silence(Struct, frozen=True):
    """A tick without an answer that could be judged; `reason` is one sentence. `asked` is when its look began."""

    monotonic: float
    at: float
    reason: str = ""
    asked: float | None = None


class Event(Struct, frozen=True):
    """Something that is told once. `number` counts from 1; `lasted_seconds` is how long what it ends had lasted."""

    number: int
    kind: EventKind
    at: float
    server: str
    level: Level
    before: Level
    reason: str
    rule: str = ""
    figures: Figures = field(default_factory=Figures)
    lasted_seconds: float | None = None


class Alert(Struct, frozen=True):
    """What stands now, for a screen. `since` is when the level, or the silence, began.

    `quiet` says that somebody acknowledged or snoozed it: it stays visible, it does not ask for attention.
    """

    level: Level
    lost: bool
    reason: str
    since: float
    quiet: bool = False
    snoozed_until: float | None = None
