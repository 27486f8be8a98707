"""Whether idle times can be trusted as a reason to delete (REDIS_FACTS: the LRU clock and what resets it)."""

from collections.abc import Iterable

from redis_oom_tui.formatting.sizes import duration, number_of_keys
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Order, PlannedKey
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.clock import skew_sentence
from redis_oom_tui.rules.policies import is_lfu

# The clock has 24 bits of seconds: what is idle for longer reads as if it were used lately.
CLOCK_SECONDS = 2**24
CHILD_RUNS = (
    "A BGSAVE or AOF rewrite runs: meanwhile keys that are used keep looking idle. Without a backup, a value of the"
    " same size that is written now is lost unseen."
)
CHILD_BEGAN = (
    "A BGSAVE or AOF rewrite began since the preview, and meanwhile keys that are used keep looking idle: plan again,"
    " or delete with a backup"
)


def refuse_unknown(criteria: Criteria, known: Capabilities) -> None:
    """Raise BadInput where the criteria need what this server does not tell, so that nothing would match."""
    leans = bool(criteria.idle_over_seconds) or criteria.order is Order.OLDEST
    for needed, feature, what in (
        (leans, Feature.OBJECT_IDLETIME, "idle times"),
        (criteria.larger_than_bytes is not None, Feature.MEMORY_USAGE, "sizes"),
    ):
        if needed and (reason := known.why_not(feature)):
            raise BadInput(f"This server tells no {what} ({reason}): choose by pattern, type or TTL")
    if refusal := why_unchecked(known):
        raise BadInput(refusal)


def why_unchecked(known: Capabilities) -> str | None:
    """Why no key can be checked before it is deleted, in a sentence; None where each can."""
    for feature in (Feature.TYPE, Feature.TTL):
        if reason := known.why_not(feature):
            return (
                f"Each key is checked by its type and expiry before it goes, and {feature} is refused here ({reason}):"
                " log in as a user who may, or delete by another tool"
            )
    return None


def refuse_idle(criteria: Criteria, snapshot: Snapshot) -> None:
    """Raise BadInput where the criteria lean on idle times that this server does not keep."""
    leans = bool(criteria.idle_over_seconds) or criteria.order is Order.OLDEST
    if leans and is_lfu(snapshot.memory.policy):
        raise BadInput(
            f"Under {snapshot.memory.policy} the server keeps frequencies and no idle times: choose by pattern, type or"
            " size"
        )
    if (criteria.idle_over_seconds or 0) >= CLOCK_SECONDS:
        raise BadInput(f"Idle times wrap at {duration(CLOCK_SECONDS)}: no key can be idle for longer than that")


def flags(criteria: Criteria, snapshot: Snapshot, keys: Iterable[PlannedKey], *, lfu_before: bool) -> tuple[str, ...]:
    """Sentences to read before a plan is confirmed. `lfu_before`: an LFU policy was on since the start."""
    found: list[str] = []
    leans = bool(criteria.idle_over_seconds) or criteria.order is Order.OLDEST
    listed = tuple(keys)
    if leans and lfu_before:
        found.append("The policy was an LFU one since the server started: keys used meanwhile show wrong idle times.")
    if leans and snapshot.server.role in {"slave", "replica"}:
        found.append("Idle times on a replica are not the master's: keys that look idle here may be busy there.")
    if leans and snapshot.server.uptime_seconds is not None:
        older = sum(1 for key in listed if (key.idle_seconds or 0) > snapshot.server.uptime_seconds + 5)
        if older:
            found.append(f"{number_of_keys(older)} idle for longer than the server runs: look before deleting.")
    if sentence := skew_sentence(snapshot):
        found.append(f"{sentence}: what expires, and when, is by the server's.")
    if snapshot.activity.has_child:
        found.append(CHILD_RUNS)
    if listed and not any(key.idle_seconds is not None for key in listed):
        found.append(
            "The server tells no idle times: a key that is used or changed after this preview is recognised only by its"
            " type, expiry and size."
        )
    return tuple(found)


def in_use(keys: Iterable[PlannedKey]) -> tuple[str, ...]:
    """What to say of keys that were used in the very second in which the preview read them."""
    number = sum(1 for key in keys if key.in_use)
    if not number:
        return ()
    were, them = ("was", "it") if number == 1 else ("were", "them")
    said = f"{number_of_keys(number)} {were} in use at this preview, so no change since would show"
    return (f"{said}: only a deletion with a backup takes {them}.",)
