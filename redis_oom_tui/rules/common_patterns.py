"""What a scan counted of any pattern, also of one that it has no row for: two scans are compared on the same names."""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, field

from redis_oom_tui.formatting.sizes import known_bytes
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import Interval, PatternRow, ScanView
from redis_oom_tui.rules.key_patterns import wild
from redis_oom_tui.rules.patterns import VARIABLE, parts

_STAR = re.compile(rb"\\(.)|\*|[^\\*]+", re.DOTALL)
_NOTHING = Interval(0, 0, 0)
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
            rest = Counted(_exactly(keys), _exactly(size)) if self._view.complete else Counted(None, None)
            without = _Index(filter(None, (self._selects[id(one)] for one in inner)))
            self._cells.setdefault(row.db, []).append(_Cell(select, rest, without))

    def _of_row(self, row: PatternRow) -> Counted:
        complete = self._view.complete
        keys = row.estimated_keys or (_exactly(row.keys) if complete else None)
        size = row.estimated_bytes or (_exactly(row.size) if complete else None)
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


def contains(whole: KeyPattern, part: KeyPattern) -> bool:
    """Whether `whole` holds every name that `part` does."""
    longer = len(part.parts) - len(whole.parts)
    if longer < 0 or (not whole.below and (longer > 0 or part.below)):
        return False
    return all(_part_contains(whole, part, index) for index in range(len(whole.parts)))


def disjoint(one: KeyPattern, other: KeyPattern) -> bool:
    """Whether no name is held by both."""
    longer = len(one.parts) - len(other.parts)
    if (longer < 0 and not one.below) or (longer > 0 and not other.below):
        return True
    return any(_parts_disjoint(one, other, index) for index in range(min(len(one.parts), len(other.parts))))


def _left_out(pattern: KeyPattern, index: int) -> tuple[bytes, ...] | None:
    return pattern.others[index] if pattern.others else None


def _part_contains(whole: KeyPattern, part: KeyPattern, index: int) -> bool:
    wanted, found = whole.parts[index], part.parts[index]
    left_out, more = _left_out(whole, index), _left_out(part, index)
    if left_out is None:
        return more is None and wanted == found
    if more is None:
        return wild(found, whole.delimiters) == wanted and found not in left_out
    return wanted == found and set(left_out) <= set(more)


def _parts_disjoint(one: KeyPattern, other: KeyPattern, index: int) -> bool:
    first, second = one.parts[index], other.parts[index]
    left, right = _left_out(one, index), _left_out(other, index)
    if left is None and right is None:
        return first != second
    if left is not None and right is not None:
        return first != second
    plain, rest, named = (second, first, left) if left is not None else (first, second, right)
    return wild(plain, one.delimiters) != rest or plain in (named or ())


def _unescaped(piece: re.Match[bytes]) -> bytes:
    return VARIABLE if piece[0] == b"*" else piece[1] if piece[1] is not None else piece[0]


def _exactly(value: int) -> Interval:
    return Interval(value, value, value)


def _sum(sides: Sequence[Interval | None]) -> Interval | None:
    known = [side for side in sides if side is not None]
    if len(known) < len(sides):
        return None
    return Interval(sum(one.value for one in known), sum(one.low for one in known), sum(one.high for one in known))
