"""The rules of the verdict about the server's state: loading, writes refused whatever the memory, replica, host."""

from redis_oom_tui.formatting.sizes import count, number_of, number_of_keys, percent, percent_beside, size
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.flavours import counts_rss
from redis_oom_tui.rules.verdict.causes import cause_of
from redis_oom_tui.rules.verdict.facts import Facts
from redis_oom_tui.rules.verdict.phrases import in_use, refusals, rule, say, why_unjudged

_MIB = 2**20
_GIB = 2**30
# On a small server RSS is all allocator and code, and its ratios mean nothing: seen 8.0 on an empty one.
_FRAGMENTED_FROM = _GIB
_SWAPPED_FROM = 64 * _MIB
_SAVE_STEP = (
    "Look in the server log for the reason, at space and rights of its directory (CONFIG GET dir), and at the memory"
    " for the fork. Deletions work once rdb_last_bgsave_status (BGSAVE tries again) and aof_last_write_status are ok."
)
_REPLICAS_STEP = "Bring the replicas back, or lower min-replicas-to-write."


@rule("loading", confirm=("INFO persistence (loading, async_loading)",))
def loading(facts: Facts) -> Verdict | None:
    """Every command but a few is answered with LOADING."""
    if not facts.now.activity.loading or (facts.now.server.is_replica and facts.now.activity.copying_master):
        return None
    held = size(facts.now.memory.used_bytes)
    reason = f"Loading its data set into memory, {held} so far: no commands are served until it finishes."
    return say(facts, Level.CRITICAL, "loading", reason, "Wait for the end of loading before you change anything.")


@rule(
    "misconf",
    "noreplicas",
    confirm=("INFO persistence (rdb_last_bgsave_status)", "INFO replication (min_slaves_good_slaves)"),
)
def writes_blocked(facts: Facts) -> Verdict | None:
    """MISCONF and NOREPLICAS refuse every write."""
    lacking, unsaved = too_few_replicas(facts), unsaved_stops_writes(facts)
    few = f"too few replicas connected{_replicas(facts)}"
    if unsaved and lacking:
        reason = (
            f"Refusing every write, deletions included: its last save to disk failed (MISCONF), and {few} (NOREPLICAS)."
        )
        return say(facts, Level.CRITICAL, "misconf", reason, f"{_SAVE_STEP} {_REPLICAS_STEP}")
    if unsaved:
        reason = "Refusing every write, deletions included (MISCONF): its last save to disk failed."
        return say(facts, Level.CRITICAL, "misconf", reason, _SAVE_STEP)
    if lacking:
        reason = f"Refusing every write, deletions included (NOREPLICAS): {few}."
        return say(facts, Level.CRITICAL, "noreplicas", reason, _REPLICAS_STEP)
    return None


@rule("save-failed", confirm=("INFO persistence (rdb_last_bgsave_status)",))
def last_save_failed(facts: Facts) -> Verdict | None:
    """A failed save that is not known to stop writes."""
    if not facts.now.activity.last_save_failed:
        return None
    if unsaved_stops_writes(facts) is False:
        reason = "Its last save to disk failed; its settings (save, stop-writes-on-bgsave-error) let writes pass."
        return say(facts, Level.WARNING, "save-failed", reason, "Check the disk and the server log.")
    refused = facts.now.counters.errors_by_kind.get("MISCONF")
    before = f"; {number_of(refused, 'command')} got it since restart or RESETSTAT" if refused else ""
    reason = (
        "Its last save to disk failed: it may refuse every write, deletions included (MISCONF), and its settings are"
        f" not known{before}."
    )
    step = "Check the disk and the server log, and at stop-writes-on-bgsave-error and save."
    return say(facts, Level.WARNING, "save-failed", reason, step)


