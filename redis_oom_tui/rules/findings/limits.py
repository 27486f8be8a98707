"""Limit, policy and settings that do not fit this server's data or host."""

from collections.abc import Iterator

from redis_oom_tui.formatting.sizes import count, number_of, number_of_keys, percent, size
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.applications.losses import lost_by_eviction
from redis_oom_tui.rules.breakdown import room_for_data
from redis_oom_tui.rules.findings.case import MIB, Case, finding
from redis_oom_tui.rules.flavours import counts_rss
from redis_oom_tui.rules.headroom import higher_limit
from redis_oom_tui.rules.policies import is_allkeys, is_volatile

_TTL_ON_WRITE = "Give each key a TTL where it is written (SET key value EX seconds), also on the rewrite: SET drops it."


@finding("no-limit")
def no_limit(case: Case) -> Iterator[Finding]:
    """Without a limit the kernel is the one who ends it."""
    memory, host = case.memory, case.memory.host_bytes
    taken = memory.rss_bytes or memory.used_bytes
    if not memory.unlimited or not host or taken is None or taken < 0.25 * host:
        return
    wanted = max(int(0.75 * host), memory.used_bytes or 0)
    yield Finding(
        id="no-limit",
        level=Level.WARNING if taken >= 0.5 * host else Level.OK,
        title=f"No limit is set, and {percent(taken / host)} of the host's memory is in use",
        advice="Set maxmemory below the host's or container's memory, with room for a fork, or the kernel kills it.",
        evidence=(f"{'used' if memory.rss_bytes is None else 'rss'} {size(taken)} of {size(host)} that its host has",),
        remedy=Remedy("limits", setting="maxmemory", value=str(wanted)),
    )


@finding("limit-over-host")
def limit_over_host(case: Case) -> Iterator[Finding]:
    """A limit that the host cannot honour."""
    limit, host = case.memory.maxmemory_bytes, case.memory.host_bytes
    if limit is None or not host or limit <= 0.9 * host:
        return
    yield Finding(
        id="limit-over-host",
        level=Level.WARNING,
        title=f"maxmemory is {size(limit)} of the {size(host)} there is: no room for a fork or fragmentation"
        if limit <= host
        else f"maxmemory is {size(limit)}, and the host has only {size(host)}",
        advice="Lower it to what the host can spare, less a quarter for forks, buffers and fragmentation.",
        evidence=(f"maxmemory {size(limit)}", f"memory of the host {size(host)}"),
        remedy=Remedy("limits", setting="maxmemory", value=str(int(0.75 * host))),
    )


@finding("raise-limit")
def raise_limit(case: Case) -> Iterator[Finding]:
    """The quickest cure, where the host has room and data fills the limit."""
    memory, limit = case.memory, case.memory.maxmemory_bytes
    # Where eviction makes room, a full cache is no trouble.
    if limit is None or case.near is Level.OK or is_allkeys(case.memory.policy) or not case.facts.limit_is_hard:
        return
    # What the operator states, and another product's limit, may be set elsewhere than by this setting.
    if memory.limit_source is not LimitSource.SERVER or case.now.server.is_foreign:
        return
    if case.now.server.is_replica and not case.now.activity.minds_limit:
        # It ignores its own limit while it is one.
        return
    wanted = higher_limit(memory)
    if wanted is None or not case.cause.cured_by_limit:
        return
    number, held = memory.neighbours
    others = (f"{number_of(number, 'other Redis server')} there with {size(held)}",) if number else ()
    free = "" if memory.host_free_bytes is None else f", and {size(memory.host_free_bytes)} are free"
    data = room_for_data(replace(memory, maxmemory_bytes=wanted), case.now.activity)
    yield Finding(
        id="raise-limit",
        level=case.near,
        title=f"The host has room: maxmemory can be raised from {size(limit)} to {size(wanted)}",
        advice="Raise it for immediate relief, then find what grew. Check the container's own limit first.",
        evidence=(
            f"host RAM {size(case.memory.host_bytes)}, of which the server uses {size(memory.rss_bytes)} (RSS){free}",
            *others,
            f"room for data: {size(data)} then, {size(room_for_data(memory, case.now.activity))} now",
        ),
        remedy=Remedy("limits", setting="maxmemory", value=str(wanted)),
    )


@finding("volatile-no-ttl")
def volatile_without_ttl(case: Case) -> Iterator[Finding]:
    """A volatile-* policy on keys that never expire."""
    if (
        case.memory.maxmemory_bytes is None
        or not is_volatile(case.memory.policy)
        or case.now.expires
        or not case.now.keys
        or not case.now.keyspace_known
    ):
        return
    yield Finding(
        id="volatile-no-ttl",
        level=case.at_least_warning,
        title=f"{case.memory.policy} can evict nothing: no key has a TTL",
        advice="Set TTLs on expendable keys, or use allkeys-lru if this is a pure cache.",
        evidence=(f"{number_of_keys(case.now.keys)}, 0 with a TTL",),
        remedy=Remedy("limits", setting="maxmemory-policy", value="allkeys-lru"),
        in_the_application=_TTL_ON_WRITE,
    )


