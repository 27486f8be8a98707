"""What the causes of full memory ask of the facts, and how they say it, where that takes more than a line."""

from collections.abc import Callable

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, duration, percent, size
from redis_oom_tui.models.activity import Activity
from redis_oom_tui.models.application import Confidence, KeyLabel, Loss
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.applications.losses import guessed_use
from redis_oom_tui.rules.breakdown import estimated_bytes
from redis_oom_tui.rules.headroom import higher_limit
from redis_oom_tui.rules.policies import NOEVICTION, UNKNOWN, is_known, none_evictable
from redis_oom_tui.rules.verdict import holders
from redis_oom_tui.rules.verdict.facts import Facts

# Below this, most of what is used is in no key: 0.64 was seen of 400,000 tiny keys, whose tables a scan cannot see.
_EXPLAINED = 0.5
# A server that has just started, with some connections and this tool's scripts, held 0.9 MB in no key.
_KEYLESS_BYTES, _KEYLESS_SHARE = 2 * 2**20, 0.25
# Without any eviction, writes alone bring memory no further than this beyond the limit.
_WRITTEN = 1.10
# What is beyond it without the buffers of clients, which may have come later.
_BEYOND_CLIENTS = 1.05
# What has expired and is still held is worth a scan from this share of what is counted on.
_DEAD_SHARE = 0.05

# Of so many keys, nearly all of which have a TTL, it is likely that any may go.
_MANY, _NEARLY_ALL = 100, 0.95
# With fewer bytes for each key, no key is large, or few are: many together hold the memory.
_SMALL_BYTES = 512

WAIT = "Wait until it is freed (lazyfree_pending_objects 0), and delete nothing more until then."
"""The first step where deleted memory is still being freed."""


def raise_limit(facts: Facts, otherwise: str = "") -> str:
    """To raise the limit, as an ending of a step; `otherwise` where the host has no room for that."""
    return otherwise if higher_limit(facts.now.memory) is None else ", or raise maxmemory"


def free_some(facts: Facts) -> str:
    """First step where keys hold the memory."""
    unless = "; the host has no room for a higher limit"
    small = facts.used_by_data < _SMALL_BYTES * facts.now.keys
    what = "the patterns that hold most" if small else "the large keys"
    cache = " If all that expires is a cache, volatile-lru (Limits) evicts it instead of refusing."
    step = f"Find {what} (Hogs), free some (Cleanup){raise_limit(facts, unless)}."
    return step + cache if _nearly_all_expire(facts) else step


def _nearly_all_expire(facts: Facts) -> bool:
    """Whether noeviction keeps keys that are all written to expire."""
    if facts.policy != NOEVICTION or facts.now.server.is_foreign:
        return False
    return facts.now.keys >= _MANY and facts.now.expires >= _NEARLY_ALL * facts.now.keys


def part(share: Share) -> Callable[[Facts], bool]:
    """Whether it is `share`, beside the data, that explains the memory."""
    return lambda facts: holders.largest(facts) is share


def held_by(facts: Facts, share: Share) -> str:
    """The bytes of one part, in words."""
    return size(facts.parts.get(share, 0))


def estimated(facts: Facts, share: Share) -> str:
    """The bytes of a part that the server tells only numbers of, as a range in words."""
    low, high = estimated_bytes(facts.now.activity)[share]
    return f"about {size(low)} to {size(min(high, facts.now.memory.counted_bytes or high))}"


def tracking_step(activity: Activity) -> str:
    """What bounds the table of client-side caching: of keys, or of prefixes."""
    if (activity.tracking_prefixes or 0) > (activity.tracking_keys or 0):
        return "Let clients track fewer prefixes (CLIENT TRACKING with BCAST and PREFIX): no setting bounds them."
    return "Lower tracking-table-max-keys on the server, or let clients track by a few prefixes (BCAST)."


def limit_below_startup(facts: Facts) -> bool:
    """Whether the limit leaves little room beyond the empty server."""
    startup, limit = facts.now.memory.startup_bytes, facts.now.memory.maxmemory_bytes
    return startup is not None and limit is not None and startup >= 0.8 * limit


