"""Keys that hold too much (giants, untrimmed streams, queues nobody drains) or stay longer than they are of use."""

import re
from collections.abc import Iterator, Mapping

from redis_oom_tui.formatting.keys import size_words
from redis_oom_tui.formatting.sanitize import escape_exact, escape_glob, safe_text
from redis_oom_tui.formatting.sizes import count, duration, number_of_keys, percent, size
from redis_oom_tui.models.application import Loss
from redis_oom_tui.models.keys import KeyPattern, KeyRow
from redis_oom_tui.models.plan import TtlFilter
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.compare import Counted, ScanCounts
from redis_oom_tui.rules.findings.case import MIB, Case, finding, of_all, remedy_for
from redis_oom_tui.rules.savings import freed, freed_with

_GIANT_SHARE = 0.05
_GIANTS_SHOWN = 5
# Longer names do not fit beside the rest of a command.
_NAME_GIVEN = 200
BY_TYPE = {
    "stream": (
        "stream-untrimmed",
        "is a large stream",
        "Unless something trims it, {shrink} plans to keep the newest 1,000 entries.",
        "Write with XADD key MAXLEN ~ N, and XACK what has been processed.",
    ),
    "list": (
        "queue-growing",
        "is a large list",
        "Check the consumers of a queue. Of a log by RPUSH, {shrink} plans to keep the newest 1,000.",
        "Give queues a limit (LTRIM after LPUSH), and watch their length.",
    ),
    "zset": (
        "zset-log",
        "is a large sorted set",
        "If it is a log or a timeline, {shrink} plans to keep the 1,000 highest scores.",
        "Trim by score where you write, or use a stream with MAXLEN.",
    ),
    "hash": (
        "giant-key",
        "is a giant hash",
        "Inspect it (Hogs, its details). If it can be deleted, {delete} plans that.",
        "Split it by a part of the field's name, so that parts can expire and be evicted.",
    ),
    "set": (
        "giant-key",
        "is a giant set",
        "Inspect it (Hogs, its details). If it can be deleted, {delete} plans that.",
        "Split it, or count with PFADD where only the number is wanted.",
    ),
}
_PLAIN = (
    "giant-key",
    "is a giant key",
    "Inspect it (Hogs, its details). If it can be deleted, {delete} plans that.",
    "Keep large values elsewhere (a file, an object store), or in parts, or compressed.",
)


@finding("giant-key", "stream-untrimmed", "queue-growing", "zset-log")
def giants(case: Case) -> Iterator[Finding]:
    """Keys that each hold a good part of the memory, but those that a known application needs."""
    if case.scan is None:
        return
    floor = max(MIB, _GIANT_SHARE * (case.used_bytes or 0))
    found = [
        row
        for row in case.scan.top
        if (row.size or 0) >= floor and all(label.kind.loss is Loss.HARMLESS for label in case.labels_of(row.id))
    ]
    for row in found[:_GIANTS_SHOWN]:
        yield _giant(case, row)


@finding("grew")
def growth(case: Case) -> Iterator[Finding]:
    """What grew between two scans, by pattern: the answer to "what changed?"."""
    if case.scan is None or case.before is None or not (case.scan.complete and case.before.complete):
        return
    earlier = ScanCounts(case.before)
    selects = {(row.db, row.pattern): (row, select) for row, select in ScanCounts(case.scan).rows()}
    for leaf in case.leaves:
        if not case.matters(leaf.size, 0.05):
            break
        row, known = _counted_before(leaf, selects, earlier)
        if known is None or known.bytes is None or known.keys is None:
            continue
        bytes_before, keys_before = round(known.bytes.value), round(known.keys.value)
        gained = row.size - bytes_before
        if case.matters(gained, 0.05):
            yield Finding(
                id="grew",
                level=Level.WARNING,
                title=f"{case.named(row)} grew by {size(gained)} since the previous scan",
                advice="Find what writes it: at this rate it will fill any new limit too.",
                evidence=(
                    f"{size(bytes_before)} before, {size(row.size)} now",
                    f"{keys_before:,} keys before, {row.keys:,} now",
                ),
                remedy=remedy_for(row, "hogs"),
            )
            return


def _counted_before(
    leaf: PatternRow, selects: Mapping[tuple[int | None, bytes], tuple[PatternRow, KeyPattern]], earlier: ScanCounts
) -> tuple[PatternRow, Counted | None]:
    """What the earlier scan counted of the same names; where it divided them otherwise, of the pattern around them."""
    around = selects.get((leaf.db, leaf.pattern))
    while around is not None:
        row, select = around
        known = earlier.counted(row.db, select)
        if known is not None:
            return row, known
        around = None if row.parent is None else selects.get((row.db, row.parent))
    return leaf, None


