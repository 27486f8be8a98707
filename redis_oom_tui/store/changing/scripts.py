"""The scripts that check a key and act on it in one step.

They have no shebang: at OOM, servers from 7.0 on refuse scripts that have one, even those that only delete, while a
script without is refused only when it writes more. Checked on Redis 6.2, 7.0 and Valkey 9.1.

ARGV[1] is a JSON array with an array per key, in which -1 leaves a comparison out: type, PTTL (-1: it must not expire;
else within five seconds), least idle time, least and largest MEMORY USAGE, SHA-1 of its DUMP (or ''). One argument
packs several times faster than six a key. A reply per key: a whole number of Reply, or the server's refusal as text.
"""

from enum import IntEnum


class Reply(IntEnum):
    """What a script says of one key."""

    DONE = 1
    EARLIER = 2
    GONE = 0
    TYPE = -1
    TTL = -2
    USED = -3
    SIZE = -4
    CONTENT = -5


CHANGED_WORDS = {
    Reply.TYPE: "its type is another now",
    Reply.TTL: "its expiry was changed",
    Reply.USED: "it was used since the preview",
    Reply.SIZE: "its size is another now",
    Reply.CONTENT: "its content was changed after it was saved",
    Reply.EARLIER: "it expires sooner than that already",
}

_CHECK = """
local wants = cjson.decode(ARGV[1])
local function differs(key, want)
  local kind = redis.call('TYPE', key)
  kind = kind.ok or kind
  if kind == 'none' then return 0 end
  if kind ~= want[1] then return -1 end
  local wanted, ttl = want[2], redis.call('PTTL', key)
  if ttl == -2 then return 0 end
  if (wanted < 0) ~= (ttl < 0) then return -2 end
  if wanted >= 0 and math.abs(wanted - ttl) > 5000 then return -2 end
  if want[3] >= 0 then
    local idle = redis.pcall('OBJECT', 'IDLETIME', key)
    if type(idle) == 'number' and idle < want[3] then return -3 end
  end
  if want[4] >= 0 then
    local size = redis.pcall('MEMORY', 'USAGE', key)
    if type(size) == 'number' and (size < want[4] or size > want[5]) then return -4 end
  end
  if want[6] ~= '' and redis.sha1hex(redis.call('DUMP', key)) ~= want[6] then return -5 end
  return nil
end
local function said(reply)
  if type(reply) == 'table' and reply.err then return reply.err end
  return nil
end
"""

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
local function unlink(key, kind)
  local added = kind == 'stream' and weigh_down(key) or 0
  local reply = redis.pcall('UNLINK', key)
  if said(reply) then
    for n = 1, added do redis.pcall('XGROUP', 'DESTROY', key, '\\0unlinked ' .. n) end
  end
  return said(reply) or reply
end
"""

DELETE = (
    _CHECK
    + _DELETE
    + """
local out = {}
for i, key in ipairs(KEYS) do
  local code = differs(key, wants[i])
  if not code then code = unlink(key, wants[i][1]) end
  out[i] = code
end
return out
"""
)

# Two more fields a key, behind all the others: when it is due, in Unix milliseconds, and in how many from now.
EXPIRE = (
    _CHECK
    + """
local out = {}
for i, key in ipairs(KEYS) do
  local code = differs(key, wants[i])
  if not code then
    local ttl = redis.call('PTTL', key)
    if ttl >= 0 and ttl <= wants[i][8] then
      code = 2
    else
      local reply = redis.pcall('PEXPIREAT', key, string.format('%.0f', wants[i][7]))
      code = said(reply) or reply
    end
  end
  out[i] = code
end
return out
"""
)

# Each unchanged key's DUMP, PTTL and idle time (or frequency) in place of a number.
SAVE = (
    _CHECK
    + """
local out = {}
for i, key in ipairs(KEYS) do
  local code = differs(key, wants[i])
  if not code then
    local idle = redis.pcall('OBJECT', 'IDLETIME', key)
    local freq = -1
    if type(idle) ~= 'number' then
      idle = -1
      freq = redis.pcall('OBJECT', 'FREQ', key)
      if type(freq) ~= 'number' then freq = -1 end
    end
    local ttl = redis.call('PTTL', key)
    local dump = redis.pcall('DUMP', key)
    code = said(dump) or {dump, ttl, idle, freq}
  end
  out[i] = code
end
return out
"""
)

# Takes an expiry back: type, the PTTL it should have now, and the old expiry in Unix milliseconds (-1: none).
UNEXPIRE = """
local wants = cjson.decode(ARGV[1])
local out = {}
for i, key in ipairs(KEYS) do
  local want = wants[i]
  local kind = redis.call('TYPE', key)
  kind = kind.ok or kind
  local ttl = redis.call('PTTL', key)
  local code = 1
  if kind == 'none' then code = 0
  elseif kind ~= want[1] then code = -1
  elseif ttl < 0 or math.abs(ttl - want[2]) > 5000 then code = -2
  else
    local reply
    if want[3] < 0 then reply = redis.pcall('PERSIST', key)
    else reply = redis.pcall('PEXPIREAT', key, string.format('%.0f', want[3])) end
    if type(reply) == 'table' and reply.err then code = reply.err end
  end
  out[i] = code
end
return out
"""
