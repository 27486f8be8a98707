"""What each eviction policy would mean here: from the keyspace, which is counted, and the scan, which is sampled."""

from collections.abc import Iterable, Iterator

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, known_bytes, number_of_keys, percent, size
from redis_oom_tui.models.action import PolicyView, WriteStep
from redis_oom_tui.models.application import Loss, Recognition
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.applications.losses import loss_of, lost_by_eviction
from redis_oom_tui.rules.guarded import attempt
from redis_oom_tui.rules.policies import (
    KNOWN,
    NOEVICTION,
    UNKNOWN,
    FirstOut,
    evictable_keys,
    evicts,
    first_out,
    is_known,
    is_lfu,
    is_lrm,
    is_volatile,
    not_judged,
)

_UNSCANNED = "the keys were not scanned"
# A policy is marked where this share of the keys that go first would be missed.
_ALARMING = 0.25
# What is looked at as going first, at least, as a share of the bytes that were scanned.
_AHEAD = 0.05


def policy_views(names: Iterable[str], snapshot: Snapshot, scan: ScanView | None) -> tuple[PolicyView, ...]:
    """A view of each policy that the server accepts (or, where it did not say, of those that all know, and its own)."""
    listed = tuple(names) or attempt("its own policy is", lambda: _with_its_own(snapshot), lambda _: KNOWN)
    return tuple(policy_view(name, snapshot, scan) for name in listed)


def _with_its_own(snapshot: Snapshot) -> tuple[str, ...]:
    own = snapshot.memory.policy
    return (*KNOWN, own) if is_known(own) and own not in KNOWN else KNOWN


def policy_view(name: str, snapshot: Snapshot, scan: ScanView | None) -> PolicyView:
    """What `name` could evict here now, who would go first, and what to think of before it is chosen."""
    return attempt(
        f"the policy {name} is",
        lambda: _policy_view(name, snapshot, scan),
        lambda fault: PolicyView(name, evicts(name), warnings=(fault.words,)),
    )


def _policy_view(name: str, snapshot: Snapshot, scan: ScanView | None) -> PolicyView:
    keys = evictable_keys(name, snapshot)
    held = _evictable_bytes(name, snapshot, scan)
    over = snapshot.memory.over()
    enough = None if name == NOEVICTION or held is None or over is None else held >= over
    if enough is False and keys and scan is not None and (scan.unsized_keys or _seen(name, scan)[1] >= (over or 0)):
        # Keys of modules that tell no size may be evicted too. Of keys that are fewer by now, the largest may be left.
        enough = None
    kept = snapshot.activity.never_evicted_keys or 0
    if enough and kept:
        # What they hold is in the bytes, and stays.
        enough = None
    recognition = Recognition() if scan is None else recognize(scan)
    first = FirstOut() if scan is None else _first_out(name, scan, snapshot.memory.policy, over or 0)
    return PolicyView(
        name=name,
        evicts=evicts(name),
        current=name == snapshot.memory.policy,
        evictable_keys=keys,
        evictable_bytes=held,
        share=held / scan.bytes_seen if scan and scan.bytes_seen and held is not None and scan.complete else None,
        equals_noeviction=(is_volatile(name) or kept > 0) and keys == 0,
        enough=enough,
        flagged=name != NOEVICTION and (keys == 0 or enough is False or _endangered(first, recognition) >= _ALARMING),
        first_to_go=tuple(row.pattern for row in first.named),
        first_by=first.by,
        first_unknown=first.unknown if scan is not None else _UNSCANNED if name != NOEVICTION else None,
        warnings=(
            *_warnings(name, snapshot, enough),
            *lost_by_eviction(() if scan is None else _at_risk(name, scan, recognition), recognition),
        ),
    )


def _evictable_bytes(name: str, snapshot: Snapshot, scan: ScanView | None) -> int | None:
    """Bytes that could go: scaled up where the scan saw only a part of the keys, down where some have gone since."""
    keys = evictable_keys(name, snapshot)
    if keys == 0:
        return 0
    # Of keys that may not be read nobody knows the bytes: what was seen is no sample of them.
    if scan is None or not scan.scanned_keys or scan.refused_keys or keys is None:
        return None
    seen_keys, seen_bytes = _seen(name, scan)
    if not seen_keys or known_bytes(seen_bytes, seen_keys) is None:
        return None
    there = keys + (snapshot.activity.never_evicted_keys or 0)
    return seen_bytes if scan.complete and there >= seen_keys else round(seen_bytes * keys / seen_keys)


