"""A small sample of the largest families, read without a trace: names, sizes and encodings; values where allowed."""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct, field
from redis.asyncio import Redis

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.values import FamilySample, SampledKey
from redis_oom_tui.rules.headroom import at_once as at_once_of
from redis_oom_tui.rules.key_patterns import compiled_glob, matcher
from redis_oom_tui.rules.sampling import summarize
from redis_oom_tui.rules.sizing import SAMPLES
from redis_oom_tui.server.decode import page
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.room import room_now
from redis_oom_tui.server.scan.page_size import PageSize

_FAMILIES = 40
_KEYS_EACH = 32
_PAGE = 500
_MAX_PAGES = 60
_HEAD_BYTES = 8192
# Sets whose members are read: of few members, and together no larger than so many bytes.
_FEW_MEMBERS, _SMALL_SETS = 10_000, 16 * 1024 * 1024
# A command and what follows the key: first those that never leave a mark, then those for NO-TOUCH only.
_SAFE: tuple[tuple[Any, ...], ...] = (("MEMORY USAGE", "SAMPLES", SAMPLES), ("OBJECT ENCODING",))
_LOOKS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "string": (("STRLEN",), ("GETRANGE", 0, _HEAD_BYTES - 1)),
    "hash": (("HLEN",),),
    "list": (("LLEN",),),
    "set": (("SCARD",), ("SSCAN", 0, "COUNT", 4)),
    "zset": (("ZCARD",),),
}


class _Server(Protocol):
    @property
    def address(self) -> Address: ...

    @property
    def connection(self) -> Connection: ...

    def client(self, db: int = 0) -> Redis: ...

    async def capabilities(self) -> Capabilities: ...


class _Wanted(Struct):
    """A family, and the names found of it."""

    row: PatternRow
    kind: str
    start: bytes
    matcher: re.Pattern[bytes]
    names: list[bytes] = field(default_factory=list)

    def holds(self, name: bytes) -> bool:
        """Whether `name` was counted in this family."""
        if not name.startswith(self.start) or not self.matcher.fullmatch(name):
            return False
        return self.row.select is None or matcher(self.row.select).held([name])[0]


async def sample_families(server: _Server, scan: ScanView) -> tuple[FamilySample, ...]:
    """Samples of the largest families of `scan`: at most 40 families, 32 keys each, 8 KiB a value, 60 pages a database.

    Values and lengths are read only where CLIENT NO-TOUCH keeps their idle times. Raises one of `models.errors`.
    """
    capabilities = await server.capabilities()
    wanted, stated = _largest(scan.patterns), server.connection.stated_limit_bytes
    found: list[FamilySample] = []
    for db in sorted({family.row.db or 0 for family in wanted}):
        here = [family for family in wanted if (family.row.db or 0) == db]
        client = server.client(db)
        with translated(server.address, "SCAN"):
            await _gather(client, here)
            reads = capabilities.has(Feature.NO_TOUCH)
            found += [await _sample(client, family, stated, reads=reads) for family in here if family.names]
    return tuple(found)


def _largest(rows: Sequence[PatternRow]) -> list[_Wanted]:
    """The largest families that no smaller row divides, and that are of one type."""
    parents = {(row.db, row.parent) for row in rows if row.parent is not None}
    leaves = [row for row in rows if (row.db, row.pattern) not in parents and row.types]
    leaves.sort(key=lambda row: -row.size)
    wanted: list[_Wanted] = []
    for row in leaves:
        kind, count = max(row.types, key=lambda item: item[1])
        if kind in _LOOKS and count >= 0.9 * row.keys and len(wanted) < _FAMILIES:
            start = re.split(rb"[*?\[\\]", row.match, maxsplit=1)[0]
            wanted.append(_Wanted(row, kind, start, compiled_glob(row.match)))
    return wanted


async def _gather(client: "Redis", families: list[_Wanted]) -> None:
    """One walk for all of them, until each has its keys or enough pages were read."""
    cursor = 0
    short = families
    pages = PageSize()
    for _ in range(_MAX_PAGES):
        size = pages.count(_PAGE)
        cursor, names = page(await client.execute_command("SCAN", cursor, "COUNT", size))
        pages.came(names, size)
        for name in names:
            family = next((one for one in short if one.holds(name)), None)
            if family is not None and len(family.names) < _KEYS_EACH:
                family.names.append(name)
        short = [family for family in short if len(family.names) < min(_KEYS_EACH, family.row.keys)]
        if not cursor or not short:
            return


async def _sample(client: "Redis", family: _Wanted, stated: int | None, *, reads: bool) -> FamilySample:
    room = await room_now(client, stated) if reads else None
    # Of each value at most its head comes; the members of a set are of any length.
    at_once = max(1, at_once_of(room, _KEYS_EACH * _HEAD_BYTES) // _HEAD_BYTES)
    keys: list[SampledKey] = []
    for start in range(0, len(family.names), at_once):
        names = family.names[start : start + at_once]
        looks = _LOOKS[family.kind] if reads else ()
        if reads and family.kind == "set" and not await _small(client, names, room):
            looks = looks[:1]
        asked = (*_SAFE, *looks)
        pipeline = client.pipeline(transaction=False)
        for name in names:
            for command, *more in asked:
                pipeline.execute_command(command, name, *more)
        replies = await pipeline.execute(raise_on_error=False)
        width = len(asked)
        keys += [_key(name, replies[n * width : (n + 1) * width]) for n, name in enumerate(names)]
    return summarize(family.row.pattern, family.kind, keys, db=family.row.db or 0)


async def _small(client: "Redis", names: Sequence[bytes], room: int | None) -> bool:
    """Whether these sets are so small, all members looked at, that the replies about their members have room."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.execute_command("SCARD", name)
    lengths = await pipeline.execute(raise_on_error=False)
    if not all(isinstance(length, int) and length <= _FEW_MEMBERS for length in lengths):
        return False
    for name in names:
        pipeline.execute_command("MEMORY USAGE", name, "SAMPLES", 0)
    sizes = await pipeline.execute(raise_on_error=False)
    known = [size for size in sizes if isinstance(size, int)]
    return len(known) == len(sizes) and sum(known) <= at_once_of(room, _SMALL_SETS)


def _key(name: bytes, replies: list[Any]) -> SampledKey:
    size, encoding, length, head = (*replies, None, None)[:4]
    if isinstance(head, list):
        # SSCAN's cursor and members.
        members = head[1] if len(head) > 1 and isinstance(head[1], list) else ()
        head = next(iter(members), None)
    return SampledKey(
        name=name,
        size=size if isinstance(size, int) else None,
        encoding=encoding.decode("ascii", "replace") if isinstance(encoding, bytes) else None,
        length=length if isinstance(length, int) else None,
        head=head if isinstance(head, bytes) else None,
    )
