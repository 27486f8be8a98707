"""Putting back expiries, where they are still the ones we set, and elements, where nothing newer stands.

What is said to be there again was read again. All times are the server's.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis_oom_tui.models.action import RestoreOutcome
from redis_oom_tui.models.errors import CommandRefused, ErrorClass, KeyMoved, ServerBusy, TriageError
from redis_oom_tui.models.stepped import Element
from redis_oom_tui.rules.expected_state import TTL_SLACK_MS
from redis_oom_tui.server.mutations import scripts
from redis_oom_tui.server.mutations.connections import Command, ExclusiveConnection
from redis_oom_tui.server.mutations.replies import (
    ASKED,
    integer,
    replies_of_all,
    reply_or_error,
    string,
    time_of_replies,
)
from redis_oom_tui.server.mutations.script_calls import ScriptCall, ScriptCaller
from redis_oom_tui.server.mutations.scripts import Reply

# Puts elements back into a key. ARGV: its type, when it is to expire if it is gone (Unix ms, -1: never), the end of a
# list, how many others belong outside of these there, and how many elements the list had when they were chosen (-1:
# nobody knows); then each element behind the number of its parts. A list has them already where they stand in a row no
# deeper than that, or the innermost of them at its end. Where their values are alike, the same row may be of others:
# it counts with as many elements inward of it as there were, and nothing is added. A reply per element: 1 it is back, 0
# there is one already, 3 it, or another like it, is there already, -1 the key is of another type, -9 its time has
# passed, or the refusal as text.
_PUT_ELEMENTS = scripts.lean(
    f"local function server_now() {scripts.NOW} return now end"
    """
