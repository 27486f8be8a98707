"""Keys as a plan needs them: read by SCAN or by identity, with commands that leave no trace."""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyId, KeyRow
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.rules.selection import name_matches, server_match, server_type, ttl_matches
from redis_oom_tui.store.changing.channel import Channel, Command

_COUNT = 500


@dataclass(frozen=True, slots=True)
class Page:
    """What one step of a walk found: keys walked, the rows that may match, and when they were read (Unix seconds)."""

    walked: int
    rows: list[KeyRow] = field(default_factory=list)
    read_at: float = 0.0
    refused_keys: int = 0


async def pages(
    channel: Channel, criteria: Criteria, *, frequencies: bool, wall: Callable[[], float] = time.time
) -> AsyncGenerator[Page, None]:
    """Walk the channel's database by SCAN; what the criteria can settle by name, type and TTL alone is left out.

    A walk with MATCH does not tell how many keys it passed: `walked` is then SCAN's COUNT, a good guess. `frequencies`
    asks for OBJECT FREQ in place of IDLETIME, for the servers that keep those.
    """
    match, kind = server_match(criteria), server_type(criteria)
    cursor: bytes | int = 0
    while True:
        command: tuple[Any, ...] = ("SCAN", cursor, "COUNT", _COUNT)
        if match is not None:
            command = (*command, "MATCH", match)
        if kind is not None:
            command = (*command, "TYPE", kind)
        cursor, names = await channel.one(*command)
        wanted = [name for name in names if name_matches(criteria, name)]
        page = await rows(channel, wanted, criteria, frequencies=frequencies, wall=wall)
        yield Page(
            walked=len(names) if match is None and kind is None else _COUNT,
            rows=page.rows,
            read_at=page.read_at,
            refused_keys=page.refused_keys,
        )
        if int(cursor) == 0:
            return


async def rows(
    channel: Channel,
    names: Sequence[bytes],
    criteria: Criteria,
    *,
    frequencies: bool,
    wall: Callable[[], float] = time.time,
) -> Page:
    """The keys of `names` that are there and of a wanted type and TTL, read in two round trips."""
    if not names:
        return Page(0, read_at=wall())
    kinds: dict[bytes, tuple[str, int | None]] = {}
    refused = 0
    replies = await channel.call([command for name in names for command in (("TYPE", name), ("PTTL", name))])
    for name, kind, ttl in zip(names, replies[::2], replies[1::2], strict=True):
        if isinstance(kind, TriageError) or isinstance(ttl, TriageError):
            refused += 1
        elif kind != b"none" and ttl != -2:
            text, ttl_ms = kind.decode("ascii", "replace"), None if ttl < 0 else int(ttl)
            if (not criteria.types or text in criteria.types) and ttl_matches(criteria.ttl, ttl_ms):
                kinds[name] = text, ttl_ms
    found = await _sized(channel, kinds, frequencies=frequencies)
    return Page(len(names), found, wall(), refused)


async def _sized(channel: Channel, kinds: dict[bytes, tuple[str, int | None]], *, frequencies: bool) -> list[KeyRow]:
    if not kinds:
        return []
    field_name = "FREQ" if frequencies else "IDLETIME"
    commands: list[Command] = []
    for name in kinds:
        commands += [("MEMORY", "USAGE", name), ("OBJECT", field_name, name)]
    replies = await channel.call(commands)
    found = []
    for (name, (kind, ttl_ms)), size, used in zip(kinds.items(), replies[::2], replies[1::2], strict=True):
        if size is None:
            continue
        known = used if isinstance(used, int) else None
        found.append(
            KeyRow(
                id=KeyId(channel.db, name),
                type=kind,
                size=size if isinstance(size, int) else None,
                ttl_ms=ttl_ms,
                idle_seconds=None if frequencies else known,
                frequency=known if frequencies else None,
            )
        )
    return found


def by_database(keys: Iterable[KeyId]) -> dict[int, list[bytes]]:
    """The names of `keys`, by database, in order."""
    found: dict[int, list[bytes]] = {}
    for key in keys:
        found.setdefault(key.db, []).append(key.key)
    return found
