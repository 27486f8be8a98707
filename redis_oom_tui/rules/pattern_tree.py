"""Keys counted by pattern, at every level of their names, in bounded memory; the tree as plain values for a file."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import add
from typing import Any

from msgspec import Struct, to_builtins

from redis_oom_tui.formatting.typed import Count, Database, Whole, converted
from redis_oom_tui.rules import patterns
from redis_oom_tui.rules.patterns import PatternCache
from redis_oom_tui.rules.sampling import STEPS, add_histograms, step_of

IDLE, TTL, FREQUENCY = range(3)
"""Of what a node keeps a histogram, by place in its `spreads`."""

GROUPS = 8
"""Pages are dealt into so many groups; how the groups differ tells how far an estimate may be off."""

# Folding begins where most names stand side by side: that is where a name, not a pattern, makes them differ.
_CROWDS = (1024, 256, 64, 2)


class NodeTotals:
    """A node's figures with everything below it, as last summed up."""

    __slots__ = ("figures", "no_ttl", "no_ttl_size", "size", "spreads", "types")

    def __init__(self) -> None:
        self.figures: list[int] = []
        self.types: Mapping[bytes, int] = {}
        self.spreads: list[list[int]] = [[], [], []]
        self.no_ttl = 0
        self.no_ttl_size = 0
        self.size = 0


class Node:
    """One part of a name under its parent. Its own figures are of the keys that end here."""

    __slots__ = (
        "children",
        "crowded",
        "error",
        "figures",
        "folded",
        "name",
        "no_ttl",
        "no_ttl_size",
        "parent",
        "spreads",
        "types",
        "whole",
    )

    def __init__(self, name: bytes, parent: "Node | None") -> None:
        self.name = name
        self.parent = parent
        self.children: dict[bytes, Node] = {}
        # Keys by group, then bytes by group: one list, as the two are always added up together.
        self.figures: list[int] = []
        self.types: defaultdict[bytes, int] = defaultdict(int)
        self.spreads: list[list[int]] = [[], [], []]
        self.no_ttl = 0
        self.no_ttl_size = 0
        self.folded = 0
        self.error = 0
        self.crowded = False
        self.whole = NodeTotals()

    def begin(self) -> "Node":
        """Ready to count keys that end here."""
        if not self.figures:
            self.figures = [0] * (2 * GROUPS)
        return self

    def begin_spread(self, place: int) -> list[int]:
        """Ready to count into that histogram."""
        spread = self.spreads[place] = [0] * STEPS
        return spread

    def add_own(self, other: "Node") -> None:
        """Add the figures of the keys that end at `other`."""
        if other.figures:
            self.figures = list(map(add, self.begin().figures, other.figures))
        self.no_ttl += other.no_ttl
        self.no_ttl_size += other.no_ttl_size
        self.folded += other.folded
        for kind, keys in other.types.items():
            self.types[kind] += keys
        self.spreads = add_histograms(self.spreads, other.spreads)

    def path(self) -> bytes:
        """The normalised name up to and with this part."""
        names = []
        node: Node | None = self
        while node is not None:
            names.append(node.name)
            node = node.parent
        return b"".join(reversed(names))