def unsaved_stops_writes(facts: Facts) -> bool | None:
    """Whether writes are refused with MISCONF (server.c, writeCommandsDeniedByDiskError); None where it is not known.

    That some were refused in the past says nothing: settings may have changed since.
    """
    activity = facts.now.activity
    if facts.rates.errors_by_kind.get("MISCONF"):
        return True
    if not activity.last_save_failed:
        return False
    if facts.now.server.is_replica:
        return None
    return True if activity.aof_write_failed else activity.save_needed


def too_few_replicas(facts: Facts) -> bool:
    """Whether writes are refused with NOREPLICAS. INFO tells the good replicas only where writes need some."""
    good = facts.now.activity.good_replicas
    if facts.rates.errors_by_kind.get("NOREPLICAS"):
        return True
    return not facts.now.server.is_replica and good is not None and good < (facts.now.activity.wanted_replicas or 1)


def _replicas(facts: Facts) -> str:
    good, wanted = facts.now.activity.good_replicas, facts.now.activity.wanted_replicas
    return "" if good is None else f" ({count(good)} of {count(wanted)})" if wanted else f" ({count(good)})"


def unblocked_first(facts: Facts, step: str) -> str:
    """`step`, behind what has to come before it where deletions wait or are refused as well."""
    if facts.paused and not facts.can_evict:
        step = (
            f"First end the pause (CLIENT UNPAUSE, or FAILOVER ABORT) or wait for its end: deletions wait, too. {step}"
        )
    unsaved = unsaved_stops_writes(facts)
    if unsaved is not False:
        are = "are" if unsaved else "may be"
        step = (
            f"First make saving work again, or set stop-writes-on-bgsave-error to no: the last save to disk failed, so"
            f" deletions {are} refused too (MISCONF). Then: {step}"
        )
    if too_few_replicas(facts):
        return (
            "First bring the replicas back, or lower min-replicas-to-write: deletions are refused too (NOREPLICAS)."
            f" Then: {step}"
        )
    return step


@rule(
    "replica-copying",
    "replica-link",
    "replica-limit",
    confirm=("INFO replication (role, master_link_status)", "INFO memory (maxmemory)"),
)
def replica(facts: Facts) -> Verdict | None:
    """A replica being made, one out of touch, or one that would evict or refuse the moment it is promoted."""
    if not facts.now.server.is_replica:
        return None
    if facts.now.activity.copying_master:
        reason = f"A replica taking a full copy of its primary's data, {size(facts.now.memory.used_bytes)} so far."
        return say(facts, Level.OK, "replica-copying", reason)
    if facts.now.activity.master_link_up is False:
        if facts.now.activity.failing_over:
            reason = "It hands over to a replica (FAILOVER in progress): until that ends, nobody takes writes."
            step = "Wait for its end, or give it up (FAILOVER ABORT) where the replica does not answer."
            return say(facts, Level.WARNING, "replica-link", reason, step)
        reason = "A replica that has lost its primary: its data is stale."
        return say(facts, Level.WARNING, "replica-link", reason, "Check the link and the primary's own state.")
    if facts.pressure is not None and facts.pressure > 1.0:
        then = "evict keys" if facts.can_evict else "refuse writes"
        why, first = _beside_data(facts)
        reason = f"A replica at {in_use(facts)}: it ignores that while it is one, and would {then} if promoted{why}."
        step = first or (
            "Give it its primary's maxmemory before any failover. Where it has that, free memory on its primary, which"
            " is as full; else find what it holds and its primary does not (INFO keyspace)."
        )
        return say(facts, Level.WARNING, "replica-limit", reason, step)
    return None


def _beside_data(facts: Facts) -> tuple[str, str]:
    """What beside the data fills a replica, and the first step against it; empty where keys do."""
    cause = cause_of(facts)
    return ("", "") if cause.in_keys else (f"; {cause.clause(facts)}", cause.first_step(facts))


