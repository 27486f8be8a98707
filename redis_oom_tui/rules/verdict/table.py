"""The rules of the verdict, in the order in which they are asked: the first that has something to say speaks.

Each takes the facts and returns its verdict, or None.
"""

from collections.abc import Callable

from redis_oom_tui.formatting.sizes import count, duration, full_in, percent, percent_beside, size
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.trend import Trend
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.phrases import in_use, refusals, refused_before, say, why_full, why_unjudged
from redis_oom_tui.rules.verdict.refusals import earlier_refusals
from redis_oom_tui.rules.verdict.refused_writes import last_save_failed, unblocked_first, writes_blocked
from redis_oom_tui.rules.verdict.unknowns import (
    contradictory,
    count_unknown,
    foreign_rss,
    limit_unknown,
    refusing_unjudged,
)

Rule = Callable[[Facts], Verdict | None]

_MIB = 2**20
_GIB = 2**30
# On a small server RSS is all allocator and code, and its ratios mean nothing: seen 8.0 on an empty one.
_FRAGMENTED_FROM = _GIB
_SWAPPED_FROM = 64 * _MIB
# An evicting cache in which keys live shorter than this, and most look-ups miss, is too small for its work.
_CHURN_SECONDS = 60.0
_FREE_SOME = "Find the large keys (Hogs), free some (Cleanup), or raise maxmemory."
_BUFFERS_FIRST = "See in Triage which client holds the buffers and close it; deleting keys or evicting does not help."
_DEFRAGMENT = "Try activedefrag or MEMORY PURGE, for the host's sake: it does not count towards maxmemory."
FIRST_STEPS = {
    "buffers": _BUFFERS_FIRST,
    "links": "Find who publishes so much to the cluster (PUBLISH goes to every node: SPUBLISH does not) or which node"
    " does not read; cluster-link-sendbuf-limit bounds it.",
    "scripts": "Pass values as KEYS and ARGV, so that each script is kept once; SCRIPT FLUSH, by hand, drops the rest.",
    "tracking": "Lower tracking-table-max-keys on the server, or let clients track by prefix (BCAST): no key holds it.",
    "tiny-limit": "Raise maxmemory in Limits: nothing that could be freed would suffice.",
    "nothing-left": "Raise maxmemory in Limits, and see in Triage what holds the memory: it is no key.",
    "no-ttl": "Free some memory in Cleanup; then give keys a TTL, or choose another policy in Limits.",
    "behind": "Raise maxmemory in Limits, or slow the writers, until eviction keeps up.",
    "large": "Find who writes such large values; raise maxmemory in Limits if they are meant to be.",
    "noeviction": _FREE_SOME,
}


def loading(facts: Facts) -> Verdict | None:
    """Every command but a few is answered with LOADING."""
    if not facts.now.activity.loading or (facts.is_replica and facts.now.activity.copying_master):
        return None
    reason = (
        f"Loading its data set into memory, {size(facts.now.memory.used_bytes)} so far: it serves nobody until done."
    )
    return say(facts, Level.CRITICAL, "loading", reason, "Wait for the end of loading before you change anything.")


def refusing(facts: Facts) -> Verdict | None:
    """It is OOM: writes are refused, or the next one will be."""
    if not facts.refusing:
        return None
    seen = refusals(facts)
    if facts.pressure is None:
        return refusing_unjudged(facts, seen)
    if facts.near is Level.OK and not facts.over_limit:
        now = f"though it is at {in_use(facts)} now: each needed more room than there was"
        reason = f"Refusing writes: {seen}, {now}."
        return say(facts, Level.OOM, "refusing-large", reason, FIRST_STEPS["large"])
    reason = f"Refusing writes at {in_use(facts)}: {why_full(facts)}{'; ' if seen else ''}{seen}."
    step = unblocked_first(facts, _first_step(facts))
    return say(facts, Level.OOM, f"refusing-{_cause(facts)}", reason, step, facts.since)


def buffers(facts: Facts) -> Verdict | None:
    """Close to the limit by what clients have not read, so that making room among the keys is in vain."""
    if facts.near is Level.OK or not facts.buffers_hold_it or facts.is_replica:
        return None
    loss = f"; {facts.policy} evicts keys in vain" if facts.can_evict else ""
    reason = f"At {in_use(facts)}, but {why_full(facts)}{loss}."
    return say(facts, facts.near, "buffers", reason, _first_step(facts))


def over_limit(facts: Facts) -> Verdict | None:
    """Over the limit for seconds although the policy may evict: it is losing the race."""
    if not facts.over_limit or facts.is_replica or not facts.losing:
        return None
    seconds = facts.over_limit_seconds
    lasting = "" if seconds is None else f" for {duration(seconds)}"
    doubtful = ""
    if facts.now.memory.limit_source is LimitSource.OPERATOR and facts.rates.refused_writes == 0:
        doubtful = "; no write is refused, so the stated limit may be too low"
    reason = f"Over its limit{lasting} at {in_use(facts)}: {why_full(facts)}{doubtful}."
    if facts.tracking[0]:
        return say(facts, Level.CRITICAL, "behind-tracking", reason, FIRST_STEPS["tracking"], facts.since)
    return say(facts, Level.CRITICAL, "behind", reason, "Raise maxmemory in Limits, or slow the writers.", facts.since)


