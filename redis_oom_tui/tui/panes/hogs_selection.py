"""What of a scan Hogs shows: all of it, one pattern's keys, a level of patterns, what a filter lets through."""

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.keys import KeyRow
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.key_patterns import compiled_glob
from redis_oom_tui.rules.key_patterns import matcher as matcher_of
from redis_oom_tui.tui.widgets.filter_line import matcher


class Selection(Struct, frozen=True):
    """`family` is the pattern of which keys are shown, `level` the patterns that were entered, `text` the filter."""

    family: PatternRow | None = None
    level: tuple[PatternRow, ...] = ()
    text: str = ""

    def keys(self, view: ScanView) -> list[KeyRow]:
        """The keys to show."""
        rows = [row for row in view.top if self._lets_through(row.id.key)]
        family = self.family
        if family is None:
            return rows
        rows = [row for row in rows if family.db in (None, row.id.db)]
        names = [row.id.key for row in rows]
        if family.select is not None:
            held = matcher_of(family.select).held(names)
        else:
            held = [compiled_glob(family.match).fullmatch(name) is not None for name in names]
        return [row for row, inside in zip(rows, held, strict=True) if inside]

    def patterns(self, view: ScanView) -> list[PatternRow]:
        """The patterns to show: those of one level."""
        return [row for row in self._children(view) if self._lets_through(row.pattern)]

    def _children(self, view: ScanView) -> list[PatternRow]:
        above = self.level[-1] if self.level else None
        parent = None if above is None else above.pattern
        return [row for row in view.patterns if row.parent == parent and (above is None or row.db == above.db)]

    def _lets_through(self, name: bytes) -> bool:
        return not self.text or matcher(self.text)(name)

    def entered(self, row: PatternRow, view: ScanView) -> "Selection":
        """Inside `row`, if it is made of patterns itself; else the same."""
        inside = replace(self, level=(*self.level, row))
        return inside if inside._children(view) else self

    @property
    def within(self) -> PatternRow | None:
        """The innermost pattern that was entered or chosen."""
        return self.family or (self.level[-1] if self.level else None)

    def nothing(self, view: ScanView) -> str:
        """What to say where nothing is left to show."""
        if self.text:
            whole = self._bound(view)
            if whole:
                return f"None {whole} matches the filter; Esc drops it, hogs --match GLOB scans for it."
            return "Nothing here matches the filter; Esc drops it."
        if view.state is ScanState.FAILED:
            return safe_text(view.error or "The scan failed.", 300)
        if self.family is not None:
            return f"None of the {len(view.top):,} largest keys is of this pattern; x plans all of its keys."
        return "The first keys are being read." if view.state is ScanState.RUNNING else "The scan found no key."

    def _bound(self, view: ScanView | None) -> str:
        """What a filter looks through, where that is not every key that was scanned."""
        return "" if view is None or view.scanned_keys <= len(view.top) else f"of the {len(view.top):,} largest keys"

    def words(self, marked: int, view: ScanView | None = None) -> str:
        """What is shown, in a few words; '' where it is everything."""
        bound = self._bound(view) if self.text and view is not None else ""
        within = self.within
        told = (
            f"{marked:,} marked" if marked else "",
            f"in {_named(within, view)}" if within is not None else "",
            f"/{safe_text(self.text, 20)}" if self.text else "",
            f"{len(self.keys(view)):,} {bound}" if view is not None and bound else "",
        )
        return "  ".join(word for word in told if word)


def _named(family: PatternRow, view: ScanView | None) -> str:
    """Its name, with its database where the scan has several."""
    name = safe_text(family.pattern, 30)
    return f"{name} of db {family.db}" if view is not None and len(view.databases) > 1 else name
