"""What servers answer, taken apart: no reply is believed before it was looked at, whoever it came from.

A broken reply raises what redis-py raises for a broken protocol, which `errors.translated` makes one of ours; a refusal
among the replies is raised as it is. Of the settings a handful is asked for, and never one that holds a secret.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import ClientBuffer, SlotStats
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.keys import ConsumerHealth, GroupHealth
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.headroom import headroom_in

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline


_LARGEST_CURSOR = 2**64


def data(reply: object) -> bytes:
    """A bulk or simple string."""
    if isinstance(reply, bytes):
        return reply
    raise _unexpected(reply, "a string")


def whole(reply: object) -> int:
    """An integer."""
    if isinstance(reply, int):
        return reply
    raise _unexpected(reply, "an integer")


def array(reply: object, length: int | None = None) -> list[Any]:
    """An array, of `length` items where that is given."""
    if isinstance(reply, list) and (length is None or len(reply) == length):
        return reply
    raise _unexpected(reply, "an array" if length is None else f"an array of {length}")


def strings(reply: object) -> list[bytes]:
    """An array of strings."""
    found = array(reply)
    # Asked of every page of a scan: the types of all at once, in C.
    if set(map(type, found)) <= {bytes}:
        return found
    raise _unexpected(found, "an array of strings")


def page(reply: object) -> tuple[int, list[bytes]]:
    """The next cursor and the names of a SCAN."""
    cursor, names = array(reply, 2)
    if isinstance(cursor, bytes) and cursor.isdigit() and len(cursor) <= 20 and int(cursor) < _LARGEST_CURSOR:
        return int(cursor), strings(names)
    raise _unexpected(cursor, "a cursor")


def pairs(reply: object) -> dict[bytes, bytes]:
    """An array of names and values in turn; empty where an odd number came."""
    found = strings(reply)
    if len(found) % 2:
        raise _unexpected(found, "names and values")
    return dict(zip(found[::2], found[1::2], strict=True))


def at_least(reply: object, length: int) -> Sequence[Any]:
    """An array of `length` items or more."""
    found = array(reply)
    if len(found) < length:
        raise _unexpected(found, f"an array of {length} or more")
    return found


def _unexpected(reply: object, wanted: str) -> Exception:
    from redis import exceptions  # noqa: PLC0415 - `check` does without the driver

    if isinstance(reply, exceptions.RedisError):
        return reply
    return exceptions.InvalidResponse(f"{wanted} was expected, and {type(reply).__name__} came")


ROOM_QUESTIONS: tuple[tuple[bytes, ...], ...] = tuple(
    (b"INFO", section) for section in (b"memory", b"keyspace", b"replication")
)
"""What is asked to know what is free for replies."""

_WHOLE = re.compile(r"-?[0-9]{1,18}")


def info_in(reply: bytes) -> dict[str, object]:
    """INFO's fields, their values left as text; `a=1,b=2` becomes a mapping.

    >>> info_in(b"# Keyspace\\r\\nused_memory:12\\r\\ndb0:keys=3,expires=1\\r\\n")
    {'used_memory': '12', 'db0': {'keys': '3', 'expires': '1'}}
    """
    fields: dict[str, object] = {}
    modules = []
    for line in as_text(reply).splitlines():
        name, colon, value = line.partition(":")
        if name == "module":
            # The one name that stands there several times.
            modules.append(_pairs(value))
        elif colon and not line.startswith("#"):
            fields[name] = _pairs(value) if "=" in value else value
    return fields | {"modules": modules} if modules else fields


def room_in(replies: Iterable[object], stated_limit: int | None) -> int | None:
    """Bytes free below maxmemory by the replies to `ROOM_QUESTIONS`; None where nothing bounds a reply, 0 where INFO is
    refused. `stated_limit` is the operator's word for the limit of a server that tells none.
    """
    texts = [reply for reply in replies if isinstance(reply, bytes)]
    if len(texts) < len(ROOM_QUESTIONS):
        return 0
    return headroom_in(info_in(b"\n".join(texts)), stated_limit)


def _pairs(value: str) -> dict[str, str]:
    return {name: held for name, _, held in (pair.rpartition("=") for pair in value.split(","))}


def clients_in(reply: bytes) -> list[dict[str, str]]:
    """CLIENT LIST's lines. A value may hold spaces: the path of a unix socket does.

    >>> clients_in(b"id=3 addr=/a b/c:0 name= cmd=get\\n")
    [{'id': '3', 'addr': '/a b/c:0', 'name': '', 'cmd': 'get'}]
    """
    return [_client(line) for line in as_text(reply).splitlines() if "=" in line]


def _client(line: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for word in line.split(" "):
        name, equals, value = word.partition("=")
        if equals:
            fields[name], last = value, name
        elif last:
            fields[last] += f" {word}"
    return fields


def client_buffers(lines: Iterable[Mapping[str, str]]) -> tuple[ClientBuffer, ...]:
    """What each client holds, the largest holders of memory first."""
    return tuple(sorted(map(_client_buffer, lines), key=lambda buffer: -buffer.total_bytes))


def _client_buffer(line: Mapping[str, str]) -> ClientBuffer:
    def number(field: str) -> int:
        text = str(line.get(field, "0"))
        return int(text) if _WHOLE.fullmatch(text) else 0

    def raw(field: str) -> bytes:
        return str(line.get(field, "")).encode("utf-8", "surrogateescape")

    output = number("omem")
    # Of a command that is still arriving, the arguments that are whole are no longer in its query buffer.
    query = number("qbuf") + number("qbuf-free") + number("argv-mem")
    return ClientBuffer(
        id=number("id"),
        address=str(line.get("addr", "")),
        name=raw("name"),
        library=raw("lib-name"),
        user=raw("user"),
        command=raw("cmd"),
        flags=str(line.get("flags", "")),
        total_bytes=max(number("tot-mem"), output + query),
        output_bytes=output,
        query_bytes=query,
        queued_bytes=number("multi-mem"),
        queued_commands=number("multi"),
        # What its socket is watched for: to be written to.
        unread="w" in str(line.get("events", "")),
        age_seconds=number("age"),
        idle_seconds=number("idle"),
        subscriptions=number("sub") + number("psub") + number("ssub"),
    )


# Redis 6.2 takes one pattern per CONFIG GET; these reach only sizes, counts and choices.
PATTERNS = (
    "maxmemory*",
    "lazyfree-lazy-*",
    "*-max-[lzi]*",
    "act*",
    "repl-backlog-size",
    "replica-ignore-maxmemory",
    "min-replicas-to-write",
    "stop-writes-on-bgsave-error",
    "save",
)
"""What CONFIG GET is asked for, one at a time."""
_DIGITS = 20


async def read_settings(client: "Redis") -> Mapping[str, str]:
    """Settings by name; those that may not be read are left out, all of them where CONFIG is not to be had.

    Raises redis-py's errors.
    """
    pipeline = client.pipeline(transaction=False)
    ask_settings(pipeline)
    return settings_in(await pipeline.execute(raise_on_error=False))


_SLOTS = 3


async def heaviest_slots(client: "Redis") -> tuple[SlotStats, ...] | str:
    """A node's slots with most memory, or with most keys where it does not count memory by slot; where it does not
    tell, why, as a clause. Raises redis-py's errors.
    """
    pipeline = client.pipeline(transaction=False)
    for metric in ("MEMORY-BYTES", "KEY-COUNT"):
        pipeline.execute_command("CLUSTER", "SLOT-STATS", "ORDERBY", metric, "LIMIT", _SLOTS, "DESC")
    replies = await pipeline.execute(raise_on_error=False)
    found = next((reply for reply in replies if isinstance(reply, list)), None)
    if found is not None:
        return tuple(stats for entry in found for stats in _slot_stats(entry) if stats.keys)
    from redis.exceptions import NoPermissionError  # noqa: PLC0415 - `check` reads replies before redis-py is there

    if any(isinstance(reply, NoPermissionError) for reply in replies):
        return "this user may not run CLUSTER SLOT-STATS"
    return "CLUSTER SLOT-STATS (Valkey 8.0, Redis 8.2) is not available here"


def _slot_stats(entry: object) -> Iterator[SlotStats]:
    match entry:
        case [int(slot), list(pairs)]:
            figures = dict(zip(pairs[::2], pairs[1::2], strict=False))
            keys, held = figures.get(b"key-count"), figures.get(b"memory-bytes")
            if isinstance(keys, int):
                yield SlotStats(slot, keys, held if isinstance(held, int) else None)


def ask_settings(pipeline: "Pipeline") -> int:
    """Add the questions to `pipeline`; returns how many replies they have."""
    for pattern in PATTERNS:
        pipeline.execute_command("CONFIG GET", pattern)
    return len(PATTERNS)


def settings_in(replies: Iterable[object]) -> Mapping[str, str]:
    """What the replies to those questions tell; a refused one tells nothing."""
    settings: dict[str, str] = {}
    for reply in replies:
        words = reply if isinstance(reply, list) and all(isinstance(word, bytes) for word in reply) else ()
        pairs = zip(words[::2], words[1::2], strict=False)
        # No setting is a number of so many digits, and Python itself refuses to read the longest of them.
        settings |= {as_text(name): as_text(value) for name, value in pairs if not _endless(value)}
    return MappingProxyType(settings)


def refused_settings(replies: Iterable[object]) -> Capabilities:
    """CONFIG GET as missing, in the server's words, where every one of those questions was refused.

    >>> refused_settings([ValueError("ERR unknown command 'CONFIG', with args beginning with: 'GET'")]).missing
    mappingproxy({<Feature.CONFIG_GET: 'CONFIG GET'>: "unknown command 'CONFIG'"})
    """
    known = Capabilities()
    asked = list(replies)
    if not asked or not all(isinstance(reply, Exception) for reply in asked):
        return known
    refusal = str(asked[0]).partition(", with args")[0].removeprefix("ERR ").removeprefix("NOPERM ")
    return known.without(Feature.CONFIG_GET, safe_text(refusal, 200))


def _endless(value: bytes) -> bool:
    return len(value) > _DIGITS and value.isdigit()


def as_text(word: object) -> str:
    """A reply for people: bytes that are no UTF-8 are replaced."""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def text_or_none(reply: object) -> str | None:
    """A string, None for anything else, such as a refusal."""
    return reply.decode("latin-1") if isinstance(reply, bytes) else None


def integer_or_none(reply: object) -> int | None:
    """A number, None for anything else, such as a refusal."""
    return reply if isinstance(reply, int) else None


Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
"""Sends commands and returns the raw replies, refusals in their places."""
# The reply is some 100 bytes a consumer, and groups were seen with hundreds of thousands.
_MOST_GROUPS, _MOST_CONSUMERS = 50, 1000


async def group_health(ask: Ask, key: bytes, *, most: int | None = None) -> tuple[GroupHealth, ...]:
    """The groups of a stream; of a group with very many consumers only their number, and so of all but some groups,
    those with most pending entries. Empty where that is refused.

    With `most`, no more than so many consumers are asked for in all groups together.
    """
    (raw,) = await ask([("XINFO", "GROUPS", key)])
    if not isinstance(raw, list):
        return ()
    groups = [_group(_fields(one)) for one in raw]
    asked, left = list[bytes](), most
    for group in sorted(groups, key=lambda group: -group.pending)[:_MOST_GROUPS]:
        if 0 < group.consumers <= (_MOST_CONSUMERS if left is None else min(left, _MOST_CONSUMERS)):
            asked.append(group.name)
            left = None if left is None else left - group.consumers
    replies = await ask([("XINFO", "CONSUMERS", key, name) for name in asked]) if asked else []
    known = {name: _consumers(reply) for name, reply in zip(asked, replies, strict=True)}
    return tuple(replace(group, known=known.get(group.name, ())) for group in groups)


def _group(fields: Mapping[bytes, Any]) -> GroupHealth:
    lag = fields.get(b"lag")
    name, consumers, pending = data(fields.get(b"name")), whole(fields.get(b"consumers")), whole(fields.get(b"pending"))
    return GroupHealth(name, consumers, pending, None if lag is None else whole(lag))


def _consumers(reply: Any) -> tuple[ConsumerHealth, ...]:
    if not isinstance(reply, list):
        return ()
    found = map(_fields, reply)
    return tuple(
        ConsumerHealth(data(one.get(b"name")), whole(one.get(b"pending")), whole(one.get(b"idle")) // 1000)
        for one in found
    )


def _fields(reply: object) -> Mapping[bytes, Any]:
    """One group or consumer, told as names and values in turn; raises redis-py's InvalidResponse for another form."""
    found = array(reply)
    return dict(zip(strings(found[::2]), found[1::2], strict=False))
