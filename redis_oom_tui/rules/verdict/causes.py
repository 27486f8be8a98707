"""Why memory is full: one record for each cause, with its clause, what to do first, and how to confirm it by hand."""

from collections.abc import Callable

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, duration, percent, size
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.rules.breakdown import estimated_bytes
from redis_oom_tui.rules.headroom import higher_limit
from redis_oom_tui.rules.policies import NOEVICTION, UNKNOWN, is_known, is_volatile
from redis_oom_tui.rules.verdict import holders
from redis_oom_tui.rules.verdict.facts import Facts

# Below this, most of what is used is in no key.
_UNEXPLAINED = 0.5
# Without any eviction, writes alone bring memory no further than this beyond the limit.
_WRITTEN = 1.10
# What has expired and is still held is worth a scan from this share of what is counted on.
_DEAD_SHARE = 0.05


WAIT = "Wait until it is freed (lazyfree_pending_objects 0), and delete nothing more until then."
"""The first step where deleted memory is still being freed."""


class Cause(Struct, frozen=True):
    """Why a server is full. `name` ends the id of a verdict, `confirm` are commands that show it to a person.

    `in_keys` says whether memory that keys give back is what is missing. `of_policy` says that it is one by the rules
    of Redis and Valkey: another product evicts by rules of its own. `findings` are those about it, by id.
    """

    name: str
    applies: Callable[[Facts], bool]
    clause: Callable[[Facts], str]
    first_step: Callable[[Facts], str]
    confirm: tuple[str, ...]
    in_keys: bool = True
    of_policy: bool = False
    findings: tuple[str, ...] = ()

    @property
    def cured_by_limit(self) -> bool:
        """Whether a higher limit is a way out: not where it would be filled by what no key holds."""
        return self.in_keys or self.name == "tiny-limit"


def _raise(facts: Facts, otherwise: str = "") -> str:
    """To raise the limit, as an ending of a step; `otherwise` where the host has no room for that."""
    return otherwise if higher_limit(facts.now.memory) is None else ", or raise maxmemory"


def free_some(facts: Facts) -> str:
    """First step where keys hold the memory."""
    return (
        f"Find the large keys (Hogs), free some (Cleanup){_raise(facts, '; the host has no room for a higher limit')}."
    )


def _part(share: Share) -> Callable[[Facts], bool]:
    return lambda facts: holders.largest(facts) is share


def _held(facts: Facts, *shares: Share) -> str:
    return size(sum(facts.parts.get(share, 0) for share in shares))


def _estimated(facts: Facts, share: Share) -> str:
    low, high = estimated_bytes(facts.now.activity)[share]
    return f"about {size(low)} to {size(min(high, facts.now.memory.counted_bytes or high))}"


def _limit_below_startup(facts: Facts) -> bool:
    startup, limit = facts.now.memory.startup_bytes, facts.now.memory.maxmemory_bytes
    return startup is not None and limit is not None and startup >= 0.8 * limit


def _freeing(facts: Facts) -> bool:
    """Whether deleted objects still hold what would be enough: no key is left, or memory falls while one looks."""
    pending = facts.now.memory.lazyfree_pending_objects or 0
    return pending > 0 and (not facts.now.keys or facts.falling > 0.01 * facts.used_by_data)


def _freeing_clause(facts: Facts) -> str:
    pending = facts.now.memory.lazyfree_pending_objects or 0
    objects = "1 deleted object is" if pending == 1 else f"{count(pending)} deleted objects are"
    held = holders.pending_bytes(facts)
    falls = f", {size(facts.falling)} of it in the last {facts.rates.seconds:.1f}s" if facts.falling else ""
    return f"{objects} still being freed in the background{f' ({size(held)} pending)' if held else ''}{falls}"


def _no_key_left(facts: Facts) -> str:
    """That none is left, and what is held by no key where that is a good part."""
    held = facts.used_by_data - sum(facts.parts.get(share, 0) for share in holders.BOOKED)
    much = 4 * held > (facts.now.memory.counted_bytes or 0)
    return f"no key is left to evict{f', and {size(held)} is held by no key' if much else ''}{_known(facts)}"


def _unexplained(facts: Facts) -> bool:
    share = facts.explained_by_keys
    return share is not None and share < _UNEXPLAINED


