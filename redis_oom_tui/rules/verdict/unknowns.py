"""The rules of the verdict for what cannot be judged: a count that is broken, a limit that is not reported."""

from redis_oom_tui.formatting.sizes import duration, size
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.info_fields import FELL_BELOW_ZERO
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.phrases import in_use, refused_before, say, why_unjudged

_LIMIT_STEP = (
    "Free some memory in Cleanup, or raise the limit where it is set (the provider's console); state it with --limit"
    " SIZE, to see how full the server is."
)
_COUNT_STEP = {
    True: "Fail over to a replica or restart it: only a new process counts from scratch, and deleting keys does not"
    " help. Until then maxmemory 0 (no limit) lets writes in, if the host has room.",
    False: "Look at what the server or its provider shows of its memory.",
}


def refusing_unjudged(facts: Facts, seen: str) -> Verdict:
    """It refuses writes, and by what limit or count is not known: then no cause is named."""
    memory, unjudged = facts.now.memory, why_unjudged(facts)
    seconds = facts.over_limit_seconds
    clock = f"over its limit by its own clock for {duration(seconds)}" if seconds else ""
    more = "".join(f"; {clause}" for clause in (clock, seen) if clause)
    if memory.used_bytes is None:
        reason = f"Refusing writes: {unjudged}{more}."
        return say(facts, Level.OOM, "refusing-count-unknown", reason, _COUNT_STEP[_is_broken(facts)], facts.since)
    if memory.limit_unknown:
        reason = f"Refusing writes at {in_use(facts)}: {unjudged}, so the cause is not known{more}."
        return say(facts, Level.OOM, "refusing-limit-unknown", reason, _LIMIT_STEP, facts.since)
    reason = (
        f"Refusing writes at {in_use(facts)}, though it reports no limit (maxmemory 0): one is set elsewhere{more}."
    )
    return say(facts, Level.OOM, "refusing-no-limit", reason, _LIMIT_STEP)


def _is_broken(facts: Facts) -> bool:
    """Whether used_memory fell below zero, which only a new process cures; not where it is missing or no number."""
    return any(doubt.field == "used_memory" and doubt.reason.endswith(FELL_BELOW_ZERO) for doubt in facts.now.doubts)


def count_unknown(facts: Facts) -> Verdict | None:
    """Nobody can say how full it is: what it counts cannot be true, or is not reported."""
    if facts.now.memory.used_bytes is not None:
        return None
    earlier, seconds = refused_before(facts), facts.over_limit_seconds
    over = f"over its limit by its own clock for {duration(seconds)}" if seconds else ""
    more = "".join(f"; {clause}" for clause in (over, earlier) if clause)
    level = Level.CRITICAL if seconds else Level.WARNING if earlier else Level.UNKNOWN
    reason = f"How full it is cannot be told, as {why_unjudged(facts)}{more}."
    return say(facts, level, "count-unknown", reason, _COUNT_STEP[_is_broken(facts)], facts.since)


def contradictory(facts: Facts) -> Verdict | None:
    """More in use than the host has: one of the two figures is wrong, unless the rest lies on disk."""
    memory, host = facts.now.memory, facts.host
    if not host or memory.used_bytes is None or memory.used_bytes <= host:
        return None
    if (memory.swapped_bytes or 0) >= memory.used_bytes - host:
        return None
    crit = not memory.maxmemory_bytes and (memory.rss_bytes or 0) >= facts.thresholds.crit * host
    reason = (
        f"Its figures contradict each other: used_memory is {size(memory.used_bytes)}, and there is only {size(host)}"
        " of memory: one of them is wrong, or the rest is swapped out."
    )
    step = "Look at the host itself: its memory, its swap, and the container's limit."
    return say(facts, Level.CRITICAL if crit else Level.WARNING, "contradictory", reason, step)


def limit_unknown(facts: Facts) -> Verdict | None:
    """How much fits is not known; what was refused before is all that hints at it."""
    unjudged = why_unjudged(facts)
    if not unjudged:
        return None
    earlier = refused_before(facts)
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    evicts = f"; {per_second:,.0f} keys/s are evicted" if per_second and per_second >= 1 else ""
    reason = (
        f"How full it is cannot be told, as {unjudged}: it uses {in_use(facts)}{evicts}"
        f"{'; ' if earlier else ''}{earlier}."
    )
    step = "State the limit with --limit SIZE, or as `limit` in a profile."
    return say(facts, Level.WARNING if earlier else Level.UNKNOWN, "limit-unknown", reason, step)


def foreign_rss(facts: Facts) -> Verdict | None:
    """Dragonfly counts more towards its limit than its used_memory tells: its RSS is the nearer figure."""
    memory = facts.now.memory
    limit, rss = memory.maxmemory_bytes, memory.rss_bytes
    if not facts.now.server.is_foreign or limit is None or rss is None or rss < facts.thresholds.crit * limit:
        return None
    reason = (
        f"{facts.name} is at {in_use(facts)} by its used_memory, and its RSS of {size(rss)} is at the limit: it may"
        " count more than used_memory tells."
    )
    return say(facts, Level.WARNING, "foreign-rss", reason, "Look at its own INFO fields for buffers and replication.")
