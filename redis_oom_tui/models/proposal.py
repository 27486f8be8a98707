"""What may go to bring the memory down to a target: ranked parts, each of which is a plan of its own."""

from msgspec import Struct

from redis_oom_tui.models.plan import Criteria


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

    `about_bytes` is what they hold with all that belongs to them.
    """

    application: str
    state: str
    queue: bytes | None
    db: int
    jobs: int
    about_bytes: int


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