def _seen(name: str, scan: ScanView) -> tuple[int, int]:
    """How many of the scanned keys `name` may evict, and their bytes."""
    if is_volatile(name):
        return (scan.volatile_keys, scan.volatile_bytes) if scan.ttls_known else (0, 0)
    return scan.scanned_keys, scan.bytes_seen


def why_unsized(known: Capabilities, scan: ScanView | None) -> str | None:
    """Why not all of `policy_view` can be told in bytes here, in a sentence; None where a scan tells it."""
    for feature in (Feature.SCAN, Feature.MEMORY_USAGE, Feature.TTL):
        reason = known.why_not(feature)
        if reason is not None:
            whose = "a volatile-* policy" if feature is Feature.TTL else "a policy"
            return f"What {whose} may evict is not known in bytes: {feature.value} is refused here ({reason})"
    if scan is not None and scan.refused_keys:
        return (
            f"What a policy may evict is not known in bytes: {number_of_keys(scan.refused_keys)} may not be read here"
        )
    return None


def _at_risk(name: str, scan: ScanView, recognition: Recognition) -> tuple[PatternRow, ...]:
    """The patterns that can lose keys: each one that is known to be of an application, of the others those at the top
    of the tree.
    """
    if name == NOEVICTION:
        return ()
    rows = [row for row in scan.patterns if not is_volatile(name) or row.no_ttl_keys < row.keys]
    lowest = min((row.level for row in rows), default=0)
    divided = {(row.db, row.parent) for row in scan.patterns}
    return tuple(
        row
        for row in rows
        if (recognition.of(row) and (row.db, row.pattern) not in divided)
        or (row.level == lowest and not recognition.of(row))
    )


def _first_out(name: str, scan: ScanView, current: str, over: int) -> FirstOut:
    needed = max(over, scan.bytes_seen * _AHEAD)
    held = scan.volatile_bytes if is_volatile(name) else scan.bytes_seen
    return first_out(name, scan, current, min(1.0, needed / held) if held else 1.0)


def _endangered(first: FirstOut, recognition: Recognition) -> float:
    """How much of what goes first is of patterns whose loss breaks things, as a share of its keys."""
    every = sum(keys for _, keys in first.patterns)
    critical = sum(keys for row, keys in first.patterns if loss_of(row, recognition) not in (None, Loss.HARMLESS))
    return critical / every if every else 0.0


def _warnings(name: str, snapshot: Snapshot, enough: bool | None) -> tuple[str, ...]:
    if name == NOEVICTION:
        return ()
    found: list[str] = []
    if unjudged := not_judged(name):
        found.append(f"This tool does not know the policy {safe_text(name, 24)}: {unjudged}.")
    kept = snapshot.activity.never_evicted_keys
    if kept:
        found.append(
            f"{number_of_keys(kept)} of this server {'is' if kept == 1 else 'are'} never evicted (BLESS), and not"
            " counted here. What is held there is not known: the bytes are an upper bound, and what goes first may name"
            " them."
        )
    if is_volatile(name) and snapshot.keyspace_known and not snapshot.expires:
        found.append(f"No key has a TTL, so {name} can evict nothing here: it behaves like noeviction.")
    elif enough is False:
        found.append(
            f"All that it can evict is less than the {size(snapshot.memory.over())} to be freed: those keys would"
            " be lost and writes still refused."
        )
    if is_lfu(name) and snapshot.memory.policy != UNKNOWN and not is_lfu(snapshot.memory.policy):
        found.append("LFU counters start at the switch: evictions are near-random at first, hot keys included.")
    found.extend(_clock_warnings(name, snapshot.memory.policy))
    found.extend(_buffers(snapshot))
    return tuple(found)


