"""Applications that keep their data in Redis: what their files tell of them, and what a scan holds of each."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

from redis_oom_tui.models.scan import PatternRow


class Confidence(StrEnum):
    """How sure it is that keys are of an application."""

    HIGH = "high"
    LIKELY = "likely"
    POSSIBLE = "possible"


class KeyUse(StrEnum):
    """What a kind of key is to its application."""

    JOB = "job"
    FINISHED_JOBS = "finished jobs"
    FAILED_JOBS = "failed jobs"
    WAITING_JOBS = "waiting jobs"
    ACTIVE_JOBS = "active jobs"
    RESULT = "result"
    LOG = "log"
    LOCK = "lock"
    SESSION = "session"
    TAG_INDEX = "tag index"
    INDEX = "index"
    QUEUE = "queue"
    STREAM = "stream"
    EVENTS = "events"
    REPLY_QUEUE = "reply queue"
    RATE_LIMIT = "rate limit"
    CACHE = "cache entry"
    METRICS = "metrics"
    REGISTRATION = "registration"
    SCHEDULE = "schedule"
    SETTINGS = "settings"
    DATA = "data"

    @property
    def plural(self) -> str:
        """Several of them, for a sentence."""
        if self in (KeyUse.METRICS, KeyUse.SETTINGS, KeyUse.DATA, KeyUse.EVENTS) or self.value.endswith("jobs"):
            return self.value
        if self.value.endswith("y"):
            return f"{self.value[:-1]}ies"
        return f"{self.value}es" if self.value.endswith("x") else f"{self.value}s"


class Loss(StrEnum):
    """What becomes of the application when a key of a kind is gone."""

    HARMLESS = "harmless"
    LOSES_WORK = "loses work"
    BREAKS = "breaks the application"


RedisType = Literal["string", "list", "set", "zset", "hash", "stream"]


class KeyKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of key. `names` are shapes of names (`applications.name_shapes`); no `types` stands for any type.

    With `beside`, a key is of this kind only where a key of one of those kinds stands beside it, with the same prefix
    and instance. `note` is a sentence on what the kind is for, or what to heed.
    """

    id: str
    use: KeyUse
    loss: Loss
    names: tuple[str, ...]
    types: tuple[RedisType, ...] = ()
    beside: tuple[str, ...] = ()
    note: str = ""


class GuessedUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keys of no known application are likely for: those with one of `words` (a regular expression, for names in
    small letters) in their names, or of `type`.
    """

    use: KeyUse
    loss: Loss
    words: str = ""
    type: RedisType | None = None


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Kinds that tell the application where all of them are there, with one prefix and instance.

    `prefix` is a word with which the prefix must end. `fields` are names that a sample of a kind's hashes (or of the
    objects in its JSON or MessagePack strings) must all have; `name{}` is one whose value is an object itself. A name
    in angle brackets is a format: <json>, <msgpack>, <pickle>, <php>, <java>, <marshal>.
    """

    confidence: Confidence
    keys: tuple[str, ...]
    prefix: str = ""
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)


class AppSetting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A setting of the application that bounds what keys of the kinds `bounds` hold.

    `default` says what happens without it, `value` is a sensible one as it is written there, `where` tells where.
    """

    name: str
    bounds: tuple[str, ...]
    default: str
    value: str
    where: str = ""
    link: str = ""


class TimeUnit(StrEnum):
    """What a time is written as. `ISO` is text, the others count from 1970."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    ISO = "iso8601"


class FinishedWork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work that is done, and may go with all that belongs to it.

    Members of the key of kind `index` are the ids of keys of kind `job` (`<id>` in its shape), and of the kinds
    `belongs`. Without `job`, the members are the work itself; without `index`, each key of kind `job` is finished.
    `score` tells what a sorted set's score is; `score_is` whether the time is that of the end, of the beginning, or of
    the expiry. `time_field` is a field of the job, or of the JSON that it or a member holds, in `time_unit`.
    """

    state: str
    index: str = ""
    job: str = ""
    belongs: tuple[str, ...] = ()
    score: TimeUnit | None = None
    score_is: Literal["finished", "started", "expires"] = "finished"
    time_field: str = ""
    time_unit: TimeUnit | None = None


class Orphans(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of kind `keys` that no member of the sets of kind `index` names.

    A member is split at `separator`, and part `part` is the key's name without the prefix.
    """

    keys: str
    index: str
    separator: str = ""
    part: int = 0


class Application(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of `redis_oom_tui/applications`. `prefix` is the word that its names begin with unless configured.

    `instance` is what a `<queue>` in its shapes is called in a sentence. `policy` is the eviction policy that its own
    documentation demands.
    """

    name: str
    link: str
    keys: tuple[KeyKind, ...]
    evidence: tuple[Evidence, ...]
    prefix: str = ""
    instance: str = "queue"
    policy: str = ""
    note: str = ""
    settings: tuple[AppSetting, ...] = ()
    finished: tuple[FinishedWork, ...] = ()
    orphans: tuple[Orphans, ...] = ()

    def kind(self, kind_id: str) -> KeyKind:
        """The kind called so; KeyError where there is none."""
        for kind in self.keys:
            if kind.id == kind_id:
                return kind
        raise KeyError(kind_id)

    def bounding(self, kind_id: str) -> AppSetting | None:
        """The setting that bounds keys of a kind."""
        return next((setting for setting in self.settings if kind_id in setting.bounds), None)


class KeyLabel(Struct, frozen=True):
    """What keys are: of which application, with what prefix and in which instance (as a queue), and of which kind."""

    application: Application
    kind: KeyKind
    confidence: Confidence
    prefix: bytes = b""
    instance: bytes | None = None


class FinishedJobs(Struct, frozen=True):
    """Jobs of one instance that are done: how many of how many, and the bytes that they and what belongs to them hold.

    `low` and `high` bound the bytes: which of the jobs are done is known by their number alone. That number is `exact`
    where the length of every index was read and every job was seen; else it is an estimate.
    """

    state: str
    kind: str
    instance: bytes | None
    jobs: int
    of_jobs: int
    low: int
    size: int
    high: int
    exact: bool = True


class Recognized(Struct, frozen=True):
    """One application found in a database under one prefix, by the best evidence; `rows` are its patterns by kind.

    `finished` are its jobs that are done, where the lengths of its indexes were read.

    A pattern that may as well be of another application stands in both.
    """

    application: Application
    confidence: Confidence
    db: int
    prefix: bytes
    rows: Mapping[str, tuple[PatternRow, ...]]
    finished: tuple[FinishedJobs, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all its patterns."""
        return sum(row.size for rows in self.rows.values() for row in rows)

    @property
    def keys(self) -> int:
        """The keys of all its patterns."""
        return sum(row.keys for rows in self.rows.values() for row in rows)

    def size_of(self, kind: str) -> int:
        """The bytes of the patterns of one kind."""
        return sum(row.size for row in self.rows.get(kind, ()))


class Recognition(Struct, frozen=True):
    """What was recognized in one scan: the applications, those that hold most first, and labels of patterns."""

    found: tuple[Recognized, ...] = ()
    labels: Mapping[tuple[int, bytes], tuple[KeyLabel, ...]] = field(default_factory=dict)

    def of(self, row: PatternRow) -> tuple[KeyLabel, ...]:
        """What the keys of a pattern are: several labels where several applications could be meant, none if unknown.

        A pattern that others divide has the labels of the largest, where all of them are of the same application.
        """
        return self.labels.get((row.db or 0, row.pattern), ())
