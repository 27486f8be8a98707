"""Keys that stay longer than they are of use: no TTL, TTLs far beyond use, expired but still held."""

import re
from collections.abc import Iterator

from redis_oom_tui.formatting.sizes import count, duration, percent, size
from redis_oom_tui.models.plan import TtlFilter
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.findings.case import Case, finding

# Whole words of a name: `rate:api`, not `corporate`.
_PASSING = re.compile(
    rb"(?<![a-z])(?:cached?|sess(?:ions?)?|te?mp|tokens?|otp|rate(?:limit)?s?|throttle|nonces?|task-meta)(?![a-z])"
)
_DAY = 86_400
_SHOWN = 3
_FAMILIES = 20
# Not used for so long, most data is not missed; the plan's preview shows it before anything goes.
_OLD_SECONDS = 30 * _DAY
_SET_TTL = "Write it with its TTL (SET key value EX seconds, or EXPIRE in the same pipeline); a later SET drops a TTL."


@finding("no-ttl-stragglers")
def stragglers(case: Case) -> Iterator[Finding]:
    """Keys without a TTL in families that mostly have one: a code path that forgets it."""
    leaves = case.leaves if case.ttls_told else ()
    rows = [row for row in leaves if row.keys >= 50 and 0 < row.no_ttl_keys <= 0.3 * row.keys]
    held = [(row, int(row.size * row.no_ttl_keys / row.keys * case.scale)) for row in rows]
    held = [(row, amount) for row, amount in held if case.matters(amount, 0.005)]
    for row, amount in held[:_SHOWN]:
        yield Finding(
            id="no-ttl-stragglers",
            level=Level.WARNING,
            title=f"{count(row.no_ttl_keys)} of {count(row.keys)} keys {case.named(row)} never expire",
            advice="Expire or delete those without a TTL in Cleanup; the others of their family go by themselves.",
            evidence=(f"{percent(1 - row.no_ttl_keys / row.keys)} of the family has a TTL", f"about {size(amount)}"),
            # Which of the family's keys they are is known, their own sizes are not.
            saves_bytes=(amount // 3, amount * 2),
            lever=Remedy("cleanup", match=row.match, db=row.db, pattern=row.select, ttl=TtlFilter.WITHOUT),
            in_the_application=_SET_TTL,
        )


@finding("no-ttl-family")
def passing_data(case: Case) -> Iterator[Finding]:
    """Whole families without any TTL whose names say that they are of passing use."""
    leaves = case.leaves if case.ttls_told else ()
    rows = [row for row in leaves if row.no_ttl_keys == row.keys >= 50 and _is_passing(row)]
    for row in rows[:_SHOWN]:
        held = int(row.size * case.scale)
        if case.matters(held, 0.02):
            yield Finding(
                id="no-ttl-family",
                level=Level.WARNING,
                title=f"None of {count(row.keys)} keys {case.named(row)} expires",
                advice="If their use passes, as their name says, expire them in Cleanup over some minutes.",
                evidence=(f"{count(row.keys)} keys, {size(row.size)}, no TTL", *_idle(row)),
                saves_bytes=(0, held),
                lever=Remedy("cleanup", match=row.match, db=row.db, pattern=row.select, ttl=TtlFilter.WITHOUT),
                in_the_application=_SET_TTL,
            )


@finding("old-data")
def old_data(case: Case) -> Iterator[Finding]:
    """Families that mostly lie idle: data that could be archived or deleted, the oldest first."""
    for row in [row for row in case.leaves if row.idle_quantiles is not None and row.keys >= 50][:_FAMILIES]:
        low, middle, _ = row.idle_quantiles or (0, 0, 0)
        if middle < _OLD_SECONDS or case.now.activity.has_child:
            continue
        share = (0.8, 1.0) if low >= _OLD_SECONDS else (0.4, 1.0)
        held, name = row.size * case.scale, case.named(row)
        if case.matters(share[0] * held, 0.03):
            yield Finding(
                id="old-data",
                level=Level.OK,
                title=f"Half of {count(row.keys)} keys {name} were not used for {duration(middle)}",
                advice="Plan a cleanup of what is idle for over 30 days; it shows every key before anything goes.",
                evidence=_idle(row),
                saves_bytes=(int(share[0] * held), int(share[1] * held)),
                lever=Remedy("cleanup", match=row.match, db=row.db, pattern=row.select, idle_over_seconds=_OLD_SECONDS),
                in_the_application="Give such data a TTL, or move what must be kept to a store on disk.",
            )


@finding("long-ttl")
def long_ttls(case: Case) -> Iterator[Finding]:
    """TTLs far beyond the time for which anybody still asks, among the largest keys, whose idle times were read."""
    if case.scan is None:
        return
    late = [
        row
        for row in case.scan.top
        if row.ttl_ms is not None
        and row.idle_seconds is not None
        and row.idle_seconds > _DAY
        and row.ttl_ms / 1000 > max(7 * _DAY, 5 * row.idle_seconds)
    ]
    held = sum(row.size or 0 for row in late)
    if not case.matters(held, 0.02):
        return
    idlest = max(late, key=lambda row: row.idle_seconds or 0)
    yield Finding(
        id="long-ttl",
        level=Level.OK,
        title=f"{count(len(late))} large keys lie idle and keep a TTL of over {duration(7 * _DAY)}",
        advice="Shorten their TTL in Cleanup (expire in place of delete), and where they are written.",
        evidence=(f"{size(held)} in all", f"one idle for {duration(idlest.idle_seconds)}"),
        saves_bytes=(0, held),
        lever=Remedy("cleanup"),
        in_the_application="Take the TTL from how long a value is asked for, not from how long it might be.",
    )


@finding("expired-unreaped")
def unreaped(case: Case) -> Iterator[Finding]:
    """Expired keys that still hold memory: the server's own cycle takes its time below a tenth of them."""
    stale, expires = (case.now.counters.expired_stale_percent or 0.0) / 100, case.now.expires
    dead = int(stale * expires)
    if case.scan is not None and case.scan.complete and case.scan.volatile_keys:
        # The scan itself has dropped what it met: the figure is from before.
        return
    if stale < 0.03 or dead < 1000:
        return
    each = (case.memory.used_bytes or 0) / max(1, case.now.keys)
    yield Finding(
        id="expired-unreaped",
        level=Level.OK,
        title=f"About {count(dead)} keys have expired and still hold memory",
        advice="Walk all keys once (a scan in Hogs, or reap in Cleanup): the server drops the expired ones it meets.",
        evidence=(f"expired_stale_perc {stale * 100:.1f} of {count(expires)} keys with a TTL",),
        # What is dead is a moving mean of samples, which was seen a third too low, and whose keys need not be average.
        saves_bytes=(int(dead * each / 4), int(dead * each * 3)),
        lever=Remedy("cleanup"),
    )


def _is_passing(row: PatternRow) -> bool:
    return _PASSING.search(row.pattern.lower()) is not None


def _idle(row: PatternRow) -> tuple[str, ...]:
    if row.idle_quantiles is None:
        return ()
    _, middle, high = row.idle_quantiles
    return (f"half of them idle for {duration(middle)} or more, a tenth for {duration(high)}",)