class PatternTree:
    """Counts keys by pattern. At most `max_nodes` patterns are kept: the smallest are folded into a `*` beside them."""

    def __init__(self, delimiters: bytes = b":", max_nodes: int = 5000) -> None:
        self.delimiters = delimiters
        self.max_nodes = max(64, max_nodes)
        self.roots: dict[int, Node] = {}
        self.nodes = 0
        self._normaliser = patterns.Normaliser(delimiters)
        self._known: dict[int, PatternCache[Node]] = {}

    def add(
        self,
        db: int,
        names: list[bytes],
        sizes: Sequence[int],
        ttls: Sequence[int],
        types: Sequence[bytes],
        group: int,
        *,
        idles: Sequence[int] | None = None,
        frequencies: bool = False,
    ) -> None:
        """Count one page of keys (`ttls` as PTTL answers); `idles` are seconds, or `frequencies`."""
        known = self._known.get(db)
        if known is None:
            known = self._known[db] = PatternCache(self._normaliser, partial(self._leaf, db))
        leaves = known.patterns_of(names)
        for leaf, size, ttl, kind in zip(leaves, sizes, ttls, types, strict=True):
            figures = leaf.figures
            figures[group] += 1
            figures[group + GROUPS] += size
            leaf.types[kind] += 1
            if ttl < 0:
                leaf.no_ttl += 1
                leaf.no_ttl_size += size
            else:
                spread = leaf.spreads[TTL] or leaf.begin_spread(TTL)
                spread[step_of(ttl // 1000)] += 1
        if idles is not None:
            place = FREQUENCY if frequencies else IDLE
            for leaf, idle in zip(leaves, idles, strict=True):
                spread = leaf.spreads[place] or leaf.begin_spread(place)
                spread[step_of(idle)] += 1
        if self.nodes > self.max_nodes:
            self._fold()

    def figures(self, db: int) -> list[int]:
        """Keys, and behind them bytes, of database `db` by groups of pages."""
        order = [self.roots[db]] if db in self.roots else []
        for node in order:
            order.extend(node.children.values())
        counted = [node.figures for node in order if node.figures]
        return list(map(sum, zip(*counted, strict=True))) if counted else [0] * (2 * GROUPS)

    def find(self, db: int, name: bytes) -> Node | None:
        """The pattern that `name` is counted in by now."""
        node = self.roots.get(db)
        for part in patterns.parts(self._normaliser.name(name), self.delimiters):
            if node is None:
                return None
            node = node.children.get(part) or node.children.get(self._wild(part))
        return node

    def correct(self, db: int, name: bytes, difference: int, group: int, *, expires: bool) -> None:
        """A key's size was read again and differs by so many bytes."""
        node = self.find(db, name)
        if node is not None:
            node.begin().figures[GROUPS + group] += difference
            if not expires:
                node.no_ttl_size += difference

    def _leaf(self, db: int, normal: bytes) -> Node:
        node = self.roots.get(db)
        if node is None:
            node = self.roots[db] = Node(b"", None)
        for part in patterns.parts(normal, self.delimiters):
            node = node.children.get(part) or self._child(node, part)
        return node.begin()

    def _child(self, parent: Node, part: bytes) -> Node:
        wild = self._wild(part)
        if parent.crowded and part != wild:
            found = parent.children.get(wild)
            if found is not None:
                return found
            part = wild
        child = parent.children[part] = Node(part, parent)
        self.nodes += 1
        return child

    def _wild(self, part: bytes) -> bytes:
        return patterns.wild(part, self.delimiters)

    def _fold(self) -> None:
        """Fold the smallest patterns into a `*` beside them until a quarter is free again."""
        totals = {id(node): total for node, total in self._subtotals()}
        nodes = [node for root in self.roots.values() for node in below(root)]
        nodes.sort(key=lambda node: totals[id(node)])
        for least in _CROWDS:
            for node in nodes:
                if self.nodes <= self.max_nodes * 3 // 4:
                    break
                self._fold_one(node, totals[id(node)], least)
        for known in self._known.values():
            known.forget()

    def _fold_one(self, node: Node, size: int, least: int) -> None:
        parent = node.parent
        gone = parent is None or parent.children.get(node.name) is not node
        if parent is None or gone or node.name == self._wild(node.name) or len(parent.children) < least:
            return
        self._to_wild(parent, node)
        parent.folded += size

    def _to_wild(self, parent: Node, node: Node) -> None:
        """Fold one child. No new name gets a row under this parent from now on: it may have been folded before."""
        del parent.children[node.name]
        parent.crowded = True
        wild = self._wild(node.name)
        target = parent.children.get(wild)
        if target is None:
            node.name, node.parent = wild, parent
            parent.children[wild] = node
        else:
            self._absorb(target, node)

    def _absorb(self, target: Node, other: Node) -> None:
        """Take over all of `other`. A name keeps its row only where both sides counted all of its keys under it."""
        target.add_own(other)
        self.nodes -= 1
        was_crowded = target.crowded
        if other.crowded:
            for child in list(target.children.values()):
                if child.name not in other.children and child.name != self._wild(child.name):
                    self._to_wild(target, child)
        for name, child in other.children.items():
            mine = target.children.get(name)
            if mine is not None:
                self._absorb(mine, child)
                continue
            child.parent = target
            target.children[name] = child
            if was_crowded and name != self._wild(name):
                self._to_wild(target, child)
        target.crowded = target.crowded or other.crowded
        other.children = {}

    def _subtotals(self) -> Iterator[tuple[Node, int]]:
        for root in self.roots.values():
            totals: dict[int, int] = {}
            for node in reversed([root, *below(root)]):
                total = sum(node.figures[GROUPS:]) + sum(totals[id(child)] for child in node.children.values())
                totals[id(node)] = total
                yield node, total


def below(root: Node) -> Iterator[Node]:
    """Every node under `root`, each after its parent."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield from node.children.values()
        waiting.extend(node.children.values())


class _Row(Struct, array_like=True):
    """One node of the tree, its parent by its place among the rows, and its name in base64."""

    db: Database
    parent: Count | None
    name: bytes
    figures: list[Whole]
    types: list[tuple[str, Whole]]
    idle: list[Whole]
    sums: tuple[Whole, Whole, Whole]
    crowded: bool
    # Files of before TTLs, frequencies and the bytes without a TTL were kept have none.
    ttl: list[Whole] = []
    frequency: list[Whole] = []
    no_ttl_size: Whole | None = None


def tree_rows(tree: PatternTree) -> list[list[Any]]:
    """One row a node, each after its parent, which it names by its place."""
    rows: list[list[Any]] = []
    places: dict[int, int] = {}
    for db, node in _nodes(tree):
        places[id(node)] = len(rows)
        parent = None if node.parent is None else places[id(node.parent)]
        types = [(kind.decode("latin-1"), keys) for kind, keys in node.types.items()]
        sums = (node.no_ttl, node.folded, node.error)
        idle, ttl, frequency = node.spreads
        row = _Row(
            db, parent, node.name, node.figures, types, idle, sums, node.crowded, ttl, frequency, node.no_ttl_size
        )
        rows.append(to_builtins(row))
    return rows


def tree_from(rows: object, tree: PatternTree) -> None:
    """Fill an empty `tree` with what `tree_rows` gave; ValueError or IndexError for anything else."""
    made: list[Node] = []
    for row in converted(rows, list[_Row]):
        spreads = [row.idle, row.ttl, row.frequency]
        if len(row.figures) not in (0, 2 * GROUPS) or any(len(spread) not in (0, STEPS) for spread in spreads):
            raise ValueError("not a node")
        parent = None if row.parent is None else made[row.parent]
        node = Node(row.name, parent)
        node.figures, node.spreads = row.figures, spreads
        node.no_ttl, node.folded, node.error = row.sums
        node.no_ttl_size = _about(row) if row.no_ttl_size is None else row.no_ttl_size
        # Files of before every fold closed its parent have some that folded and stayed open.
        node.crowded = row.crowded or node.folded > 0
        node.types.update({kind.encode("latin-1"): keys for kind, keys in row.types})
        if parent is None:
            tree.roots[row.db] = node
        else:
            parent.children[node.name] = node
            tree.nodes += 1
        made.append(node)


def _about(row: _Row) -> int:
    """What the keys without a TTL hold where the file does not tell: their part, by their number."""
    return sum(row.figures[GROUPS:]) * row.sums[0] // max(1, sum(row.figures[:GROUPS]))


def _nodes(tree: PatternTree) -> Iterator[tuple[int, Node]]:
    for db, root in tree.roots.items():
        yield db, root
        for node in below(root):
            yield db, node
