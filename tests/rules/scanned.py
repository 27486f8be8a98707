"""Scans for tests, from the names of keys."""

from collections.abc import Iterable

from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.scan import ScanState, ScanView
from redis_oom_tui.rules.pattern_rows import rows
from redis_oom_tui.rules.pattern_tree import PatternTree

Key = tuple[str | bytes, str, int]


def scanned(keys: Iterable[Key], *, db: int = 0, top: int = 20) -> ScanView:
    """A complete scan of keys, each with its type and size; `top` of them are among the largest."""
    listed = [(name.encode() if isinstance(name, str) else name, kind, size) for name, kind, size in keys]
    tree = PatternTree()
    names, kinds, sizes = ([key[place] for key in listed] for place in range(3))
    tree.add(db, names, sizes, [-1] * len(listed), [kind.encode() for kind in kinds], 0)
    largest = sorted(listed, key=lambda key: -key[2])[:top]
    return ScanView(
        ScanState.COMPLETE,
        scanned_keys=len(listed),
        total_keys=len(listed),
        bytes_seen=sum(sizes),
        top=tuple(KeyRow(KeyId(db, name), kind, size) for name, kind, size in largest),
        patterns=rows(tree, exact=True),
    )
