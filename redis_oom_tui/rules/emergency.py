"""The bounds of a cleanup that nobody watches: how much it may take, and when it must not even begin."""

from collections.abc import Sequence
from itertools import islice

from msgspec import Struct

from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.plan import Criteria, Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import plan_warnings
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.policies import keeps_last_use
from redis_oom_tui.rules.selection import within
from redis_oom_tui.rules.verdict.causes import CAUSES
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.holders import keys_hold_most

HOUR_SECONDS = 3600.0

# The rules of the verdict under which memory that keys give back is what is missing. Under any other, deleting is in
# vain: client buffers hold the memory, the disk refuses every write, the limit is below what an empty server takes.
_HELPED = frozenset(
    {"close-critical", "behind", *(f"refusing-{cause.name}" for cause in CAUSES if cause.in_keys and cause.of_policy)}
)
# The backlog grows no further than its setting, so keys that hold more than it does make room that lasts. What clients
# and replicas have not read may grow by all that a deletion frees.
_BESIDE_BACKLOG = frozenset({"close-backlog", "behind-backlog", "refusing-backlog"})


class Spent(Struct, frozen=True):
    """What a run has taken, or may be taking: `at` is Unix seconds."""

    at: float
    keys: int
    size: int


class Allowance(Struct, frozen=True):
    """How much a run may take now."""

    keys: int
    size: int

    @property
    def empty(self) -> bool:
        """Whether it may take nothing."""
        return self.keys <= 0 or self.size <= 0


def allowance(emergency: Emergency, spent: Sequence[Spent], now: float) -> Allowance:
    """What is left of the bounds per run and per hour. What seems to lie ahead of `now` counts as just spent.

    >>> allowance(Emergency(max_keys=10, max_keys_per_hour=15), [Spent(0.0, 12, 0)], 60.0).keys
    3
    """
    recent = [item for item in spent if now - item.at < HOUR_SECONDS]
    keys = emergency.max_keys_per_hour - sum(item.keys for item in recent)
    size = emergency.max_bytes_per_hour - sum(item.size for item in recent)
    return Allowance(max(0, min(emergency.max_keys, keys)), max(0, min(emergency.max_bytes, size)))


def criteria_within(plan: NamedPlan, allowed: Allowance) -> Criteria:
    """What to look for: no more keys and bytes than are allowed."""
    most = allowed.keys if plan.criteria.max_keys is None else min(allowed.keys, plan.criteria.max_keys)
    size = allowed.size if plan.criteria.max_bytes is None else min(allowed.size, plan.criteria.max_bytes)
    return replace(plan.criteria, max_keys=most, max_bytes=size)


def trimmed(plan: Plan, allowed: Allowance, max_bytes: int | None = None) -> Plan:
    """The plan with only so many of its first keys as fit the allowance; a key too large for what is left is passed by.

    A key of which nobody can say what it holds at most fits no bound in bytes, and is left out. The run itself stops at
    the same bound.
    """
    left = allowed.size if max_bytes is None else min(allowed.size, max_bytes)
    keys = tuple(islice(within(plan.keys, left), allowed.keys))
    criteria = replace(plan.criteria, max_bytes=left)
    if len(keys) == len(plan.keys) and criteria == plan.criteria:
        return plan
    return frozen(replace(plan, keys=keys, criteria=criteria))


def in_vain(rule: str, snapshot: Snapshot | None = None) -> bool:
    """Whether, under this rule of the verdict on `snapshot`, deleting keys does not help."""
    if rule in _BESIDE_BACKLOG and snapshot is not None:
        return not keys_hold_most(Facts(snapshot))
    return rule not in _HELPED


def why_not_idle(criteria: Criteria, emergency: Emergency, snapshot: Snapshot, *, lfu_seen: bool) -> str | None:
    """Why idle times cannot be trusted here without somebody who looks, in a sentence; None where they can."""
    if not criteria.by_idle_time:
        return None
    uptime = snapshot.server.uptime_seconds
    if not emergency.trust_idle:
        return (
            "The plan uses idle times, and trust_idle is not set: the policy may have been LFU or LRM since"
            " the server started."
        )
    if lfu_seen or not keeps_last_use(snapshot.memory.policy):
        return "The plan uses idle times, and the policy is or was LFU or LRM, which keep no times of the last use."
    if snapshot.activity.has_child:
        return "The plan uses idle times, and a BGSAVE or AOF rewrite is running, during which keys in use look idle."
    if uptime is None or uptime < (criteria.idle_over_seconds or 0):
        return (
            f"The plan uses idle times of {duration(criteria.idle_over_seconds)}, but the server has been"
            f" up for only {duration(uptime)}."
        )
    return None


def doubts(plan: Plan, snapshot: Snapshot) -> tuple[str, ...]:
    """What speaks against the idle times of the plan's own keys; empty for a plan that does not go by them."""
    if not plan.criteria.by_idle_time:
        return ()
    return plan_warnings.idle_flags(plan.criteria, snapshot, plan.keys, lfu_before=False)