@rule(
    "replica-own-limit",
    confirm=("CONFIG GET replica-ignore-maxmemory", "INFO stats (evicted_keys)", "INFO errorstats (errorstat_OOM)"),
)
def replica_own_limit(facts: Facts) -> Verdict | None:
    """A replica that keeps to a limit of its own: it evicts, or refuses, what its primary keeps."""
    if not facts.now.server.is_replica or facts.near is Level.OK or facts.now.activity.copying_master:
        return None
    minds, evicted = facts.now.activity.minds_limit, facts.rates.evicted_keys
    if not (facts.refused or evicted if minds is None else minds):
        return None
    seen = refusals(facts)
    refuses = facts.refused > 0 or (facts.over_limit and facts.cannot_evict)
    if refuses:
        does = f"refuses writes of its primary{'; ' if seen else ''}{seen}"
    else:
        does = "refuses writes of its primary" if facts.cannot_evict else "evicts what its primary keeps"
        so_far = facts.now.counters.evicted_keys_total
        done = f" ({number_of_keys(so_far)} since restart or RESETSTAT)" if so_far else " once it is full"
        does += "" if evicted else done
    why, first = _beside_data(facts)
    reason = f"A replica that keeps to its own limit, at {in_use(facts)} (replica-ignore-maxmemory no): it {does}{why}."
    counters = facts.now.counters
    lacks = refuses or evicted or counters.refused_writes_total or counters.evicted_keys_total
    step = f"{first}{' Then set' if first else 'Set'} replica-ignore-maxmemory to yes"
    step += "" if first else ", or give it its primary's maxmemory"
    step += (
        "; then have it copy all data again (REPLICAOF): what it lacks does not come back by itself."
        if lacks
        else " before it is full."
    )
    return say(facts, Level.OOM if facts.refused else Level.WARNING, "replica-own-limit", reason, step)


@rule("contradictory", confirm=("INFO memory (used_memory, total_system_memory)",))
def contradictory(facts: Facts) -> Verdict | None:
    """More in use than the host has: one of the two figures is wrong, unless the rest lies on disk."""
    memory, host = facts.now.memory, facts.host
    if not host or memory.used_bytes is None or memory.used_bytes <= host:
        return None
    if (memory.swapped_bytes or 0) >= memory.used_bytes - host:
        return None
    crit = not memory.maxmemory_bytes and (memory.rss_bytes or 0) >= facts.thresholds.crit * host
    reason = (
        f"Its figures contradict each other: used_memory is {size(memory.used_bytes)}, but the host has {size(host)}"
        " of memory: one of them is wrong, or the rest is swapped out."
    )
    step = "Check the host itself: its memory, its swap, and the container's limit."
    return say(facts, Level.CRITICAL if crit else Level.WARNING, "contradictory", reason, step)


@rule("host-full", confirm=("INFO memory (used_memory_rss, total_system_memory)",))
def host_full(facts: Facts) -> Verdict | None:
    """Where no limit below the host's memory stops it first, the kernel will; RSS is stopped by no limit."""
    memory, host = facts.now.memory, facts.host
    own = memory.rss_bytes or memory.used_bytes
    if not host or own is None or own + _copied(facts) < facts.thresholds.warn * host:
        return None
    taken = own + _copied(facts)
    crit = taken >= facts.thresholds.crit * host
    share = percent_beside(taken / host, (facts.thresholds.warn, facts.thresholds.crit, 1.0))
    limit = host if memory.unlimited else memory.maxmemory_bytes
    if limit is None or limit < 0.95 * host:
        if not crit:
            return None
        though = why_unjudged(facts) if limit is None else f"maxmemory is {percent(limit / host)} of that"
        reason = (
            f"The host is nearly full: the server takes {share} of the {size(host)} there is{_fork(facts)}, and"
            f" {though}."
        )
        step = f"{_fork_step(facts)}Free memory on the host, or here; see fragmentation."
        return say(facts, Level.WARNING, "host-full", reason, step)
    level = Level.CRITICAL if crit else Level.WARNING
    limited = "No limit is set" if memory.unlimited else "The limit is the host's whole memory"
    reason = (
        f"{limited}, and it takes {share} of the {size(host)} there is{_fork(facts)}: beyond that the kernel kills it."
    )
    step = f"{_fork_step(facts)}Set maxmemory in Limits, with room for a fork, or free memory first."
    return say(facts, level, "host-full", reason, step)