def _giant(case: Case, row: KeyRow) -> Finding:
    id_, what, advice, application = BY_TYPE.get(row.type, _PLAIN)
    held = row.size or 0
    used = case.used_bytes
    share = held / used if used else 0.0
    idle = (f"idle for {duration(row.idle_seconds)}",) if row.idle_seconds is not None else ()
    expires = "never expires" if row.ttl_ms is None else f"expires in {duration(row.ttl_ms / 1000)}"
    return Finding(
        id=id_,
        level=Level.WARNING if share < 0.25 else case.at_least_warning,
        title=f"{safe_text(row.id.key, 40)} {what}: {size(held)}{of_all(case, held)}",
        advice=advice.format(shrink=_shrink(case, row), delete=_delete(case, row)),
        evidence=(f"{row.type}, {size_words(row)}", expires, *idle),
        saves_bytes=freed_with((row,), case.now.server),
        remedy=Remedy("hogs", match=escape_glob(row.id.key)),
        in_the_application=application,
    )


def _shrink(case: Case, row: KeyRow) -> str:
    """What plans to shorten the key."""
    end = ("--oldest-end", "left") if row.type == "list" else ()
    return case.cleanup_line(row.id.db, "--shrink", _given_name(row), "--keep-last", "1000", *end)


def _delete(case: Case, row: KeyRow) -> str:
    """What plans to delete the key."""
    return case.cleanup_line(row.id.db, "--key", _given_name(row))


def _given_name(row: KeyRow) -> str:
    """The key's name as a command takes it; a long one is left to the reader."""
    return escape_exact(row.id.key) if len(row.id.key) <= _NAME_GIVEN else "KEY"


# Whole words of a name: `rate:api`, not `corporate`.
_PASSING = re.compile(
    rb"(?<![a-z])(?:cached?|sess(?:ions?)?|te?mp|tokens?|otp|rate(?:limit)?s?|rl|throttle|nonces?|task-meta)(?![a-z])"
)
_DAY = 86_400
_PATTERNS_SHOWN = 3
_PATTERNS = 20
# Not used for so long, most data is not missed; the plan's preview shows it before anything goes.
_OLD_SECONDS = 30 * _DAY
_SET_TTL = "Write it with its TTL (SET key value EX seconds, or EXPIRE in the same pipeline); a later SET drops a TTL."


@finding("no-ttl-stragglers")
def keys_without_ttl(case: Case) -> Iterator[Finding]:
    """Keys without a TTL in patterns that mostly have one: a code path that forgets it."""
    leaves = case.leaves if case.ttls_known else ()
    rows = [row for row in leaves if row.keys >= 50 and 0 < row.no_ttl_keys <= 0.3 * row.keys]
    held = [(row, int(row.lasting_bytes * case.scale)) for row in rows]
    held = [(row, amount) for row, amount in held if case.matters(amount, 0.005)]
    for row, amount in held[:_PATTERNS_SHOWN]:
        some, of = case.keys_text(row.no_ttl_keys), case.keys_text(row.keys)
        yield Finding(
            id="no-ttl-stragglers",
            level=Level.WARNING,
            title=f"{some} of {of} keys in {case.named(row)} have no TTL",
            advice="Expire or delete those without a TTL in Cleanup; the others of their pattern expire by themselves.",
            evidence=(
                f"{percent(1 - row.no_ttl_keys / row.keys)} of the pattern's keys have a TTL",
                f"about {size(amount)}",
            ),
            saves_bytes=None
            if row.no_ttl_bytes is None
            else freed(amount, amount, round(row.no_ttl_keys * case.scale), exact=row.sizes_exact),
            remedy=remedy_for(row, "cleanup", ttl=TtlFilter.WITHOUT),
            in_the_application=_SET_TTL,
        )