def _unexplained_clause(facts: Facts) -> str:
    share = facts.explained_by_keys or 0.0
    rest = round(facts.used_by_data * (1 - share))
    return f"its keys explain only {percent(share)} of the memory, and {size(rest)} is in no key{_known(facts)}"


def _known(facts: Facts) -> str:
    """What there is that may hold it, as far as the server tells."""
    told = holders.suspects(facts)
    return f" (there are {' and '.join(told[:3])})" if told else ""


def keyless_step(facts: Facts) -> str:
    """Where to look when no key holds the memory and nothing is booked for it."""
    looks = ["who is connected (CLIENT LIST)"]
    if facts.now.activity.modules:
        looks.append("the modules' own figures (INFO modules)")
    if facts.now.server.mode == "cluster":
        looks.append("the links of the cluster bus (CLUSTER LINKS)")
    looks.append("MEMORY STATS")
    return (
        f"Check {', '.join(looks[:-1])} and {looks[-1]}: deleting keys frees none of it. A restart, or a failover"
        " to a fresh replica, does."
    )


def _unsized(facts: Facts) -> int:
    """Keys of modules that do not tell what they hold."""
    return 0 if facts.scan is None else facts.scan.unsized_keys


def _unsized_clause(facts: Facts) -> str:
    rest = round(facts.used_by_data * (1 - (facts.explained_by_keys or 0.0)))
    names = holders.module_names(facts)
    whose = f"the module {names[0]}" if len(names) == 1 else "modules"
    number = _unsized(facts)
    keys = "1 key" if number == 1 else f"{count(number)} keys"
    return f"{keys} of {whose}, which tells no sizes, may hold {size(rest)} of it that no other key explains"


def _rehashing(facts: Facts) -> bool:
    temporary = facts.parts.get(Share.REHASHING, 0)
    counted, limit = facts.now.memory.counted_bytes or 0, facts.now.memory.maxmemory_bytes or 0
    return temporary > 0 and limit > 0 and counted >= limit > counted - temporary


def _over_by_no_write(facts: Facts) -> bool:
    return not facts.can_evict and is_known(facts.policy) and (facts.pressure or 0.0) >= _WRITTEN


def _since_start(facts: Facts) -> bool:
    """Whether it was over its limit from the start on, by its own clock, with data that it found on disk."""
    over, up = facts.over_limit_seconds, facts.now.server.uptime_seconds
    return bool(facts.now.activity.loaded_keys) and over is not None and up is not None and over + 5 >= up


def _lowered_clause(facts: Facts) -> str:
    over = size((facts.now.memory.counted_bytes or 0) - (facts.now.memory.maxmemory_bytes or 0))
    if _since_start(facts):
        up = duration(facts.now.server.uptime_seconds)
        return f"it loaded {over} more than its limit from disk when it started, {up} ago"
    return f"maxmemory was set {over} below what it holds, and {_policy_clause(facts)}"


def _dead_bytes(facts: Facts) -> int:
    """About what keys hold that have expired and are not reclaimed."""
    stale = (facts.now.counters.expired_stale_percent or 0.0) / 100
    return round(stale * facts.now.expires / max(1, facts.now.keys) * facts.used_by_data)


def _expired_clause(facts: Facts) -> str:
    dead = round((facts.now.counters.expired_stale_percent or 0.0) / 100 * facts.now.expires)
    return f"about {count(dead)} keys have expired and still hold memory, and {_policy_clause(facts)}"


def _no_ttl_clause(facts: Facts) -> str:
    fields = facts.now.field_expires
    only = f"; TTLs of hash fields, which {count(fields)} of them have, do not count" if fields else ""
    return f"{facts.policy} can only evict keys with a TTL, and none of the {count(facts.now.keys)} keys has one{only}"


def _policy_clause(facts: Facts) -> str:
    if facts.policy == NOEVICTION:
        return "noeviction evicts nothing"
    if facts.policy == UNKNOWN:
        return "its policy is not reported"
    if not is_known(facts.policy):
        return f"what its policy {safe_text(facts.policy, 24)} evicts is not known"
    return f"{facts.policy} finds nothing to evict"


