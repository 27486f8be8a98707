"""Frozen plans that are run in steps: elements of a key that stays, and the finished jobs of an application."""

from enum import StrEnum

from msgspec import Struct

from redis_oom_tui.models.keys import KeyId

Element = tuple[bytes, ...]
"""A list's (element,), a stream's (id, field, value, ...), a sorted set's (member, score), a hash's (field, value) or a
set's (member,)."""


class ListEnd(StrEnum):
    """An end of a list: LPUSH adds at the left, RPUSH at the right."""

    LEFT = "left"
    RIGHT = "right"


class ScoreUnit(StrEnum):
    """What the scores of a sorted set are, read as Unix times."""

    SECONDS = "s"
    MILLISECONDS = "ms"


class ShrinkRequest(Struct, frozen=True):
    """Which elements of `key` are to go: all but the newest `keep_last`, those older than `older_than_seconds`, or the
    fields or members that match the glob `matching`. Exactly one of the three is given.

    `oldest_end` says where a list has its oldest elements, `score_unit` that scores are times.
    """

    key: KeyId
    keep_last: int | None = None
    older_than_seconds: int | None = None
    matching: bytes | None = None
    oldest_end: ListEnd | None = None
    score_unit: ScoreUnit | None = None


class MarkedElement(Struct, frozen=True, gc=False):
    """A field or member that is to go, and eight bytes of the BLAKE2 of its value: another value later shows."""

    name: bytes
    digest: bytes


class ShrinkPlan(Struct, frozen=True):
    """A frozen choice of elements of one key. Times are Unix seconds of this computer.

    `elements` is how many the key holds, `going` how many go. `size` is the key's MEMORY USAGE, `about_bytes` an
    estimate of what goes, None where no size is told. `oldest` and `newest` are the first and the last that go, in the
    key's own order; for hashes and sets, which have none, the first two that were found. `marked` names each that goes
    there. `flags` are sentences to read before confirming. `role` is master or replica.
    """

    request: ShrinkRequest
    type: str
    elements: int
    going: int
    made_at: float
    server: str
    oldest: Element = ()
    newest: Element = ()
    size: int | None = None
    about_bytes: int | None = None
    marked: tuple[MarkedElement, ...] = ()
    flags: tuple[str, ...] = ()
    run_id: str | None = None
    role: str = ""
    hash: str = ""

    @property
    def key(self) -> KeyId:
        """The key that becomes smaller."""
        return self.request.key


class FinishedRequest(Struct, frozen=True):
    """Finished jobs of the application called so in database `db`, older than so many seconds.

    `queue` and `state` (as the application's file has them) choose among them; None takes every queue, and the states
    whose loss is harmless.
    """

    application: str
    older_than_seconds: int
    queue: bytes | None = None
    state: str | None = None
    db: int = 0


class FinishedJob(Struct, frozen=True, gc=False):
    """A job: the `member` of the `index` that says that it is done, with its `score` there ('' where it has none).

    `keys` are the names of all that belongs to it, there or not; `guards` of what stands there only while somebody
    works at it.
    """

    index: bytes
    index_type: str
    member: bytes
    score: bytes
    keys: tuple[bytes, ...]
    guards: tuple[bytes, ...] = ()


class FinishedPlan(Struct, frozen=True):
    """A frozen list of finished jobs. `made_at` is Unix seconds.

    `total` is how many finished jobs the indexes have, `about_bytes` an estimate of what goes. `state` is what the
    application calls them. `flags` are sentences to read before confirming.
    """

    request: FinishedRequest
    jobs: tuple[FinishedJob, ...]
    made_at: float
    server: str
    state: str = ""
    total: int = 0
    about_bytes: int | None = None
    flags: tuple[str, ...] = ()
    run_id: str | None = None
    role: str = ""
    hash: str = ""

    @property
    def going(self) -> int:
        """How many jobs go."""
        return len(self.jobs)