def close_to_limit(facts: Facts) -> Verdict | None:
    """Close to a limit that no eviction softens."""
    if facts.near is Level.OK or not facts.limit_is_hard or facts.is_replica:
        return None
    if facts.can_evict:
        why = f"only {count(facts.now.expires)} of {count(facts.now.keys)} keys may be evicted by {facts.policy}"
    else:
        why = why_full(facts)
    so_far = refused_before(facts)
    where = "Over" if (facts.pressure or 0.0) >= 1.0 else "Close to"
    reason = f"{where} its limit at {in_use(facts)}: {why}{', and ' if so_far else ''}{so_far}."
    # By its rule an armed cleanup knows whether deleting keys helps.
    rule = "close-tracking" if facts.tracking[0] else f"close-{facts.near.value}"
    return say(facts, facts.near, rule, reason, unblocked_first(facts, _first_step(facts)))


def replica(facts: Facts) -> Verdict | None:
    """A replica being made, one out of touch, or one that would evict or refuse the moment it is promoted."""
    if not facts.is_replica:
        return None
    if facts.now.activity.copying_master:
        reason = f"A replica taking a full copy of its master's data, {size(facts.now.memory.used_bytes)} so far."
        return say(facts, Level.OK, "replica-copying", reason)
    if facts.now.activity.master_link_up is False:
        reason = "A replica that has lost its master: its data and figures are getting old."
        return say(facts, Level.WARNING, "replica-link", reason, "Look at the link and at the master's own state.")
    if facts.pressure is not None and facts.pressure > 1.0:
        then = "evict keys" if facts.can_evict else "refuse writes"
        reason = f"A replica at {in_use(facts)}: it ignores that while it is one, and would {then} once promoted."
        return say(facts, Level.WARNING, "replica-limit", reason, "Give it its master's maxmemory before any failover.")
    return None


def host_full(facts: Facts) -> Verdict | None:
    """Where no limit below the host's memory stops it first, the kernel will; RSS is stopped by no limit."""
    memory, host = facts.now.memory, facts.host
    taken = memory.rss_bytes or memory.used_bytes
    if not host or taken is None or taken < facts.thresholds.warn * host:
        return None
    crit = taken >= facts.thresholds.crit * host
    share = percent_beside(taken / host, (facts.thresholds.warn, facts.thresholds.crit, 1.0))
    limit = host if memory.unlimited else memory.maxmemory_bytes
    if limit is None or limit < 0.95 * host:
        if not crit:
            return None
        though = why_unjudged(facts) if limit is None else f"maxmemory is {percent(limit / host)} of that"
        reason = f"The host is nearly full: the server takes {share} of the {size(host)} there is, and {though}."
        return say(facts, Level.WARNING, "host-full", reason, "Free memory on the host, or here; see fragmentation.")
    level = Level.CRITICAL if crit else Level.WARNING
    told = "No limit is set" if memory.unlimited else "The limit is the host's whole memory"
    reason = f"{told}, and it takes {share} of the {size(host)} there is: beyond that the kernel kills it."
    return say(
        facts, level, "host-full", reason, "Set maxmemory in Limits, with room for a fork, or free memory first."
    )


def swapped(facts: Facts) -> Verdict | None:
    """A good part of it on disk: by the kernel's word where it can be read, else less resident than allocated."""
    memory = facts.now.memory
    if memory.swapped_bytes is not None:
        if memory.swapped_bytes < max(_SWAPPED_FROM, 0.1 * (memory.used_bytes or 0)):
            return None
        reason = f"{size(memory.swapped_bytes)} of its memory is swapped out: each command on that waits for the disk."
    else:
        # A backlog, and the buffer for a large value that a client has only announced, are taken but not yet touched.
        untouched = (memory.replication_backlog_bytes or 0) + (memory.clients_normal_bytes or 0)
        touched = (memory.used_bytes or 0) - untouched
        if memory.rss_bytes is None or touched < _SWAPPED_FROM or memory.rss_bytes >= 0.8 * touched:
            return None
        # RSS is read now and then, and falls behind while memory grows fast.
        if (facts.rates.growth_bytes or 0) > 0.2 * (touched - memory.rss_bytes):
            return None
        reason = f"Probably swapping: only {size(memory.rss_bytes)} of {size(memory.used_bytes)} used is in RAM."
    step = "Free memory on the host, or here (Hogs, Cleanup); then look at why it swaps."
    return say(facts, Level.WARNING, "swapped", reason, step)


