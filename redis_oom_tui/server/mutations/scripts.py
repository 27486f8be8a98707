"""The scripts that check a key and act on it in one step.

They have no shebang: at OOM, servers from 7.0 on refuse scripts that have one, even those that only delete, while a
script without is refused only when it writes more. Checked on Redis 6.2, 7.0 and Valkey 9.1.

ARGV[1] has a record per key (`WANTS`), in which -1 leaves a comparison out: which of the types that begin at ARGV[3],
when it expires (-1: it must not; -2: at any time; else within five seconds), the second of its last use (-2: it was in
use when it was read), least and largest MEMORY USAGE. ARGV[2] has the SHA-1 of each key's DUMP, or nothing where none
was saved. Such records take a fraction of the time of JSON, on both sides. A reply per key: a whole number of Reply, or
the server's refusal as text.

All times are the server's own, asked within the script; INFO tells it where TIME is refused. The clock of idle times
runs behind by up to two seconds, and INFO tells by how much. That takes some microseconds, so it is asked only for a
key that would have been used too lately by the time of day.

The idle time tells of a change only where it is the key's own. Redis keeps one object for each whole number from 0 to
9999 and has all keys that hold it share that, unless an LRU or LFU policy is on under a limit: after INCR the key shows
how long ago anybody used the next number. (Checked on 6.2 and 7.0; Valkey 9.1 shares none.) Such a key's change since
the preview cannot be seen, so it goes only where its value was saved, compared with that. A user who may not ask how
many share an object is not told what may be a number, either. The value at the preview would be no proof: a flag that
was set again holds what it held, and to read it would renew the idle time of all keys that share it. A key that was in
use at the preview is treated alike.

The DUMP of a key tells its type as well: of a key that was saved, TYPE is asked only where its DUMP is another one.
"""

import struct
from enum import IntEnum
from string import Template

from redis_oom_tui.rules.expected_state import (
    IDLE_SLACK,
    IN_USE,
    LRU_CLOCK_SECONDS,
    MOST_BEHIND,
    SHARED_GROWTH,
    SHARED_ROOM,
    SHARED_USERS,
)
from redis_oom_tui.rules.headroom import SIZED_TYPES, UNSIZED_MODULE_BYTES
from redis_oom_tui.rules.sizing import SAMPLES

WANTS = struct.Struct("<Hdddd")
COPY_LIMIT = struct.Struct("<dd")
DUE = struct.Struct("<d")
NOT_SAVED = "-" * 40


class Reply(IntEnum):
    """What a script says of one key."""

    DONE = 1
    EARLIER = 2
    ALIKE = 3
    GONE = 0
    TYPE = -1
    TTL = -2
    USED = -3
    SIZE = -4
    CONTENT = -5
    SHARED = -6
    UNSURE = -7
    LATER = -8
    PAST = -9
    IN_USE = -10


CHANGED_WORDS = {
    Reply.TYPE: "its type changed",
    Reply.TTL: "its expiry was changed",
    Reply.USED: "it was used since the preview",
    Reply.SIZE: "its size changed",
    Reply.CONTENT: "its content was changed after it was saved",
    Reply.SHARED: "it holds a small number, whose change cannot be seen here: only a deletion with a backup takes it",
    Reply.UNSURE: "OBJECT REFCOUNT is refused, so a change of its number cannot be seen: only a deletion with a backup"
    " takes it",
    Reply.EARLIER: "it already expires sooner",
    Reply.IN_USE: "it was in use at the preview, so later changes do not show: only a deletion with a backup takes it",
    Reply.PAST: "its old expiry has passed",
}


def lean(script: str) -> bytes:
    """What goes over the wire with each call: no indentation."""
    return "\n".join(line.strip() for line in script.strip().splitlines()).encode("ascii")


NOW = """
local info
local function info_number(field)
  info = info or redis.pcall('INFO', 'server')
  return type(info) == 'string' and tonumber(string.match(info, field .. ':(%d+)')) or nil
end
local time, now = redis.pcall('TIME'), nil
if time.err then
  now = math.floor((info_number('server_time_usec') or error('the server does not tell its time')) / 1000)
else
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
"""Sets the local `now` to the server's time, in Unix milliseconds."""

