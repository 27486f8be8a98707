"""Elements of one key: read in pieces, and removed by a script that first sees that they are still the same.

Each script removes what it was told only where the next elements, and the last of all that are to go, are those of the
plan. The commands in them (XTRIM, LTRIM, ZREMRANGEBYRANK, HDEL, SREM) are allowed at OOM.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.stepped import Element, ListEnd
from redis_oom_tui.rules.shrinking import MOST_COUNTED, id_number, next_id
from redis_oom_tui.server.mutations.connections import Command, ExclusiveConnection, Word
from redis_oom_tui.server.mutations.replies import nonsense, server_time
from redis_oom_tui.server.mutations.script_calls import ScriptCall, ScriptCaller
from redis_oom_tui.server.mutations.scripts import lean

LENGTHS = {"list": "LLEN", "stream": "XLEN", "zset": "ZCARD", "hash": "HLEN", "set": "SCARD"}


class KeyState(NamedTuple):
    """A key as it is now: its type, elements, MEMORY USAGE, when it expires, and the server's time (Unix ms)."""

    type: str
    elements: int
    size: int | None
    expires_ms: int | None
    now_ms: int


class Removal(NamedTuple):
    """What a call is to remove: `chunk` are the next elements, `newest` the last of all that go, with those of the
    chunk `left` in number.
    """

    chunk: Sequence[Element]
    left: int
    newest: Element


class RemovalReply(NamedTuple):
    """How many went and how many the key has now; `changed` where it was not as expected, and nothing went."""

    removed: int
    elements: int
    changed: bool = False


async def key_state(channel: ExclusiveConnection, key: bytes) -> KeyState | None:
    """The key now; None where it is gone. Raises BadInput for a type of which no elements are known."""
    kind = await channel.one("TYPE", key)
    if kind == b"none":
        return None
    name = safe_text(kind, 20) if isinstance(kind, bytes) else "?"
    if name not in LENGTHS:
        raise BadInput(f"The key is a {name}: only {', '.join(sorted(LENGTHS))} can be shrunk")
    length, usage, ttl = await channel.call([(LENGTHS[name], key), ("MEMORY", "USAGE", key), ("PTTL", key)])
    if isinstance(length, TriageError):
        raise length
    now_ms = (await server_time(channel)).ms
    expires_ms = now_ms + ttl if isinstance(ttl, int) and ttl >= 0 else None
    return KeyState(name, int(length), usage if isinstance(usage, int) else None, expires_ms, now_ms)


async def first_elements(
    channel: ExclusiveConnection, key: bytes, kind: str, number: int, end: ListEnd | None = None, *, start: int = 0
) -> list[Element]:
    """So many elements of an ordered key from the oldest on, or from position `start` on. Raises `models.errors`."""
    if kind == "stream":
        return [_entry(entry) for entry in await channel.one("XRANGE", key, "-", "+", "COUNT", number)]
    if kind == "zset":
        return _scored(await channel.one("ZRANGE", key, start, start + number - 1, "WITHSCORES"))
    if end is ListEnd.RIGHT:
        found = await channel.one("LRANGE", key, -start - number, -start - 1)
        return [(element,) for element in reversed(found)]
    return [(element,) for element in await channel.one("LRANGE", key, start, start + number - 1)]


async def named_elements(
    channel: ExclusiveConnection, key: bytes, kind: str, names: Sequence[bytes]
) -> list[Element | None]:
    """The fields of a hash with their values, or the members of a set; None for each that is not there."""
    if kind == "hash":
        values = await channel.one("HMGET", key, *names)
        (ends,) = await ScriptCaller(channel).call(ScriptCall(_FIELD_ENDS, [b"1", key, *names]))
        if not isinstance(ends, list) or len(ends) != len(names):
            ends = [-1] * len(names)
        return [
            None if value is None else (name, value, *([b"%d" % end] if end > 0 else []))
            for name, value, end in zip(names, values, ends, strict=True)
        ]
    there = await channel.one("SMISMEMBER", key, *names)
    return [(name,) if is_there else None for name, is_there in zip(names, there, strict=True)]


