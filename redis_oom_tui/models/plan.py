"""A cleanup: its criteria, what was found and frozen, what became of each key, and proposals for a target."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.errors import KeyMoved
from redis_oom_tui.models.keys import KeyId, KeyPattern, Sized, SizeKind, inexact


class TtlFilter(StrEnum):
    """Which keys, by whether they can expire."""

    ANY = "any"
    WITH = "with"
    WITHOUT = "without"


class Order(StrEnum):
    """Which keys first, where a limit lets only some of them in."""

    LARGEST = "largest"
    OLDEST = "oldest"


class Criteria(Struct, frozen=True):
    """What a cleanup looks for; all that is given must hold. Patterns are globs, and any one of them suffices.

    `key_patterns` are patterns as a scan counts them: again, any one of them suffices. `keys`, when given, are the
    marked rows: only they are looked at, by identity. `node` is the one node of a cluster whose keys are looked at; ''
    for all nodes.
    """

    patterns: tuple[bytes, ...] = ()
    types: tuple[str, ...] = ()
    databases: tuple[int, ...] | None = None
    idle_over_seconds: int | None = None
    ttl: TtlFilter = TtlFilter.ANY
    larger_than_bytes: int | None = None
    keys: tuple[KeyId, ...] = ()
    max_keys: int | None = None
    max_bytes: int | None = None
    order: Order = Order.LARGEST
    key_patterns: tuple[KeyPattern, ...] = ()
    node: str = ""

    @property
    def by_idle_time(self) -> bool:
        """Whether idle times decide which keys go."""
        return bool(self.idle_over_seconds) or self.order is Order.OLDEST


# As with KeyId, the collector need not look at them.
class PlannedKey(Sized, Struct, frozen=True, gc=False):
    """A key as it was when the plan was frozen: what the deletion compares again before it acts.

    `read_at` is when it was read, in Unix seconds of the server's clock: an untouched key has grown idle by the time
    since then. None for one that was in use: a use since then would not show. `size_low` and `size_high` are as in
    `KeyRow`. `answered` is what MEMORY USAGE said of the first few elements where `size` was measured closer: what the
    check before the deletion asks again.
    """

    id: KeyId
    type: str
    size: int | None
    ttl_ms: int | None = None
    idle_seconds: int | None = None
    frequency: int | None = None
    read_at: float | None = None
    size_low: int | None = None
    size_high: int | None = None
    answered: int | None = None

    @property
    def most(self) -> int | None:
        """The most that it may hold; None where nobody can say."""
        if self.size is None or self.size_kind is SizeKind.EXACT:
            return self.size
        return self.size_high

    @property
    def least(self) -> int:
        """The least that it holds."""
        return (self.size_low if self.size_low is not None else self.size) or 0

    @property
    def in_use(self) -> bool:
        """Whether it may have been used in the very second in which it was read."""
        return self.read_at is None and self.idle_seconds is not None


class Operation(StrEnum):
    """What a plan does to its keys."""

    DELETE = "delete"
    EXPIRE = "expire"


class Plan(Struct, frozen=True):
    """A frozen list of keys: what runs is exactly this. Times are Unix seconds.

    `expire_seconds` is the span over which an EXPIRE plan spreads the ends of its keys. `flags` are sentences to read
    before confirming (idle times that cannot be trusted, data that looks like a queue). `run_id` is the server's when
    the plan was made; `keyspace_keys` is how many keys there were then. `matched_keys` and `matched_bytes` count all
    that met the criteria, also those that a limit on the plan left out; the bytes are 0 where the size of those is only
    estimated. `role` is master or replica. `limit_bytes` is
    what all keys together could not exceed when it was made: what was used beyond an empty server.
    """

    keys: tuple[PlannedKey, ...]
    criteria: Criteria
    made_at: float
    server: str
    run_id: str | None = None
    operation: Operation = Operation.DELETE
    expire_seconds: int | None = None
    keyspace_keys: int = 0
    scanned_keys: int = 0
    complete: bool = True
    flags: tuple[str, ...] = ()
    hash: str = ""
    matched_keys: int = 0
    matched_bytes: int = 0
    role: str = ""
    limit_bytes: int | None = None

    @property
    def size(self) -> int:
        """The sum of the sizes that could be measured."""
        return sum([key.size or 0 for key in self.keys])

    @property
    def size_range(self) -> tuple[int, int]:
        """The least and the most that the keys hold, as far as their sizes could be measured."""
        unsure, size = inexact(self.keys), self.size
        exact = size - sum([key.size or 0 for key in unsure])
        low = exact + sum([key.least for key in unsure])
        high = exact + sum([key.most or key.size or 0 for key in unsure])
        return low, high if self.limit_bytes is None else min(high, max(self.limit_bytes, size, low))

    @property
    def unmeasured(self) -> int:
        """How many of the keys tell no size."""
        return sum([key.size is None for key in self.keys])


class Outcome(StrEnum):
    """What became of one key; IN_DOUBT is what was sent and lost its reply, and was not seen to be untouched since."""

    DELETED = "deleted"
    EXPIRING = "expiring"
    GONE = "gone"
    CHANGED = "changed"
    FAILED = "failed"
    IN_DOUBT = "in doubt"
    NOT_ATTEMPTED = "not attempted"


class OutcomeNote(StrEnum):
    """What is counted of a key beside its outcome: kept as it could not be saved, or deleted by an earlier run."""

    UNSAVED = "unsaved"
    DELETED_EARLIER = "deleted earlier"


class KeyOutcome(Struct, frozen=True):
    """One key and what became of it; `detail` says what had changed, or the server's refusal.

    `moved` is that refusal where another node serves the key; `note` is for counts, never read out of `detail`.
    """

    id: KeyId
    outcome: Outcome
    detail: str = ""
    moved: KeyMoved | None = None
    note: OutcomeNote | None = None


_THERE_STILL = frozenset({Outcome.FAILED, Outcome.CHANGED, Outcome.NOT_ATTEMPTED})


class RunView(Struct, frozen=True):
    """A plan while it runs, or after: counts by outcome, bytes freed by the plan's own figures, and the server's.

    `ended` is None while it runs, else one sentence. `charged_bytes` is what a bound in bytes was charged with.
    """

    total_keys: int
    counts: Mapping[Outcome, int] = field(default_factory=lambda: MappingProxyType({}))
    freed_bytes: int = 0
    used_before_bytes: int | None = None
    used_now_bytes: int | None = None
    lazyfree_pending_objects: int | None = None
    elapsed_seconds: float = 0.0
    keys_per_second: float = 0.0
    backup_path: str | None = None
    phase: str = "starting"
    throttled: bool = False
    ended: str | None = None
    failed: bool = False
    charged_bytes: int = 0

    @property
    def taken_bytes(self) -> int:
        """What it took: the largest of the plan's own figures, what used_memory fell by, and what a bound counted."""
        before, now = self.used_before_bytes, self.used_now_bytes
        fell = 0 if before is None or now is None else before - now
        return max(self.freed_bytes, fell, self.charged_bytes)

    @property
    def undoable(self) -> bool:
        """Whether there is a backup of anything that is gone, or may be."""
        return self.backup_path is not None and not self.counts.keys() <= _THERE_STILL

    @property
    def backup_files(self) -> tuple[str, ...]:
        """The backup, where there is one."""
        return () if self.backup_path is None else (self.backup_path,)

    @property
    def done_keys(self) -> int:
        """Keys whose reply was read."""
        return sum(n for outcome, n in self.counts.items() if outcome is not Outcome.NOT_ATTEMPTED)

    @property
    def complete(self) -> bool:
        """Whether it ended without a fault: no key failed or was left, and it did something if any key was kept."""
        left = self.counts.get(Outcome.FAILED, 0) + self.counts.get(Outcome.NOT_ATTEMPTED, 0)
        acted = self.counts.get(Outcome.DELETED, 0) + self.counts.get(Outcome.EXPIRING, 0)
        return not (self.failed or left or (self.counts.get(Outcome.CHANGED, 0) and not acted))