_CHECK = NOW + Template("""
local call, pcall, unpacked = redis.call, redis.pcall, struct.unpack
local sub, wants, saved, at, saving = string.sub, ARGV[1], ARGV[2], 1, false
local function unseen(key, largest)
  if largest > $shared_growth * #key + $shared_room then return nil end
  local users = pcall('OBJECT', 'REFCOUNT', key)
  if type(users) == 'number' then return users > $shared_users and -6 end
  local encoding = pcall('OBJECT', 'ENCODING', key)
  return (type(encoding) ~= 'string' or encoding == 'int') and -7
end
local second, idle_clock = math.floor(now / 1000), nil
local function used_after(used_at, idle)
  if idle >= second - used_at then return false end
  if not idle_clock then
    local lru = info_number('lru_clock')
    local behind = lru and (second - lru) % $lru_clock_seconds
    idle_clock = second - (behind and behind <= $most_behind and behind or $idle_slack)
  end
  return idle < idle_clock - used_at
end
local function type_of(key)
  local kind = call('TYPE', key)
  return kind.ok or kind
end
local function differs(key, place)
  local number, expires, used_at, smallest, largest
  number, expires, used_at, smallest, largest, at = unpacked('<Hdddd', wants, at)
  local kind = ARGV[number]
  local digest = saved ~= '' and sub(saved, 40 * place - 39, 40 * place)
  local is_saved = digest and digest ~= $not_saved
  local ttl = call('PTTL', key)
  if ttl == -2 then return 0 end
  if not is_saved and type_of(key) ~= kind then return -1 end
  if (expires == -1) ~= (ttl < 0) then return -2 end
  if expires >= 0 and math.abs(expires - now - ttl) > 5000 then return -2 end
  local idle
  local why = used_at == $in_use and -10 or used_at >= 0 and kind == 'string' and unseen(key, largest)
  if why then
    if not saving and not is_saved then return why end
  elseif used_at >= 0 then
    idle = pcall('OBJECT', 'IDLETIME', key)
    if type(idle) == 'number' and used_after(used_at, idle) then return -3 end
  end
  local size
  if smallest >= 0 then
    size = pcall('MEMORY', 'USAGE', key, 'SAMPLES', $samples)
    if type(size) == 'number' and (size < smallest or size > largest) then return -4 end
  end
  if is_saved and redis.sha1hex(call('DUMP', key)) ~= digest then return type_of(key) == kind and -5 or -1 end
  return nil, kind, ttl, idle, size
end
local function error_of(reply)
  if type(reply) == 'table' and reply.err then return reply.err end
  return nil
end
""").substitute(
    not_saved=f"'{NOT_SAVED}'",
    samples=SAMPLES,
    shared_growth=SHARED_GROWTH,
    shared_room=SHARED_ROOM,
    shared_users=SHARED_USERS,
    lru_clock_seconds=LRU_CLOCK_SECONDS,
    most_behind=MOST_BEHIND,
    idle_slack=IDLE_SLACK,
    in_use=IN_USE,
)

# UNLINK weighs a stream by its entries, its groups and what is pending in the first of them. One that is light in these
# and holds many pending entries or consumers elsewhere would be freed in one go (`rules.freeing`), which takes as long
# as a second for some millions. With 65 more groups it counts as heavy, and goes to the background thread. They live no
# longer than this script; XDEL of nothing comes first, since at OOM a script may create only after it has written. A
# user who may not do that gets the plain UNLINK.
_DELETE = """
local function weigh_down(key)
  local groups, heavy = redis.pcall('XINFO', 'GROUPS', key), 0
  if groups.err then return 0 end
  for _, group in ipairs(groups) do
    for at = 1, #group, 2 do
      if group[at] == 'pending' or group[at] == 'consumers' then heavy = heavy + group[at + 1] end
    end
  end
  if heavy < 5000 or type(redis.pcall('XDEL', key, '0-0')) ~= 'number' then return 0 end
  for n = 1, 65 do
    if redis.pcall('XGROUP', 'CREATE', key, '\\0unlinked ' .. n, '0').err then return n - 1 end
  end
  return 65
end
local function unlink_stream(key)
  local added = weigh_down(key)
  local reply = redis.pcall('UNLINK', key)
  if error_of(reply) then
    for n = 1, added do redis.pcall('XGROUP', 'DESTROY', key, '\\0unlinked ' .. n) end
  end
  return error_of(reply) or reply
end
"""

# One UNLINK for all keys that passed costs less than one each. It is carried out or refused as a whole; fewer than
# were named are gone by it only where a name stands twice, of which the second was gone by then.
DELETE = lean(
    _CHECK
    + _DELETE
    + """
local out, passed, places, n = {}, {}, {}, 0
for i, key in ipairs(KEYS) do
  local code, kind = differs(key, i)
  if not code and kind == 'stream' then
    code = unlink_stream(key)
  elseif not code then
    code, n = 1, n + 1
    passed[n], places[n] = key, i
  end
  out[i] = code
end
if n > 0 then
  local reply = pcall('UNLINK', unpack(passed))
  local refusal, seen = error_of(reply), {}
  if refusal or reply < n then
    for j = 1, n do
      if refusal or seen[passed[j]] then out[places[j]] = refusal or 0 end
      seen[passed[j]] = true
    end
  end
end
return out
"""
)

