"""The rules of the verdict about the limit: refused, close to it, evicting, no limit, or a limit that nobody knows."""

from redis_oom_tui.formatting.sizes import duration, full_in, lasting, number_of_keys, percent, size
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.trend import Trend
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.headroom import higher_limit
from redis_oom_tui.rules.info_fields import FELL_BELOW_ZERO
from redis_oom_tui.rules.verdict.causes import cause_of, why_full
from redis_oom_tui.rules.verdict.clauses import refused_below
from redis_oom_tui.rules.verdict.facts import Earlier, Facts, earlier_refusals, few_values_bytes
from redis_oom_tui.rules.verdict.phrases import (
    in_use,
    pause,
    product,
    refusals,
    refused_ago,
    refused_before,
    rule,
    say,
    since_refused,
    subject,
    why_unjudged,
)
from redis_oom_tui.rules.verdict.state_rules import unblocked_first

# An evicting cache in which keys live shorter than this, and most look-ups miss, is too small for its work.
_CHURN_SECONDS = 60.0
_FEW_HITS = 0.5
_EVICTED_FOR_A_LOOKUP = 10
# A cache of few values that has evicted so many times what it holds has done so all along.
_EVICTED_TIMES = 4
# Where eviction works, used memory strays from the limit by some buffers, not by as much as this.
_BEYOND_FLICKER = 1.05


def _falls_behind(facts: Facts) -> bool:
    """Whether eviction does not keep up: over the limit for a second, or by more than a flicker without a clock."""
    if facts.over_limit_seconds is None:
        return (facts.pressure or 0.0) >= _BEYOND_FLICKER
    return facts.over_limit_seconds >= 1.0


def _since(facts: Facts) -> float | None:
    """When it went over its limit, by the server's own clock; None where that cannot be told."""
    return facts.now.taken_at - facts.over_limit_seconds if facts.over_limit_seconds else None


@rule("refusing-")
def refusing(facts: Facts) -> Verdict | None:
    """It is OOM: writes are refused, or the next one will be."""
    if not facts.refusing:
        return None
    seen = refusals(facts)
    if facts.pressure is None:
        return refusing_unjudged(facts, seen)
    cause = cause_of(facts)
    if refused_below(facts):
        ago = f"Refused writes until {since_refused(facts)} ago" if refused_ago(facts) else "Refusing writes"
        reason = f"{ago}: {seen}, though it is at {in_use(facts)} now: {cause.clause(facts)}."
        return say(facts, Level.OOM, f"refusing-{cause.name}", reason, cause.first_step(facts), confirm=cause.confirm)
    does = "Refuses writes when its pause ends," if facts.paused and not seen else "Refusing writes"
    if refused_ago(facts) and not facts.over_limit:
        # No write was refused since: whether the next one is, only that write can tell.
        does = f"Refused writes until {since_refused(facts)} ago, now"
    waiting = "" if facts.can_evict else pause(facts)
    more = "".join(f"; {clause}" for clause in (waiting, seen) if clause)
    reason = f"{does} at {in_use(facts)}: {why_full(facts)}{more}."
    step = unblocked_first(facts, cause.first_step(facts))
    return say(facts, Level.OOM, f"refusing-{cause.name}", reason, step, _since(facts), cause.confirm)


@rule("buffers", "close-", "behind-")
def in_no_key(facts: Facts) -> Verdict | None:
    """Close to the limit by what no key holds, so that making room among the keys is in vain."""
    if facts.near is Level.OK or facts.now.server.is_replica:
        return None
    cause = cause_of(facts)
    if cause.in_keys:
        return None
    falls_behind = facts.over_limit and _falls_behind(facts)
    cannot = "is evicting but cannot keep up" if falls_behind else "evicts keys to make room for it"
    loss = f"; {facts.policy} {cannot}" if facts.can_evict else ""
    so_far = refused_before(facts)
    reason = f"At {in_use(facts)}, but {why_full(facts)}{loss}{', and ' if so_far else ''}{so_far}."
    # By its rule an armed cleanup knows whether deleting keys helps.
    id_ = "buffers" if cause.name == "buffers" else f"{'behind' if falls_behind else 'close'}-{cause.name}"
    level = Level.CRITICAL if falls_behind else facts.near
    return say(
        facts, level, id_, reason, cause.first_step(facts), _since(facts) if falls_behind else None, cause.confirm
    )


