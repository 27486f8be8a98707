"""A closer look at one key: its row and the start of its value, read without a trace unless one is allowed."""

import functools
from collections.abc import Sequence
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio import Redis

from redis_oom_tui.formatting.sizes import size as size_words
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow, SizeKind
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.headroom import has_room
from redis_oom_tui.rules.sizing import SAMPLES, SizeAnswer, judged, most_of_all
from redis_oom_tui.server.client import borrowed
from redis_oom_tui.server.errors import translated, waits
from redis_oom_tui.server.replies import (
    ROOM_QUESTIONS,
    array,
    data,
    group_health,
    integer_or_none,
    room_in,
    strings,
    text_or_none,
)
from redis_oom_tui.server.scan.aggregates import with_size
from redis_oom_tui.server.scan.connection import ScanServer
from redis_oom_tui.server.sizing import LENGTHS, Known, Sizer, Words, worth_asking
from redis_oom_tui.server.tasks import not_busy

_ELEMENTS = 5
_BYTES = 256
# A first look must not pull a giant element through a slow link, nor block the server while it is copied.
_LARGEST_ELEMENT = 64 * 1024
# All elements are weighed only up to so many: at 0.1 to 0.5 µs each, that blocks the server for less than 5 ms.
_FEW_ELEMENTS = 10_000


class DetailsServer(ScanServer, Protocol):
    """What a closer look needs of a live server."""

    def client(self, db: int = 0, *, changing: bool = False) -> Redis:
        """The client of one database; `changing` may leave traces, unless under --read-only."""


