"""How much the keys of a plan really hold: measured closer before they count against a bound, or are shown."""

from collections.abc import Callable, Iterator, Sequence

from redis_oom_tui.models.keys import KeyId, SizeKind
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.selection import MOST_PASSED_BY
from redis_oom_tui.rules.sizing import Size, first_size, weight
from redis_oom_tui.server.mutations.key_reader import KeyReader, by_database
from redis_oom_tui.server.sizing import Known, Sizer, worth_asking

_AT_ONCE = 256
# So many keys are measured as well as it goes, one by one, where nothing depends on it but what is shown.
_ALONE = 50
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
        found: list[PlannedKey] = []
        for part in _parts(keys):
            found += part if self._stopping() else await self._together(part)
        partly = [position for position, key in enumerate(found) if key.id in self._partly]
        for position in sorted(partly, key=lambda position: -(found[position].size or 0))[:_ALONE]:
            if not self._stopping():
                found[position] = await self._alone(found[position])
        return found if self._limit is None else list(together_at_most(found, self._limit))

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
        worth = {key.id: known for key in keys if worth_asking(known := _known(key))}
        found = {key.id: key if key.id in worth else _first(key, self._limit) for key in keys}
        for db, names in by_database(worth).items():
            ids = [KeyId(db, name) for name in names]
            sizes = await (await self._sizer(db)).together([worth[id_] for id_ in ids])
            for id_, size in zip(ids, sizes, strict=True):
                found[id_] = _with(found[id_], size)
                if not size.whole:
                    self._partly.add(id_)
        return list(found.values())

    async def _alone(self, key: PlannedKey) -> PlannedKey:
        return _with(key, await (await self._sizer(key.id.db)).alone(_known(key)))

    async def _sizer(self, db: int) -> Sizer:
        if db not in self._open:
            reader = self._readers(db)
            await reader.open()
            self._open[db] = reader
        return self._open[db].sizer()


def _parts(keys: Sequence[PlannedKey]) -> Iterator[Sequence[PlannedKey]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def together_at_most(keys: Sequence[PlannedKey], limit: int) -> Iterator[PlannedKey]:
    """`keys`, of which the estimates are taken for less where all together would hold more than `limit`.

    >>> keys = [PlannedKey(KeyId(0, b"a"), "stream", 900, size_low=150, size_high=900)]
    >>> [key.size for key in together_at_most([*keys, PlannedKey(KeyId(0, b"b"), "string", 200)], 1000)]
    [800, 200]
    """
    exact = sum([key.size or 0 for key in keys if key.size_kind is SizeKind.EXACT])
    estimated = sum([key.size or 0 for key in keys]) - exact
    share = max(0, limit - exact) / estimated if estimated else 1.0
    for key in keys:
        if share < 1.0 and key.size is not None and key.size_kind is SizeKind.ESTIMATED:
            # What the server answered stays: the check before the deletion compares with that.
            answered = key.size if key.answered is None else key.answered
            yield replace(key, size=max(key.size_low or 0, round(key.size * share)), answered=answered)
        else:
            yield key


def _known(key: PlannedKey) -> Known:
    answered = key.size if key.answered is None else key.answered
    return Known(key.id.key, key.type, answered or 0)


def _first(key: PlannedKey, limit: int | None) -> PlannedKey:
    if key.size is None or key.type == "string":
        return key
    return _with(key, first_size(key.type, key.size, len(key.id.key), limit))


def _with(key: PlannedKey, size: Size) -> PlannedKey:
    answered = key.answered
    if answered is None and size.size != key.size:
        answered = key.size
    return replace(key, size=size.size, size_low=size.low, size_high=size.high, answered=answered)
