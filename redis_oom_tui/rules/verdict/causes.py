"""Why memory is full: one record for each cause, with its clause, what to do first, and how to confirm it by hand."""

from collections.abc import Callable

from msgspec import Struct

from redis_oom_tui.formatting.sizes import count, size
from redis_oom_tui.models.breakdown import Share
from redis_oom_tui.rules.policies import is_volatile
from redis_oom_tui.rules.verdict import clauses, holders
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.phrases import pause

IN_VAIN = "Deleting or evicting keys will not help."
AFTER_FLUSH = "EVALSHA then answers NOSCRIPT: clients that fall back to EVAL load theirs again, others fail."
"""What SCRIPT FLUSH costs."""


class Cause(Struct, frozen=True):
    """Why a server is full. `name` ends the id of a verdict, `confirm` are commands that show it to a person.

    `in_keys` says whether memory that keys give back is what is missing. `of_policy` says that it is one by the rules
    of Redis and Valkey: another product evicts by rules of its own. `findings` are those about it, by id. `step` is
    what to do first; where deleting keys is `in_vain`, a verdict says so behind it, unless keys hold most.
    """

    name: str
    applies: Callable[[Facts], bool]
    clause: Callable[[Facts], str]
    step: Callable[[Facts], str]
    confirm: tuple[str, ...]
    in_keys: bool = True
    of_policy: bool = False
    in_vain: bool = False
    findings: tuple[str, ...] = ()

    def first_step(self, facts: Facts) -> str:
        """What to do first, for a verdict."""
        return f"{self.step(facts)} {IN_VAIN}" if self.in_vain and self.no_deletion_helps(facts) else self.step(facts)

    def no_deletion_helps(self, facts: Facts) -> bool:
        """Whether deleting keys is no way out: they hold none of what fills it, or less than the buffers that do."""
        return not self.in_keys and not (self.in_vain and holders.keys_hold_most(facts))

    @property
    def cured_by_limit(self) -> bool:
        """Whether a higher limit is a way out: not where it would be filled by what no key holds."""
        return self.in_keys or self.name in ("tiny-limit", "large")