@finding("no-ttl-family")
def passing_data(case: Case) -> Iterator[Finding]:
    """Whole patterns without any TTL whose names say that they are of passing use."""
    leaves = case.leaves if case.ttls_known else ()
    rows = [
        row
        for row in leaves
        if row.no_ttl_keys == row.keys >= 50
        and _PASSING.search(row.pattern.lower())
        # Where an application is known to need them, their name is no reason.
        and all(label.kind.loss is Loss.HARMLESS for label in case.recognition.of(row))
    ]
    for row in rows[:_PATTERNS_SHOWN]:
        held = int(row.size * case.scale)
        if case.matters(held, 0.02):
            yield Finding(
                id="no-ttl-family",
                level=Level.WARNING,
                title=f"{case.keys_text(row.keys)} keys in {case.named(row)} have no TTL",
                advice="If these are cache or session data, as the name suggests, give them a TTL in Cleanup.",
                evidence=(f"{case.seen_text(row)}, no TTL", *_idle(row)),
                saves_bytes=freed(held, held, round(row.keys * case.scale), exact=row.sizes_exact),
                remedy=remedy_for(row, "cleanup", ttl=TtlFilter.WITHOUT, expire_seconds=_DAY),
                in_the_application=_SET_TTL,
            )


@finding("old-data")
def old_data(case: Case) -> Iterator[Finding]:
    """Patterns whose keys are mostly idle: data that could be archived or deleted, the oldest first."""
    for row in [row for row in case.leaves if row.idle_quantiles is not None and row.keys >= 50][:_PATTERNS]:
        low, middle, _ = row.idle_quantiles or (0, 0, 0)
        if middle < _OLD_SECONDS or case.now.activity.has_child:
            continue
        share = (0.8, 1.0) if low >= _OLD_SECONDS else (0.4, 1.0)
        held, name = row.size * case.scale, case.named(row)
        if case.matters(share[0] * held, 0.03):
            yield Finding(
                id="old-data",
                level=Level.OK,
                title=f"Half of the {case.keys_text(row.keys)} keys in {name} have been idle for {duration(middle)}",
                advice="Plan a cleanup of keys idle for over 30 days; it lists every key before anything is deleted.",
                evidence=_idle(row),
                saves_bytes=(int(share[0] * held), int(share[1] * held)),
                remedy=remedy_for(row, "cleanup", idle_over_seconds=_OLD_SECONDS),
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
        title=f"{count(len(late))} large idle keys still have a TTL above {duration(7 * _DAY)}",
        advice="Shorten their TTL (Cleanup with the action expire; cleanup --key NAME --expire TIME), and where they"
        " are written.",
        evidence=(f"{size(held)} in all", f"one idle for {duration(idlest.idle_seconds)}"),
        saves_bytes=freed_with(late, case.now.server),
        remedy=Remedy("cleanup"),
        in_the_application="Base TTLs on how long values are actually read.",
    )


_STILL_HOLD = "have expired and still hold"


def _counted_as_expired(snapshot: Snapshot) -> str:
    """By what figure: the server's own, or a sample."""
    sample = snapshot.counters.expired_in_sample
    if sample is not None:
        return f"{count(sample[0])} of {count(sample[1])} keys that one SCAN met had expired: it dropped them"
    share = f"{snapshot.counters.expired_stale_percent or 0.0:.1f}"
    return f"expired_stale_perc {share} of {number_of_keys(snapshot.expires)} with a TTL"


@finding("expired-unreaped")
def unreaped(case: Case) -> Iterator[Finding]:
    """Expired keys that still hold memory: the server's own cycle takes its time below a tenth of them."""
    stale, expires = (case.now.counters.expired_stale_percent or 0.0) / 100, case.now.expires
    dead = int(stale * expires)
    dropped = case.scan is not None and case.scan.complete
    if dropped and case.cause.name != "expired":
        # The scan itself has dropped what it met: the figure is from before.
        return
    if stale < 0.03 or dead < 1000:
        return
    each = ((case.memory.used_bytes or 0) - (case.memory.startup_bytes or 0)) / max(1, case.now.keys)
    yield Finding(
        id="expired-unreaped",
        level=case.near if case.cause.name == "expired" else Level.OK,
        title=f"About {count(dead)} keys {'had expired and still held' if dropped else _STILL_HOLD} memory",
        advice="Scan all keys once (Hogs): the server frees expired keys as it meets them."
        if not dropped
        else "The scan has freed them: the server frees expired keys as it meets them.",
        evidence=(_counted_as_expired(case.now),),
        # What is dead is a moving mean of samples, which was seen a third too low; and the tables, a third of what
        # small keys take, stay as large as they are.
        saves_bytes=None if dropped else (int(dead * each * 0.55), int(dead * each * 1.37)),
        remedy=None if dropped else Remedy("cleanup"),
    )


def _idle(row: PatternRow) -> tuple[str, ...]:
    if row.idle_quantiles is None:
        return ()
    _, middle, high = row.idle_quantiles
    return (f"idle: median {duration(middle)}, top 10% {duration(high)}",)