def _clock_warnings(name: str, current: str) -> Iterator[str]:
    """What the times that the server has kept until now mean for a policy that would go by them."""
    if not name.endswith(("-lru", "-lrm")) or current == UNKNOWN:
        return
    if is_lfu(current):
        yield "Idle times are wrong for keys used under an LFU policy: at first it evicts almost at random."
    elif is_lrm(name) and not is_lrm(current):
        yield "Until a key is changed after the switch, the time of its last use counts, reads included."
    elif is_lrm(current) and not is_lrm(name):
        yield f"Under {current} reads leave no mark: at first it evicts by the last change, also keys that are read."


def _buffers(snapshot: Snapshot) -> tuple[str, ...]:
    """The warning that what fills the memory is not data."""
    memory = snapshot.memory
    held = (memory.clients_normal_bytes or 0) + (memory.replication_backlog_bytes or 0)
    if memory.maxmemory_bytes is None or memory.used_bytes is None:
        return ()
    if held <= memory.maxmemory_bytes / 4 or held > memory.used_bytes:
        return ()
    return (
        (
            f"{size(held)} are buffers of clients and replication, which no policy can evict: keys would be lost"
            " instead."
        ),
    )


def write_path(snapshot: Snapshot) -> tuple[WriteStep, ...]:
    """The way that a write takes here, each question with this server's answer; what it does not reach is not lit."""
    return attempt(
        "what happens to a write is",
        lambda: _write_path(snapshot),
        lambda fault: (WriteStep("Is it over the limit?", fault.words, end=True),),
    )


def _write_path(snapshot: Snapshot) -> tuple[WriteStep, ...]:
    memory = snapshot.memory
    if memory.unlimited:
        return (WriteStep("Is a limit set?", "no (maxmemory 0): the write is accepted", end=True),)
    if memory.limit_unknown:
        return (WriteStep("Is a limit set?", "not reported by this server: state it with --limit SIZE", end=True),)
    stated = " (stated with --limit)" if memory.limit_source is LimitSource.OPERATOR else ""
    steps = [WriteStep("Is a limit set?", f"yes: {size(memory.maxmemory_bytes)}{stated}")]
    over = memory.over()
    if over is None:
        lit = bool(snapshot.counters.eviction_exceeded_ms)
        answer = "yes, by its own clock; its used_memory is not known" if lit else "unknown, as its used_memory is"
    else:
        lit = over > 0
        answer = _over_words(f"{size(memory.counted_bytes)} in use, {percent(memory.pressure, 1)}", over)
    steps.append(WriteStep("Is it over the limit?", answer, end=not lit))
    if memory.policy == NOEVICTION:
        answer = "noeviction: the write is refused with OOM"
        return (*steps, WriteStep("Which policy?", answer, lit=lit, end=True, refused=True))
    if memory.policy == UNKNOWN:
        return (*steps, WriteStep("Which policy?", "not reported by this server", lit=lit, end=True))
    if not is_known(memory.policy):
        unknown = f"{memory.policy}, which this tool does not know: {not_judged(memory.policy)}"
        return (*steps, WriteStep("Which policy?", unknown, lit=lit, end=True))
    steps.append(WriteStep("Which policy?", f"{memory.policy}: {evicts(memory.policy)[:-1].lower()}", lit=lit))
    keys = evictable_keys(memory.policy, snapshot)
    whose = "keys with a TTL" if is_volatile(memory.policy) else "keys"
    if keys == 0:
        only = (
            "no keys but those that are never evicted (BLESS)"
            if snapshot.activity.never_evicted_keys
            else f"no {whose}"
        )
        answer = f"no: there are {only}, so the write is refused with OOM"
    elif keys is None:
        answer = f"not known: the number of {whose} is not"
    else:
        answer = f"yes: up to {count(keys)} {whose} are evicted until it fits, then the write is accepted"
        if is_volatile(memory.policy):
            answer = f"yes: up to {count(keys)} {whose} go; once they are gone, writes are refused with OOM"
    return (*steps, WriteStep("Is there anything to evict?", answer, lit=lit, end=True, refused=keys == 0))


def _over_words(used: str, over: int) -> str:
    return f"yes, by {size(over)} ({used})" if over else f"no ({used}): the write is accepted"