class ProposedPart(Struct, frozen=True):
    """Keys that may go. `about_bytes` is by the last scan; `risk` and `undo` are sentences.

    `pressure_after` is the share of maxmemory in use when this part and all before it are gone.
    """

    what: str
    criteria: Criteria
    keys: int
    about_bytes: int
    risk: str
    undo: str
    pressure_after: float


class ProposedJobs(Struct, frozen=True):
    """Jobs that an application lists as done and whose loss is harmless: `jobs` of one `queue`, None where it has none.

    `about_bytes` is what they hold with all that belongs to them. `exact` is of their number.
    """

    application: str
    state: str
    queue: bytes | None
    db: int
    jobs: int
    about_bytes: int
    exact: bool = True


class Proposal(Struct, frozen=True):
    """The parts in the order in which they should go, and the bytes that must go to reach `target` (a share of
    maxmemory). `enough` says whether all of them together reach it; `kept` are sentences on what was left out, and why.
    `jobs` are finished jobs, which go by a plan of their own. `cause` says, where no deletion helps, why that is so and
    what to do first; nothing is proposed then. `shard` is the node of a cluster that all of this is about, of `shards`
    with a limit, `shards_over` of which are over the target.
    """

    target: float
    needed_bytes: int
    pressure: float
    parts: tuple[ProposedPart, ...] = ()
    kept: tuple[str, ...] = ()
    jobs: tuple[ProposedJobs, ...] = ()
    cause: str = ""
    shard: str = ""
    shards: int = 0
    shards_over: int = 0

    @property
    def enough(self) -> bool:
        """Whether all parts together reach the target."""
        return sum(part.about_bytes for part in self.parts) >= self.needed_bytes