local key, wanted, out, elements, at = KEYS[1], ARGV[1], {}, {}, 6
while ARGV[at] do
  local parts = tonumber(ARGV[at])
  elements[#elements + 1] = {unpack(ARGV, at + 1, at + parts)}
  at = at + 1 + parts
end
local kind = redis.call('TYPE', key)
kind = kind.ok or kind
local function every(code)
  for i = 1, #elements do out[i] = code end
  return out
end
local function answer(reply, new)
  if type(reply) == 'table' and reply.err then return reply.err end
  return new and 1 or (reply == 1 and 1 or 0)
end
local function in_list()
  local n, outside, were, left = #elements, tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[3] == 'left'
  local length = redis.call('LLEN', key)
  local seen, distinct = {}, 0
  for _, element in ipairs(elements) do
    if not seen[element[1]] then distinct = distinct + 1 end
    seen[element[1]] = true
  end
  -- What a row of so many at that depth says of its elements; nil where it says nothing.
  local function evident(number, depth)
    if (n >= 4 and 10 * distinct >= 9 * n) or (number >= 8 and 2 * distinct >= n) then return 0 end
    local more = length - depth - (were - outside - n + number)
    return (were < 0 or more == 0 or (number == n and more > 0)) and 3 or nil
  end
  local function stands(found, first, number)
    for i = 1, number do
      if found[first + i] ~= elements[left and number + 1 - i or i][1] then return false end
    end
    return true
  end
  local function there(depth)
    if depth < 0 or depth + n > length then return nil end
    local first = left and depth or length - depth - n
    return stands(redis.call('LRANGE', key, first, first + n - 1), 0, n) and evident(n, depth) or nil
  end
  local function known()
    local rank = left and 1 or -1
    local places = redis.call('LPOS', key, elements[n][1], 'RANK', rank, 'COUNT', 100, 'MAXLEN', outside + n) or {}
    for _, place in ipairs(places) do
      local code = there(left and place or length - 1 - place)
      if code then return n, code end
    end
    if were < 0 then return 0 end
    -- Where many are alike: from where it stands if nothing came at the other end, on.
    local deepest = #places == 100 and math.min(outside, length - (were - outside)) or -1
    for depth = deepest, math.max(0, deepest - 1000), -1 do
      local code = there(depth)
      if code then return n, code end
    end
    local most = math.min(n - 1, length)
    local found = most > 0 and redis.call('LRANGE', key, left and 0 or -most, left and most - 1 or -1) or {}
    for number = most, 1, -1 do
      local code = stands(found, left and 0 or most - number, number) and evident(number, 0)
      if code then return number, code end
    end
    return 0
  end
  local flat, back, told = {}, known()
  for i = 1, back do out[i] = told end
  if back == n then return end
  for i = back + 1, n do flat[#flat + 1] = elements[i][1] end
  local reply = redis.pcall(left and 'LPUSH' or 'RPUSH', key, unpack(flat))
  local code = 'the server said OK, but the list is not as long as it should be'
  if type(reply) == 'table' then code = reply.err elseif reply == length + n - back then code = 1 end
  for i = back + 1, n do out[i] = code end
end
local function put(element)
  if wanted == 'hash' then
    local code = answer(redis.pcall('HSETNX', key, element[1], element[2]))
    if code == 1 and element[3] then
      local ends = redis.pcall('HPEXPIREAT', key, element[3], 'FIELDS', 1, element[1])
      if ends[1] == 2 then return -9 end
      if ends.err then redis.call('HDEL', key, element[1]) return ends.err end
    end
    return code
  end
  if wanted == 'set' then return answer(redis.pcall('SADD', key, element[1])) end
  if wanted == 'zset' then return answer(redis.pcall('ZADD', key, 'NX', element[2], element[1])) end
  if wanted == 'stream' then
    local code = answer(redis.pcall('XADD', key, unpack(element)), true)
    if code ~= 1 and #redis.call('XRANGE', key, element[1], element[1]) == 1 then return 0 end
    return code
  end
  return -1
end
if kind ~= 'none' and kind ~= wanted then return every(-1) end
local expires = tonumber(ARGV[2])
if kind == 'none' and expires >= 0 and expires <= server_now() then return every(-9) end
if wanted == 'list' then
  in_list()
else
  for i, element in ipairs(elements) do out[i] = put(element) end
end
if kind == 'none' and expires >= 0 then redis.pcall('PEXPIREAT', key, ARGV[2]) end
return out
"""
)


class Expiry(NamedTuple):
    """An expiry to take back: the key's type, when it is due now, and when it was due before (None: never)."""

    key: bytes
    type: str
    due_ms: int
    expires_ms: int | None


class Elements(NamedTuple):
    """Elements to put back into one key, those of a list from the innermost on: behind `outside` others at that `end`.

    `expires_ms` is when a key that is gone is to expire, None for never; `were` how many elements a list had when these
    were chosen, None where nobody knows.
    """

    key: bytes
    type: str
    elements: Sequence[Element]
    expires_ms: int | None = None
    end: str = "left"
    outside: int = 0
    were: int | None = None


class RestoreReply(NamedTuple):
    """What became of one key. `stop` is set where the same refusal would meet all others; `busy` where the server
    carried out nothing just then, so that the key is to be sent again; `moved` where another node serves it.
    """

    outcome: RestoreOutcome
    detail: str = ""
    stop: TriageError | None = None
    busy: TriageError | None = None
    moved: KeyMoved | None = None


_RESTORED = RestoreReply(RestoreOutcome.RESTORED)


def restore_reply(reply: Any) -> RestoreReply:
    """What a reply to RESTORE, or to what was read again, means."""
    if isinstance(reply, KeyMoved):
        return RestoreReply(RestoreOutcome.FAILED, str(reply), moved=reply)
    if isinstance(reply, CommandRefused) and reply.error_class is ErrorClass.KEY:
        if "BUSYKEY" in reply.text:
            return RestoreReply(RestoreOutcome.EXISTS)
        if "payload version or checksum" in reply.text:
            return RestoreReply(RestoreOutcome.FAILED, reply.text, stop=reply)
        return RestoreReply(RestoreOutcome.FAILED, str(reply))
    if isinstance(reply, TriageError):
        if reply.error_class is ErrorClass.WAIT:
            return RestoreReply(RestoreOutcome.NOT_ATTEMPTED, str(reply), busy=reply)
        return RestoreReply(RestoreOutcome.NOT_ATTEMPTED, str(reply), stop=reply)
    return _RESTORED


def restored_for(wanted_ms: int | None, ttl: Any, passed_ms: float = 0.0) -> RestoreReply:
    """What a key came to by the PTTL that it has now, where it was put back to live for so long (None: for ever)."""
    if wanted_ms is None and ttl == -1:
        return _RESTORED
    ttl = integer(ttl)
    if isinstance(ttl, TriageError):
        return restore_reply(ttl)
    if ttl == -2:
        if wanted_ms is not None and wanted_ms <= passed_ms + TTL_SLACK_MS:
            return RestoreReply(RestoreOutcome.EXPIRED, "it expired meanwhile")
        return RestoreReply(RestoreOutcome.FAILED, "the server said OK, but the key is not there")
    if wanted_ms is None or ttl < 0 or not wanted_ms - passed_ms - TTL_SLACK_MS <= ttl <= wanted_ms + TTL_SLACK_MS:
        return RestoreReply(RestoreOutcome.FAILED, "it is there, but its expiry is not that of the backup")
    return _RESTORED


async def take_back(
    channel: ExclusiveConnection, expiries: Sequence[Expiry], *, scripted: bool, alone: bool = False
) -> list[RestoreReply]:
    """Give each key its old expiry again, if type and present expiry are still those that the plan left.

    `alone` sends each key by itself, as a cluster wants it.
    """
    if not scripted:
        return await _take_back_in_steps(channel, expiries)
    parts = [[expiry] for expiry in expiries] if alone else [expiries]
    results = []
    replies = await ScriptCaller(channel).call(*[_unexpire(part) for part in parts])
    for part, reply in zip(parts, replies, strict=True):
        results += [_taken(one) for one in replies_of_all(reply, len(part))]
    return results


async def put_elements(channel: ExclusiveConnection, part: Elements) -> list[RestoreReply]:
    """Put elements back where nothing newer stands. Raises ServerUnreachable where the reply was lost."""
    flat = [word for element in part.elements for word in (b"%d" % len(element), *element)]
    expires = b"-1" if part.expires_ms is None else b"%d" % part.expires_ms
    were = -1 if part.were is None else part.were
    facts = [part.type.encode("ascii", "replace"), expires, part.end.encode("ascii", "replace")]
    facts += [b"%d" % part.outside, b"%d" % were]
    (reply,) = await ScriptCaller(channel).call(ScriptCall(_PUT_ELEMENTS, [b"1", part.key, *facts, *flat]))
    return [element_reply(one) for one in replies_of_all(reply, len(part.elements))]


def element_reply(reply: object) -> RestoreReply:
    """What the code of an element, or of a job, or its refusal means."""
    if isinstance(reply, bytes) and b"equal or smaller" in reply:
        return RestoreReply(RestoreOutcome.FAILED, "a stream takes no ID below its last one")
    code = reply_or_error(reply)
    if code is Reply.GONE:
        return RestoreReply(RestoreOutcome.EXISTS)
    if code is Reply.ALIKE:
        return RestoreReply(RestoreOutcome.ALIKE)
    return _taken(code) if isinstance(code, Reply) else restore_reply(code)


def _unexpire(expiries: Sequence[Expiry]) -> ScriptCall:
    wants = [
        (expiry.type, expiry.due_ms, -1 if expiry.expires_ms is None else expiry.expires_ms) for expiry in expiries
    ]
    keys = [expiry.key for expiry in expiries]
    return ScriptCall(scripts.UNEXPIRE, [b"%d" % len(keys), *keys, json.dumps(wants).encode()])


def _taken(reply: object) -> RestoreReply:
    code = reply if isinstance(reply, Reply) else reply_or_error(reply)
    if isinstance(code, TriageError):
        return restore_reply(code)
    if code is Reply.GONE:
        return RestoreReply(RestoreOutcome.EXPIRED, "it is gone")
    if code is Reply.PAST:
        return RestoreReply(RestoreOutcome.EXPIRED, scripts.CHANGED_WORDS[code])
    if code < 0:
        return RestoreReply(RestoreOutcome.CHANGED, scripts.CHANGED_WORDS[code])
    return _RESTORED


async def _take_back_in_steps(channel: ExclusiveConnection, expiries: Sequence[Expiry]) -> list[RestoreReply]:
    reads: list[Command] = [*ASKED]
    for expiry in expiries:
        reads += [("TYPE", expiry.key), ("PTTL", expiry.key)]
    replies = await channel.call(reads)
    try:
        now_ms = time_of_replies(replies[: len(ASKED)]).ms
    except ServerBusy as busy:
        return [restore_reply(busy)] * len(expiries)
    del replies[: len(ASKED)]
    results = []
    for at, expiry in enumerate(expiries):
        kind, ttl = string(replies[2 * at]), integer(replies[2 * at + 1])
        if isinstance(kind, TriageError) or isinstance(ttl, TriageError):
            results.append(restore_reply(kind if isinstance(kind, TriageError) else ttl))
        elif ttl == -2:
            results.append(_taken(Reply.GONE))
        elif kind.decode("ascii", "replace") != expiry.type:
            results.append(_taken(Reply.TYPE))
        elif ttl < 0 or abs(ttl - (expiry.due_ms - now_ms)) > TTL_SLACK_MS:
            results.append(_taken(Reply.TTL))
        elif expiry.expires_ms is not None and expiry.expires_ms <= now_ms:
            results.append(_taken(Reply.PAST))
        else:
            results.append(_old_again(expiry, now_ms, await channel.call([_old(expiry), ("PTTL", expiry.key)])))
    return results


def _old_again(expiry: Expiry, now_ms: int, replies: Sequence[Any]) -> RestoreReply:
    """What a key came to by the replies to its old expiry and to the PTTL behind it."""
    if isinstance(replies[0], TriageError):
        return restore_reply(replies[0])
    ttl, expires_ms = integer(replies[1]), expiry.expires_ms
    if isinstance(ttl, TriageError):
        return restore_reply(ttl)
    if expires_ms is None and ttl == -1:
        return _RESTORED
    if expires_ms is not None and ttl >= 0 and abs(expires_ms - now_ms - ttl) <= TTL_SLACK_MS:
        return _RESTORED
    return RestoreReply(RestoreOutcome.FAILED, "the server said OK, but its expiry is not the old one")


def _old(expiry: Expiry) -> Command:
    if expiry.expires_ms is None:
        return ("PERSIST", expiry.key)
    return ("PEXPIREAT", expiry.key, expiry.expires_ms)