async def still_there(
    channel: ExclusiveConnection,
    key: bytes,
    kind: str,
    chunk: Sequence[Element],
    behind: Sequence[Element],
    end: ListEnd | None = None,
) -> bool | None:
    """Whether all of `chunk`, whose removal had no answer, is in the key; None where that cannot be told.

    `behind` are elements that follow it in a list, whose elements may be alike. Raises one of `models.errors`.
    """
    if kind in {"hash", "set"}:
        named = await named_elements(channel, key, kind, [element[0] for element in chunk])
        there, gone = named == list(chunk), not any(named)
    else:
        found = await first_elements(channel, key, kind, len(chunk), end)
        there = found == list(chunk)
        gone = not {element[0] for element in found} & {element[0] for element in chunk}
        if kind == "list":
            behind = behind[: len(chunk)]
            gone = bool(behind) and found[: len(behind)] == list(behind)
    return there if there is not gone else None


async def matching_elements(
    channel: ExclusiveConnection, key: bytes, kind: str, glob: bytes, number: int
) -> AsyncIterator[list[Element]]:
    """The fields or members that match `glob`, about `number` a page; one may come twice."""
    cursor: Word = 0
    while True:
        command: Command = ("HSCAN" if kind == "hash" else "SSCAN", key, cursor, "MATCH", glob, "COUNT", number)
        cursor, page = await channel.one(*command)
        yield list(zip(page[::2], page[1::2], strict=True)) if kind == "hash" else [(member,) for member in page]
        if int(cursor) == 0:
            return


async def entry_pages(
    channel: ExclusiveConnection,
    key: bytes,
    number: int,
    *,
    newest_first: bool = False,
    begin: bytes = b"-",
    end: bytes = b"+",
) -> AsyncIterator[list[Element]]:
    """The entries of a stream from `begin` to `end`, at most `number` a page."""
    start = end if newest_first else begin
    while True:
        if newest_first:
            page = await channel.one("XREVRANGE", key, start, begin, "COUNT", number)
        else:
            page = await channel.one("XRANGE", key, start, end, "COUNT", number)
        if page:
            yield [_entry(entry) for entry in page]
        if len(page) < number:
            return
        start = b"(" + page[-1][0]


async def count_scores_below(channel: ExclusiveConnection, key: bytes, score: float) -> int:
    """How many members have a lower score."""
    return int(await channel.one("ZCOUNT", key, "-inf", f"({score!r}"))


class StreamGroup(NamedTuple):
    """A consumer group, and what it has to do with the entries up to an id: pending ones, and those not read yet. Both
    are counted up to `MOST_COUNTED`.
    """

    name: bytes
    pending: int
    unread: int


async def groups_up_to(channel: ExclusiveConnection, key: bytes, newest: bytes, number: int) -> list[StreamGroup]:
    """The groups of a stream and what each has of the entries up to `newest`; at most `number` entries are read at a
    time. Raises one of `models.errors`.
    """
    found = []
    for raw in await channel.one("XINFO", "GROUPS", key):
        facts = dict(zip(raw[::2], raw[1::2], strict=False))
        name, delivered = facts[b"name"], facts[b"last-delivered-id"]
        pending: Sequence[Any] = ()
        if facts[b"pending"]:
            pending = await channel.one("XPENDING", key, name, "-", newest, MOST_COUNTED)
        unread = 0
        if id_number(delivered) < id_number(newest):
            async for page in entry_pages(channel, key, number, begin=b"(" + delivered, end=newest):
                unread += len(page)
                if unread >= MOST_COUNTED:
                    break
        found.append(StreamGroup(name, len(pending), min(unread, MOST_COUNTED)))
    return found


def _entry(raw: Any) -> Element:
    # An entry that was deleted behind a group's back has no fields.
    return (raw[0], *(raw[1] or ()))


def _scored(raw: Sequence[bytes]) -> list[Element]:
    return list(zip(raw[::2], raw[1::2], strict=True))


def digest(elements: Iterable[Element]) -> bytes:
    """The SHA-1 of elements, as the scripts work it out on the server."""
    packed = b"".join([b"%d:%b" % (len(part), part) for element in elements for part in element])
    return hashlib.sha1(packed, usedforsecurity=False).hexdigest().encode()


# ARGV: how many go by this call, the digest of these, how many are left with these, the digest of the last of them;
# then what the type needs besides. The reply: how many went, how many the key has now; -1 where it is not as expected.
_SAME = """
local key, n, left = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3])
local function digest(parts)
  local out = {}
  for i, part in ipairs(parts) do out[i] = #part .. ':' .. part end
  return redis.sha1hex(table.concat(out))
end
local function is_of(kind)
  local found = redis.call('TYPE', key)
  return (found.ok or found) == kind
end
"""