@rule("behind")
def over_limit(facts: Facts) -> Verdict | None:
    """Over the limit for seconds although the policy may evict: it is losing the race."""
    if not facts.over_limit or facts.now.server.is_replica or not _falls_behind(facts):
        return None
    doubtful = ""
    if facts.now.memory.limit_source is LimitSource.OPERATOR and facts.rates.refused_writes == 0:
        doubtful = "; no write is refused, so the stated limit may be too low"
    reason = f"Over its limit{lasting(facts.over_limit_seconds)} at {in_use(facts)}: {why_full(facts)}{doubtful}."
    cause = cause_of(facts)
    step = unblocked_first(facts, cause.first_step(facts))
    return say(facts, Level.CRITICAL, "behind", reason, step, _since(facts), cause.confirm)


@rule("close-warning", "close-critical")
def close_to_limit(facts: Facts) -> Verdict | None:
    """Close to a limit that no eviction softens."""
    if facts.near is Level.OK or not facts.limit_is_hard or facts.now.server.is_replica:
        return None
    so_far = refused_before(facts)
    where = "Over" if (facts.pressure or 0.0) >= 1.0 else "Close to"
    reason = f"{where} its limit at {in_use(facts)}: {why_full(facts)}{', and ' if so_far else ''}{so_far}."
    cause = cause_of(facts)
    step = unblocked_first(facts, cause.first_step(facts))
    return say(facts, facts.near, f"close-{facts.near.value}", reason, step, confirm=cause.confirm)


@rule("crowded")
def crowded(facts: Facts) -> Verdict | None:
    """A full cache of which one key holds most."""
    if facts.near is Level.OK or facts.giant is None or facts.now.server.is_replica:
        return None
    cause = cause_of(facts)
    reason = f"At {in_use(facts)}, and {why_full(facts)}: {facts.policy} evicts all others around it."
    return say(facts, Level.WARNING, "crowded", reason, cause.first_step(facts), confirm=cause.confirm)


@rule("growing", confirm=("INFO memory (used_memory, maxmemory)",))
def growing(facts: Facts) -> Verdict | None:
    """On its way to a hard limit within the hour."""
    trend = facts.forecast
    if trend is None or trend.trend is not Trend.GROWING or trend.seconds_to_limit is None or not facts.limit_is_hard:
        return None
    if trend.seconds_to_limit[0] > facts.thresholds.soon_seconds:
        return None
    full = f"{full_in(*trend.seconds_to_limit)} at this rate"
    cause = cause_of(facts)
    # What its policy does, it does once it is full; what holds the memory holds it now.
    reason = f"Growing: at {in_use(facts)} and {full}; {why_full(facts)}{' then' if cause.of_policy else ''}."
    return say(facts, Level.WARNING, "growing", reason, cause.first_step(facts))


@rule("churning", confirm=("INFO stats (evicted_keys, keyspace_hits, keyspace_misses)",))
def churning(facts: Facts) -> Verdict | None:
    """Evicting so hard that keys go before they are of use."""
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    hits = _hits(facts)
    if not facts.now.keyspace_known:
        return None
    if (few := _few_values(facts)) is not None:
        return few
    if not per_second or hits is None or hits > _FEW_HITS or facts.now.keys > _CHURN_SECONDS * per_second:
        return None
    lives = duration(facts.now.keys / per_second)
    reason = f"Evicting hard: {per_second:,.0f} keys/s, keys live about {lives}, hit rate only {percent(hits)}."
    can_grow = higher_limit(facts.now.memory) is not None
    step = (
        "Raise maxmemory in Limits, or cache less."
        if can_grow
        else "Cache less: the host has no room for a higher limit."
    )
    return say(facts, Level.WARNING, "churning", reason, step)


def _hits(facts: Facts) -> float | None:
    """The share of look-ups that found their key; None where they are few beside what was evicted: they may be those of
    this tool, which looks up keys that are gone by then.
    """
    rates = facts.rates
    looked_up = (rates.keyspace_hits or 0) + (rates.keyspace_misses or 0)
    return None if looked_up * _EVICTED_FOR_A_LOOKUP < (rates.evicted_keys or 0) else rates.hit_ratio


