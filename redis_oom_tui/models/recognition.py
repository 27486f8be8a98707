"""Which applications were recognized in a scan, and what each pattern of keys is to its application."""

from collections.abc import Mapping

from msgspec import Struct, field

from redis_oom_tui.models.application import Application, Confidence, KeyKind
from redis_oom_tui.models.scan import PatternRow


class KeyLabel(Struct, frozen=True):
    """What keys are: of which application, with what prefix and in which instance (as a queue), and of which kind."""

    application: Application
    kind: KeyKind
    confidence: Confidence
    prefix: bytes = b""
    instance: bytes | None = None


class FinishedJobs(Struct, frozen=True):
    """Jobs of one instance that are done: how many of how many, and the bytes that they and what belongs to them hold.

    `low` and `high` bound the bytes: which of the jobs are done is known by their number alone.
    """

    state: str
    kind: str
    instance: bytes | None
    jobs: int
    of_jobs: int
    low: int
    size: int
    high: int


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