_LIST = """
if not is_of('list') then return {-1, 0} end
local length = redis.call('LLEN', key)
local chunk, last
if ARGV[5] == 'left' then
  chunk, last = redis.call('LRANGE', key, 0, n - 1), redis.call('LRANGE', key, left - 1, left - 1)
else
  local found = redis.call('LRANGE', key, -n, -1)
  chunk = {}
  for i = #found, 1, -1 do chunk[#chunk + 1] = found[i] end
  last = redis.call('LRANGE', key, -left, -left)
end
if length <= left or digest(chunk) ~= ARGV[2] or digest(last) ~= ARGV[4] then return {-1, length} end
if ARGV[5] == 'left' then redis.call('LTRIM', key, n, -1) else redis.call('LTRIM', key, 0, -n - 1) end
local now = redis.call('LLEN', key)
return {length - now, now}
"""

_ZSET = """
if not is_of('zset') then return {-1, 0} end
local length = redis.call('ZCARD', key)
local chunk = redis.call('ZRANGE', key, 0, n - 1, 'WITHSCORES')
local last = redis.call('ZRANGE', key, left - 1, left - 1, 'WITHSCORES')
if length <= left or digest(chunk) ~= ARGV[2] or digest(last) ~= ARGV[4] then return {-1, length} end
local went = redis.call('ZREMRANGEBYRANK', key, 0, n - 1)
return {went, redis.call('ZCARD', key)}
"""

# The last of all needs no look here: an ID is never used again.
_STREAM = """
if not is_of('stream') then return {-1, 0} end
local parts = {}
for _, entry in ipairs(redis.call('XRANGE', key, '-', '+', 'COUNT', n)) do
  parts[#parts + 1] = entry[1]
  for _, part in ipairs(entry[2] or {}) do parts[#parts + 1] = part end
end
if digest(parts) ~= ARGV[2] then return {-1, redis.call('XLEN', key)} end
local went = redis.call('XTRIM', key, 'MINID', ARGV[5])
return {went, redis.call('XLEN', key)}
"""

_HASH = """
if not is_of('hash') then return {-1, 0} end
local names, parts = {unpack(ARGV, 5)}, {}
local values = redis.call('HMGET', key, unpack(names))
for i, name in ipairs(names) do
  parts[#parts + 1] = name
  if values[i] then parts[#parts + 1] = values[i] end
end
local length = redis.call('HLEN', key)
if length <= n or digest(parts) ~= ARGV[2] then return {-1, length} end
local went = redis.call('HDEL', key, unpack(names))
return {went, redis.call('HLEN', key)}
"""

_SET = """
if not is_of('set') then return {-1, 0} end
local members = {unpack(ARGV, 5)}
local length = redis.call('SCARD', key)
if length <= n then return {-1, length} end
for _, there in ipairs(redis.call('SMISMEMBER', key, unpack(members))) do
  if there ~= 1 then return {-1, length} end
end
local went = redis.call('SREM', key, unpack(members))
return {went, redis.call('SCARD', key)}
"""

# When each field expires (Unix ms), from Redis 7.4 and Valkey 9.0 on; an error where no field can.
_FIELD_ENDS = b"return redis.pcall('HPEXPIRETIME', KEYS[1], 'FIELDS', #ARGV, unpack(ARGV))"

_REMOVE = {
    kind: lean(_SAME + script)
    for kind, script in (("list", _LIST), ("zset", _ZSET), ("stream", _STREAM), ("hash", _HASH), ("set", _SET))
}


def removing(key: bytes, kind: str, removal: Removal, end: ListEnd | None = None) -> ScriptCall:
    """The call that removes the chunk where the key is still as read."""
    more: list[bytes] = []
    if kind == "list":
        more = [(end or ListEnd.LEFT).value.encode()]
    elif kind == "stream":
        more = [next_id(removal.chunk[-1][0])]
    elif kind in {"hash", "set"}:
        more = [element[0] for element in removal.chunk]
    # When a field expires is no part of its value.
    chunk = (element[:2] for element in removal.chunk) if kind == "hash" else removal.chunk
    facts = [b"%d" % len(removal.chunk), digest(chunk), b"%d" % removal.left, digest([removal.newest])]
    return ScriptCall(_REMOVE[kind], [b"1", key, *facts, *more])


def removed(reply: object) -> RemovalReply:
    """What a call came to. Raises what the server refused it with, NotRedis for what no server answers."""
    if isinstance(reply, TriageError):
        raise reply
    if isinstance(reply, list) and len(reply) == 2 and all(isinstance(number, int) for number in reply):
        went, elements = reply
        return RemovalReply(max(0, went), elements, changed=went < 0)
    raise nonsense()
