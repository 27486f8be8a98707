"""How much the keys of a plan really hold: measured closer before they count against a bound, or are shown."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from redis_oom_tui.models.keys import KeyId, SizeKind, inexact
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.selection import MOST_PASSED_BY
from redis_oom_tui.rules.sizing import Size, first_size, needs_closer, weight
from redis_oom_tui.server.mutations.key_reader import KeyReader
from redis_oom_tui.server.sizing import Known, Sizer

_AT_ONCE = 256
# So many keys are measured as well as it goes, one by one, where nothing depends on it but what is shown.
_ALONE = 50
_Key = TypeVar("_Key")
Readers = Callable[[int], KeyReader]
"""Makes a reader of one database."""


class Measuring:
    """Measures keys by `readers`, a connection for each database. `stopping` says whether to leave off."""

    def __init__(self, readers: Readers, limit: int | None, stopping: Callable[[], bool]) -> None:
        self._readers = readers
        self._limit = limit
        self._stopping = stopping
        self._open: dict[int, KeyReader] = {}
        # Of these, fewer than all elements were read.
        self._partly: set[KeyId] = set()
        self.unbounded = 0
        """How many keys a bound in bytes left out because nobody can say what they hold at most."""

    async def close(self) -> None:
        """Let go of the connections."""
        while self._open:
            await self._open.popitem()[1].close()

    async def all(self, keys: Sequence[PlannedKey]) -> list[PlannedKey]:
        """`keys` in their order, each with its size and what that is worth; the largest as exactly as it goes."""
        found = list(keys)
        # Of a string, of what tells no size, and of what its first answer told all, nothing more can be known.
        unsure = [
            index
            for index, key in enumerate(keys)
            if key.size_high is None and key.type != "string" and key.size is not None
        ]
        for part in _parts(unsure):
            if self._stopping():
                break
            for index, key in zip(part, await self._together([keys[index] for index in part]), strict=True):
                found[index] = key
        partly = [position for position, key in enumerate(found) if key.id in self._partly] if self._partly else []
        for position in sorted(partly, key=lambda position: -(found[position].size or 0))[:_ALONE]:
            if not self._stopping():
                found[position] = await self._alone(found[position])
        return found if self._limit is None else together_at_most(found, self._limit)

    async def within(self, keys: Sequence[PlannedKey], max_bytes: int) -> list[PlannedKey]:
        """The first of `keys` that hold no more than `max_bytes` together, each measured before it counts."""
        found: list[PlannedKey] = []
        left, passed_by = max_bytes, 0
        for part in _parts(keys):
            if self._stopping() or passed_by >= MOST_PASSED_BY or left <= max_bytes // 500:
                break
            for key in await self._together(part):
                partly = key.id in self._partly and (key.size_low or 0) <= left
                fitting = await self._alone(key) if partly else key
                most = fitting.most
                if most is not None and weight(most) <= left:
                    left -= weight(most)
                    passed_by = 0
                    found.append(fitting)
                else:
                    passed_by += 1
                    self.unbounded += fitting.least <= left and most in (None, self._limit)
        return found

    async def _together(self, keys: Sequence[PlannedKey]) -> list[PlannedKey]:
        found = list(keys)
        worth: defaultdict[int, dict[int, Known]] = defaultdict(dict)
        limit = self._limit
        for index, key in enumerate(keys):
            kind, known = key.type, key.size
            if key.size_high is not None:
                continue
            # Of none of them it is known how it is encoded.
            if needs_closer(kind, known if key.answered is None else key.answered):
                worth[key.id.db][index] = _known(key)
            elif known is not None and kind != "string":
                found[index] = _with(key, first_size(kind, known, len(key.id.key), limit))
        for db, asked in worth.items():
            sizes = await (await self._sizer(db)).together(list(asked.values()))
            for index, size in zip(asked, sizes, strict=True):
                found[index] = _with(keys[index], size)
                if not size.whole:
                    self._partly.add(keys[index].id)
        return found

    async def _alone(self, key: PlannedKey) -> PlannedKey:
        return _with(key, await (await self._sizer(key.id.db)).alone(_known(key)))

    async def _sizer(self, db: int) -> Sizer:
        if db not in self._open:
            reader = self._readers(db)
            await reader.open()
            self._open[db] = reader
        return self._open[db].sizer()


def _parts(keys: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def together_at_most(keys: list[PlannedKey], limit: int) -> list[PlannedKey]:
    """`keys`, of which the estimates are taken for less where all together would hold more than `limit`.

    >>> keys = [PlannedKey(KeyId(0, b"a"), "stream", 900, size_low=150, size_high=900)]
    >>> [key.size for key in together_at_most([*keys, PlannedKey(KeyId(0, b"b"), "string", 200)], 1000)]
    [800, 200]
    """
    estimated = sum([key.size or 0 for key in inexact(keys)])
    exact = sum([key.size or 0 for key in keys]) - estimated
    share = max(0, limit - exact) / estimated if estimated else 1.0
    return keys if share >= 1.0 else [_reduced(key, share) for key in keys]


def _reduced(key: PlannedKey, share: float) -> PlannedKey:
    if key.size is None or key.size_kind is not SizeKind.ESTIMATED:
        return key
    # What the server answered stays: the check before the deletion compares with that.
    answered = key.size if key.answered is None else key.answered
    return replace(key, size=max(key.size_low or 0, round(key.size * share)), answered=answered)


def _answered(key: PlannedKey) -> int:
    return (key.size if key.answered is None else key.answered) or 0


def _known(key: PlannedKey) -> Known:
    return Known(key.id.key, key.type, _answered(key))


def _with(key: PlannedKey, size: Size) -> PlannedKey:
    answered = key.answered
    if answered is None and size.size != key.size:
        answered = key.size
    return replace(key, size=size.size, size_low=size.low, size_high=size.high, answered=answered)