def _giant_clause(facts: Facts) -> str:
    giant = facts.giant
    if giant is None:
        return ""
    held = giant.size or 0
    share = percent(min(1.0, held / (facts.now.memory.counted_bytes or held)))
    return f"one key, {safe_text(giant.id.key, 40)}, holds {size(held)}, {share} of it"


CAUSES = (
    Cause(
        "links",
        _part(Share.LINKS),
        lambda facts: f"links of the cluster bus hold {_held(facts, Share.LINKS)} of it, not data",
        lambda _: (
            "Find who publishes so much to the cluster (PUBLISH goes to every node: SPUBLISH does not) or which node"
            " does not read; cluster-link-sendbuf-limit bounds it."
        ),
        ("INFO memory (mem_cluster_links)", "CLUSTER LINKS"),
        in_keys=False,
        findings=("cluster-links",),
    ),
    Cause(
        "migration",
        _part(Share.MIGRATION),
        lambda facts: (
            f"slots being moved to or from another node hold {_held(facts, Share.MIGRATION)} of it in buffers"
        ),
        lambda _: "Wait for the slot migration to end, or cancel it: its buffers are then freed.",
        (
            "INFO memory (mem_cluster_slot_import, mem_cluster_slot_export, mem_cluster_slot_migration_output_buffer)",
            "CLUSTER INFO",
        ),
        in_keys=False,
    ),
    Cause(
        "backlog",
        _part(Share.BACKLOG),
        lambda facts: f"the replication backlog holds {_held(facts, Share.BACKLOG)} of it, not data and not a client",
        lambda _: (
            "Lower repl-backlog-size: that frees at once what no replica still has to read. No client holds it, and"
            " deleting or evicting keys will not help."
        ),
        ("INFO memory (mem_replication_backlog)", "CONFIG GET repl-backlog-size"),
        in_keys=False,
        findings=("backlog",),
    ),
    Cause(
        "replicas",
        _part(Share.REPLICAS),
        lambda facts: f"buffers of replicas hold {_held(facts, Share.REPLICAS)} of it, not data",
        lambda _: (
            "Find the replica that does not read (INFO replication) and fix or disconnect it;"
            " client-output-buffer-limit replica bounds it. Deleting or evicting keys will not help."
        ),
        ("INFO memory (mem_clients_slaves, mem_total_replication_buffers)", "CLIENT LIST TYPE replica (tot-mem)"),
        in_keys=False,
        findings=("client-hogs",),
    ),
    Cause(
        "names",
        lambda facts: facts.explains(holders.name_bytes(facts)[0]),
        lambda facts: (
            f"names that clients gave themselves hold about {size(holders.name_bytes(facts)[0])} to"
            f" {size(holders.name_bytes(facts)[1])} of it, not data"
        ),
        lambda _: (
            "Close the clients with the long names (CLIENT LIST, name): CLIENT SETNAME is for a word. Deleting or"
            " evicting keys will not help."
        ),
        ("CLIENT LIST (name, tot-mem)",),
        in_keys=False,
    ),
    Cause(
        "connections",
        lambda facts: holders.largest(facts) is Share.CLIENTS and holders.are_many(facts),
        lambda facts: (
            f"{count(facts.now.activity.connected_clients)} connections hold {_held(facts, Share.CLIENTS)} of it, none"
            " of them much: not data"
        ),
        lambda _: (
            "Find who opens so many connections (CLIENT LIST, by name and address) and give it a pool; timeout closes"
            " idle ones, maxclients bounds them. Deleting or evicting keys will not help."
        ),
        ("INFO clients (connected_clients)", "INFO memory (mem_clients_normal)", "CLIENT LIST (name, addr, tot-mem)"),
        in_keys=False,
    ),
    Cause(
        "buffers",
        lambda facts: holders.largest(facts) in (Share.CLIENTS, holders.ALL_BUFFERS),
        holders.buffers_clause,
        holders.buffers_step,
        ("INFO memory (mem_clients_normal, mem_clients_slaves)", "CLIENT LIST (tot-mem)"),
        in_keys=False,
        findings=("client-hogs", "monitor"),
    ),
    Cause(
        "tiny-limit",
        _limit_below_startup,
        lambda facts: f"the empty server alone takes {size(facts.now.memory.startup_bytes)}",
        lambda _: "Raise maxmemory in Limits: nothing that could be freed would suffice.",
        ("INFO memory (used_memory_startup, maxmemory)",),
        in_keys=False,
    ),
    Cause(
        "scripts",
        _part(Share.SCRIPTS),
        lambda facts: f"cached scripts hold {_held(facts, Share.SCRIPTS)} of it, not data",
        lambda _: (
            "Pass values as KEYS and ARGV, so that each script is kept once; SCRIPT FLUSH, by hand, drops the rest."
        ),
        ("INFO memory (used_memory_scripts, used_memory_vm_eval, number_of_cached_scripts)",),
        in_keys=False,
        findings=("scripts",),
    ),
    Cause(
        "functions",
        _part(Share.FUNCTIONS),
        lambda facts: f"function libraries hold {_held(facts, Share.FUNCTIONS)} of it, not data",
        lambda _: (
            "List the function libraries (FUNCTION LIST) and delete, by hand, those that nobody calls (FUNCTION"
            " DELETE)."
        ),
        ("INFO memory (used_memory_functions, used_memory_vm_functions, number_of_libraries)", "FUNCTION LIST"),
        in_keys=False,
    ),
    Cause(
        "tracking",
        _part(Share.TRACKING),
        lambda facts: f"client-side caching (tracking) holds {_estimated(facts, Share.TRACKING)} of it, not data",
        lambda _: (
            "Lower tracking-table-max-keys on the server, or let clients track by prefix (BCAST): no key holds it."
        ),
        ("INFO stats (tracking_total_keys, tracking_total_items)",),
        in_keys=False,
        findings=("tracking",),
    ),
    Cause(
        "channels",
        _part(Share.CHANNELS),
        lambda facts: f"pub/sub channels hold {_estimated(facts, Share.CHANNELS)} of it, not data",
        lambda _: (
            "Find who subscribes to so many channels (CLIENT LIST, sub and psub) and close it or share channels: no key"
            " holds it."
        ),
        ("INFO stats (pubsub_channels, pubsub_patterns, pubsubshard_channels)", "CLIENT LIST TYPE pubsub"),
        in_keys=False,
        findings=("channels",),
    ),
    Cause(
        "watched",
        _part(Share.WATCHED),
        lambda facts: f"watched keys (WATCH) hold {_estimated(facts, Share.WATCHED)} of it, not data",
        lambda _: (
            "Find who watches so many keys (CLIENT LIST, watch) and close it: UNWATCH or EXEC should follow soon."
        ),
        ("INFO clients (watching_clients, total_watched_keys)", "CLIENT LIST (watch, tot-mem)"),
        in_keys=False,
    ),
    Cause(
        "freeing",
        _freeing,
        _freeing_clause,
        lambda _: WAIT,
        ("INFO memory (lazyfree_pending_objects, used_memory)",),
        in_keys=False,
    ),
    Cause(
        "nothing-left",
        lambda facts: not facts.now.keys and facts.now.keyspace_known,
        _no_key_left,
        keyless_step,
        ("INFO keyspace", "MEMORY STATS"),
        in_keys=False,
        findings=("held-by-no-key",),
    ),
    Cause(
        "modules",
        lambda facts: _unexplained(facts) and _unsized(facts) > 0,
        _unsized_clause,
        lambda _: (
            "Check the keys of that module by its own commands (GRAPH.MEMORY USAGE, FT.INFO, INFO modules):"
            " deleting one frees what it holds."
        ),
        ("MEMORY STATS (dataset.bytes, overhead.total)", "MODULE LIST"),
    ),
    Cause(
        "unexplained",
        _unexplained,
        _unexplained_clause,
        keyless_step,
        ("MEMORY STATS (dataset.bytes, overhead.total)", "CLIENT LIST"),
        in_keys=False,
        findings=("held-by-no-key",),
    ),
    Cause(
        "rehashing",
        _rehashing,
        lambda facts: (
            f"the table of its keys is being resized, which takes {_held(facts, Share.REHASHING)} until that ends"
        ),
        lambda facts: f"Wait for the resize to end{_raise(facts)}: without it, memory is below the limit.",
        ("INFO memory (mem_overhead_db_hashtable_rehashing)",),
    ),
    Cause(
        "lowered",
        _over_by_no_write,
        _lowered_clause,
        lambda facts: (
            "Raise maxmemory again in Limits, or free some memory in Cleanup."
            if higher_limit(facts.now.memory) is not None
            else "Free some memory in Cleanup: the host has no room for a higher limit."
        ),
        ("INFO memory (used_memory, maxmemory, used_memory_peak)", "CONFIG GET maxmemory"),
        of_policy=True,
    ),
    Cause(
        "giant",
        lambda facts: facts.giant is not None,
        _giant_clause,
        lambda facts: (
            "See that key first (Hogs): shorten it, split it or delete it."
            + (" Eviction spares it and takes the others, or takes it whole." if facts.can_evict else "")
        ),
        ("MEMORY USAGE of that key",),
        findings=("giant-key", "queue-growing", "stream-untrimmed", "zset-log"),
    ),
    Cause(
        "expired",
        lambda facts: not facts.can_evict and _dead_bytes(facts) >= _DEAD_SHARE * (facts.now.memory.counted_bytes or 0),
        _expired_clause,
        lambda facts: f"Scan all keys once (Hogs): that frees the expired ones. {free_some(facts)}",
        ("INFO stats (expired_stale_perc)", "INFO keyspace (expires)"),
        of_policy=True,
        findings=("expired-unreaped",),
    ),
    Cause(
        "no-ttl",
        lambda facts: is_volatile(facts.policy) and not facts.now.expires,
        _no_ttl_clause,
        lambda _: "Free some memory in Cleanup; then give keys a TTL, or choose another policy in Limits.",
        ("INFO memory (maxmemory_policy)", "INFO keyspace (expires)"),
        of_policy=True,
        findings=("volatile-no-ttl",),
    ),
    Cause(
        "few-evictable",
        lambda facts: facts.can_evict and facts.few_evictable,
        lambda facts: (
            f"only {count(facts.now.expires)} of {count(facts.now.keys)} keys may be evicted by {facts.policy}, so"
            " eviction will never keep up"
        ),
        lambda _: "Free some memory in Cleanup; then give more keys a TTL, or choose another policy in Limits.",
        ("INFO keyspace (keys, expires)", "INFO memory (maxmemory_policy)"),
        of_policy=True,
    ),
    Cause(
        "behind",
        lambda facts: facts.can_evict,
        lambda facts: f"{facts.policy} does not make room fast enough",
        lambda facts: f"Slow the writers{_raise(facts)} (Limits) until eviction keeps up.",
        ("INFO stats (evicted_keys, current_eviction_exceeded_time)",),
        of_policy=True,
    ),
    Cause(
        "noeviction",
        lambda _: True,
        _policy_clause,
        free_some,
        ("INFO memory (used_memory, maxmemory, maxmemory_policy)", "INFO errorstats (errorstat_OOM)"),
        of_policy=True,
    ),
)
"""The first that applies is the cause; the last always does."""


def _largest_that_fits(facts: Facts) -> str:
    memory = facts.now.memory
    if memory.counted_bytes is None or memory.maxmemory_bytes is None:
        return "each needed more room than there was"
    free = max(0, memory.maxmemory_bytes - memory.counted_bytes)
    return f"each needed more room than there was, and no command of much over {size(free)} fits"


LARGE = Cause(
    "large",
    lambda _: False,
    _largest_that_fits,
    lambda _: (
        "Find who writes such large values (SLOWLOG GET; COMMANDLOG GET 10 LARGE-REQUEST on Valkey 8.1 and later):"
        " write them in parts, or raise maxmemory in Limits if they are meant to be."
    ),
    ("INFO errorstats (errorstat_OOM)", "INFO commandstats (rejected_calls)"),
)
"""The cause of refusals below the limit, seen in what is refused and not in what is used."""


def cause_of(facts: Facts) -> Cause:
    """Why it is as full as it is."""
    return next(cause for cause in CAUSES if cause.applies(facts))


def why_full(facts: Facts) -> str:
    """The cause as a clause."""
    cause = cause_of(facts)
    foreign = cause.of_policy and facts.now.server.is_foreign
    return "why it holds so much is not known" if foreign else cause.clause(facts)
