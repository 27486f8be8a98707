"""Which keys a cleanup takes: the criteria, checked and applied to what a scan reads."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import is_, itemgetter
from typing import Any, TypeVar

from redis_oom_tui.formatting.keys import slots_by_number
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId, KeyRow, inexact
from redis_oom_tui.models.plan import Criteria, Order, PlannedKey, TtlFilter
from redis_oom_tui.rules import key_patterns
from redis_oom_tui.rules.headroom import OWN_TYPES
from redis_oom_tui.rules.key_patterns import compiled_glob
from redis_oom_tui.rules.sizing import weight

# A plan is held in memory, on a machine that may have little of it: about 400 bytes a key.
MOST_KEYS = 200_000
Row = TypeVar("Row", KeyRow, PlannedKey)


def check(criteria: Criteria) -> None:
    """Raise BadInput for criteria that mean nothing, or that mean every key without saying so."""
    if any(not pattern for pattern in criteria.patterns):
        raise BadInput("An empty pattern matches no key: write * for all keys, or leave the pattern out")
    for what, value in (
        ("idle time", criteria.idle_over_seconds),
        ("size", criteria.larger_than_bytes),
        ("number of keys", criteria.max_keys),
        ("number of bytes", criteria.max_bytes),
    ):
        if value is not None and value < (0 if what in {"idle time", "size"} else 1):
            raise BadInput(f"A {what} of {value} selects nothing: give a larger one")
    if not _narrows(criteria):
        raise BadInput("Choose which keys first: a pattern, a type, an idle time, a TTL, a size, or marked rows")


def _narrows(criteria: Criteria) -> bool:
    return bool(
        criteria.patterns
        or criteria.key_patterns
        or criteria.types
        or criteria.keys
        or criteria.idle_over_seconds
        or criteria.larger_than_bytes
        or criteria.ttl is not TtlFilter.ANY
    )


def server_match(criteria: Criteria) -> bytes | None:
    """The glob that SCAN itself can apply: the only one there is, or one that takes all of the only pattern."""
    if criteria.patterns:
        return criteria.patterns[0] if len(criteria.patterns) == 1 else None
    return key_patterns.glob(criteria.key_patterns[0]) if len(criteria.key_patterns) == 1 else None


def server_type(criteria: Criteria) -> str | None:
    """The type that SCAN itself can apply."""
    return criteria.types[0] if len(criteria.types) == 1 else None


def names_matching(criteria: Criteria, names: list[bytes]) -> list[bytes]:
    """Those of `names` that the globs let in, where there are any, and the patterns as a scan counts them."""
    if criteria.patterns:
        globs = [compiled_glob(pattern).fullmatch for pattern in criteria.patterns]
        names = [name for name in names if any(glob(name) for glob in globs)]
    if criteria.key_patterns:
        held = key_patterns.held(criteria.key_patterns, names)
        names = [name for name, wanted in zip(names, held, strict=True) if wanted]
    return names


def ttl_matches(wanted: TtlFilter, ttl_ms: int | None) -> bool:
    """Whether a key with this PTTL (None: it never expires) is wanted."""
    if wanted is TtlFilter.ANY:
        return True
    return (ttl_ms is not None) == (wanted is TtlFilter.WITH)


def matches(criteria: Criteria, row: Row, wanted: frozenset[KeyId] | None = None) -> bool:
    """Whether all that the criteria say holds for `row`; what is unknown (a size, an idle time) does not hold.

    `wanted` is `criteria.keys` as a set, for whoever asks about many rows.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> row = KeyRow(KeyId(0, b"cache:1"), "string", size=100, idle_seconds=50)
    >>> matches(Criteria(patterns=(b"cache:*",), idle_over_seconds=49), row)
    True
    >>> matches(Criteria(larger_than_bytes=100), row), matches(Criteria(ttl=TtlFilter.WITH), row)
    (False, False)
    """
    return bool(matching(criteria, (row,), wanted))


def matching(criteria: Criteria, rows: Sequence[Row], wanted: frozenset[KeyId] | None = None) -> Sequence[Row]:
    """Those of `rows` that match."""
    if criteria.types:
        rows = [row for row in rows if row.type in criteria.types]
    if criteria.databases is not None:
        rows = [row for row in rows if row.id.db in criteria.databases]
    if (least := criteria.larger_than_bytes) is not None:
        rows = [row for row in rows if row.size is not None and row.size > least]
    if idle := criteria.idle_over_seconds:
        rows = [row for row in rows if row.idle_seconds is not None and row.idle_seconds > idle]
    if criteria.keys:
        marked = wanted or criteria.keys
        rows = [row for row in rows if row.id in marked]
    if criteria.ttl is not TtlFilter.ANY:
        rows = [row for row in rows if ttl_matches(criteria.ttl, row.ttl_ms)]
    if criteria.patterns:
        patterns = [compiled_glob(pattern).fullmatch for pattern in criteria.patterns]
        first = patterns[0]
        if len(patterns) == 1:  # the usual case, asked of every key of a scan
            rows = [row for row in rows if first(row.id.key)]
        else:
            rows = [row for row in rows if any(pattern(row.id.key) for pattern in patterns)]
    return _held(criteria, rows) if criteria.key_patterns else rows


def _held(criteria: Criteria, rows: Sequence[Row]) -> Sequence[Row]:
    held = key_patterns.held(criteria.key_patterns, [row.id.key for row in rows])
    return [row for row, wanted in zip(rows, held, strict=True) if wanted]


_Entry = tuple[int, bytes, int, str, int, PlannedKey]


MOST_PASSED_BY = 5000
"""After so many keys in a row that do not fit a bound in bytes, no more are measured for it."""


class Selected:
    """The keys of a plan as they are found: all of them, or the first by `criteria.order` up to its limits."""

    def __init__(self, criteria: Criteria, most: int = MOST_KEYS, shared: "SharedLimit | None" = None) -> None:
        self._limit = min(most, criteria.max_keys or most)
        self._max_bytes = criteria.max_bytes
        self._larger_than = criteria.larger_than_bytes
        self._order = criteria.order
        # All that were found, until they are more than the limit lets in; from then on a heap of those to keep.
        self._found: list[PlannedKey] = []
        self._heap: list[_Entry] | None = None
        self.matched_keys = 0
        self.matched_bytes = 0
        # Keys that matched and whose sizes are estimates: a sum of many of them says nothing.
        self._estimated = 0
        self._shared = shared
        if shared is not None:
            shared.selections.append(self)

    def add(self, *keys: PlannedKey) -> None:
        """Take keys that met the criteria; of more than the limit the least fitting go."""
        first = self.matched_keys
        self.matched_keys += len(keys)
        self.matched_bytes += sum([key.size or 0 for key in keys])
        self._estimated += len(inexact(keys))
        if self._heap is None and self.matched_keys <= self._limit:
            self._found += keys
        else:
            heap = self._as_heap()
            for entry in self._entries(keys, first):
                if len(heap) < self._limit:
                    heapq.heappush(heap, entry)
                elif entry > heap[0]:
                    heapq.heapreplace(heap, entry)
        if self._shared is not None:
            self._shared.enforce()

    @property
    def held_keys(self) -> int:
        """How many are chosen by now."""
        return len(self._found if self._heap is None else self._heap)

    def least(self) -> "_Entry":
        """The least fitting of those that are chosen; raises IndexError without any."""
        return self._as_heap()[0]

    def drop_least(self) -> None:
        """Choose it no more."""
        heapq.heappop(self._as_heap())

    def _as_heap(self) -> "list[_Entry]":
        if self._heap is None:
            self._heap, self._found = list(self._entries(self._found, 0)), []
            heapq.heapify(self._heap)
        return self._heap

    def _entries(self, keys: Sequence[PlannedKey], first: int) -> Iterable[_Entry]:
        """`keys` as they are ordered. The number of each, `first` on, stands for the key itself, which has no order:
        SCAN may show a key twice.
        """
        ids = [key.id for key in keys]
        names, databases, nodes = [id_.key for id_ in ids], [id_.db for id_ in ids], [id_.node for id_ in ids]
        return zip(self._ranks(keys), names, databases, nodes, range(first, first + len(keys)), keys, strict=True)

    def _ranks(self, keys: Sequence[PlannedKey]) -> list[int]:
        if self._order is Order.OLDEST:
            return [key.idle_seconds or 0 for key in keys]
        return [key.size or 0 for key in keys]

    def renew(self, rows: Mapping[KeyId, PlannedKey | None]) -> None:
        """Put each of `rows` in the place of what was known of that key before; None for one that fits no more."""
        known = self._found if self._heap is None else [entry[-1] for entry in self._heap]
        before = [key for key in known if key.id in rows]
        after = [row for key in before if (row := rows[key.id]) is not None]
        self.matched_keys -= len(before) - len(after)
        self.matched_bytes += sum([key.size or 0 for key in after]) - sum([key.size or 0 for key in before])
        self._estimated += len(inexact(after)) - len(inexact(before))
        kept = [row for key in known if (row := rows.get(key.id, key)) is not None]
        if self._heap is None:
            self._found = kept
        else:
            self._heap = list(self._entries(kept, 0))
            heapq.heapify(self._heap)

    def ids(self) -> Iterable[KeyId]:
        """The keys that are chosen by now."""
        return (key.id for key in self._found) if self._heap is None else (entry[-1].id for entry in self._heap)

    def ordered(self) -> list[PlannedKey]:
        """The chosen keys, first by the order, whatever they hold: each once, though SCAN may show one twice."""
        found = self._found
        if self._heap is not None:
            found = [entry[-1] for entry in sorted(self._heap, key=itemgetter(4))]
        ids = [key.id for key in found]
        places: list[Any] = [id_.key for id_ in ids]
        if len({(id_.db, id_.node) for id_ in ids}) > 1:
            places = [(id_.key, id_.db, id_.node) for id_ in ids]
        # Many have the same rank: names are compared within it, the last found first of equal ones.
        alike: defaultdict[int, list[int]] = defaultdict(list)
        for index, rank in zip(range(len(found) - 1, -1, -1), reversed(self._ranks(found)), strict=True):
            alike[rank].append(index)
        order: list[int] = []
        for rank in sorted(alike, reverse=True):
            order += sorted(alike[rank], key=places.__getitem__, reverse=True)
        if len(set(places)) == len(places):
            return [found[index] for index in order]
        return list({places[index]: found[index] for index in order}.values())

    def remeasured(self, before: Sequence[PlannedKey], found: Sequence[PlannedKey]) -> list[PlannedKey]:
        """Those of `found`, which are of `before` and were measured closer, that are wanted still, in their order."""
        unchanged = len(found) == len(before) and all(map(is_, found, before))
        kept = list(found) if unchanged else self._renewed(before, found)
        if (least := self._larger_than) is not None:
            small = {key.id: key for key in kept if key.size is not None and key.size <= least}
            self.matched_keys -= len(small)
            self.matched_bytes -= sum([key.size or 0 for key in small.values()])
            kept = [key for key in kept if key.id not in small] if small else kept
        # Keys that were not measured again are in this order already.
        ordered = unchanged or self._order is Order.OLDEST
        return kept if ordered else sorted(kept, key=lambda key: -(key.size or 0))

    def _renewed(self, before: Sequence[PlannedKey], found: Sequence[PlannedKey]) -> list[PlannedKey]:
        """`found`, with the sums corrected by what was known of these keys `before`."""
        old = before
        if len(found) < len(before):
            known = {key.id: key for key in before}
            old = [known[key.id] for key in found]
        self.matched_bytes += sum([key.size or 0 for key in found]) - sum([key.size or 0 for key in old])
        self._estimated += len(inexact(found)) - len(inexact(old))
        return list(found)

    def known_bytes(self, taken: Sequence[PlannedKey]) -> int:
        """What all keys that matched hold; 0 where `taken` are but some, and of the others it is only estimated."""
        return 0 if self._estimated > len(inexact(taken)) else self.matched_bytes

    def taken(self) -> tuple[PlannedKey, ...]:
        """The chosen keys that fit the bound in bytes."""
        keys = self.ordered()
        return tuple(keys if self._max_bytes is None else within(keys, self._max_bytes))


class SharedLimit:
    """One limit on the keys that the selections of many nodes hold together: of more, the least fitting of all go."""

    def __init__(self, criteria: Criteria, most: int = MOST_KEYS) -> None:
        self._most = min(most, criteria.max_keys or most)
        self.selections: list[Selected] = []

    def enforce(self) -> None:
        """Let go of as many as are held too many."""
        held = [selection for selection in self.selections if selection.held_keys]
        for _ in range(sum(selection.held_keys for selection in held) - self._most):
            least = min(held, key=Selected.least)
            least.drop_least()
            if not least.held_keys:
                held.remove(least)


def within(keys: Iterable[PlannedKey], max_bytes: int) -> Iterable[PlannedKey]:
    """Those of `keys`, in their order, that hold no more than `max_bytes` together even where all hold their most.

    A key too large for what is left is passed by, and so is one of which nobody can say what it holds at most.
    """
    left = max_bytes
    for key in keys:
        most = key.most
        if most is not None and weight(most) <= left:
            left -= weight(most)
            yield key


def unbounded_flags(number: int) -> tuple[str, ...]:
    """A sentence about keys that a bound in bytes leaves out since nobody can say what they hold; none without any.

    >>> unbounded_flags(1)[0]
    'What 1 key holds at most is not known (not all its elements were read): the limit in bytes leaves it out.'
    """
    if not number:
        return ()
    hold, its, it = ("holds", "its", "it") if number == 1 else ("hold", "their", "them")
    why = f"not all {its} elements were read"
    return (f"What {number_of_keys(number)} {hold} at most is not known ({why}): the limit in bytes leaves {it} out.",)


def size_flags(keys: Iterable[PlannedKey]) -> tuple[str, ...]:
    """A sentence about keys in a plan that do not tell their size, none without such keys."""
    unknown = [key for key in keys if key.size is None and key.type not in OWN_TYPES]
    if not unknown:
        return ()
    kinds = ", ".join(sorted({safe_text(key.type, 20) for key in unknown}))
    are = "is" if len(unknown) == 1 else "are"
    of = f"{number_of_keys(len(unknown))} {are} of a module ({kinds}) that does not report the size of a key"
    return (f"{of}: what that frees is not known in advance, and no limit in bytes counts it.",)


def left_out(chosen: Selected, refused_keys: int, moved: Mapping[int, int]) -> tuple[str, ...]:
    """Sentences about matching keys that are not in the plan: over the most that a plan holds, or refused to us.

    `moved` is how many keys of each slot another node was said to serve when they were to be read.
    """
    found = []
    if chosen.matched_keys > MOST_KEYS:
        found.append(
            f"{count(chosen.matched_keys)} keys match; a plan holds {count(MOST_KEYS)}: plan again for the rest."
        )
    if refused_keys:
        found.append(f"This user may not read {count(refused_keys)} of the keys, so they are not in the plan.")
    if moved:
        keys = number_of_keys(sum(moved.values()))
        found.append(
            f"{keys} of {slots_by_number(moved)} are on their way from one node to another and may be missing here: "
            "plan again when the resharding has ended (redis-cli --cluster fix ends an interrupted one)."
        )
    return tuple(found)
