"""What is wrong, in one sentence, and what would fix it."""

from enum import StrEnum

from msgspec import Struct

from redis_oom_tui.models.keys import KeyId, KeyPattern
from redis_oom_tui.models.plan import ProposedJobs, TtlFilter


class Level(StrEnum):
    """How bad it is. OOM is: writes are being refused now."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    OOM = "oom"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """As monitoring plugins have it: 0 ok, 1 warning, 2 critical, 3 unknown."""
        return {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2, Level.OOM: 2, Level.UNKNOWN: 3}[self]


WORST_FIRST = (Level.OOM, Level.CRITICAL, Level.UNKNOWN, Level.WARNING, Level.OK)
"""The levels in the order in which several servers are listed."""


class Thresholds(Struct, frozen=True):
    """Shares of maxmemory at which a warning and a critical verdict begin; growth that is full so soon is a warning."""

    warn: float = 0.80
    crit: float = 0.95
    soon_seconds: float = 3600.0

    def level_of(self, pressure: float | None) -> Level:
        """Where a pressure stands between them; OK where it is not known.

        >>> Thresholds().level_of(0.9), Thresholds().level_of(0.95), Thresholds().level_of(None)
        (<Level.WARNING: 'warning'>, <Level.CRITICAL: 'critical'>, <Level.OK: 'ok'>)
        """
        if pressure is None or pressure < self.warn:
            return Level.OK
        return Level.CRITICAL if pressure >= self.crit else Level.WARNING


class Verdict(Struct, frozen=True):
    """One sentence with its evidence. `rule` names the rule that spoke; `first_step` is what to do first, or ''.

    `not_judged` says, in words, which rules failed on these figures: the sentence stands without them. `confirm` are
    commands of Redis's own, with the fields to look at, by which a person can check the sentence. `client_id` is the
    client of which the first step speaks.
    """

    level: Level
    reason: str
    rule: str
    evidence: tuple[str, ...] = ()
    first_step: str = ""
    since: float | None = None
    not_judged: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ()
    client_id: int | None = None


class Remedy(Struct, frozen=True):
    """Where in the product a finding is fixed: the pane, and the plan or setting that it fills in there.

    `db` is the database of the keys that `match` names; None where it may be any. `pattern` holds exactly the keys that
    were counted, where they are those of one pattern; `ttl` and `idle_over_seconds` say which of them. With
    `expire_seconds` they are to expire over so long, and not to be deleted. `jobs` are finished jobs, `orphans_of` is
    the application whose keys no list of its own names, and `key` one key of type `kind` that can be made smaller: each
    has a plan of its own.
    """

    pane: str
    match: bytes | None = None
    db: int | None = None
    setting: str | None = None
    value: str | None = None
    client_id: int | None = None
    pattern: KeyPattern | None = None
    ttl: TtlFilter = TtlFilter.ANY
    idle_over_seconds: int | None = None
    expire_seconds: int | None = None
    jobs: ProposedJobs | None = None
    orphans_of: str | None = None
    key: KeyId | None = None
    kind: str = ""


class Finding(Struct, frozen=True):
    """One cause or saving, ranked. `saves_bytes` is (low, high), None where no figure is honest."""

    id: str
    level: Level
    title: str
    advice: str
    evidence: tuple[str, ...] = ()
    saves_bytes: tuple[int, int] | None = None
    remedy: Remedy | None = None
    in_the_application: str = ""