def fragmented(facts: Facts) -> Verdict | None:
    """Judged by bytes: a large ratio on a small server is noise."""
    memory = facts.now.memory
    if memory.used_bytes is None or memory.rss_bytes is None:
        return None
    waste = memory.rss_bytes - memory.used_bytes
    if waste < _FRAGMENTED_FROM or waste < memory.used_bytes / 2 or waste < 0.1 * (facts.host or 0):
        return None
    reason = (
        f"Holds {size(memory.rss_bytes)} of RAM for {size(memory.used_bytes)} used: {size(waste)} is fragmentation."
    )
    return say(facts, Level.WARNING, "fragmented", reason, _DEFRAGMENT)


def churning(facts: Facts) -> Verdict | None:
    """Evicting so hard that keys go before they are of use."""
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    hits = facts.rates.hit_ratio
    if not facts.now.keyspace_known:
        return None
    if not per_second or hits is None or hits > 0.5 or facts.now.keys > _CHURN_SECONDS * per_second:
        return None
    lives = duration(facts.now.keys / per_second)
    reason = (
        f"Evicting hard: {per_second:,.0f} keys/s, a key lives about {lives}, and only {percent(hits)} of look-ups hit."
    )
    return say(facts, Level.WARNING, "churning", reason, "Raise maxmemory in Limits, or cache less.")


def growing(facts: Facts) -> Verdict | None:
    """On its way to a hard limit within the hour."""
    trend = facts.forecast
    if trend is None or trend.trend is not Trend.GROWING or trend.seconds_to_limit is None or not facts.limit_is_hard:
        return None
    if trend.seconds_to_limit[0] > facts.thresholds.soon_seconds:
        return None
    full = f"{full_in(*trend.seconds_to_limit)} at this rate"
    reason = f"Growing: at {in_use(facts)} and {full}; {why_full(facts)} then."
    return say(facts, Level.WARNING, "growing", reason, _FREE_SOME)


def evicting(facts: Facts) -> Verdict | None:
    """A full cache at work."""
    per_second = facts.rates.per_second(facts.rates.evicted_keys)
    if not per_second:
        return None
    rate = f"{per_second:,.0f}" if per_second >= 1 else "under 1"
    unrefused = ", no write refused" if facts.rates.refused_writes == 0 else ""
    if facts.pressure is None:
        return None
    if facts.near is Level.OK:
        reason = f"Has room again at {in_use(facts)}: {facts.policy} evicted {rate} keys/s for it{unrefused}."
    else:
        reason = f"Full and evicting as {facts.policy} should: {rate} keys/s at {in_use(facts)}{unrefused}."
    return say(facts, Level.OK, "evicting", reason)


def full_cache(facts: Facts) -> Verdict | None:
    """Nearly full, with eviction ready to make room."""
    if facts.near is Level.OK or facts.is_replica:
        return None
    reason = f"At {in_use(facts)}, which is how a full cache looks: {facts.policy} makes room by evicting."
    return say(facts, Level.OK, "full-cache", reason)


def no_limit(facts: Facts) -> Verdict | None:
    """Nothing but the host stops it, and that is far."""
    if not facts.now.memory.unlimited:
        return None
    earlier = refused_before(facts)
    of = f" of the {size(facts.host)} its host has" if facts.host else ""
    writes = f"; {earlier}, by a limit that is gone or set elsewhere" if earlier else ", and writes are accepted"
    reason = f"No limit is set: it uses {size(facts.now.memory.used_bytes)}{of}{writes}."
    return say(facts, Level.OK, "no-limit", reason)


def healthy(facts: Facts) -> Verdict:
    """Nothing above spoke."""
    earlier = refused_before(facts)
    cause = earlier_refusals(facts.now, facts.thresholds)
    if earlier and cause is not None:
        earlier = f"{earlier} ({cause.value})"
    if facts.now.server.is_foreign:
        reason = f"{facts.name} is at {in_use(facts)} by its own figures{'; ' if earlier else ''}{earlier}."
        return say(facts, Level.OK, "healthy", reason)
    reason = f"Healthy: at {in_use(facts)} with room to write{'; ' if earlier else ''}{earlier}."
    return say(facts, Level.OK, "healthy", reason)


RULES: tuple[Rule, ...] = (
    loading,
    refusing,
    writes_blocked,
    count_unknown,
    buffers,
    over_limit,
    close_to_limit,
    replica,
    last_save_failed,
    contradictory,
    host_full,
    swapped,
    fragmented,
    churning,
    growing,
    evicting,
    full_cache,
    no_limit,
    limit_unknown,
    foreign_rss,
)


def _cause(facts: Facts) -> str:
    if facts.buffers_hold_it:
        return "links" if 2 * facts.links_bytes > facts.buffer_bytes else "buffers"
    if 2 * facts.scripts_bytes > (facts.now.memory.counted_bytes or 0) > 0:
        return "scripts"
    if facts.tracking[0]:
        return "tracking"
    if facts.empty_server_fills_it:
        return "tiny-limit"
    if not facts.now.keys and facts.now.keyspace_known:
        return "nothing-left"
    if facts.policy.startswith("volatile-") and not facts.now.expires:
        return "no-ttl"
    return "behind" if facts.can_evict else "noeviction"


def _first_step(facts: Facts) -> str:
    return FIRST_STEPS[_cause(facts)]
