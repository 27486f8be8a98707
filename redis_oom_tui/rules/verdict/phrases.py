"""The clauses that the verdict's sentences are put together from."""

from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.words.hostile import safe_text
from redis_oom_tui.words.sizes import count, duration, percent_beside, size

# commandstats count every refusal, by the ACL as well; none of these can be refused for lack of memory.
_HARMLESS = (
    "auth client config command cluster acl info ping hello select memory object latency slowlog debug role module"
    " monitor scan keys dbsize randomkey type ttl pttl exists touch get mget getrange strlen hget hmget hgetall hkeys"
    " hvals hlen hscan lrange llen lindex smembers sismember scard sscan zrange zscore zcard zscan xrange xlen xinfo"
    " dump del unlink expire pexpire expireat pexpireat persist flushall flushdb save bgsave bgrewriteaof shutdown"
    " subscribe psubscribe publish watch multi discard replicaof slaveof psync replconf"
)
_NEED_NO_MEMORY = frozenset(_HARMLESS.split())


def _takes_no_memory(command: str) -> bool:
    return command.lower().partition("|")[0] in _NEED_NO_MEMORY


def in_use(facts: Facts) -> str:
    """How full it is: `99 % of 64.0 MiB`, or what it uses where nothing limits it."""
    memory = facts.now.memory
    if facts.pressure is None:
        return size(memory.used_bytes)
    digits = 1 if 0.985 <= facts.pressure < 1.10 else 0
    marks = (facts.thresholds.warn, facts.thresholds.crit, 1.0)
    return f"{percent_beside(facts.pressure, marks, digits)} of {size(memory.maxmemory_bytes)}"


def refusals(facts: Facts) -> str:
    """How many writes were refused lately, and of which commands; '' where none was seen."""
    if not facts.refused:
        return ""
    least = "at least " if facts.now.counters.refused_is_lower_bound or facts.rates.reset else ""
    counted = [(name, n) for name, n in facts.rates.refused_by_command.items() if not _takes_no_memory(name)]
    commands = sorted(counted, key=lambda item: -item[1])[:3]
    of = f", mostly {' '.join(safe_text(name.upper(), 24) for name, _ in commands)}" if commands else ""
    return f"{least}{count(facts.refused)} refused in the last {lately(facts)}{of}"


def lately(facts: Facts) -> str:
    """The span between the two looks."""
    seconds = facts.rates.seconds
    return f"{seconds:.1f} s" if seconds < 9.5 else duration(round(seconds))


def why_full(facts: Facts) -> str:
    """Why the limit holds: what the policy cannot do about it."""
    if facts.buffers_hold_it:
        return f"buffers of clients and replicas hold {size(facts.buffer_bytes)} of it, not data"
    if facts.empty_server_fills_it:
        return f"the empty server alone takes {size(facts.now.memory.startup_bytes)}"
    if facts.policy == "noeviction":
        return "noeviction evicts nothing"
    if not facts.now.keys:
        return "no key is left to evict"
    if facts.policy.startswith("volatile-") and not facts.now.expires:
        return f"{facts.policy} may evict only keys with a TTL, and none of {count(facts.now.keys)} has one"
    if facts.can_evict:
        return f"{facts.policy} does not make room fast enough"
    return "its policy is not told" if facts.policy == "unknown" else f"{facts.policy} finds nothing to evict"


def refused_so_far(facts: Facts) -> str:
    """The total since start-up or RESETSTAT; '' where it is 0 or unknown."""
    counters = facts.now.counters
    if not counters.refused_writes_total:
        return ""
    least = "at least " if counters.refused_is_lower_bound else ""
    writes = "write" if counters.refused_writes_total == 1 else "writes"
    return f"{least}{count(counters.refused_writes_total)} {writes} refused since its counters began"


def evidence(facts: Facts) -> tuple[str, ...]:
    """The figures behind any verdict, as short statements in Redis's own words."""
    memory, keys, expires = facts.now.memory, facts.now.keys, facts.now.expires
    limit = "no limit" if memory.maxmemory_bytes is None else size(memory.maxmemory_bytes)
    told = [
        f"used_memory {size(memory.used_bytes)}, maxmemory {limit}, policy {safe_text(facts.policy, 24)}",
        f"{count(keys)} keys, {count(expires)} of them with a TTL",
        f"buffers of clients and replicas {size(facts.buffer_bytes)}",
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
    return tuple(text for text in told if text)
