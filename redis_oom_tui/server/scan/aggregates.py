"""What the scan has seen so far: totals, types, the largest keys and the patterns, in bounded memory."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any

from msgspec import Struct

from redis_oom_tui.models.keys import KeyId, KeyRow, SizeKind
from redis_oom_tui.models.scan import Interval, PatternRow, ScanOptions, TypeRow
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import sampling
from redis_oom_tui.rules.headroom import OWN_TYPES
from redis_oom_tui.rules.pattern_rows import Samples, rows
from redis_oom_tui.rules.pattern_tree import GROUPS, Node, PatternTree
from redis_oom_tui.rules.sizing import Size, first_size, tells_nothing
from redis_oom_tui.server.sizing import CollectionSample, Known

_NONE = b"none"
_UNKNOWN = b"?"
_COUNTED_TYPES = frozenset({*(kind.encode("ascii") for kind in OWN_TYPES), _UNKNOWN, _NONE})
# Keys of modules that do not count: so many are shown, so that they hide nothing that is known.
_MOST_UNSIZED_SHOWN = 20


class TopKey(Struct):
    """One of the largest keys. `size` is what counts in the sums; `row` is what is shown.

    `answered` is what MEMORY USAGE said of its first few elements.
    """

    row: KeyRow
    size: int
    group: int
    asked: bool = False
    answered: int = 0


class ScanAggregates:
    """Sums over pages. `limit` is what no key can weigh more than (used_memory): a figure above it is a wrong one. Of
    that, `floor` is what the server used before it had any key.
    """

    def __init__(self, options: ScanOptions) -> None:
        self.options = options
        self.tree = PatternTree(options.delimiters, options.max_patterns)
        self.limit: int | None = None
        self.floor = 0
        self.keys = 0
        self.bytes = 0
        self.volatile_keys = 0
        self.volatile_bytes = 0
        self.vanished = 0
        self.refused = 0
        self.unsized = 0
        self.group_keys = [0] * GROUPS
        self.group_bytes = [0] * GROUPS
        self.top: dict[tuple[int, bytes], TopKey] = {}
        self.type_bytes: defaultdict[bytes, int] = defaultdict(int)
        self.type_keys: defaultdict[bytes, int] = defaultdict(int)
        self.threshold = -1
        self.pages = 0
        self.sampled = CollectionSample()
        self.corrected: defaultdict[bytes, int] = defaultdict(int)

    def page(self, db: int, names: list[bytes], columns: "Columns") -> None:
        """Count one page."""
        page = _clean(names, columns, self.limit, self)
        if not page.names:
            return
        self.unsized += len(page.unsized)
        group = self.pages % GROUPS
        self.pages += 1
        self._admit(db, page, group)
        self.sampled.meet(db, page.names, page.types, page.sizes)
        self._sum(page)
        self.tree.add(
            db, page.names, page.sizes, page.ttls, page.types, group, idles=page.idles, frequencies=page.frequencies
        )
        self.group_keys[group] += len(page.names)
        self.group_bytes[group] += sum(page.sizes)

    def correct(self, top: TopKey, row: KeyRow) -> None:
        """A top key was read again: its new figure replaces the old one in every sum."""
        size = row.size or 0
        difference = size - top.size
        top.row = row
        if not difference:
            return
        top.size = size
        self.bytes += difference
        self.group_bytes[top.group] += difference
        if row.ttl_ms is not None:
            self.volatile_bytes += difference
        self.type_bytes[row.type.encode("latin-1")] += difference
        self.corrected[row.type.encode("latin-1")] += difference
        self.tree.correct(row.id.db, row.id.key, difference, top.group, expires=row.ttl_ms is not None)

    def largest(self) -> list[TopKey]:
        """The largest keys seen, as many as were asked for, largest first."""
        return sorted(self.top.values(), key=_weight)[: self.options.top]

    def to_refine(self) -> list[TopKey]:
        """The largest keys, for a closer look by this scan."""
        return self.largest()

    def sampled_collections(self) -> list[tuple[int, Known]]:
        """Some of the collections with their databases, for a look at how good the sizes are."""
        return self.sampled.kept

    def types(self) -> tuple[TypeRow, ...]:
        """Keys and bytes of each type, most bytes first."""
        made = (TypeRow(kind.decode("latin-1"), keys, self.type_bytes[kind]) for kind, keys in self.type_keys.items())
        return tuple(sorted(made, key=lambda row: (-row.size, row.type)))

    def sample(self, db: int, total_keys: Callable[[int], tuple[int, float]]) -> sampling.SampledShare:
        """How much of database `db` was seen, by groups of pages; `total_keys` tells from those seen how many there are
        in all, and the variance of that.
        """
        keys = self._groups(db)[0]
        total, variance = total_keys(sum(keys))
        return sampling.SampledShare(tuple(keys), max(total, sum(keys)), self.limit, variance)

    def _groups(self, db: int) -> tuple[list[int], list[int]]:
        """Keys and bytes of database `db` by groups of pages."""
        if not self.tree.roots.keys() - {db}:
            return self.group_keys, self.group_bytes
        figures = self.tree.figures(db)
        return figures[:GROUPS], figures[GROUPS:]

    def patterns(self, samples: Samples, *, exact: bool = False, limit: int = 500) -> tuple[PatternRow, ...]:
        """The patterns, with estimates from fair `samples`; `exact` says that everything was counted."""
        found: dict[int, list[tuple[int, int]]] = {}
        for top in self._giants() if samples else ():
            for node in self._counted_in(top):
                found.setdefault(id(node), []).append((top.size, top.group))
        measured: Counter[int] = Counter()
        for top in self.top.values():
            if top.row.type != "string" and top.row.size_kind is SizeKind.EXACT:
                measured.update(map(id, self._counted_in(top)))
        return rows(self.tree, limit=limit, samples=samples, giants=found, measured=measured, exact=exact)

    def _counted_in(self, top: TopKey) -> Iterator[Node]:
        node = self.tree.find(top.row.id.db, top.row.id.key)
        while node is not None:
            yield node
            node = node.parent

    def estimated_bytes(self, samples: Samples) -> Interval | None:
        """All bytes of all keys of the databases of `samples`; None where of one of them too little was seen."""
        found: list[Interval | None] = []
        for db, sample in samples.items():
            amounts, huge = list(self._groups(db)[1]), [top for top in self._giants() if top.row.id.db == db]
            for top in huge:
                amounts[top.group] -= top.size
            sizes = [top.size for top in huge]
            found.append(sampling.extrapolated(amounts, sample, sizes, at_most=sample.total_bytes))
        return sampling.together(found, self.limit)

    def _giants(self) -> list[TopKey]:
        ordered = self.largest()
        return ordered[: len(sampling.giants([top.size for top in ordered], self.bytes))]

    def _sum(self, page: "_Page") -> None:
        kinds = self.type_bytes
        for kind, size in zip(page.types, page.sizes, strict=True):
            kinds[kind] += size
        for kind, keys in Counter(page.types).items():
            self.type_keys[kind] += keys
        lasting, keys, whole = page.ttls.count(-1), len(page.names), sum(page.sizes)
        self.keys += keys
        self.bytes += whole
        self.volatile_keys += keys - lasting
        if lasting == 0:
            self.volatile_bytes += whole
        elif lasting < keys:
            self.volatile_bytes += sum(compress(page.sizes, [ttl != -1 for ttl in page.ttls]))

    def _admit(self, db: int, page: "_Page", group: int) -> None:
        """Keep those that belong among the largest; a key that SCAN gives twice is dropped from the page."""
        threshold = self.threshold
        odd = page.suspects.keys() | self._shown_unsized(page)
        if not odd and max(page.sizes) <= threshold:
            return
        large = [index for index, size in enumerate(page.sizes) if size > threshold and index not in page.unsized]
        again = []
        for index in sorted({*large, *odd}):
            identity = (db, page.names[index])
            if identity in self.top:
                again.append(index)
            else:
                answered = page.suspects.get(index, page.sizes[index])
                row = page.row(db, index, self.limit)
                self.top[identity] = TopKey(row, page.sizes[index], group, answered=answered)
        for index in reversed(again):
            page.drop(index)
        if len(self.top) > 2 * self.options.top + 64:
            kept = sorted(self.top.values(), key=_weight)[: max(1, self.options.top)]
            self.top = {(top.row.id.db, top.row.id.key): top for top in kept}
            self.threshold = kept[-1].size

    def _shown_unsized(self, page: "_Page") -> set[int]:
        """Keys of modules that do not count: a few are shown, whatever they hold."""
        if not page.unsized or self.unsized - len(page.unsized) >= _MOST_UNSIZED_SHOWN:
            return set()
        return set(sorted(page.unsized)[:_MOST_UNSIZED_SHOWN])


def _weight(top: TopKey) -> tuple[bool, int, bytes]:
    """What may be enormous first: it must not hide behind what is known."""
    known = not top.row.suspect and (top.row.size is not None or top.row.type in OWN_TYPES)
    return (known, -top.size, top.row.id.key)


class Columns(Struct):
    """The replies of one page, each column as the server gave it; None where it was not asked for."""

    sizes: list[Any] | None
    types: list[Any] | None
    ttls: list[Any] | None
    idles: list[Any] | None = None
    frequencies: bool = False


class _Page(Struct):
    """A page without the keys that are gone or refused, and with a figure in every place.

    `suspects` holds the figures that cannot be true, by place, `unsized` the places of modules' keys that tell no size;
    0 stands for them in the sums, for suspects until they were measured closer.
    """

    names: list[bytes]
    sizes: list[int]
    types: list[bytes]
    ttls: list[int]
    idles: list[int] | None
    suspects: dict[int, int]
    unsized: frozenset[int] = frozenset()
    sized: bool = True
    frequencies: bool = False

    def row(self, db: int, index: int, limit: int | None) -> KeyRow:
        ttl, name, kind = self.ttls[index], self.names[index], self.types[index].decode("latin-1")
        answered = self.suspects.get(index, self.sizes[index])
        idle = None if self.idles is None else self.idles[index]
        row = KeyRow(
            KeyId(db, name),
            kind,
            None,
            None if ttl < 0 else ttl,
            idle_seconds=None if self.frequencies else idle,
            frequency=idle if self.frequencies else None,
        )
        if not self.sized or index in self.unsized:
            return row
        return with_size(row, first_size(kind, answered, len(name), limit))

    def drop(self, index: int) -> None:
        for column in (self.names, self.sizes, self.types, self.ttls, self.idles):
            if column is not None:
                del column[index]


def _clean(names: list[bytes], columns: Columns, limit: int | None, counts: ScanAggregates) -> _Page:
    """A page as it can be summed up; what cannot be is counted in `counts`."""
    size = len(names)
    sizes = [0] * size if columns.sizes is None else columns.sizes
    types = [_UNKNOWN] * size if columns.types is None else columns.types
    ttls = [-1] * size if columns.ttls is None else columns.ttls
    idles = columns.idles
    if not _plain(sizes, types, ttls):
        kept = []
        for index in range(size):
            outcome = _class_of(sizes[index], types[index], ttls[index])
            counts.vanished += outcome == "vanished"
            counts.refused += outcome == "refused"
            if outcome == "seen":
                kept.append(index)
        names, sizes, types, ttls = (_at(column, kept) for column in (names, sizes, types, ttls))
        idles = None if idles is None else _at(idles, kept)
    suspects = _suspects(sizes, limit)
    unsized = _unsized(names, sizes, types) if columns.sizes is not None else frozenset()
    if suspects or unsized:
        sizes = [0 if index in suspects or index in unsized else value for index, value in enumerate(sizes)]
    known = columns.sizes is not None, columns.frequencies
    return _Page(list(names), sizes, types, ttls, _numbers(idles), suspects, unsized, *known)


def with_size(row: KeyRow, size: Size) -> KeyRow:
    """`row` with what is known of its size."""
    return replace(
        row,
        size=size.size,
        size_low=size.low,
        size_high=size.high,
        measured=size.whole and size.size is not None,
        suspect=size.suspect,
    )


def _plain(sizes: Sequence[Any], types: Sequence[Any], ttls: Sequence[Any]) -> bool:
    """Whether every reply is a figure of a key that is there: told by sums and extremes, a loop in C each."""
    try:
        sum(sizes)
        shortest = min(ttls, default=0)
        kinds = set(types)
    except TypeError:  # a nil or a refusal among them
        return False
    return isinstance(shortest, int) and shortest > -2 and _NONE not in kinds and set(map(type, kinds)) <= {bytes}


def _class_of(size: Any, kind: Any, ttl: Any) -> str:
    if isinstance(size, Exception) or isinstance(kind, Exception) or isinstance(ttl, Exception):
        return "refused"
    return "vanished" if size is None or kind == _NONE or ttl == -2 else "seen"


def _suspects(sizes: Sequence[int], limit: int | None) -> dict[int, int]:
    if limit is None or not sizes or max(sizes) <= limit:
        return {}
    return {index: size for index, size in enumerate(sizes) if size > limit}


def _unsized(names: Sequence[bytes], sizes: Sequence[int], types: Sequence[bytes]) -> frozenset[int]:
    """The places of keys whose module answers with next to nothing, whatever they hold."""
    if _COUNTED_TYPES.issuperset(types):
        return frozenset()
    return frozenset(
        index
        for index, kind in enumerate(types)
        if kind not in _COUNTED_TYPES and tells_nothing(kind.decode("latin-1"), sizes[index], len(names[index]))
    )


def _at(column: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return [column[place] for place in places]


def _numbers(idles: Sequence[Any] | None) -> list[int] | None:
    """Idle times or frequencies; a key that went away meanwhile reads as just used."""
    if idles is None:
        return None
    return [idle if isinstance(idle, int) else 0 for idle in idles]
