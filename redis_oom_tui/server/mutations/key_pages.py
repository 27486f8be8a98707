"""The keys of a plan as they are made from what the server told of a page of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from msgspec import Struct, field
from redis import exceptions

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.expected_state import ReadSpan
from redis_oom_tui.rules.headroom import OWN_TYPES
from redis_oom_tui.rules.sizing import first_size, needs_closer, tells_nothing

_TYPES = {kind.encode(): kind for kind in ("string", "list", "set", "zset", "hash", "stream")}


class Page(Struct, frozen=True):
    """What one step of a scan found: keys scanned, and those of them that may match. `asked` are names that were given.

    `last` says that no page follows. `refused_keys` are those that this user may not look at; `moved` those that
    another node serves, with HOST:PORT of the one to be asked behind ASKING where the server told. `in_use` are those
    that were used in the very second in which they were read, as far as is known: `unsure` where it is not known which
    second that was.
    """

    scanned: int
    rows: list[PlannedKey] = field(default_factory=list)
    refused_keys: int = 0
    moved: Mapping[bytes, str | None] = field(default_factory=dict)
    last: bool = False
    in_use: frozenset[bytes] = frozenset()
    unsure: bool = False
    asked: Sequence[bytes] = ()


class KeyFacts(NamedTuple):
    """What the server told of `names`: in columns their types, PTTLs, sizes, and idle times or frequencies."""

    names: Sequence[bytes]
    columns: Sequence[Sequence[Any]]
    span: ReadSpan | None


class PageMaker:
    """Makes pages of the keys of database `db`: the last column that was asked for has idle times, or `frequencies`. No
    key can hold more than `limit` bytes.
    """

    def __init__(self, db: int, limit: int | None, *, frequencies: bool) -> None:
        self._db = db
        self._limit = limit
        self._frequencies = frequencies

    def page(self, facts: KeyFacts, scanned: int) -> Page:
        """The keys that are there, as a plan holds them, and how many of the others this user may not look at."""
        names, columns, span = facts
        if span is None:
            return Page(scanned)
        if _plain(columns):
            return self._page_of(scanned, names, columns, span)
        refused = 0
        moved: dict[bytes, str | None] = {}
        there: list[tuple[Any, ...]] = []
        for row in zip(names, *columns, strict=True):
            name, kind, ttl, size, used = row
            if isinstance(kind, exceptions.AskError):
                # A MovedError is an AskError in redis-py.
                sends_on = not isinstance(kind, exceptions.MovedError)
                moved[name] = f"{kind.host}:{kind.port}" if sends_on else None
            elif not isinstance(kind, bytes) or not isinstance(ttl, int):
                refused += 1
            elif kind != b"none" and ttl != -2 and size is not None:
                known = [number if isinstance(number, int) else None for number in (size, used)]
                there.append((name, kind, ttl, *known))
        if not there:
            return Page(scanned, [], refused, moved)
        names, *columns = zip(*there, strict=True)
        return replace(self._page_of(scanned, names, columns, span), refused_keys=refused, moved=moved)

    def _page_of(self, scanned: int, names: Sequence[bytes], columns: Sequence[Sequence[Any]], span: ReadSpan) -> Page:
        """Keys of which all is told that ever is."""
        used, most = columns[-1], span.in_use_seconds
        in_use: frozenset[bytes] = frozenset()
        if not self._frequencies:
            in_use = frozenset(
                [name for name, idle in zip(names, used, strict=True) if idle is not None and idle <= most]
            )
        return Page(scanned, self._rows(names, columns, span, in_use), in_use=in_use, unsure=span.ticked)

    def _rows(
        self, names: Sequence[bytes], columns: Sequence[Sequence[Any]], span: ReadSpan, in_use: frozenset[bytes]
    ) -> list[PlannedKey]:
        ttls, used = columns[1], columns[3]
        kinds = [_TYPES.get(kind) or kind.decode("ascii", "replace") for kind in columns[0]]
        sizes = self._sizes(names, kinds, columns[2])
        nothing = repeat(None)
        read_at: Iterable[float | None] = repeat(span.read_at)
        if in_use:
            read_at = [None if name in in_use else span.read_at for name in names]
        return list(
            map(
                PlannedKey,
                map(KeyId, repeat(self._db), names),
                kinds,
                sizes,
                [None if ttl < 0 else ttl for ttl in ttls],
                nothing if self._frequencies else used,
                used if self._frequencies else nothing,
                read_at,
                *self._ranges(names, kinds, sizes),
            )
        )

    def _sizes(self, names: Sequence[bytes], kinds: Sequence[str], sizes: Sequence[int | None]) -> Sequence[int | None]:
        """What MEMORY USAGE told; nothing of a key whose module does not count."""
        if set(kinds) <= OWN_TYPES:
            return sizes
        return [
            None if size is None or tells_nothing(kind, size, len(name)) else size
            for name, kind, size in zip(names, kinds, sizes, strict=True)
        ]

    def _ranges(
        self, names: Sequence[bytes], kinds: Sequence[str], sizes: Sequence[int | None]
    ) -> tuple[Iterable[int | None], Iterable[int | None]]:
        """The least and the most that each key holds, where its size tells that; the others are measured closer."""
        nothing = repeat(None)
        if set(kinds) <= {"string"}:
            return nothing, nothing
        limit = self._limit
        known = [
            None
            if kind == "string" or size is None or needs_closer(kind, size) or (limit is not None and size > limit)
            else first_size(kind, size, len(name), limit)
            for name, kind, size in zip(names, kinds, sizes, strict=True)
        ]
        lows = [None if size is None else size.low for size in known]
        return lows, [None if size is None else size.high for size in known]


def _plain(columns: Sequence[Sequence[Any]]) -> bool:
    """Whether every key is there and all of it is told: nearly always so, and seen at once."""
    kinds, ttls, *numbers = columns
    return (
        set(map(type, kinds)) <= {bytes}
        and all(set(map(type, column)) <= {int} for column in (ttls, *numbers))
        and b"none" not in kinds
        and -2 not in ttls
    )