def _few_values(facts: Facts) -> Verdict | None:
    """Values so large that a new one evicts others at once."""
    each, keys, hits = few_values_bytes(facts), facts.now.keys, _hits(facts)
    total = facts.now.counters.evicted_keys_total or 0
    if each is None or facts.now.server.is_replica or not (facts.rates.evicted_keys or total >= _EVICTED_TIMES * keys):
        return None
    if facts.giant is not None and keys > 2:
        return None
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    rate = f"{per_second:,.0f} keys/s" if per_second and per_second >= 1 else f"{number_of_keys(total)} so far"
    missed = "" if hits is None else f", hit rate only {percent(hits)}" if hits <= _FEW_HITS else ""
    held = f"{number_of_keys(keys)}, of {size(each)}{' on average' * (keys > 1)}"
    reason = f"At {in_use(facts)} it holds only {held}: each new value evicts others ({rate}{missed})."
    grow = "; or raise maxmemory in Limits" if higher_limit(facts.now.memory) is not None else ""
    step = f"Find who caches such large values (Hogs): keep them elsewhere, or write them compressed or in parts{grow}."
    return say(facts, Level.WARNING, "churning", reason, step)


@rule("evicting", confirm=("INFO stats (evicted_keys)",))
def evicting(facts: Facts) -> Verdict | None:
    """A full cache at work."""
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    if not per_second or facts.pressure is None:
        return None
    rate = f"{per_second:,.0f}" if per_second >= 1 else "under 1"
    unrefused = ", no write refused" if facts.rates.refused_writes == 0 else ""
    if facts.near is Level.OK:
        begins = subject(facts, "Has room again", "has room again")
        reason = f"{begins} at {in_use(facts)}: {facts.policy} evicted {rate} keys/s for it{unrefused}."
    else:
        begins = subject(facts, "Full;", "is full;")
        reason = f"{begins} {facts.policy} is evicting normally: {rate} keys/s at {in_use(facts)}{unrefused}."
    return say(facts, Level.OK, "evicting", reason)


@rule("full-cache", confirm=("INFO memory (maxmemory_policy)",))
def full_cache(facts: Facts) -> Verdict | None:
    """Nearly full, with eviction ready to make room."""
    if facts.near is Level.OK or facts.now.server.is_replica:
        return None
    how = f"normal for a full cache: {facts.policy} makes room by evicting"
    if facts.paused:
        how = f"and nothing is evicted meanwhile, as {pause(facts)}"
    reason = f"{subject(facts, 'At', 'is at')} {in_use(facts)}, {how}."
    return say(facts, Level.OK, "full-cache", reason)


@rule("no-limit", confirm=("CONFIG GET maxmemory",))
def no_limit(facts: Facts) -> Verdict | None:
    """Nothing but the host stops it, and that is far."""
    if not facts.now.memory.unlimited:
        return None
    earlier = refused_before(facts)
    of = f" of the {size(facts.host)} its host has" if facts.host else ""
    writes = f"; {earlier}, by a limit that is gone or set elsewhere" if earlier else ", and writes are accepted"
    begins = subject(facts, "No limit is set:", "has no limit:")
    reason = f"{begins} it uses {size(facts.now.memory.used_bytes)}{of}{writes}."
    return say(facts, Level.OK, "no-limit", reason)


@rule("healthy")
def healthy(facts: Facts) -> Verdict | None:
    """Nothing above spoke."""
    earlier = refused_before(facts)
    hint = earlier_refusals(facts.now, facts.thresholds)
    if earlier and hint is not None:
        elsewhere = ", or another node" if hint is Earlier.BURST and facts.now.server.mode == "cluster" else ""
        earlier = f"{earlier} ({hint.value}{elsewhere})"
    if facts.now.server.is_foreign:
        begins = subject(facts, f"{product(facts)} is", f"({product(facts)}) is")
        reason = f"{begins} at {in_use(facts)} by its own figures{'; ' if earlier else ''}{earlier}."
        return say(facts, Level.OK, "healthy", reason)
    where = f"at {in_use(facts)} with room to write"
    if facts.now.server.is_replica and facts.near is not Level.OK:
        where = f"a replica at {in_use(facts)}, a limit that it ignores while it is one"
    reason = f"{subject(facts, 'Healthy:', 'is')} {where}{'; ' if earlier else ''}{earlier}."
    return say(facts, Level.OK, "healthy", reason)


