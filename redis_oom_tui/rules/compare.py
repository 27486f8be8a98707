"""Two scans of one server: what grew, by family."""

from redis_oom_tui.models.scan import Comparison, Interval, PatternChange, PatternRow, SavedScan, ScanView
from redis_oom_tui.words.sizes import told_bytes


def compare(before: SavedScan, now: SavedScan) -> Comparison:
    """What changed from `before` to `now`, the largest change in bytes first; families without any are left out."""
    old = {(row.db, row.pattern): row for row in before.view.patterns}
    new = {(row.db, row.pattern): row for row in now.view.patterns}
    changes = [
        _change(name, old.get(name), new.get(name), before.view, now.view) for name in dict.fromkeys([*new, *old])
    ]
    moved = [change for change in changes if change.bytes_grown != 0 or change.keys_grown != 0]
    return Comparison(
        before_at=before.taken_at,
        now_at=now.taken_at,
        whole=_whole(before.view, now.view),
        patterns=tuple(sorted(moved, key=_weight)),
        notes=_notes(before, now),
    )


def _weight(change: PatternChange) -> tuple[int, bytes]:
    grown = change.bytes_grown
    either = (change.bytes_now or 0) + (change.bytes_before or 0)
    return (-abs(either if grown is None else grown), change.pattern)


def _change(
    name: tuple[int | None, bytes],
    old: PatternRow | None,
    new: PatternRow | None,
    before: ScanView,
    now: ScanView,
) -> PatternChange:
    sides = (_bytes(old, before), _bytes(new, now))
    return PatternChange(
        pattern=name[1],
        db=name[0],
        keys_before=_value(_keys(old, before)),
        keys_now=_value(_keys(new, now)),
        bytes_before=_value(sides[0]),
        bytes_now=_value(sides[1]),
        certain=_apart(*sides),
    )


def _bytes(row: PatternRow | None, view: ScanView) -> Interval | None:
    if row is None:
        return _absent(view)
    if told_bytes(row.size, row.keys) is None:
        return None
    return row.estimated_bytes or (Interval(row.size, row.size, row.size) if view.complete else None)


def _keys(row: PatternRow | None, view: ScanView) -> Interval | None:
    if row is None:
        return _absent(view)
    return row.estimated_keys or (Interval(row.keys, row.keys, row.keys) if view.complete else None)


def _absent(view: ScanView) -> Interval | None:
    """A family that a scan does not list is empty only where the scan was complete and listed all that it found."""
    folded = any(row.error for row in view.patterns)
    listed = sum(row.size for row in view.patterns if row.level == 1) >= view.bytes_seen
    return Interval(0, 0, 0) if view.complete and listed and not folded else None


def _value(side: Interval | None) -> int | None:
    return None if side is None else round(side.value)


def _apart(before: Interval | None, now: Interval | None) -> bool:
    if before is None or now is None:
        return False
    return now.low > before.high or now.high < before.low or before == now


def _whole(before: ScanView, now: ScanView) -> PatternChange:
    def side(view: ScanView) -> Interval | None:
        if told_bytes(view.bytes_seen, view.scanned_keys) is None:
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


def _notes(before: SavedScan, now: SavedScan) -> tuple[str, ...]:
    notes = []
    if before.server != now.server:
        notes.append(f"the earlier scan is of another address, {before.server}: the change may be the servers'")
    elif before.run_id != now.run_id:
        notes.append("the server has restarted since the earlier scan")
    if (before.match, before.type) != (now.match, now.type):
        notes.append("the two scans looked at different keys: their --match or --type differ")
    for name, view in (("earlier", before.view), ("later", now.view)):
        if not view.complete:
            notes.append(f"the {name} scan is partial ({view.share_scanned:.0%}): its figures are estimates")
    return tuple(notes)