CAUSES = (
    Cause(
        "links",
        clauses.part(Share.LINKS),
        lambda facts: f"links of the cluster bus hold {clauses.held_by(facts, Share.LINKS)} of it, not data",
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
        clauses.part(Share.MIGRATION),
        lambda facts: (
            f"slots being moved to or from another node hold {clauses.held_by(facts, Share.MIGRATION)} of it in buffers"
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
        clauses.part(Share.BACKLOG),
        lambda facts: (
            f"the replication backlog holds {clauses.held_by(facts, Share.BACKLOG)} of it, not data and not a client"
        ),
        lambda _: (
            "Lower repl-backlog-size (CONFIG SET repl-backlog-size 1mb, the default of Redis): that frees at once what"
            " no replica still has to read; one that was away for longer copies all data again."
        ),
        ("INFO memory (mem_replication_backlog)", "CONFIG GET repl-backlog-size"),
        in_keys=False,
        in_vain=True,
        findings=("backlog",),
    ),
    Cause(
        "replicas",
        clauses.part(Share.REPLICAS),
        lambda facts: f"buffers of replicas hold {clauses.held_by(facts, Share.REPLICAS)} of it, not data",
        lambda _: (
            "Find the replica that does not read (INFO replication) and fix or disconnect it;"
            " client-output-buffer-limit replica bounds it."
        ),
        ("INFO memory (mem_clients_slaves, mem_total_replication_buffers)", "CLIENT LIST TYPE replica (tot-mem)"),
        in_keys=False,
        in_vain=True,
        findings=("client-hogs",),
    ),
    Cause(
        "names",
        lambda facts: facts.explains(holders.name_bytes(facts)[0]),
        holders.names_clause,
        lambda _: "Close the clients with the long names (CLIENT LIST, name): CLIENT SETNAME is for a word.",
        ("CLIENT LIST (name, tot-mem)",),
        in_keys=False,
        in_vain=True,
    ),
    Cause(
        "connections",
        lambda facts: holders.largest(facts) is Share.CLIENTS and holders.are_many(facts),
        holders.connections_clause,
        lambda _: (
            "Find who opens so many connections (CLIENT LIST, by name and address) and give it a pool; timeout closes"
            " idle ones, maxclients bounds them."
        ),
        ("INFO clients (connected_clients)", "INFO memory (mem_clients_normal)", "CLIENT LIST (name, addr, tot-mem)"),
        in_keys=False,
        in_vain=True,
        findings=("many-connections",),
    ),
    Cause(
        "large",
        clauses.large_value,
        clauses.large_clause,
        lambda _: (
            "Find who writes such large values (Triage, c; SLOWLOG GET; COMMANDLOG GET 10 LARGE-REQUEST on Valkey 8.1"
            " and later): write them in parts, or raise maxmemory in Limits if they are meant to be."
        ),
        ("INFO errorstats (errorstat_OOM)", "INFO commandstats (rejected_calls)", "CLIENT LIST (qbuf, argv-mem, cmd)"),
        in_keys=False,
        findings=("client-hogs", "large-writers"),
    ),
    Cause(
        "buffers",
        lambda facts: holders.largest(facts) in (Share.CLIENTS, holders.ALL_BUFFERS),
        holders.buffers_clause,
        holders.buffers_step,
        ("INFO memory (mem_clients_normal, mem_clients_slaves)", "CLIENT LIST (tot-mem)"),
        in_keys=False,
        in_vain=True,
        findings=("client-hogs", "monitor"),
    ),
    Cause(
        "tiny-limit",
        clauses.limit_below_startup,
        lambda facts: f"the empty server alone takes {size(facts.now.memory.startup_bytes)}",
        lambda _: "Raise maxmemory in Limits: nothing that could be freed would suffice.",
        ("INFO memory (used_memory_startup, maxmemory)",),
        in_keys=False,
    ),
    Cause(
        "scripts",
        clauses.part(Share.SCRIPTS),
        lambda facts: f"cached scripts hold {clauses.held_by(facts, Share.SCRIPTS)} of it, not data",
        lambda _: (
            "Pass values as KEYS and ARGV, so that each script is kept once; SCRIPT FLUSH, by hand, drops the rest."
            f" {AFTER_FLUSH}"
        ),
        ("INFO memory (used_memory_scripts, used_memory_vm_eval, number_of_cached_scripts)",),
        in_keys=False,
        findings=("scripts",),
    ),
    Cause(
        "functions",
        clauses.part(Share.FUNCTIONS),
        lambda facts: f"function libraries hold {clauses.held_by(facts, Share.FUNCTIONS)} of it, not data",
        lambda _: (
            "List the function libraries (FUNCTION LIST) and delete, by hand, those that nobody calls (FUNCTION"
            " DELETE)."
        ),
        ("INFO memory (used_memory_functions, used_memory_vm_functions, number_of_libraries)", "FUNCTION LIST"),
        in_keys=False,
        findings=("functions",),
    ),
    Cause(
        "tracking",
        clauses.part(Share.TRACKING),
        lambda facts: (
            f"client-side caching (tracking) holds {clauses.estimated(facts, Share.TRACKING)} of it, not data"
        ),
        lambda facts: f"{clauses.tracking_step(facts.now.activity)} No key holds it.",
        ("INFO stats (tracking_total_keys, tracking_total_items, tracking_total_prefixes)",),
        in_keys=False,
        findings=("tracking",),
    ),
    Cause(
        "channels",
        clauses.part(Share.CHANNELS),
        lambda facts: f"pub/sub channels hold {clauses.estimated(facts, Share.CHANNELS)} of it, not data",
        lambda _: (
            "Find who subscribes to so many channels (CLIENT LIST: sub, psub, ssub) and close it or share channels: no"
            " key holds it."
        ),
        ("INFO stats (pubsub_channels, pubsub_patterns, pubsubshard_channels)", "CLIENT LIST TYPE pubsub"),
        in_keys=False,
        findings=("channels",),
    ),
    Cause(
        "watched",
        clauses.part(Share.WATCHED),
        lambda facts: f"watched keys (WATCH) hold {clauses.estimated(facts, Share.WATCHED)} of it, not data",
        lambda _: (
            "Find who watches so many keys (CLIENT LIST, watch) and close it: UNWATCH or EXEC should follow soon."
        ),
        ("INFO clients (watching_clients, total_watched_keys)", "CLIENT LIST (watch, tot-mem)"),
        in_keys=False,
    ),
    Cause(
        "freeing",
        clauses.freeing,
        clauses.freeing_clause,
        lambda _: clauses.WAIT,
        ("INFO memory (lazyfree_pending_objects, used_memory)",),
        in_keys=False,
    ),
    Cause(
        "nothing-left",
        lambda facts: not facts.now.keys and facts.now.keyspace_known,
        clauses.no_key_left,
        clauses.keyless_step,
        ("INFO keyspace", "MEMORY STATS"),
        in_keys=False,
        findings=("held-by-no-key",),
    ),
    Cause(
        "modules",
        lambda facts: clauses.unexplained(facts) and clauses.unsized(facts) > 0,
        clauses.unsized_clause,
        lambda _: (
            "Check the keys of that module by its own commands (GRAPH.MEMORY USAGE, FT.INFO, INFO modules):"
            " deleting one frees what it holds."
        ),
        ("MEMORY STATS (dataset.bytes, overhead.total)", "MODULE LIST"),
    ),
    Cause(
        "unexplained",
        clauses.unexplained,
        clauses.unexplained_clause,
        clauses.keyless_step,
        ("MEMORY STATS (dataset.bytes, overhead.total)", "CLIENT LIST"),
        in_keys=False,
        findings=("held-by-no-key",),
    ),
    Cause(
        "rehashing",
        clauses.rehashing,
        lambda facts: (
            f"the table of its keys is being resized, which takes {clauses.held_by(facts, Share.REHASHING)} until"
            " that ends"
        ),
        lambda facts: f"Wait for the resize to end{clauses.raise_limit(facts)}: without it, memory is below the limit.",
        ("INFO memory (mem_overhead_db_hashtable_rehashing)",),
    ),
    Cause(
        "lowered",
        clauses.over_by_no_write,
        clauses.lowered_clause,
        clauses.lowered_step,
        ("INFO memory (used_memory, maxmemory, used_memory_peak)", "CONFIG GET maxmemory"),
        of_policy=True,
    ),
    Cause(
        "giant",
        lambda facts: facts.giant is not None,
        clauses.giant_clause,
        clauses.giant_step,
        ("MEMORY USAGE of that key",),
        findings=("giant-key", "queue-growing", "stream-untrimmed", "zset-log", "finished-work", "application-data"),
    ),
    Cause(
        "expired",
        clauses.many_expired,
        clauses.expired_clause,
        clauses.expired_step,
        (
            "INFO stats (expired_stale_perc; where that reads 0, expired_keys rises with each SCAN)",
            "INFO keyspace (expires)",
        ),
        of_policy=True,
        findings=("expired-unreaped",),
    ),
    Cause(
        "no-ttl",
        lambda facts: is_volatile(facts.policy) and not facts.now.expires,
        clauses.no_ttl_clause,
        lambda _: "Free some memory in Cleanup; then give keys a TTL, or choose another policy in Limits.",
        ("INFO memory (maxmemory_policy)", "INFO keyspace (expires)"),
        of_policy=True,
        findings=("volatile-no-ttl",),
    ),
    Cause(
        "paused",
        lambda facts: facts.paused and facts.can_evict,
        lambda facts: f"{facts.policy} evicts nothing now, as {pause(facts)}",
        lambda _: "Let the pause end, or end it (CLIENT UNPAUSE, FAILOVER ABORT): eviction goes on then.",
        ("INFO clients (paused_reason, paused_timeout_milliseconds)", "INFO replication (master_failover_state)"),
        of_policy=True,
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
        lambda facts: f"Slow the writers{clauses.raise_limit(facts)} (Limits) until eviction keeps up.",
        ("INFO stats (evicted_keys, current_eviction_exceeded_time)",),
        of_policy=True,
    ),
    Cause(
        "noeviction",
        lambda _: True,
        clauses.policy_clause,
        clauses.free_some,
        ("INFO memory (used_memory, maxmemory, maxmemory_policy)", "INFO errorstats (errorstat_OOM)"),
        of_policy=True,
    ),
)
"""The first that applies is the cause; the last always does."""


def cause_of(facts: Facts) -> Cause:
    """Why it is as full as it is."""
    return next(cause for cause in CAUSES if cause.applies(facts))


def why_full(facts: Facts) -> str:
    """The cause as a clause."""
    cause = cause_of(facts)
    foreign = cause.of_policy and facts.now.server.is_foreign
    return "why it holds so much is not known" if foreign else cause.clause(facts)