def _falling(facts: Facts) -> int:
    """By how many bytes memory fell between the two looks."""
    return max(0, -(facts.rates.growth_bytes or 0))


def freeing(facts: Facts) -> bool:
    """Whether deleted objects still hold what would be enough: no key is left, or memory falls while one looks."""
    pending = facts.now.memory.lazyfree_pending_objects or 0
    return pending > 0 and (not facts.now.keys or _falling(facts) > 0.01 * facts.used_by_data)


def freeing_clause(facts: Facts) -> str:
    pending = facts.now.memory.lazyfree_pending_objects or 0
    objects = "1 deleted object is" if pending == 1 else f"{count(pending)} deleted objects are"
    held = holders.in_no_key(facts)
    falls = f", {size(_falling(facts))} of it in the last {facts.rates.seconds:.1f}s" if _falling(facts) else ""
    return f"{objects} still being freed in the background{f' ({size(held)} pending)' if held else ''}{falls}"


def no_key_left(facts: Facts) -> str:
    """That none is left, and what is held by no key where that is a good part."""
    held = holders.in_no_key(facts) or 0
    much = 4 * held > (facts.now.memory.counted_bytes or 0)
    return f"no key is left to evict{f', and {size(held)} is held by no key' if much else ''}{_known(facts)}"


def unexplained(facts: Facts) -> bool:
    """Whether a complete scan found most of the memory in no key, and a good part of it is booked nowhere."""
    share, held = facts.explained_by_keys, holders.in_no_key(facts) or 0
    if share is None or share >= _EXPLAINED:
        return False
    return held >= max(_KEYLESS_BYTES, _KEYLESS_SHARE * (facts.now.memory.counted_bytes or 0))


def unexplained_clause(facts: Facts) -> str:
    share = facts.explained_by_keys or 0.0
    held = size(holders.in_no_key(facts))
    return f"its keys explain only {percent(share)} of the memory, and {held} is in no key{_known(facts)}"


def _known(facts: Facts) -> str:
    """What there is that may hold it, as far as the server tells."""
    suspects = holders.suspects(facts)
    if holders.unbooked(facts):
        return f" (there is {suspects[0]})"
    return f" (there are {' and '.join(suspects[:3])})" if suspects else ""


def keyless_step(facts: Facts) -> str:
    """Where to look when no key holds the memory and nothing is booked for it."""
    checks = [
        "who is connected (CLIENT LIST)",
        "the server's logs (SLOWLOG LEN; SLOWLOG RESET and ACL LOG RESET empty them)",
    ]
    if holders.module_names(facts):
        checks.append("the modules' own figures (INFO modules)")
    if facts.now.server.mode == "cluster":
        checks.append("the links of the cluster bus (CLUSTER LINKS)")
    checks.append("MEMORY STATS")
    first = holders.unbooked_step(facts)
    return (
        f"{first}{'check' if first else 'Check'} {', '.join(checks[:-1])} and {checks[-1]}: deleting keys frees none of"
        " it. A restart, or a failover to a fresh replica, does."
    )


def unsized(facts: Facts) -> int:
    """Keys of modules that do not tell what they hold."""
    return 0 if facts.scan is None else facts.scan.unsized_keys


def unsized_clause(facts: Facts) -> str:
    names = holders.module_names(facts)
    whose = f"the module {names[0]}" if len(names) == 1 else "modules"
    number = unsized(facts)
    keys = "1 key" if number == 1 else f"{count(number)} keys"
    held = size(holders.in_no_key(facts))
    return f"{keys} of {whose}, which tells no sizes, may hold {held} of it that no other key explains"


def rehashing(facts: Facts) -> bool:
    """Whether only a table that is being resized brings it to its limit."""
    temporary = facts.parts.get(Share.REHASHING, 0)
    counted, limit = facts.now.memory.counted_bytes or 0, facts.now.memory.maxmemory_bytes or 0
    return temporary > 0 and limit > 0 and counted >= limit > counted - temporary


