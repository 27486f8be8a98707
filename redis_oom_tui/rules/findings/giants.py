"""Single keys that hold too much: forgotten giants, streams without a trim, queues nobody drains, sorted-set logs."""

from collections.abc import Iterator, Mapping

from redis_oom_tui.formatting.keys import size_words
from redis_oom_tui.formatting.sanitize import escape_glob, safe_text
from redis_oom_tui.formatting.sizes import duration, percent, size
from redis_oom_tui.models.keys import KeyPattern, KeyRow
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.models.verdict import Finding, Level, Remedy
from redis_oom_tui.rules.compare import Counted, ScanCounts
from redis_oom_tui.rules.findings.case import MIB, Case, finding

_GIANT_SHARE = 0.05
_SHOWN = 5
BY_TYPE = {
    "stream": (
        "stream-untrimmed",
        "is a large stream",
        "If nothing trims it, do so by hand (XTRIM key MAXLEN ~ N) once you know how much of it is still wanted.",
        "Write with XADD key MAXLEN ~ N, and acknowledge (XACK) what was worked off.",
    ),
    "list": (
        "queue-growing",
        "is a large list",
        "If it is a queue, see whether its consumers live; LTRIM by hand keeps the part that is still wanted.",
        "Give queues a limit (LTRIM after LPUSH), and watch their length.",
    ),
    "zset": (
        "zset-log",
        "is a large sorted set",
        "If it is a log or a timeline, drop its old end by hand (ZREMRANGEBYRANK or ZREMRANGEBYSCORE).",
        "Trim by score where you write, or use a stream with MAXLEN.",
    ),
    "hash": (
        "giant-key",
        "is one giant hash",
        "Look at it in Hogs; if it can go, Cleanup frees it in the background.",
        "Split it by a part of the field's name, so that parts can expire and be evicted.",
    ),
    "set": (
        "giant-key",
        "is one giant set",
        "Look at it in Hogs; if it can go, Cleanup frees it in the background.",
        "Split it, or count with PFADD where only the number is wanted.",
    ),
}
_PLAIN = (
    "giant-key",
    "is one giant key",
    "Look at it in Hogs; if it can go, Cleanup frees it in the background.",
    "Keep large values elsewhere (a file, an object store), or in parts, or compressed.",
)


@finding("giant-key", "stream-untrimmed", "queue-growing", "zset-log")
def giants(case: Case) -> Iterator[Finding]:
    """Keys that each hold a good part of the memory."""
    if case.scan is None:
        return
    floor = max(MIB, _GIANT_SHARE * (case.memory.used_bytes or 0))
    found = [row for row in case.scan.top if (row.size or 0) >= floor]
    for row in found[:_SHOWN]:
        yield _giant(case, row)


@finding("grew")
def growth(case: Case) -> Iterator[Finding]:
    """What grew between two scans, by family: the answer to "what changed?"."""
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
                title=f"{case.named(row)} grew by {size(gained)} since the scan before",
                advice="Find its writer: what grows this fast fills the next limit as well.",
                evidence=(
                    f"{size(bytes_before)} before, {size(row.size)} now",
                    f"{keys_before:,} keys before, {row.keys:,} now",
                ),
                saves_bytes=(0, gained),
                lever=Remedy("hogs", match=row.match, db=row.db, pattern=row.select),
            )
            return


def _counted_before(
    leaf: PatternRow,
    selects: Mapping[tuple[int | None, bytes], tuple[PatternRow, KeyPattern]],
    earlier: ScanCounts,
) -> tuple[PatternRow, Counted | None]:
    """What the earlier scan counted of the same names; where it divided them otherwise, of the family around them."""
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
    used = case.memory.used_bytes
    share = held / used if used else 0.0
    of_all = f", {percent(share)} of all that is used" if used else ""
    idle = (f"idle for {duration(row.idle_seconds)}",) if row.idle_seconds is not None else ()
    expires = "never expires" if row.ttl_ms is None else f"expires in {duration(row.ttl_ms / 1000)}"
    return Finding(
        id=id_,
        level=Level.WARNING if share < 0.25 else max(case.near, Level.WARNING, key=lambda level: level.exit_code),
        title=f"{safe_text(row.id.key, 40)} {what}: {size(held)}{of_all}",
        advice=advice,
        evidence=(f"{row.type}, {size_words(row)}", expires, *idle),
        saves_bytes=(0, row.size_high if row.size_high is not None else held),
        lever=Remedy("hogs", match=escape_glob(row.id.key)),
        in_the_application=application,
    )
