"""From the roll-up to rows: totals of every level, largest first, with their estimates while the scan is partial."""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import add

from redis_oom_tui.models.scan import Interval, PatternRow
from redis_oom_tui.rules import estimate, patterns
from redis_oom_tui.rules.patterns_tree import GROUPS, Node, PatternTree

Giants = Mapping[int, Sequence[tuple[int, int]]]
"""The giants counted in a node, by the node's id: their sizes and groups."""


@dataclass(slots=True)
class _Total:
    """A node with everything below it."""

    node: Node
    db: int
    counts: list[int]
    sizes: list[int]
    no_ttl: int
    types: dict[bytes, int]
    idle: list[int]
    giants: list[tuple[int, int]]
    children: "list[_Total]" = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(self.sizes)


def rows(
    tree: PatternTree,
    *,
    limit: int = 500,
    sample: estimate.Sample | None = None,
    giants: Giants | None = None,
    exact: bool = False,
) -> tuple[PatternRow, ...]:
    """The `limit` largest families of all levels, largest first, each after the family that holds it.

    A level at which nothing branches is left out: `user:*:cart` stands for itself where all of `user:` are carts.
    `sample` is given while the scan is partial and its order is fair: the rows then carry estimates. `exact` says that
    everything was counted.
    """
    found: list[PatternRow] = []
    tops = [_totals(root, db, giants or {}) for db, root in tree.roots.items()]
    whole = sum(top.size for top in tops)
    names: set[tuple[int, bytes]] = set()
    # The largest first: a family is never larger than the one that holds it, so these are the largest of all.
    order = itertools.count()
    waiting: list[tuple[int, int, _Total, PatternRow | None]] = []
    for top in tops:
        for total in [top] if sum(top.node.counts) else top.children:
            heapq.heappush(waiting, (-total.size, next(order), total, None))
    while waiting and len(found) < limit:
        _, _, total, parent = heapq.heappop(waiting)
        inner = _branching(total)
        row = _row(inner, parent, whole, names, (sample, exact))
        found.append(row)
        for child in inner.children:
            heapq.heappush(waiting, (-child.size, next(order), child, row))
    return tuple(found)


def _branching(total: _Total) -> _Total:
    while len(total.children) == 1 and not sum(total.node.counts):
        total = total.children[0]
    return total


def _totals(root: Node, db: int, giants: Giants) -> _Total:
    """Totals of `root` and all below, bottom up and without recursion's limits."""
    order = [root]
    for node in order:
        order.extend(node.children.values())
    made: dict[int, _Total] = {}
    for node in reversed(order):
        made[id(node)] = _total(node, db, [made.pop(id(child)) for child in node.children.values()], giants)
    return made[id(root)]


def _total(node: Node, db: int, children: list[_Total], giants: Giants) -> _Total:
    if not children:
        own = list(giants.get(id(node), ()))
        return _Total(node, db, node.counts, node.sizes, node.no_ttl, node.types, node.idle, own)
    counts = node.counts or [0] * GROUPS
    sizes = node.sizes or [0] * GROUPS
    types: dict[bytes, int] = defaultdict(int, node.types)
    idle = node.idle
    huge = list(giants.get(id(node), ()))
    for child in children:
        counts = list(map(add, counts, child.counts))
        sizes = list(map(add, sizes, child.sizes))
        for kind, keys in child.types.items():
            types[kind] += keys
        if child.idle:
            idle = list(map(add, idle, child.idle)) if idle else child.idle
        huge += child.giants
    no_ttl = node.no_ttl + sum(child.no_ttl for child in children)
    return _Total(node, db, counts, sizes, no_ttl, types, idle, huge, children)


def _row(
    total: _Total,
    parent: PatternRow | None,
    whole: int,
    names: set[tuple[int, bytes]],
    reach: tuple[estimate.Sample | None, bool],
) -> PatternRow:
    path = _inner_path(total.node) if total.children else total.node.path()
    keys = sum(total.counts)
    size = total.size
    types = sorted(total.types.items(), key=lambda item: -item[1])
    return PatternRow(
        pattern=_name(path, total, names),
        match=patterns.glob(path),
        keys=keys,
        size=size,
        share=size / whole if whole else 0.0,
        no_ttl_keys=total.no_ttl,
        db=total.db,
        level=1 if parent is None else parent.level + 1,
        parent=None if parent is None else parent.pattern,
        error=total.node.error / whole if whole else 0.0,
        types=tuple((kind.decode("latin-1"), count) for kind, count in types),
        idle_quantiles=quantiles(total.idle),
        estimated_bytes=_estimated_bytes(total, *reach),
        estimated_keys=_estimated(total.counts, (), *reach),
    )


def _inner_path(node: Node) -> bytes:
    """`user:*` for the node `user:*:`, under which all of `user:` branches: the shorter name holds the same keys."""
    parent = node.parent
    while parent is not None and len(parent.children) == 1 and not parent.counts and node.name[:1] == patterns.VARIABLE:
        node, parent = parent, parent.parent
    return node.path() + patterns.VARIABLE


def _name(path: bytes, total: _Total, names: set[tuple[int, bytes]]) -> bytes:
    """The pattern as shown, which no other row of this database has: `user:*` holds all of `user:`, `user:<id>` those
    of its keys whose last part varies."""
    name = patterns.shown(path)
    if (total.db, name) in names and path.endswith(patterns.VARIABLE):
        name = patterns.shown(path[:-1] + b"<id>")
    while (total.db, name) in names:
        name += b"~"
    names.add((total.db, name))
    return name


def _estimated_bytes(total: _Total, sample: estimate.Sample | None, exact: bool) -> Interval | None:
    amounts = list(total.sizes)
    for size, group in total.giants:
        amounts[group] -= size
    return _estimated(amounts, [size for size, _ in total.giants], sample, exact)


def _estimated(
    amounts: Sequence[int], huge: Sequence[int], sample: estimate.Sample | None, exact: bool
) -> Interval | None:
    if exact:
        return estimate.counted(sum(amounts) + sum(huge))
    return None if sample is None else estimate.extrapolated(amounts, sample, huge)


# Four steps to each doubling, so that a quantile is right within a fifth.
_STEPS = 4


def idle_step(seconds: int) -> int:
    """Where in a histogram an idle time goes.

    >>> idle_step(0), idle_step(1), idle_step(86400) - idle_step(43200)
    (0, 4, 4)
    """
    if seconds <= 0:
        return 0
    octave = seconds.bit_length() - 1
    return _STEPS * (octave + 1) + ((seconds << 2 >> octave) & 3)


IDLE_STEPS = _STEPS * 34
"""How long such a histogram is: 24 bits of seconds and some air."""


def quantiles(histogram: Sequence[int]) -> tuple[int, int, int] | None:
    """p10, p50 and p90 of idle seconds; None where none were read."""
    total = sum(histogram)
    if not total:
        return None
    found = []
    for share in (0.1, 0.5, 0.9):
        running = 0
        for step, keys in enumerate(histogram):
            running += keys
            if running >= share * total:
                found.append(_seconds(step))
                break
    return found[0], found[1], found[2]


def _seconds(step: int) -> int:
    """The lower end of a step."""
    octave, quarter = divmod(step, _STEPS)
    return 0 if octave == 0 else (4 + quarter) << (octave - 1) >> 2
