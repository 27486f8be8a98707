"""Why memory is full: one record for each cause, with its clause, what to do first, and how to confirm it by hand."""

from collections.abc import Callable

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, size
from redis_oom_tui.rules.breakdown import Share, break_down, tracking_bytes
from redis_oom_tui.rules.policies import NOEVICTION, UNKNOWN, is_known, is_volatile
from redis_oom_tui.rules.verdict.facts import Facts

FREE_SOME = "Find the large keys (Hogs), free some (Cleanup), or raise maxmemory."


class Cause(Struct, frozen=True):
    """Why a server is full. `name` ends the id of a verdict, `confirm` are commands that show it to a person.

    `of_policy` says that it is one by the rules of Redis and Valkey: another product evicts by rules of its own.
    """

    name: str
    applies: Callable[[Facts], bool]
    clause: Callable[[Facts], str]
    first_step: str
    confirm: tuple[str, ...]
    of_policy: bool = False


def buffers_hold_it(facts: Facts) -> bool:
    """Whether buffers, and not data, are most of what the limit counts beyond the empty server."""
    counted = facts.now.memory.counted_bytes
    if counted is None:
        return False
    return 2 * facts.buffer_bytes > max(counted - (facts.now.memory.startup_bytes or 0), counted / 2)


def tracking_range(facts: Facts) -> tuple[int, int]:
    """What client-side caching takes, low and high, where that is most of what is counted; else zeros."""
    low, high = tracking_bytes(facts.now.activity)
    counted = facts.now.memory.counted_bytes
    return (low, min(high, counted)) if counted and counted > low > counted / 2 else (0, 0)


def _held_by(facts: Facts, share: Share) -> int:
    return break_down(facts.now.memory).size(share)


def _links_hold_it(facts: Facts) -> bool:
    return buffers_hold_it(facts) and 2 * _held_by(facts, Share.LINKS) > facts.buffer_bytes


def _empty_server_fills_it(facts: Facts) -> bool:
    startup, limit = facts.now.memory.startup_bytes, facts.now.memory.maxmemory_bytes
    return startup is not None and limit is not None and startup >= 0.8 * limit


def _scripts_hold_it(facts: Facts) -> bool:
    return 2 * _held_by(facts, Share.SCRIPTS) > (facts.now.memory.counted_bytes or 0) > 0


def _no_key_left(facts: Facts) -> str:
    """That none is left, and what is held by no key where that is a good part."""
    held = break_down(facts.now.memory, 0).size(Share.KEYLESS)
    more = f", and {size(held)} is held by no key" if 4 * held > (facts.now.memory.counted_bytes or 0) else ""
    return f"no key is left to evict{more}"


def _tracking_clause(facts: Facts) -> str:
    low, high = tracking_range(facts)
    return f"client-side caching (tracking) holds about {size(low)} to {size(high)} of it, not data"


def _policy_clause(facts: Facts) -> str:
    if facts.policy == NOEVICTION:
        return "noeviction evicts nothing"
    if facts.policy == UNKNOWN:
        return "its policy is not reported"
    if not is_known(facts.policy):
        return f"what its policy {safe_text(facts.policy, 24)} evicts is not known"
    return f"{facts.policy} finds nothing to evict"


CAUSES = (
    Cause(
        "links",
        _links_hold_it,
        lambda facts: f"links of the cluster bus hold {size(_held_by(facts, Share.LINKS))} of it, not data",
        "Find who publishes so much to the cluster (PUBLISH goes to every node: SPUBLISH does not) or which node"
        " does not read; cluster-link-sendbuf-limit bounds it.",
        ("INFO memory (mem_cluster_links)", "CLUSTER LINKS"),
    ),
    Cause(
        "buffers",
        buffers_hold_it,
        lambda facts: f"client and replica buffers use {size(facts.buffer_bytes)} of it, not data",
        "Kill the client holding the buffers (Triage, c). Deleting or evicting keys will not help.",
        ("INFO memory (mem_clients_normal, mem_clients_slaves)", "CLIENT LIST (tot-mem)"),
    ),
    Cause(
        "tiny-limit",
        _empty_server_fills_it,
        lambda facts: f"the empty server alone takes {size(facts.now.memory.startup_bytes)}",
        "Raise maxmemory in Limits: nothing that could be freed would suffice.",
        ("INFO memory (used_memory_startup, maxmemory)",),
    ),
    Cause(
        "scripts",
        _scripts_hold_it,
        lambda facts: f"cached scripts and functions hold {size(_held_by(facts, Share.SCRIPTS))} of it, not data",
        "Pass values as KEYS and ARGV, so that each script is kept once; SCRIPT FLUSH, by hand, drops the rest.",
        ("INFO memory (used_memory_scripts, number_of_cached_scripts)",),
    ),
    Cause(
        "tracking",
        lambda facts: bool(tracking_range(facts)[0]),
        _tracking_clause,
        "Lower tracking-table-max-keys on the server, or let clients track by prefix (BCAST): no key holds it.",
        ("INFO stats (tracking_total_keys, tracking_total_items)",),
    ),
    Cause(
        "nothing-left",
        lambda facts: not facts.now.keys and facts.now.keyspace_known,
        _no_key_left,
        "Raise maxmemory (Limits), then find what uses the memory (Triage): it is not keys.",
        ("INFO keyspace", "MEMORY STATS"),
    ),
    Cause(
        "no-ttl",
        lambda facts: is_volatile(facts.policy) and not facts.now.expires,
        lambda facts: (
            f"{facts.policy} can only evict keys with a TTL, and none of the {count(facts.now.keys)} keys has one"
        ),
        "Free some memory in Cleanup; then give keys a TTL, or choose another policy in Limits.",
        ("INFO memory (maxmemory_policy)", "INFO keyspace (expires)"),
        of_policy=True,
    ),
    Cause(
        "behind",
        lambda facts: facts.can_evict,
        lambda facts: f"{facts.policy} does not make room fast enough",
        "Raise maxmemory in Limits, or slow the writers, until eviction keeps up.",
        ("INFO stats (evicted_keys, current_eviction_exceeded_time)",),
        of_policy=True,
    ),
    Cause(
        "noeviction",
        lambda _: True,
        _policy_clause,
        FREE_SOME,
        ("INFO memory (used_memory, maxmemory, maxmemory_policy)", "INFO errorstats (errorstat_OOM)"),
        of_policy=True,
    ),
)
"""The first that applies is the cause; the last always does."""

LARGE = Cause(
    "large",
    lambda _: False,
    lambda _: "each needed more room than there was",
    "Find who writes such large values; raise maxmemory in Limits if they are meant to be.",
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