def over_by_no_write(facts: Facts) -> bool:
    """Whether it is further over its limit than writes bring it: lowered, passed by a script, or data was loaded."""
    if facts.can_evict or not is_known(facts.policy) or (facts.pressure or 0.0) < _WRITTEN:
        return False
    counted, limit = facts.now.memory.counted_bytes or 0, facts.now.memory.maxmemory_bytes or 0
    if counted - facts.parts.get(Share.CLIENTS, 0) < _BEYOND_CLIENTS * limit:
        return False
    # SETRANGE or COPY makes one large key at once: the command passes while there is room before it.
    made_at_once = facts.giant is not None and (facts.giant.size or 0) > counted - limit
    return _since_start(facts) or not made_at_once


def _since_start(facts: Facts) -> bool:
    """Whether it was over its limit from the start on, by its own clock, with data that it found on disk."""
    over, up = facts.over_limit_seconds, facts.now.server.uptime_seconds
    return bool(facts.now.activity.loaded_keys) and over is not None and up is not None and over + 5 >= up


def lowered_clause(facts: Facts) -> str:
    over = size((facts.now.memory.counted_bytes or 0) - (facts.now.memory.maxmemory_bytes or 0))
    if _since_start(facts):
        up = duration(facts.now.server.uptime_seconds)
        return f"it loaded {over} more than its limit from disk when it started, {up} ago"
    return (
        f"it holds {over} more than maxmemory (lowered, or passed by one command or script), and {policy_clause(facts)}"
    )


def lowered_step(facts: Facts) -> str:
    if higher_limit(facts.now.memory) is None:
        return "Free some memory in Cleanup: the host has no room for a higher limit."
    return "Raise maxmemory again in Limits, or free some memory in Cleanup."


def many_expired(facts: Facts) -> bool:
    """Whether keys that have expired and are not reclaimed hold a good part, and no eviction will reclaim them."""
    stale = (facts.now.counters.expired_stale_percent or 0.0) / 100
    dead_bytes = stale * facts.now.expires / max(1, facts.now.keys) * facts.used_by_data
    return not facts.can_evict and round(dead_bytes) >= _DEAD_SHARE * (facts.now.memory.counted_bytes or 0)


def expired_clause(facts: Facts) -> str:
    dead = round((facts.now.counters.expired_stale_percent or 0.0) / 100 * facts.now.expires)
    return (
        f"about {count(dead)} of {count(facts.now.keys)} keys have expired and still hold memory, and"
        f" {policy_clause(facts)}"
    )


def expired_step(facts: Facts) -> str:
    """How to have them dropped: a scan does so, and has done where it is complete."""
    why = "find why the server is behind with them (hz, active-expire-effort, DEBUG SET-ACTIVE-EXPIRE)"
    if facts.scan is not None and facts.scan.complete:
        return f"Check again: this scan has freed them. Then {why}."
    return f"Scan all keys once (Hogs): that frees the expired ones. Then {why}."


def no_ttl_clause(facts: Facts) -> str:
    fields = facts.now.field_expires
    only = f"; TTLs of hash fields, which {count(fields)} of them have, do not count" if fields else ""
    none = "the only key has none" if facts.now.keys == 1 else f"none of the {count(facts.now.keys)} keys has one"
    return f"{facts.policy} can only evict keys with a TTL, and {none}{only}"


def policy_clause(facts: Facts) -> str:
    if facts.policy == NOEVICTION:
        some, keys = count(facts.now.expires), count(facts.now.keys)
        though = f", though {f'all {keys}' if some == keys else f'{some} of {keys}'} keys have a TTL"
        return f"noeviction evicts nothing{though if _nearly_all_expire(facts) else ''}"
    if facts.policy == UNKNOWN:
        return "its policy is not reported"
    if not is_known(facts.policy):
        return f"what its policy {safe_text(facts.policy, 24)} evicts is not known"
    kept = ": no key of this server is ever evicted (BLESS)" if none_evictable(facts.now) else ""
    return f"{facts.policy} finds nothing to evict{kept}"


