"""Two scans of one server compared on the same names: what grew, by pattern."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import Comparison, Interval, PatternChange, PatternRow, SavedScan, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import sampling
from redis_oom_tui.rules.cluster import origin_notes
from redis_oom_tui.rules.key_patterns import contains, disjoint
from redis_oom_tui.rules.patterns import VARIABLE, parts

_STAR = re.compile(rb"\\(.)|\*|[^\\*]+", re.DOTALL)
_NOTHING = sampling.counted(0)
# A scan with just so many rows may have left some out: a row may then be divided by others that are not there.
_CUT_OFF = (200, 500, 1000)


class Counted(Struct, frozen=True):
    """The keys and bytes of one pattern; None where the scan does not tell."""

    keys: Interval | None
    bytes: Interval | None


class _Cell(Struct):
    """Names that the scan counted as one: those of `select` without those of `without`."""

    select: KeyPattern
    counted: Counted
    without: "_Index" = field(default_factory=lambda: _Index(()))


class ScanCounts:
    """Looks up in `view` what it counted of a pattern."""

    def __init__(self, view: ScanView) -> None:
        self._view = view
        self._rows: dict[tuple[int | None, KeyPattern], PatternRow] = {}
        self._below: dict[tuple[int | None, bytes | None], list[PatternRow]] = {}
        for row in view.patterns:
            self._below.setdefault((row.db, row.parent), []).append(row)
        self._selects = {id(row): self._selected(row) for row in view.patterns}
        self._cells: dict[int | None, list[_Cell]] = {}
        for row in view.patterns:
            self._add(row)
        self._delimiters = {select.delimiters for _, select in self._rows}
        top = [row for row in view.patterns if row.level == 1 and self._selects[id(row)] is not None]
        self._all_listed = sum(row.keys for row in top) >= view.scanned_keys
        if not self._all_listed:
            for db in {row.db for row in view.patterns}:
                named = _Index(filter(None, (self._selects[id(row)] for row in top if row.db == db)))
                self._cells.setdefault(db, []).append(_Cell(KeyPattern((), below=True), Counted(None, None), named))
        self._indexes = {db: _Cells(cells) for db, cells in self._cells.items()}

    def rows(self) -> Iterator[tuple[PatternRow, KeyPattern]]:
        """The rows of which it is known what they hold."""
        for row in self._view.patterns:
            select = self._selects[id(row)]
            if select is not None:
                yield row, select

    def counted(self, db: int | None, pattern: KeyPattern) -> Counted | None:
        """What was counted of `pattern`; None where its names were counted together with others."""
        row = self._rows.get((db, pattern))
        if row is not None:
            return self._of_row(row)
        if self._delimiters and pattern.delimiters not in self._delimiters:
            return None
        index = self._indexes.get(db)
        found: list[Counted] = []
        for cell in () if index is None else index.near(pattern):
            if contains(pattern, cell.select):
                found.append(cell.counted)
            elif not disjoint(pattern, cell.select) and not cell.without.holds(pattern):
                return None
        if not found:
            nothing = self._view.complete and (index is not None or self._all_listed)
            return Counted(_NOTHING, _NOTHING) if nothing else Counted(None, None)
        return Counted(_sum([each.keys for each in found]), _sum([each.bytes for each in found]))

    def _selected(self, row: PatternRow) -> KeyPattern | None:
        """What the row holds; guessed by its name in a file of before that was written, None where it cannot be."""
        if row.select is not None:
            return row.select
        if row.error or row.pattern.endswith(b"~"):
            return None
        divided = (row.db, row.pattern) in self._below
        if not divided and len(self._view.patterns) in _CUT_OFF:
            return None
        path = b"".join(_unescaped(piece) for piece in _STAR.finditer(row.match))
        if not divided:
            return KeyPattern(tuple(parts(path)))
        return KeyPattern(tuple(parts(path[:-1])) if path != VARIABLE else (), below=True)

    def _add(self, row: PatternRow) -> None:
        select = self._selects[id(row)]
        if select is None:
            return
        self._rows[row.db, select] = row
        whole = self._of_row(row)
        inner = [one for one in self._below.get((row.db, row.pattern), ()) if self._selects[id(one)] is not None]
        if not inner:
            self._cells.setdefault(row.db, []).append(_Cell(select, whole))
            return
        keys = row.keys - sum(one.keys for one in inner)
        size = row.size - sum(one.size for one in inner)
        if keys > 0 or size > 0:
            rest = (
                Counted(sampling.counted(keys), sampling.counted(size)) if self._view.complete else Counted(None, None)
            )
            without = _Index(filter(None, (self._selects[id(one)] for one in inner)))
            self._cells.setdefault(row.db, []).append(_Cell(select, rest, without))

    def _of_row(self, row: PatternRow) -> Counted:
        complete = self._view.complete
        keys = row.estimated_keys or (sampling.counted(row.keys) if complete else None)
        size = row.estimated_bytes or (sampling.counted(row.size) if complete else None)
        return Counted(keys, None if known_bytes(row.size, row.keys) is None else size)


class _Index:
    """Patterns, to be asked whether any of them holds all of another."""

    def __init__(self, patterns: Iterable[KeyPattern]) -> None:
        self._plain: dict[tuple[bytes, ...], list[KeyPattern]] = {}
        self._odd: list[KeyPattern] = []
        for pattern in patterns:
            if pattern.others:
                self._odd.append(pattern)
            else:
                self._plain.setdefault(pattern.parts, []).append(pattern)

    def holds(self, pattern: KeyPattern) -> bool:
        near = (one for end in range(len(pattern.parts) + 1) for one in self._plain.get(pattern.parts[:end], ()))
        return any(contains(one, pattern) for one in near) or any(contains(one, pattern) for one in self._odd)


class _Cells:
    """The cells of one database, to find those that may share names with a pattern."""

    def __init__(self, cells: Sequence[_Cell]) -> None:
        self._all = cells
        self._odd = [cell for cell in cells if cell.select.others]
        self._at: dict[tuple[bytes, ...], list[_Cell]] = {}
        self._under: dict[tuple[bytes, ...], list[_Cell]] = {}
        for cell in cells:
            if not cell.select.others:
                names = cell.select.parts
                self._at.setdefault(names, []).append(cell)
                for end in range(len(names) + 1):
                    self._under.setdefault(names[:end], []).append(cell)

    def near(self, pattern: KeyPattern) -> Iterator[_Cell]:
        """Those that may."""
        if pattern.others:
            yield from self._all
            return
        yield from self._odd
        yield from self._under.get(pattern.parts, ())
        for end in range(len(pattern.parts)):
            yield from self._at.get(pattern.parts[:end], ())


def _unescaped(piece: re.Match[bytes]) -> bytes:
    return VARIABLE if piece[0] == b"*" else piece[1] if piece[1] is not None else piece[0]


def _sum(sides: Sequence[Interval | None]) -> Interval | None:
    known = [side for side in sides if side is not None]
    if len(known) < len(sides):
        return None
    return Interval(sum(one.value for one in known), sum(one.low for one in known), sum(one.high for one in known))


_NAMED = 3
_SOME = "the {} scan read some keys only"


def compare(before: SavedScan, now: SavedScan) -> Comparison:
    """What changed from `before` to `now`, the largest change in bytes first; patterns without any are left out.

    Each pattern of either scan is counted on both sides: names that one scan divides may be one pattern in the other.
    """
    old, new = ScanCounts(before.view), ScanCounts(now.view)
    changes = [_doubted(_change(name, db, select, old, new), before, now) for db, select, name in _rows(old, new)]
    comparable = {
        (each.db, each.select): each for each in changes if each.select is not None and each.keys_grown is not None
    }
    moved = [
        replace(change, within=_within(change, comparable))
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


def _within(change: PatternChange, comparable: Mapping[tuple[int | None, KeyPattern], PatternChange]) -> bytes | None:
    """For a change that one scan cannot tell, the narrowest pattern around it that both can."""
    select = change.select
    if select is None or change.keys_grown is not None:
        return None
    for end in range(len(select.parts), -1, -1):
        others = select.others[:end] if any(each is not None for each in select.others[:end]) else ()
        around = comparable.get((change.db, KeyPattern(select.parts[:end], True, select.delimiters, others)))
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
            return sampling.counted(view.bytes_seen)
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
    notes = list(origin_notes(before, "earlier", now.server, now.run_id))
    if before.server != now.server:
        notes = [f"{note}: the change may be the servers'" for note in notes]
    if _asked(before) != _asked(now):
        notes.append("the two scans read different keys: their --match, --pattern, --type or -n differ")
    for name, view in (("earlier", before.view), ("later", now.view)):
        if not view.complete:
            notes.append(f"the {name} scan is partial ({view.share_scanned:.0%}): its figures are estimates")
    return tuple(notes)