# Behind each record one more field: when the key is due, in Unix milliseconds. Where the run was held up since
# that was worked out, each key keeps a second all the same: an expiry in the past would delete it at once.
EXPIRE = lean(
    _CHECK
    + """
local out = {}
for i, key in ipairs(KEYS) do
  local code, _, ttl = differs(key, i)
  local due
  due, at = unpacked('<d', wants, at)
  if not code then
    if ttl >= 0 and ttl <= due - now then
      code = 2
    else
      local reply = pcall('PEXPIREAT', key, string.format('%.0f', math.max(due, now + 1000)))
      code = error_of(reply) or reply
      if code == 1 and call('PTTL', key) < 0 then code = 'the server said OK, but the key has no expiry now' end
    end
  end
  out[i] = code
end
return out
"""
)

# Before the records stand two fields (`COPY_LIMIT`): how large a key may be, negative where one of unknown size is
# copied as well, and how many bytes of keys this call may copy: what is over that is LATER, and one that is too large
# is answered by its size alone (-1: unknown). Five elements tell little of the size of a collection, so all are looked
# at, which takes less time than the DUMP. A module without a mem_usage hook answers a few bytes for any value.
_MEASURE = Template("""
local measurable = {$measurable}
local function measured(key, kind)
  local size = pcall('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  if type(size) == 'number' then return (measurable[kind] or size > $module_told + #key) and size or -1 end
  size = kind == 'string' and pcall('STRLEN', key)
  return type(size) == 'number' and size + #key + $string_room or -1
end
""").substitute(
    measurable=", ".join(f"['{kind}']=1" for kind in sorted(SIZED_TYPES)),
    module_told=UNSIZED_MODULE_BYTES,
    string_room=SHARED_ROOM,
)

# Each unchanged key's DUMP, PTTL, idle time (or frequency), size and the server's time in place of a number.
SAVE = lean(
    _CHECK
    + _MEASURE
    + """
saving = true
local out, held, most, at_once = {}, 0, nil, nil
most, at_once, at = unpacked('<dd', wants, at)
for i, key in ipairs(KEYS) do
  local code, kind, ttl, idle, size = differs(key, i)
  if not code then
    if kind ~= 'string' or type(size) ~= 'number' then size = measured(key, kind) end
    if size > math.abs(most) or (size < 0 and most >= 0) then code = {size}
    elseif held > 0 and held + size > at_once then code = -8
    else held = held + math.max(0, size) end
  end
  if not code then
    local freq = -1
    if type(idle) ~= 'number' then idle = pcall('OBJECT', 'IDLETIME', key) end
    if type(idle) ~= 'number' then
      idle = -1
      freq = pcall('OBJECT', 'FREQ', key)
      if type(freq) ~= 'number' then freq = -1 end
    end
    local dump = pcall('DUMP', key)
    code = error_of(dump) or {dump, ttl, idle, freq, size, now}
  end
  out[i] = code
end
return out
"""
)

# Takes an expiry back: type, when the key is due now, and when it was due before (-1: never), in Unix milliseconds.
UNEXPIRE = lean(
    NOW
    + """
local wants = cjson.decode(ARGV[1])
local function changed_to(key, expires)
  local reply
  if expires < 0 then reply = redis.pcall('PERSIST', key)
  else reply = redis.pcall('PEXPIREAT', key, string.format('%.0f', expires)) end
  if type(reply) == 'table' and reply.err then return reply.err end
  local ttl = redis.call('PTTL', key)
  if ttl == -2 or (expires < 0) ~= (ttl < 0) or (ttl >= 0 and math.abs(expires - now - ttl) > 5000) then
    return 'the server said OK, but its expiry is not the old one'
  end
  return 1
end
local out = {}
for i, key in ipairs(KEYS) do
  local want = wants[i]
  local kind = redis.call('TYPE', key)
  kind = kind.ok or kind
  local ttl = redis.call('PTTL', key)
  local code
  if kind == 'none' then code = 0
  elseif kind ~= want[1] then code = -1
  elseif ttl < 0 or math.abs(want[2] - now - ttl) > 5000 then code = -2
  elseif want[3] >= 0 and want[3] <= now then code = -9
  else code = changed_to(key, want[3]) end
  out[i] = code
end
return out
"""
)