def giant_clause(facts: Facts) -> str:
    giant = facts.giant
    if giant is None:
        return ""
    held = giant.size or 0
    share = percent(min(1.0, held / (facts.now.memory.counted_bytes or held)))
    return f"one key, {safe_text(giant.id.key, 40)}, holds {size(held)}, {share} of it"


_DOUBT = {Confidence.HIGH: "", Confidence.LIKELY: "probably ", Confidence.POSSIBLE: "possibly "}
_NEEDED = {
    Loss.LOSES_WORK: "do not delete it unseen, as it may hold work that is not done or sessions in use",
    Loss.BREAKS: "do not delete it, as the application relies on it",
}


def giant_step(facts: Facts) -> str:
    """What to do about the one key; one that a known application needs is not to be deleted."""
    eviction = " Eviction spares it and takes the others, or takes it whole." if facts.can_evict else ""
    label = _needed(facts)
    if label is None:
        return f"See that key first (Hogs, its details): shorten it, split it or delete it.{_guessed(facts)}{eviction}"
    application, kind = label.application, label.kind
    setting = application.bounding(kind.id)
    bound = "" if setting is None else f" {setting.name} bounds it."
    grew = f" Find why it grew{raise_limit(facts)}."
    whose = f"{_DOUBT[label.confidence]}belongs to {application.name} ({kind.use.value})"
    return f"See that key first (Hogs, its details). It {whose}: {_NEEDED[kind.loss]}.{bound}{grew}{eviction}"


def _needed(facts: Facts) -> KeyLabel | None:
    """What that key is to an application that needs it; None where none is known to."""
    if facts.giant is None or facts.scan is None:
        return None
    from redis_oom_tui.rules.applications.recognizing import labels_of_key  # noqa: PLC0415 - slow to import

    labels = labels_of_key(facts.giant.id, facts.scan, recognize(facts.scan))
    return next((label for label in labels if label.kind.loss is not Loss.HARMLESS), None)


def _guessed(facts: Facts) -> str:
    """What to heed before its deletion, where its name or type is that of something that is needed."""
    giant = facts.giant
    guess = None if giant is None else guessed_use(giant.id.key, (giant.type,))
    if guess is None or guess.loss is Loss.HARMLESS:
        return ""
    return f" By its name or type it may be a {guess.use.value}: check first that nobody needs it."


def refused_below(facts: Facts) -> bool:
    """Whether writes are refused that need more room than there is, on a server that is not full without them.

    Not of refusals before room was made: it was full then.
    """
    return facts.refused > 0 and facts.refusing and facts.near is not Level.CRITICAL and not facts.over_limit


def large_value(facts: Facts) -> bool:
    """Whether values are too large for the room there is: they came and went while one looked."""
    if refused_below(facts) or holders.came_and_went(facts):
        return True
    # 6.2 books what is being sent nowhere: then it is what came since the look before, and is in no key.
    came = facts.rates.growth_bytes or 0
    return facts.refused > 0 and unexplained(facts) and 2 * came > (holders.in_no_key(facts) or 0)


def large_clause(facts: Facts) -> str:
    """How much of them is in hand, or, where nothing is at this moment, what would fit."""
    if refused_below(facts):
        return largest_that_fits(facts)
    booked = holders.came_and_went(facts)
    held = facts.parts.get(Share.CLIENTS, 0) if booked else facts.rates.growth_bytes
    return f"large values are being sent, {size(held)} of it at this moment, not data"


def largest_that_fits(facts: Facts) -> str:
    memory = facts.now.memory
    if memory.counted_bytes is None or memory.maxmemory_bytes is None:
        return "each needed more room than there was"
    free = max(0, memory.maxmemory_bytes - memory.counted_bytes)
    return f"each needed more room than there was, and no command of much over {size(free)} fits"
