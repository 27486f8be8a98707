"""Two scans of one server: what grew, by family."""

from collections import Counter
from collections.abc import Mapping, Sequence

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import Comparison, Interval, PatternChange, SavedScan, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.common_patterns import ScanCounts, contains

_NAMED = 3
_SOME = "the {} scan looked at some keys only"


def compare(before: SavedScan, now: SavedScan) -> Comparison:
    """What changed from `before` to `now`, the largest change in bytes first; patterns without any are left out.

    Each pattern of either scan is counted on both sides: names that one scan divides may be one pattern in the other.
    """
    old, new = ScanCounts(before.view), ScanCounts(now.view)
    changes = [_doubted(_change(name, db, select, old, new), before, now) for db, select, name in _rows(old, new)]
    told = {(each.db, each.select): each for each in changes if each.select is not None and each.keys_grown is not None}
    moved = [
        replace(change, within=_within(change, told))
        for change in changes
        if change.bytes_grown != 0 or change.keys_grown != 0
    ]
    return Comparison(
        before_at=before.taken_at,
        now_at=now.taken_at,
        whole=_doubted(_whole(before.view, now.view), before, now),
        patterns=tuple(sorted(moved, key=_weight)),
        notes=_notes(before, now) + _coarser(moved),
    )


def _rows(old: ScanCounts, new: ScanCounts) -> list[tuple[int | None, KeyPattern, bytes]]:
    """The rows of both scans, each pattern once, with a name that no other has."""
    every = {(row.db, select): row for row, select in (*old.rows(), *new.rows())}
    uses = Counter((db, row.pattern) for (db, _), row in every.items())
    return [
        (db, select, row.pattern if uses[db, row.pattern] == 1 else pattern_text.shown(select))
        for (db, select), row in every.items()
    ]


def _change(name: bytes, db: int | None, select: KeyPattern, old: ScanCounts, new: ScanCounts) -> PatternChange:
    before, now = old.counted(db, select), new.counted(db, select)
    bytes_before, bytes_now = None if before is None else before.bytes, None if now is None else now.bytes
    return PatternChange(
        pattern=name,
        db=db,
        keys_before=None if before is None else _value(before.keys),
        keys_now=None if now is None else _value(now.keys),
        bytes_before=_value(bytes_before),
        bytes_now=_value(bytes_now),
        certain=_apart(bytes_before, bytes_now),
        select=select,
    )


def _doubted(change: PatternChange, before: SavedScan, now: SavedScan) -> PatternChange:
    """`change` without what a scan of some keys only cannot tell, and with why it is not certain."""
    if _passed_over(before, now, change):
        change = replace(change, keys_before=None, bytes_before=None, certain=False, doubt=_SOME.format("earlier"))
    if _passed_over(now, before, change):
        change = replace(change, keys_now=None, bytes_now=None, certain=False, doubt=_SOME.format("later"))
    if change.doubt or (change.keys_grown is None and change.bytes_grown is None):
        return change
    if change.bytes_grown is not None and not change.certain:
        return replace(change, doubt="within the error")
    if not (before.view.complete and now.view.complete):
        return replace(change, certain=False, doubt="estimated")
    return change


def _passed_over(scan: SavedScan, other: SavedScan, change: PatternChange) -> bool:
    """Whether `scan` may have passed over keys of this pattern that `other` counted."""
    if scan.match not in (None, other.match) or scan.type not in (None, other.type):
        return True
    if scan.databases not in (None, other.databases) and change.db not in (scan.databases or ()):
        return True
    if scan.pattern in (None, other.pattern) or scan.pattern is None:
        return False
    select = change.select
    return select is None or select.delimiters != scan.pattern.delimiters or not contains(scan.pattern, select)


def _within(change: PatternChange, told: Mapping[tuple[int | None, KeyPattern], PatternChange]) -> bytes | None:
    """For a change that one scan cannot tell, the narrowest pattern around it that both can."""
    select = change.select
    if select is None or change.keys_grown is not None:
        return None
    for end in range(len(select.parts), -1, -1):
        others = select.others[:end] if any(each is not None for each in select.others[:end]) else ()
        around = told.get((change.db, KeyPattern(select.parts[:end], True, select.delimiters, others)))
        if around is not None:
            return around.pattern
    return None


def _coarser(moved: Sequence[PatternChange]) -> tuple[str, ...]:
    """The note that names the coarser patterns by which alone some can be compared."""
    coarse = dict.fromkeys(change.within for change in moved if change.within is not None)
    if not coarse:
        return ()
    names = ", ".join(safe_text(name, 60) for name in list(coarse)[:_NAMED])
    more = f" and {len(coarse) - _NAMED} more" if len(coarse) > _NAMED else ""
    return (f"one scan counted some patterns together with others: compare those by {names}{more}",)


def _weight(change: PatternChange) -> tuple[bool, int, bytes]:
    """What both scans tell comes first."""
    grown = change.bytes_grown
    either = (change.bytes_now or 0) + (change.bytes_before or 0)
    return (change.within is not None, -abs(either if grown is None else grown), change.pattern)


def _value(side: Interval | None) -> int | None:
    return None if side is None else round(side.value)


def _apart(before: Interval | None, now: Interval | None) -> bool:
    if before is None or now is None:
        return False
    return now.low > before.high or now.high < before.low or before == now


def _whole(before: ScanView, now: ScanView) -> PatternChange:
    def side(view: ScanView) -> Interval | None:
        if known_bytes(view.bytes_seen, view.scanned_keys) is None:
            return None
        if view.complete:
            return Interval(view.bytes_seen, view.bytes_seen, view.bytes_seen)
        return view.estimated_bytes

    def keys(view: ScanView) -> int:
        return view.scanned_keys if view.complete else max(view.total_keys, view.scanned_keys)

    sides = (side(before), side(now))
    return PatternChange(
        pattern=b"*",
        db=None,
        keys_before=keys(before),
        keys_now=keys(now),
        bytes_before=_value(sides[0]),
        bytes_now=_value(sides[1]),
        certain=_apart(*sides),
    )


def _asked(scan: SavedScan) -> tuple[object, ...]:
    return scan.match, scan.type, scan.pattern, scan.databases


def _notes(before: SavedScan, now: SavedScan) -> tuple[str, ...]:
    notes = []
    if before.server != now.server:
        notes.append(f"the earlier scan is of another address, {before.server}: the change may be the servers'")
    elif before.run_id != now.run_id:
        notes.append("the server has restarted since the earlier scan")
    if _asked(before) != _asked(now):
        notes.append("the two scans looked at different keys: their --match, --pattern, --type or -n differ")
    for name, view in (("earlier", before.view), ("later", now.view)):
        if not view.complete:
            notes.append(f"the {name} scan is partial ({view.share_scanned:.0%}): its figures are estimates")
    return tuple(notes)