@finding("cache-noeviction")
def cache_without_eviction(case: Case) -> Iterator[Finding]:
    """noeviction on what looks like a cache: most keys expire anyway."""
    keys, expires = case.now.keys, case.now.expires
    if case.memory.policy != "noeviction" or case.near is Level.OK or keys < 100 or expires < 0.5 * keys:
        return
    held = case.scan.volatile_bytes if case.scan is not None else 0
    yield Finding(
        id="cache-noeviction",
        level=case.near,
        title=f"{percent(expires / keys)} of the keys have a TTL, but noeviction refuses writes and evicts none",
        advice="If they are a cache, volatile-lru evicts the least recently used of them; the rest stay.",
        evidence=(f"{count(expires)} of {count(keys)} keys have a TTL", f"they hold {size(held) if held else '?'}"),
        remedy=Remedy("limits", setting="maxmemory-policy", value="volatile-lru"),
    )


@finding("store-allkeys")
def store_with_eviction(case: Case) -> Iterator[Finding]:
    """allkeys-* on queues, locks or sessions loses them without a word."""
    if not is_allkeys(case.memory.policy) or case.memory.maxmemory_bytes is None or case.scan is None:
        return
    # What expires anyway is expected to be gone one day; what does not was meant to stay.
    found = lost_by_eviction((row for row in case.leaves if row.no_ttl_keys >= 0.5 * row.keys), case.recognition)
    if not found:
        return
    yield Finding(
        id="store-allkeys",
        level=Level.WARNING,
        title=f"{case.memory.policy} may evict data your applications rely on",
        advice="Move such data to a server of its own under noeviction, or choose volatile-lru and TTLs for the rest.",
        evidence=found,
        remedy=Remedy("limits", setting="maxmemory-policy", value="volatile-lru"),
        in_the_application="Keep queues, locks and caches on separate servers: the policy is one per server.",
    )


@finding("samples")
def samples(case: Case) -> Iterator[Finding]:
    """maxmemory-samples far from the usual, while it matters."""
    value = case.settings.get("maxmemory-samples", "")
    if not value.isdigit() or 5 <= int(value) <= 10 or case.memory.policy == "noeviction" or case.near is Level.OK:
        return
    effect = "picks poor eviction candidates" if int(value) < 5 else "spends CPU choosing eviction candidates"
    yield Finding(
        id="samples",
        level=Level.OK,
        title=f"maxmemory-samples is {value}: eviction {effect}",
        advice="The default is 5; 10 approximates true LRU.",
        evidence=(f"maxmemory-samples {value}",),
        remedy=Remedy("limits", setting="maxmemory-samples", value="5" if int(value) < 5 else "10"),
    )


@finding("lazyfree-lazy-eviction", "lazyfree-lazy-expire")
def blocking_frees(case: Case) -> Iterator[Finding]:
    """A huge key that is evicted or expires blocks everybody unless it is freed in the background."""
    if case.scan is None:
        return
    huge = [row for row in case.scan.top if (row.size or 0) >= 32 * MIB and row.type != "string"]
    for setting, applies in (
        ("lazyfree-lazy-eviction", case.memory.policy != "noeviction" and case.memory.maxmemory_bytes is not None),
        ("lazyfree-lazy-expire", any(row.ttl_ms is not None for row in huge)),
    ):
        if huge and applies and case.settings.get(setting) == "no":
            yield Finding(
                id=setting,
                level=Level.OK,
                title=f'{setting} is "no": freeing a key of {size(huge[0].size)} will block the server',
                advice="Set it to yes: freeing then happens in the background (seconds of blocking were measured).",
                evidence=(f"{count(len(huge))} collections of 32 MiB or more",),
                remedy=Remedy("limits", setting=setting, value="yes"),
            )


_PURGE = "MEMORY PURGE may give some back; a failover to a fresh replica gives back all."
_NO_JEMALLOC = (
    "A failover to a fresh replica, or a restart, gives it back: with an allocator other than jemalloc, activedefrag"
    " and MEMORY PURGE do nothing."
)
# By what activedefrag is set to, where the allocator may have it.
_DEFRAG = {
    "no": "Try activedefrag yes (it needs the server's own jemalloc, and says so if it is not), or MEMORY PURGE.",
    "yes": f"activedefrag is on: give it time, or more CPU (active-defrag-cycle-max). {_PURGE}",
}


@finding("fragmentation")
def fragmentation(case: Case) -> Iterator[Finding]:
    """RSS far above what is used, in bytes that matter."""
    memory = case.memory
    if memory.used_bytes is None or memory.rss_bytes is None or case.now.server.is_foreign:
        return
    waste = memory.rss_bytes - memory.used_bytes
    if waste < 100 * MIB or waste < 0.4 * memory.used_bytes:
        return
    jemalloc, defrag = "jemalloc" in (memory.allocator or ""), case.settings.get("activedefrag")
    advice = _DEFRAG.get(defrag or "", _PURGE) if jemalloc else _NO_JEMALLOC
    helps = "It does not count towards maxmemory: this helps the host, not refused writes."
    if counts_rss(case.now.server.product):
        helps = "Here RSS counts towards the limit, too: keys may be evicted for it."
    yield Finding(
        id="fragmentation",
        level=Level.WARNING if case.memory.host_bytes and memory.rss_bytes > 0.8 * case.memory.host_bytes else Level.OK,
        title=f"{size(waste)} of RAM is held beyond what is used",
        advice=f"{advice} {helps}",
        evidence=(
            f"rss {size(memory.rss_bytes)}, used {size(memory.used_bytes)}, {memory.allocator or 'allocator ?'}",
        ),
        remedy=Remedy("limits", setting="activedefrag", value="yes") if jemalloc and defrag == "no" else None,
    )