def _copied(facts: Facts) -> int:
    """What a fork that lives has made the kernel copy, beside the server's own RSS."""
    return (facts.now.memory.fork_copied_bytes or 0) if facts.now.activity.has_child else 0


# Of the host's memory, what a fork must have had copied to be named.
_FORK_SHARE = 0.05


def _fork(facts: Facts) -> str:
    """That a fork takes a good part of it; '' where it does not."""
    if _copied(facts) < _FORK_SHARE * (facts.host or 0) or not _copied(facts):
        return ""
    child = "an AOF rewrite" if facts.now.activity.rewriting_aof else "a BGSAVE"
    return f", {size(_copied(facts))} of it copied by {child} that runs (copy-on-write)"


def _fork_step(facts: Facts) -> str:
    wait = "Wait for the fork to end and write less until then: each page that is written is copied. Then: "
    return wait if _fork(facts) else ""


# What is left of a machine's memory where the next one who asks for some may be killed.
_LITTLE_LEFT = 0.03


@rule("machine-full", confirm=("INFO memory (used_memory_rss, total_system_memory)", "free -m on the host"))
def machine_full(facts: Facts) -> Verdict | None:
    """Others on the machine have taken its memory: the kernel may kill this server though it is far below its limit."""
    memory, host = facts.now.memory, facts.host
    if not host or memory.host_free_bytes is None or memory.host_free_bytes > _LITTLE_LEFT * host:
        return None
    number, held = memory.neighbours
    others = f", {number_of(number, 'other Redis server')} there {size(held)}" if number else ""
    reason = (
        f"The machine is nearly full: {size(memory.host_free_bytes)} of {size(host)} are free; this server takes"
        f" {size(memory.rss_bytes)}{_fork(facts)}{others}."
    )
    step = (
        f"{_fork_step(facts)}Free memory on the machine (other processes first): the kernel kills what takes most. Do"
        " not raise maxmemory."
    )
    return say(facts, Level.WARNING, "machine-full", reason, step)


@rule("swapped", confirm=("INFO memory (used_memory, used_memory_rss)",))
def swapped(facts: Facts) -> Verdict | None:
    """A good part of it on disk: by the kernel's word where it can be read, else less resident than allocated."""
    memory = facts.now.memory
    if memory.swapped_bytes is not None:
        if memory.swapped_bytes < max(_SWAPPED_FROM, 0.1 * (memory.used_bytes or 0)):
            return None
        reason = f"{size(memory.swapped_bytes)} of its memory is swapped out: commands touching it wait for the disk."
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
    step = "Free memory on the host, or here (Hogs); then find out why it swaps."
    return say(facts, Level.WARNING, "swapped", reason, step)


_NOT_COUNTED = "it does not count towards maxmemory"
_NO_JEMALLOC = "Fail over to a fresh replica, or restart it (its allocator gives nothing back by MEMORY PURGE),"


@rule("fragmented", confirm=("INFO memory (used_memory_rss, mem_fragmentation_ratio)", "MEMORY DOCTOR"))
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
    # With libc's allocator neither gives anything back: measured on 6.2 and 9.1.
    tools = "Try activedefrag or MEMORY PURGE" if "jemalloc" in (memory.allocator or "jemalloc") else _NO_JEMALLOC
    counted = "it counts towards the limit, too" if counts_rss(facts.now.server.product) else _NOT_COUNTED
    step = f"{tools} to relieve the host: {counted}."
    return say(facts, Level.WARNING, "fragmented", reason, step)