async def details(server: DetailsServer, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
    """The key as it is now; None where it is gone. A busy server is waited for. Raises one of `models.errors`.

    The value is read where CLIENT NO-TOUCH keeps that from being a use of the key, and with `touch` in any case.
    """
    return await not_busy(lambda: _details(server, key, touch=touch))


async def _details(server: DetailsServer, key: KeyId, *, touch: bool) -> KeyDetails | None:
    client = server.client(key.db)
    with translated(server.address, "TYPE"):
        row = await _row(client, key)
        if row is None:
            return None
        known = await server.capabilities()
        why_not = known.why_not(Feature.NO_TOUCH)
        if why_not is not None and touch:
            client = server.client(key.db, changing=True)
        reads = why_not is None or touch
        row = await _measured(client, row, await _limit(server), untouched=reads)
        if reads:
            found = await _with_value(client, row, server.connection.stated_limit_bytes)
            if row.type == "stream":
                groups = await group_health(functools.partial(_answers, client), key.key)
                found = replace(found, groups=groups)
        else:
            touchable = row.type in LENGTHS and not server.connection.read_only
            found = KeyDetails(row, preview_withheld=_withheld(row, why_not), touchable=touchable)
        return replace(found, ttl_known=known.has(Feature.TTL))


def _withheld(row: KeyRow, why_not: str | None) -> str:
    """Why the value is not read: what that would do to what the server knows of the key's use."""
    does = "reset its idle time" if row.frequency is None else "raise its access frequency"
    return f"reading the value would {does}, as CLIENT NO-TOUCH is not available here: {why_not}"


async def _limit(server: DetailsServer) -> int | None:
    """What no key can exceed; None where the server does not tell."""
    try:
        memory = (await server.snapshot()).memory
    except TriageError:
        return None
    return most_of_all(memory.used_bytes, memory.startup_bytes)


async def _measured(client: Redis, row: KeyRow, limit: int | None, *, untouched: bool) -> KeyRow:
    """`row` with a size that can be believed, measured as a scan and a plan measure it."""
    if row.size is None:
        return row
    known = Known(row.id.key, row.type, row.size, row.encoding)

    async def ask(commands: Sequence[Words]) -> list[Any]:
        return await _answers(client, commands)

    if worth_asking(known):
        return with_size(row, await Sizer(ask, untouched=untouched, limit=limit).alone(known))
    first = SizeAnswer(SAMPLES, row.size)
    return with_size(row, judged(row.type, (first,), encoding=row.encoding, name_bytes=len(row.id.key), limit=limit))


async def _row(client: Redis, key: KeyId) -> KeyRow | None:
    asked = (
        ("TYPE", key.key),
        ("MEMORY", "USAGE", key.key, "SAMPLES", SAMPLES),
        ("PTTL", key.key),
        ("OBJECT", "ENCODING", key.key),
        ("OBJECT", "IDLETIME", key.key),
        ("OBJECT", "FREQ", key.key),
    )
    kind, size, ttl, encoding, idle, frequency = await _answers(client, asked)
    if isinstance(kind, Exception):
        raise kind
    if text_or_none(kind) in (None, "none") or ttl == -2:
        return None
    return KeyRow(
        key,
        text_or_none(kind) or "?",
        integer_or_none(size),
        None if not isinstance(ttl, int) or ttl < 0 else ttl,
        idle_seconds=integer_or_none(idle),
        frequency=integer_or_none(frequency),
        encoding=text_or_none(encoding),
    )


async def _with_value(client: Redis, row: KeyRow, stated: int | None) -> KeyDetails:
    length = LENGTHS.get(row.type)
    if length is None:
        return KeyDetails(row, preview_withheld=f"a value of type {row.type} is not shown")
    elements = integer_or_none((await _answers(client, ((length, row.id.key),)))[0])
    counted = replace(row, elements=elements)
    each = (row.size or 0) / max(1, elements or 1)
    if row.type != "string" and row.size is None:
        return KeyDetails(counted, preview_withheld="its size is not known here, so reading it might be too much")
    if row.type != "string" and each > _LARGEST_ELEMENT:
        return KeyDetails(counted, preview_withheld=f"its elements average {size_words(int(each))}: too much to show")
    if row.type != "string" and (withheld := await _too_much(client, counted, stated)):
        return KeyDetails(counted, preview_withheld=withheld)
    answer = (await _answers(client, (_first_elements(row),)))[0]
    if isinstance(answer, Exception):
        return KeyDetails(counted, preview_withheld=f"the server did not show it: {answer}")
    return KeyDetails(counted, preview=tuple(part[:_BYTES] for part in _parts(row.type, answer)))


async def _too_much(client: Redis, row: KeyRow, stated: int | None) -> str | None:
    """Why the first elements might be more than there is room for; None where they cannot, or it costs nobody anything.

    The size of all elements bounds that of any of them; where it is not known yet, it is asked for if they are few.
    """
    free_bytes = room_in(await _answers(client, ROOM_QUESTIONS), stated)
    if free_bytes is None:
        return None
    free = f"and {size_words(free_bytes)} are free below maxmemory: reading them might cost other keys, or writes"
    whole = row.size if row.size_kind is SizeKind.EXACT else None
    if whole is None and (row.elements is None or row.elements > _FEW_ELEMENTS):
        return f"any of its many elements may be large, {free}"
    if whole is None:
        whole = integer_or_none((await _answers(client, (("MEMORY", "USAGE", row.id.key, "SAMPLES", "0"),)))[0])
    if whole is None or not has_room(whole, free_bytes):
        return f"its elements may be as large as {size_words(whole)}, {free}"
    return None


def _first_elements(row: KeyRow) -> tuple[Any, ...]:
    key = row.id.key
    commands: dict[str, tuple[Any, ...]] = {
        "string": ("GETRANGE", key, 0, _BYTES - 1),
        "list": ("LRANGE", key, 0, _ELEMENTS - 1),
        "hash": ("HSCAN", key, 0, "COUNT", _ELEMENTS),
        "set": ("SSCAN", key, 0, "COUNT", _ELEMENTS),
        "zset": ("ZSCAN", key, 0, "COUNT", _ELEMENTS),
        "stream": ("XRANGE", key, "-", "+", "COUNT", _ELEMENTS),
    }
    return commands[row.type]


def _parts(kind: str, answer: object) -> list[bytes]:
    """The first elements, flat: fields beside their values, members beside their scores. Raises InvalidResponse."""
    if kind == "string":
        return [data(answer)]
    if kind == "stream":
        entries = [array(entry, 2) for entry in array(answer)[:_ELEMENTS]]
        return strings([part for name, fields in entries for part in (name, *array(fields))])
    if kind == "list":
        return strings(answer)
    pairs = 1 if kind == "set" else 2
    return strings(array(answer, 2)[1])[: _ELEMENTS * pairs]


async def _answers(client: Redis, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The raw answers, refusals in their places: redis-py would turn some into its own shapes."""
    async with borrowed(client) as connection:
        await connection.send_packed_command(connection.pack_commands(asked))
        return [await _answer(connection) for _ in asked]


async def _answer(connection: Any) -> Any:
    try:
        return await connection.read_response(disconnect_on_error=False)
    except exceptions.ResponseError as error:
        if waits(error):
            raise
        return error
