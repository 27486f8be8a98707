"""The roll-up as plain values (JSON's), to be kept on disk and gone on with."""

import base64
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from redis_oom_tui.formatting.typed import text, whole
from redis_oom_tui.rules.patterns_tree import GROUPS, Node, PatternTree, below
from redis_oom_tui.rules.spread import STEPS


def tree_rows(tree: PatternTree) -> list[list[Any]]:
    """One row a node, each after its parent, which it names by its place."""
    rows: list[list[Any]] = []
    places: dict[int, int] = {}
    for db, node in _nodes(tree):
        places[id(node)] = len(rows)
        parent = None if node.parent is None else places[id(node.parent)]
        types = [[kind.decode("latin-1"), keys] for kind, keys in node.types.items()]
        name = base64.b64encode(node.name).decode("ascii")
        sums = [node.no_ttl, node.folded, node.error]
        idle, *spreads = node.spreads
        rows.append([db, parent, name, node.figures, types, idle, sums, node.crowded, *spreads])
    return rows


def tree_from(rows: Sequence[Sequence[Any]], tree: PatternTree) -> None:
    """Fill an empty `tree` with what `tree_rows` gave; for anything else, ValueError, TypeError or IndexError."""
    made: list[Node] = []
    for db, place, name, figures, types, idle, sums, crowded, *more in rows:
        # Files of before TTLs and frequencies were kept have none.
        spreads = [list(spread) for spread in (idle, *(more or ([], [])))]
        if len(figures) not in (0, 2 * GROUPS) or [len(one) in (0, STEPS) for one in spreads] != [True] * 3:
            raise ValueError("not a node")
        for one in (db, *figures, *chain.from_iterable(spreads), *sums):
            whole(one)
        parent = None if place is None else made[place]
        node = Node(base64.b64decode(name, validate=True), parent)
        node.figures, node.spreads = list(figures), spreads
        node.no_ttl, node.folded, node.error = sums
        # Files of before every fold closed its parent have some that folded and stayed open.
        node.crowded = crowded is True or node.folded > 0
        node.types.update({text(kind).encode("latin-1"): whole(keys) for kind, keys in types})
        if parent is None:
            tree.roots[db] = node
        else:
            parent.children[node.name] = node
            tree.nodes += 1
        made.append(node)


def _nodes(tree: PatternTree) -> Iterator[tuple[int, Node]]:
    for db, root in tree.roots.items():
        yield db, root
        for node in below(root):
            yield db, node
