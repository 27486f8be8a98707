"""From the pattern tree to rows: totals of every level, largest first, with estimates while the scan is partial."""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import add
from types import MappingProxyType

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import Interval, PatternRow
from redis_oom_tui.rules import key_patterns, patterns, sampling
from redis_oom_tui.rules.pattern_tree import FREQUENCY, GROUPS, IDLE, TTL, Node, PatternTree
from redis_oom_tui.rules.sampling import add_histograms, curve, quantiles

Giants = Mapping[int, Sequence[tuple[int, int]]]
"""The giants counted in a node or below it, by the node's id: their sizes and groups."""
Samples = Mapping[int, sampling.SampledShare]
"""What was seen of each database, where that is a fair sample of it."""

_STRING = b"string"


def rows(
    tree: PatternTree,
    *,
    limit: int = 500,
    samples: Samples = MappingProxyType({}),
    giants: Giants | None = None,
    measured: Mapping[int, int] | None = None,
    exact: bool = False,
) -> tuple[PatternRow, ...]:
    """The `limit` largest patterns of all levels, largest first, each after the pattern that holds it.

    A level at which nothing branches is left out: `user:*:cart` stands for itself where all of `user:` are carts.
    `samples` are given while the scan is partial and its order is fair, of each database that was begun: its rows then
    carry estimates. `measured` is how many keys beside strings, in a node or below it, were measured exactly, by the
    node's id. `exact` says that every key was counted: then some hundred single keys beside larger patterns have rows
    as well, as their names and types tell of which application the others are.
    """
    found: list[PatternRow] = []
    for root in tree.roots.values():
        _sum_up(root)
    whole = sum(root.whole.size for root in tree.roots.values())
    maker = _Maker(tree.delimiters, whole, samples, giants or {}, measured or {}, exact=exact)
    # The largest first: a pattern is never larger than the one that holds it, so these are the largest of all.
    order = itertools.count()
    waiting: list[tuple[int, int, int, Node, PatternRow | None]] = []
    for db, root in tree.roots.items():
        for node in [root] if root.figures else root.children.values():
            heapq.heappush(waiting, (-node.whole.size, next(order), db, node, None))
    while waiting and len(found) < limit:
        _, _, db, node, parent = heapq.heappop(waiting)
        inner = _branching(node)
        row = maker.row(inner, db, parent)
        found.append(row)
        for child in inner.children.values():
            heapq.heappush(waiting, (-child.whole.size, next(order), db, child, row))
    for db, node, parent in itertools.islice(_single_keys(waiting), _BESIDE if exact else 0):
        found.append(maker.row(node, db, parent))
    return tuple(found)


_BESIDE, _BESIDE_ONE = 500, 24


def _single_keys(
    waiting: list[tuple[int, int, int, Node, PatternRow | None]],
) -> Iterator[tuple[int, Node, PatternRow]]:
    """Of what has no row the names that stand for one key each, the largest first, a few beside each pattern."""
    seen: Counter[tuple[int, bytes]] = Counter()
    for _, _, db, node, parent in sorted(waiting, key=lambda item: item[:2]):
        alone = not node.children and patterns.VARIABLE not in node.name
        if alone and parent is not None and seen[db, parent.pattern] < _BESIDE_ONE:
            seen[db, parent.pattern] += 1
            yield db, node, parent


def _branching(node: Node) -> Node:
    while len(node.children) == 1 and not node.figures:
        (node,) = node.children.values()
    return node


def _sum_up(root: Node) -> None:
    """Bring the totals of `root` and all below it up to date, bottom up and without recursion's limits."""
    order = [root]
    for node in order:
        order.extend(node.children.values())
    for node in reversed(order):
        _sum_one(node)


def _sum_one(node: Node) -> None:
    whole = node.whole
    if not node.children:
        whole.figures, whole.types, whole.spreads = node.figures, node.types, node.spreads
        whole.no_ttl, whole.no_ttl_size = node.no_ttl, node.no_ttl_size
        whole.size = sum(node.figures[GROUPS:])
        return
    figures = node.figures or [0] * (2 * GROUPS)
    types: dict[bytes, int] = dict(node.types)
    spreads = node.spreads
    no_ttl, no_ttl_size = node.no_ttl, node.no_ttl_size
    for child in node.children.values():
        part = child.whole
        figures = list(map(add, figures, part.figures))
        no_ttl += part.no_ttl
        no_ttl_size += part.no_ttl_size
        for kind, keys in part.types.items():
            types[kind] = types.get(kind, 0) + keys
        spreads = add_histograms(spreads, part.spreads)
    whole.figures, whole.types, whole.spreads = figures, types, spreads
    whole.no_ttl, whole.no_ttl_size = no_ttl, no_ttl_size
    whole.size = sum(figures[GROUPS:])


