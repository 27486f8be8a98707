"""The clauses that the verdict's sentences are put together from."""

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import doubt_lines, limit_text
from redis_oom_tui.formatting.sizes import count, duration, percent_beside, share_of, size
from redis_oom_tui.models.snapshot import NOT_REPORTED, LimitSource
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.breakdown import reported_buffers
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.policies import UNKNOWN, is_known
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.refusals import REFUSED_OTHERWISE, takes_memory

_DOUBTS = 3


def in_use(facts: Facts) -> str:
    """How full it is: `99 % of 64.0 MiB`, or what it uses where no limit is known."""
    memory = facts.now.memory
    if facts.pressure is None:
        return "unknown use" if memory.used_bytes is None else size(memory.used_bytes)
    digits = 1 if 0.985 <= facts.pressure < 1.10 else 0
    marks = (facts.thresholds.warn, facts.thresholds.crit, 1.0)
    share, limit = percent_beside(facts.pressure, marks, digits), size(memory.maxmemory_bytes)
    if memory.limit_source is LimitSource.OPERATOR:
        return share_of(share, f"the stated {limit}") if share.endswith("%") else share_of(share, limit, "stated limit")
    return share_of(share, limit)


def why_unjudged(facts: Facts) -> str:
    """Why the pressure is not known; '' where it is, or where the server says that nothing limits it."""
    memory = facts.now.memory
    if memory.used_bytes is None:
        reason = _reason(facts, "used_memory")
        if reason == NOT_REPORTED:
            return "its used_memory is not reported"
        return f"its own count is broken: used_memory {reason}"
    if not memory.limit_unknown:
        return ""
    reason = _reason(facts, "maxmemory")
    return "its limit is not reported" if reason == NOT_REPORTED else f"its limit is not known: maxmemory {reason}"


def _reason(facts: Facts, field: str) -> str:
    return next((doubt.reason for doubt in facts.now.doubts if doubt.field == field), NOT_REPORTED)


def refusals(facts: Facts) -> str:
    """How many writes were refused lately, and of which commands; '' where none was seen."""
    if not facts.refused:
        return ""
    least = "at least " if facts.now.counters.refused_is_lower_bound or facts.rates.reset else ""
    # What was refused for another reason, as our own question for a right, is counted by command all the same.
    others = sum(facts.rates.errors_by_kind.get(kind, 0) for kind in REFUSED_OTHERWISE)
    counted = [(name, n) for name, n in facts.rates.refused_by_command.items() if takes_memory(name) and n > others]
    commands = sorted(counted, key=lambda item: -item[1])[:3]
    of = f", mostly {' '.join(safe_text(name.upper(), 24) for name, _ in commands)}" if commands else ""
    return f"{least}{count(facts.refused)} refused in the last {lately(facts)}{of}"


def lately(facts: Facts) -> str:
    """The span between the two looks."""
    seconds = facts.rates.seconds
    return f"{seconds:.1f} s" if seconds < 9.5 else duration(round(seconds))


def why_full(facts: Facts) -> str:
    """Why the limit holds: what the policy cannot do about it."""
    return _no_data(facts) or _policy_fails(facts)


def _no_data(facts: Facts) -> str:
    """What holds most of the memory where that is no data; '' where it is."""
    if facts.buffers_hold_it and 2 * facts.links_bytes > facts.buffer_bytes:
        return f"links of the cluster bus hold {size(facts.links_bytes)} of it, not data"
    if facts.buffers_hold_it:
        return f"buffers of clients and replicas hold {size(facts.buffer_bytes)} of it, not data"
    if facts.empty_server_fills_it:
        return f"the empty server alone takes {size(facts.now.memory.startup_bytes)}"
    if 2 * facts.scripts_bytes > (facts.now.memory.counted_bytes or 0) > 0:
        return f"cached scripts and functions hold {size(facts.scripts_bytes)} of it, not data"
    if facts.tracking[0]:
        low, high = facts.tracking
        return f"client-side caching (tracking) holds about {size(low)} to {size(high)} of it, not data"
    return ""


