"""Jobs that are done, with everything that belongs to them: what is asked for, and what would go, frozen."""

from msgspec import Struct


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
