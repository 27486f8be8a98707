"""The two tables of Hogs, keys and the patterns that they fall into, and what of a scan they show."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from redis_oom_tui.formatting.columns import Column, ShareBase, key_columns
from redis_oom_tui.formatting.key_sizes import screen_text
from redis_oom_tui.formatting.keys import all_exact
from redis_oom_tui.formatting.pattern_columns import pattern_columns
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import number_of_keys
from redis_oom_tui.models.application import Recognition
from redis_oom_tui.models.keys import KeyRow, KeySizes
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.models.scan import PatternRow, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.key_patterns import compiled_glob, contains
from redis_oom_tui.rules.key_patterns import matcher as matcher_of
from redis_oom_tui.tui.messages import MakePlan
from redis_oom_tui.tui.panes.base import host_of
from redis_oom_tui.tui.panes.keyspace_map import KeyspaceMap, PatternFacts
from redis_oom_tui.tui.widgets.fields import filter_glob, matcher
from redis_oom_tui.tui.widgets.live_table import LiveTable


class Selection(Struct, frozen=True):
    """`pattern` is the pattern of which keys are shown, `level` the patterns that were entered, `text` the filter."""

    pattern: PatternRow | None = None
    level: tuple[PatternRow, ...] = ()
    text: str = ""

    def keys(self, view: ScanView) -> list[KeyRow]:
        """The keys to show."""
        rows = [row for row in view.top if self._lets_through(row.id.key)]
        pattern = self.within
        if pattern is None:
            return rows
        rows = [row for row in rows if pattern.db in (None, row.id.db)]
        names = [row.id.key for row in rows]
        if pattern.select is not None:
            held = matcher_of(pattern.select).held(names)
        else:
            held = [compiled_glob(pattern.match).fullmatch(name) is not None for name in names]
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
        return self.pattern or (self.level[-1] if self.level else None)

    def nothing(self, view: ScanView, *, of_patterns: bool = False) -> str:
        """What to say where nothing is left to show: no key, or `of_patterns` no pattern, while keys may match."""
        matching = len(self.keys(view)) if of_patterns and self.text else 0
        if matching:
            return f"No pattern matches here, {number_of_keys(matching)} do: Tab shows them. Esc clears the filter."
        if self.text:
            whole = self._bound(view)
            if whole:
                return f"No match {whole}. r scans for it, Esc clears the filter."
            return "No match. Esc clears the filter."
        if view.state is ScanState.FAILED:
            return safe_text(view.error or "The scan failed.", 300)
        if self.within is not None:
            return f"None of the {len(view.top):,} largest keys is in this pattern. x: plan a cleanup of all of it."
        return "Scanning." if view.state is ScanState.RUNNING else "The scan found no key."

    def searched(self, view: ScanView | None) -> bytes | None:
        """A glob of what the filter lets through, where it may be found by a scan and no key at hand is among it."""
        known = view is None or not self._bound(view) or bool(self.keys(view))
        return None if known or not self.text else filter_glob(self.text)

    def _bound(self, view: ScanView | None) -> str:
        """What a filter looks through, where that is not every key that was scanned."""
        return "" if view is None or view.scanned_keys <= len(view.top) else f"of the {len(view.top):,} largest keys"

    def words(self, marked: int, view: ScanView | None = None, *, by_size: bool = True) -> str:
        """What is shown, in a few words; '' where it is everything. Not `by_size`: another order of the keys, whose
        first ones may be among those that are not kept.
        """
        bound = self._bound(view) if self.text or not by_size else ""
        parts = (
            f"{marked:,} marked" if marked else "",
            self._place(view),
            f"/{safe_text(self.text, 20)}" if self.text else "",
            f"{len(self.keys(view)):,} {bound}" if view is not None and bound and self.text else bound,
        )
        return "  ".join(word for word in parts if word)

    def _place(self, view: ScanView | None) -> str:
        if self.pattern is not None or not self.level:
            return f"in {_named(self.pattern, view)}" if self.pattern is not None else ""
        return " › ".join(("patterns", *(_named(row, view) for row in self.level)))


def _named(pattern: PatternRow, view: ScanView | None) -> str:
    name = safe_text(pattern.pattern, 30)
    return f"{name} of db {pattern.db}" if view is not None and len(view.databases) > 1 else name


_INVITATION = (
    "No scan yet. Press r to read the size, type and TTL of every key. It is read-only, and slows down if the server "
    "does."
)
# With what is said of them they fit on a screen of 24 lines.
_SIZES_SHOWN = 8
# A longer pattern may be cut for the other columns.
_LEAST_NAME, _USUAL_NAME = 16, 20
_NO_PATTERNS = "Patterns appear once a scan runs (r)."


class HogsTables(Horizontal):
    """Keys and patterns side by side, or one of them; `selection` is what of the scan they show."""

    def __init__(self) -> None:
        super().__init__()
        self.selection = Selection()
        self.share_of = ShareBase(partial(used_bytes, self))
        self._parents: frozenset[tuple[int | None, bytes | None]] = frozenset()
        self.keys: LiveTable[KeyRow] = LiveTable(
            key_columns(self.share_of, databases=False, nodes=False),
            lambda row: row.id,
            sort="size",
            empty=_INVITATION,
            id="keys",
        )
        self.patterns: LiveTable[PatternRow] = LiveTable(
            pattern_columns(self._opens, share_of=self.share_of, databases=False),
            _pattern_id,
            sort="size",
            marking=False,
            empty=_NO_PATTERNS,
            id="patterns",
        )

        self.map = KeyspaceMap(self.patterns.model, self._inside, id="map")
        self._view: ScanView | None = None

    def compose(self) -> ComposeResult:
        """All; the stylesheet shows the picture or the patterns, and hides one table in a small terminal."""
        yield self.keys
        yield self.patterns
        yield self.map

    def show(self, view: ScanView) -> None:
        """Draw the scan as it stands."""
        databases, nodes = view.databases not in ({0}, set()), {row.id.node for row in view.top}
        self.keys.model.columns = key_columns(
            self.share_of, databases=databases, nodes=nodes not in ({""}, set()), ttls_known=view.ttls_known
        )
        self._parents = frozenset((row.db, row.parent) for row in view.patterns if row.parent is not None)
        recognition = recognize(view)
        self.patterns.model.columns = columns_of_patterns(view, recognition, self.share_of, self._opens)
        moving = view.state is ScanState.RUNNING
        no_pattern = self.selection.nothing(view, of_patterns=True)
        self.keys.show(self.selection.keys(view), self.selection.nothing(view), moving=moving)
        self.patterns.show(self.selection.patterns(view), no_pattern, moving=moving)
        self._view = view
        self.map.show(self.selection.level, no_pattern, PatternFacts(recognition, view.ttls_known))

    def fade(self, *, stale: bool) -> None:
        """Take the color from the rows, or give it back."""
        for table in (self.keys, self.patterns):
            if table.stale is not stale:
                table.stale = stale
                table.redraw()

    def before_a_scan(self, refusal: str | None, sizes: KeySizes | None) -> None:
        """Say why there can be no scan, or that there can be one; and `sizes`, which need none."""
        sentence = None if refusal is None else f"Keys cannot be listed here. {safe_text(refusal, 300)}"
        histograms = "" if sizes is None or not sizes.histograms else f"\n\n{screen_text(sizes, _SIZES_SHOWN)}"
        self.keys.show((), (sentence or _INVITATION) + histograms)
        self.patterns.show((), sentence or _NO_PATTERNS)
        self.map.show((), sentence or _NO_PATTERNS, PatternFacts())

    def _inside(self, row: PatternRow) -> list[PatternRow]:
        """What a pattern is made of."""
        rows = () if self._view is None else self._view.patterns
        return [one for one in rows if one.parent == row.pattern and one.db == row.db]

    def _opens(self, row: PatternRow) -> bool:
        return (row.db, row.pattern) in self._parents

    def note(self, view: ScanView | None) -> str:
        """What is shown of the scan, and how much is marked."""
        keys = self.keys.model
        return self.selection.words(len(keys.marked), view, by_size=keys.sort in ("size", "share") and keys.falling)

    def outside(self) -> Selection:
        """One level of patterns further out."""
        return replace(self.selection, level=self.selection.level[:-1])

    def return_to(self, left: PatternRow, now: float) -> None:
        """The cursor goes where one came from."""
        self.patterns.model.go_to(_pattern_id(left), now)
        self.patterns.redraw()
        self.map.redraw()

    def plan_request(self, *, in_patterns: bool) -> MakePlan | None:
        """The plan of the marked keys, else of the pattern in hand, else of the key under the cursor.

        `in_patterns` no key is under the cursor, and where no pattern is either there is no plan.
        """
        marked = tuple(row.id for row in self.keys.model.marked.values())
        pattern = self.patterns.model.current if in_patterns else self.selection.pattern
        key = None if in_patterns else self.keys.model.current
        if marked:
            seen = {row.id for row in self.keys.model.rows}
            hidden = sum(key not in seen for key in marked)
            return MakePlan(Criteria(keys=marked), f"{len(marked):,} marked in Hogs", hidden=hidden)
        if pattern is not None:
            databases = None if pattern.db is None else (pattern.db,)
            whose = "" if not pattern.db else f" of db {pattern.db}"
            origin = f"pattern {safe_text(pattern.pattern, 40)}{whose}"
            return MakePlan(replace(self._criteria(pattern), databases=databases), origin)
        return None if key is None else MakePlan(Criteria(keys=(key.id,)), "one key in Hogs")

    def _criteria(self, pattern: PatternRow) -> Criteria:
        """What the row counted: with what the scan itself was asked for, where it scanned only some of the keys."""
        scanned = host_of(self).scanner.scanned
        globs = () if scanned.match is None else (scanned.match,)
        types = () if scanned.type is None else (scanned.type,)
        if pattern.select is None:
            # A file of before patterns were kept with it: its glob may take more, which the preview shows.
            return Criteria(patterns=(pattern.match,), types=types)
        select = pattern.select
        if scanned.pattern is not None and contains(select, scanned.pattern):
            select = scanned.pattern
        return Criteria(patterns=globs, key_patterns=(select,), types=types)


def used_bytes(widget: Widget) -> int | None:
    """What a share is of: used_memory, that of all nodes in a cluster; at its end, where the scan has ended."""
    figures = host_of(widget).scanner.figures if widget.is_attached else None
    if figures is None:
        return None
    return figures.memory.used_bytes if figures.cluster is None else figures.cluster.used_bytes


def columns_of_patterns(
    view: ScanView,
    recognition: Recognition,
    share_of: ShareBase,
    opens: Callable[[PatternRow], bool] | None = None,
) -> tuple[Column[PatternRow], ...]:
    """The columns that this scan has something for: the names get their room before the application does."""
    columns = pattern_columns(
        opens,
        share_of=share_of,
        partial=not view.complete,
        databases=view.databases not in ({0}, set()),
        ttls_known=view.ttls_known,
        exact=all_exact(view),
        recognition=recognition,
    )
    longest = max((len(row.pattern) for row in view.patterns), default=0) + len(" +")
    least = max(_LEAST_NAME, min(longest, _USUAL_NAME))
    return tuple(replace(column, least=least) if column.id == "pattern" else column for column in columns)


def _pattern_id(row: PatternRow) -> tuple[int | None, int, bytes]:
    return row.db, row.level, row.pattern