class _Maker:
    """Makes rows, each with a name that no other row of its database has."""

    def __init__(
        self,
        delimiters: bytes,
        whole: int,
        samples: Samples,
        giants: Giants,
        measured: Mapping[int, int],
        *,
        exact: bool,
    ) -> None:
        self._delimiters = delimiters
        self._whole = whole
        self._samples = samples
        self._giants = giants
        self._measured = measured
        self._exact = exact
        self._names: set[tuple[int, bytes]] = set()
        self._listed: dict[tuple[int, bytes], tuple[bytes, ...]] = {}

    def row(self, node: Node, db: int, parent: PatternRow | None) -> PatternRow:
        """The row of `node` with all below it."""
        select = self._select(node, below=bool(node.children))
        named = self._select(_named(node), below=True) if node.children else select
        alone = node.parent is not None and len(node.parent.children) == 1 and not node.parent.figures
        total, sample = node.whole, self._samples.get(db)
        keys = sum(total.figures[:GROUPS])
        types = sorted(total.types.items(), key=lambda item: -item[1])
        return PatternRow(
            pattern=self._name(pattern_text.shown(named, alone=alone), db),
            match=key_patterns.glob(select),
            keys=keys,
            size=total.size,
            share=total.size / self._whole if self._whole else 0.0,
            no_ttl_keys=total.no_ttl,
            no_ttl_bytes=max(0, min(total.size, total.no_ttl_size)),
            db=db,
            level=1 if parent is None else parent.level + 1,
            parent=None if parent is None else parent.pattern,
            error=_error(node) / self._whole if self._whole else 0.0,
            types=tuple((kind.decode("latin-1"), count) for kind, count in types),
            idle_quantiles=quantiles(total.spreads[IDLE]),
            idle_curve=curve(total.spreads[IDLE]),
            ttl_curve=curve(total.spreads[TTL]),
            frequency_curve=curve(total.spreads[FREQUENCY]),
            estimated_bytes=self._bytes(node, sample),
            estimated_keys=self._estimated(
                total.figures[:GROUPS], (), sample, None if sample is None else sample.total_keys
            ),
            select=select,
            sizes_exact=keys == total.types.get(_STRING, 0) + self._measured.get(id(node), 0),
        )

    def _name(self, name: bytes, db: int) -> bytes:
        while (db, name) in self._names:
            name += b"~"
        self._names.add((db, name))
        return name

    def _select(self, node: Node, *, below: bool) -> KeyPattern:
        """The names that are counted in `node`, or in it and below it."""
        names: list[bytes] = []
        others: list[tuple[bytes, ...] | None] = []
        while node.parent is not None:
            names.append(node.name)
            others.append(self._others(node.parent, node.name))
            node = node.parent
        listed = tuple(reversed(others)) if any(each is not None for each in others) else ()
        return KeyPattern(tuple(reversed(names)), below, self._delimiters, listed)

    def _others(self, parent: Node, name: bytes) -> tuple[bytes, ...] | None:
        """The names beside a part that stands for all names without a row; None for a part that stands for itself."""
        if not parent.crowded or name != patterns.wild(name, self._delimiters):
            return None
        found = self._listed.get((id(parent), name))
        if found is None:
            beside = (
                child for child in parent.children if child != name and patterns.wild(child, self._delimiters) == name
            )
            found = self._listed[id(parent), name] = tuple(sorted(beside))
        return found

    def _bytes(self, node: Node, sample: sampling.SampledShare | None) -> Interval | None:
        amounts = node.whole.figures[GROUPS:]
        huge = self._giants.get(id(node), ())
        for size, group in huge:
            amounts[group] -= size
        bound = None if sample is None else sample.total_bytes
        return self._estimated(amounts, [size for size, _ in huge], sample, bound)

    def _estimated(
        self, amounts: Sequence[int], huge: Sequence[int], sample: sampling.SampledShare | None, at_most: int | None
    ) -> Interval | None:
        if self._exact:
            return sampling.counted(sum(amounts) + sum(huge))
        return None if sample is None else sampling.extrapolated(amounts, sample, huge, at_most=at_most)


def _error(node: Node) -> int:
    """Bytes that folding may have moved: away from a pattern, or into a `*` that took in what is not its own."""
    wild = node.parent is not None and node.name[:1] == patterns.VARIABLE
    return node.error + (node.parent.folded if wild and node.parent is not None else 0)


def _named(node: Node) -> Node:
    """`user:` for the node `user:*:`, under which all of `user:` branches: its name is shorter, and holds the same."""
    parent = node.parent
    while (
        parent is not None and len(parent.children) == 1 and not parent.figures and node.name[:1] == patterns.VARIABLE
    ):
        node, parent = parent, parent.parent
    return node