_LIMIT_STEP = (
    "Find what holds it (Hogs) and free some of that, or raise the limit where it is set (the provider's console);"
    " state it with --limit SIZE, to see how full the server is."
)
_COUNT_STEP = {
    True: "Fail over to a replica or restart it: only a new process counts from scratch, and deleting keys does not"
    " help. Until then maxmemory 0 (no limit) lets writes in, if the host has room.",
    False: "Check the memory figures of the server or its provider.",
}


def refusing_unjudged(facts: Facts, seen: str) -> Verdict:
    """It refuses writes, and by what limit or count is not known: then no cause is named."""
    memory, unjudged = facts.now.memory, why_unjudged(facts)
    seconds = facts.over_limit_seconds
    clock = f"over its limit by its own clock{lasting(seconds)}" if seconds else ""
    more = "".join(f"; {clause}" for clause in (clock, seen) if clause)
    if memory.used_bytes is None:
        reason = f"Refusing writes: {unjudged}{more}."
        return say(facts, Level.OOM, "refusing-count-unknown", reason, _COUNT_STEP[_is_broken(facts)], _since(facts))
    if memory.limit_unknown:
        reason = f"Refusing writes at {in_use(facts)}: {unjudged}, so the cause is not known{more}."
        return say(facts, Level.OOM, "refusing-limit-unknown", reason, _LIMIT_STEP, _since(facts))
    reason = (
        f"Refusing writes at {in_use(facts)}, though it reports no limit (maxmemory 0): one is set elsewhere{more}."
    )
    return say(facts, Level.OOM, "refusing-no-limit", reason, _LIMIT_STEP)


def _is_broken(facts: Facts) -> bool:
    """Whether used_memory fell below zero, which only a new process cures; not where it is missing or no number."""
    return any(doubt.field == "used_memory" and doubt.reason.endswith(FELL_BELOW_ZERO) for doubt in facts.now.doubts)


@rule("count-unknown", confirm=("INFO memory (used_memory)",))
def count_unknown(facts: Facts) -> Verdict | None:
    """How full it is is not known: what it counts cannot be true, or is not reported."""
    if facts.now.memory.used_bytes is not None:
        return None
    earlier, seconds = refused_before(facts), facts.over_limit_seconds
    over = f"over its limit by its own clock{lasting(seconds)}" if seconds else ""
    more = "".join(f"; {clause}" for clause in (over, earlier) if clause)
    level = Level.CRITICAL if seconds else Level.WARNING if earlier else Level.UNKNOWN
    reason = f"Memory pressure is unknown, as {why_unjudged(facts)}{more}."
    return say(facts, level, "count-unknown", reason, _COUNT_STEP[_is_broken(facts)], _since(facts))


@rule("limit-unknown", confirm=("CONFIG GET maxmemory",))
def limit_unknown(facts: Facts) -> Verdict | None:
    """How much fits is not known; what was refused before is all that hints at it."""
    unjudged = why_unjudged(facts)
    if not unjudged:
        return None
    earlier = refused_before(facts)
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    evicts = f"; {per_second:,.0f} keys/s are evicted" if per_second and per_second >= 1 else ""
    reason = (
        f"Memory pressure is unknown, as {unjudged}: it uses {in_use(facts)}{evicts}{'; ' if earlier else ''}{earlier}."
    )
    step = "State the limit with --limit SIZE, or as `limit` in a profile."
    return say(facts, Level.WARNING if earlier else Level.UNKNOWN, "limit-unknown", reason, step)


@rule("foreign-rss", confirm=("INFO memory (used_memory_rss)",))
def foreign_rss(facts: Facts) -> Verdict | None:
    """Dragonfly counts more towards its limit than its used_memory tells: its RSS is the nearer figure."""
    memory = facts.now.memory
    limit, rss = memory.maxmemory_bytes, memory.rss_bytes
    if not facts.now.server.is_foreign or limit is None or rss is None or rss < facts.thresholds.crit * limit:
        return None
    reason = (
        f"{product(facts)} is at {in_use(facts)} by its used_memory, and its RSS of {size(rss)} is at the limit: it may"
        " count more than used_memory shows."
    )
    return say(facts, Level.WARNING, "foreign-rss", reason, "Check its own INFO fields for buffers and replication.")