def _policy_fails(facts: Facts) -> str:
    if not facts.now.keys and facts.now.keyspace_known:
        return f"no key is left to evict{_keyless(facts)}"
    if facts.now.server.is_foreign:
        return "why it holds so much is not known"
    if facts.policy == "noeviction":
        return "noeviction evicts nothing"
    if facts.policy.startswith("volatile-") and not facts.now.expires:
        return f"{facts.policy} may evict only keys with a TTL, and none of {count(facts.now.keys)} has one"
    if facts.can_evict:
        return f"{facts.policy} does not make room fast enough"
    if facts.policy == UNKNOWN:
        return "its policy is not reported"
    if not is_known(facts.policy):
        return f"what its policy {safe_text(facts.policy, 24)} evicts is not known"
    return f"{facts.policy} finds nothing to evict"


def _keyless(facts: Facts) -> str:
    held, counted = facts.keyless_bytes, facts.now.memory.counted_bytes or 0
    return f", and {size(held)} is held by no key" if 4 * held > counted else ""


def refused_so_far(facts: Facts) -> str:
    """The total since start-up or RESETSTAT; '' where it is 0 or unknown."""
    counters = facts.now.counters
    if not counters.refused_writes_total:
        return ""
    least = "at least " if counters.refused_is_lower_bound else ""
    writes = "write" if counters.refused_writes_total == 1 else "writes"
    return f"{least}{count(counters.refused_writes_total)} {writes} refused since its counters began"


def refused_before(facts: Facts) -> str:
    """The same, and whether any of it is of now: what the span between the looks tells."""
    total = refused_so_far(facts)
    if not total or facts.refused or facts.rates.not_judged:
        return total
    if not facts.rates.seconds:
        return f"{total}, whether any now is not known yet"
    return total if facts.rates.refused_writes is None else f"{total}, none in the last {lately(facts)}"


def evidence(facts: Facts) -> tuple[str, ...]:
    """The figures behind any verdict, as short statements in Redis's own words."""
    memory, keys, expires = facts.now.memory, facts.now.keys, facts.now.expires
    told = [
        f"used_memory {size(memory.used_bytes)}, maxmemory {limit_text(memory)}, policy {safe_text(facts.policy, 24)}",
        f"{count(keys)} keys, {count(expires)} of them with a TTL",
        f"buffers of clients and replicas {size(reported_buffers(facts.now.memory))}",
        refused_so_far(facts),
    ]
    if (facts.over_limit_seconds or 0.0) >= 1.0:
        told.append(f"over its limit for {duration(facts.over_limit_seconds)} without a break")
    if memory.lazyfree_pending_objects:
        told.append(f"{count(memory.lazyfree_pending_objects)} deleted objects are still being freed in the background")
    if memory.not_counted_bytes:
        told.append(f"{size(memory.not_counted_bytes)} of replica and AOF buffers do not count towards the limit")
    if facts.rates.evicted_keys:
        told.append(f"{count(facts.rates.evicted_keys)} keys evicted in the last {lately(facts)}")
    if facts.rates.restarted:
        told.append(f"the server restarted {duration(facts.now.server.uptime_seconds)} ago")
    if facts.rates.reset:
        told.append("its counters were reset meanwhile, so counts are lower bounds")
    told += doubt_lines(facts.now, _DOUBTS)
    return tuple(text for text in told if text)


def say(
    facts: Facts, level: Level, rule: str, reason: str, first_step: str = "", since: float | None = None
) -> Verdict:
    """The verdict of a rule, with the evidence that stands behind any of them."""
    told = attempt("its evidence is", lambda: evidence(facts), lambda fault: (fault.words,))
    return Verdict(level, reason, rule, told, first_step, since)
