"""Finished jobs: listed, deleted by a script each that first sees that the job is done and unchanged, and put back."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from redis_oom_tui.models.action import RestoreOutcome
from redis_oom_tui.models.application import FinishedWork, TimeUnit
from redis_oom_tui.models.errors import KeyMoved, SlotMoving, TriageError
from redis_oom_tui.models.stepped import FinishedJob
from redis_oom_tui.rules.finished import seconds_of
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, Word
from redis_oom_tui.server.mutations.replies import nonsense
from redis_oom_tui.server.mutations.restoring import RestoreReply, element_reply, restore_reply, restored_for
from redis_oom_tui.server.mutations.script_calls import ScriptCall, ScriptCaller
from redis_oom_tui.server.mutations.scripts import NOW, lean

_PAGE = 500


class JobKey(NamedTuple):
    """A key of a job as DUMP gives it; `expires_ms` is Unix milliseconds, None for never."""

    key: bytes
    type: str
    payload: bytes
    expires_ms: int | None

    def lives_at(self, now_ms: int) -> bool:
        """Whether it has not expired by then."""
        return self.expires_ms is None or self.expires_ms > now_ms


class SavedJob(NamedTuple):
    """All keys of a job that are there, at the server's time `now_ms`; `code` is 1, else of `WORDS`: why it is kept."""

    keys: tuple[JobKey, ...]
    now_ms: int = 0
    code: int = 1


GONE, TOO_LARGE, MOVED = 0, -3, -5
WORDS = {
    GONE: "it is not listed as finished any more",
    -1: "it is finished at another time now",
    -2: "somebody works at it",
    TOO_LARGE: "it is too large to save",
    -4: "it was changed after it was saved",
    MOVED: "its slot moves to another node",
}
"""What a script says in place of having done it."""


async def keys_like(channel: ExclusiveConnection, glob: bytes, kind: str | None) -> AsyncIterator[list[bytes]]:
    """The names that match, page by page; one may come twice."""
    cursor: Word = 0
    while True:
        of_type = () if kind is None else ("TYPE", kind)
        cursor, page = await channel.one("SCAN", cursor, "MATCH", glob, "COUNT", 1000, *of_type)
        yield page
        if int(cursor) == 0:
            return


async def types_of(channel: ExclusiveConnection, names: Sequence[bytes]) -> list[str]:
    """The type of each key, `none` where there is none."""
    replies = await channel.call([("TYPE", name) for name in names])
    return [reply.decode("ascii", "replace") if isinstance(reply, bytes) else "none" for reply in replies]


async def members(channel: ExclusiveConnection, index: bytes, kind: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """The members of an index with their scores ('' where it has none), page by page; a sorted set from the lowest."""
    start, cursor = 0, b"0"
    while True:
        if kind == "zset":
            raw = await channel.one("ZRANGE", index, start, start + _PAGE - 1, "WITHSCORES")
            page = list(zip(raw[::2], raw[1::2], strict=True))
        elif kind == "list":
            page = [(one, b"") for one in await channel.one("LRANGE", index, start, start + _PAGE - 1)]
        else:
            cursor, raw = await channel.one("SSCAN", index, cursor, "COUNT", _PAGE)
            page = [(one, b"") for one in raw]
        yield page
        start += _PAGE
        if cursor == b"0" if kind == "set" else len(page) < _PAGE:
            return


async def ends(channel: ExclusiveConnection, work: FinishedWork, jobs: Sequence[FinishedJob]) -> list[float | None]:
    """When each job ended (Unix seconds), by its score or a field of its hash; None where nobody tells."""
    if work.score is not None and work.score_is == "finished":
        return [seconds_of(job.score, work.score) for job in jobs]
    if not work.time_field or not jobs:
        return [None] * len(jobs)
    replies = await channel.call([("HMGET", job.keys[0], work.time_field) for job in jobs])
    unit = work.time_unit or TimeUnit.SECONDS
    return [seconds_of(reply[0], unit) if isinstance(reply, list) else None for reply in replies]


# KEYS: the index, the keys of the job, its guards. ARGV: the type of the index, the member, its score ('' for none),
# how many keys the job has. A number of `WORDS` where the job is to be kept.
_DONE = """
local index, member, number = KEYS[1], ARGV[2], tonumber(ARGV[4])
local function kept()
  local found = redis.call('TYPE', index)
  if (found.ok or found) ~= ARGV[1] then return 0 end
  if ARGV[1] == 'zset' then
    local score = redis.call('ZSCORE', index, member)
    if not score then return 0 end
    if score ~= ARGV[3] then return -1 end
  elseif ARGV[1] == 'set' then
    if redis.call('SISMEMBER', index, member) == 0 then return 0 end
  elseif not redis.call('LPOS', index, member) then
    return 0
  end
  for i = number + 2, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then return -2 end
  end
end
"""

# ARGV[5]: how many bytes a job may have. Else the server's time (Unix ms) and, for each key that is there, its place,
# type, PTTL and DUMP.
_SAVE = lean(
    _DONE
    + NOW
    + """
local why = kept()
if why then return why end
local held, out = 0, {now}
for i = 2, number + 1 do
  local size = redis.call('MEMORY', 'USAGE', KEYS[i], 'SAMPLES', 0)
  held = held + (size or 0)
end
if held > tonumber(ARGV[5]) then return -3 end
for i = 2, number + 1 do
  local found = redis.call('TYPE', KEYS[i])
  found = found.ok or found
  if found ~= 'none' then
    out[#out + 1] = {i - 2, found, redis.call('PTTL', KEYS[i]), redis.call('DUMP', KEYS[i])}
  end
end
return out
"""
)

# ARGV[5 ...]: the SHA-1 of each key's DUMP, '' where it is not there; nothing where none was saved.
_DELETE = lean(
    _DONE
    + """
local why = kept()
if why then return why end
local there = {}
for i = 2, number + 1 do
  local dump = redis.call('EXISTS', KEYS[i]) == 1
  if ARGV[5] then
    local now = dump and redis.sha1hex(redis.call('DUMP', KEYS[i])) or ''
    if now ~= ARGV[3 + i] then return -4 end
  end
  if dump then there[#there + 1] = KEYS[i] end
end
if ARGV[1] == 'zset' then redis.call('ZREM', index, member)
elseif ARGV[1] == 'set' then redis.call('SREM', index, member)
else redis.call('LREM', index, 1, member) end
if #there > 0 then redis.call('UNLINK', unpack(there)) end
return 1
"""
)

# ARGV from 5 on: for each key how long it has to live (ms, 0: for ever) and its DUMP. Where the whole job is back, what
# was then read: whether its index names it (1), and the PTTL of each key. 0 where some of it is there already, or it
# has no keys and is named; or the refusal of the first key that cannot come back: then none does.
_RESTORE = lean("""
local index, member, number = KEYS[1], ARGV[2], tonumber(ARGV[4])
local found = redis.call('TYPE', index)
found = found.ok or found
if found ~= 'none' and found ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
local function named()
  if ARGV[1] == 'zset' then return redis.call('ZSCORE', index, member) and 1 or 0 end
  if ARGV[1] == 'set' then return redis.call('SISMEMBER', index, member) end
  return redis.call('LPOS', index, member) and 1 or 0
end
local before = named()
if number == 0 and before == 1 then return 0 end
local function put(reply, i)
  if type(reply) == 'table' and reply.err then
    for j = 2, i - 1 do redis.call('UNLINK', KEYS[j]) end
    return reply.err
  end
end
for i = 2, number + 1 do
  local at = 5 + 2 * (i - 2)
  local refused = put(redis.pcall('RESTORE', KEYS[i], ARGV[at], ARGV[at + 1]), i)
  if refused then return refused end
end
local reply
if before == 1 then reply = 1
elseif ARGV[1] == 'zset' then reply = redis.pcall('ZADD', index, 'NX', ARGV[3], member)
elseif ARGV[1] == 'set' then reply = redis.pcall('SADD', index, member)
else reply = redis.pcall('RPUSH', index, member) end
local refused = put(reply, number + 2)
if refused then return refused end
local out = {named()}
for i = 2, number + 1 do out[#out + 1] = redis.call('PTTL', KEYS[i]) end
return out
""")


def _facts(job: FinishedJob, keys: int) -> list[bytes]:
    return [job.index_type.encode(), job.member, job.score, b"%d" % keys]


def saving(job: FinishedJob, most: int) -> ScriptCall:
    """The call that reads all keys of a job, of at most so many bytes."""
    names = [job.index, *job.keys, *job.guards]
    return ScriptCall(_SAVE, [b"%d" % len(names), *names, *_facts(job, len(job.keys)), b"%d" % most])


def deleting(job: FinishedJob, saved: SavedJob | None) -> ScriptCall:
    """The call that deletes a job where it is still done, and as it was `saved`."""
    names = [job.index, *job.keys, *job.guards]
    digests: list[bytes] = []
    if saved is not None:
        sums = {one.key: hashlib.sha1(one.payload, usedforsecurity=False).hexdigest().encode() for one in saved.keys}
        digests = [sums.get(name, b"") for name in job.keys]
    return ScriptCall(_DELETE, [b"%d" % len(names), *names, *_facts(job, len(job.keys)), *digests])


def restoring(job: FinishedJob, keys: Sequence[JobKey], now_ms: int) -> ScriptCall:
    """The call that brings a job back as a whole, without the keys whose time has passed."""
    alive = [one for one in keys if one.lives_at(now_ms)]
    values = [
        word
        for one in alive
        for word in (b"%d" % (0 if one.expires_ms is None else one.expires_ms - now_ms), one.payload)
    ]
    names = [job.index, *(one.key for one in alive)]
    return ScriptCall(_RESTORE, [b"%d" % len(names), *names, *_facts(job, len(alive)), *values])


def saved(reply: Any, job: FinishedJob) -> SavedJob:
    """What a job holds, or why it is kept. Raises what the server refused it with."""
    if isinstance(reply, KeyMoved | SlotMoving):
        return SavedJob((), code=MOVED)
    if isinstance(reply, TriageError):
        raise reply
    if isinstance(reply, int) and reply in WORDS:
        return SavedJob((), code=reply)
    if not isinstance(reply, list) or not reply:
        raise nonsense()
    now_ms, *keys = reply
    found = [
        JobKey(job.keys[place], kind.decode(), dump, None if ttl < 0 else now_ms + ttl)
        for place, kind, ttl, dump in keys
    ]
    return SavedJob(tuple(found), now_ms)


def deleted(reply: Any) -> int:
    """1 where the job is gone now, else a number of `WORDS`. Raises what the server refused it with."""
    if isinstance(reply, KeyMoved | SlotMoving):
        return MOVED
    if isinstance(reply, TriageError):
        raise reply
    if isinstance(reply, int) and (reply == 1 or reply in WORDS):
        return reply
    raise nonsense()


class JobToRestore(NamedTuple):
    """A job and its keys as they were saved."""

    job: FinishedJob
    keys: tuple[JobKey, ...]


async def put_jobs(channel: ExclusiveConnection, jobs: Sequence[JobToRestore], now_ms: int) -> list[RestoreReply]:
    """Bring each job back as a whole where nothing of it is there. Raises ServerUnreachable where replies were lost.

    One whose keys have all expired is not listed again: the list would name what is not there. What is said to be back
    was read again.
    """
    results = [RestoreReply(RestoreOutcome.EXPIRED, "its keys expired since the backup")] * len(jobs)
    alive = [at for at, one in enumerate(jobs) if not one.keys or any(key.lives_at(now_ms) for key in one.keys)]
    calls = [restoring(jobs[at].job, jobs[at].keys, now_ms) for at in alive]
    for at, reply in zip(alive, await ScriptCaller(channel).call(*calls), strict=True):
        results[at] = _job_reply([key for key in jobs[at].keys if key.lives_at(now_ms)], reply, now_ms)
    return results


def _job_reply(keys: Sequence[JobKey], reply: Any, now_ms: int) -> RestoreReply:
    """What became of a job by the reply of its script: where its `keys` were put back, what was read behind that."""
    if not isinstance(reply, list):
        return element_reply(reply)
    if len(reply) != 1 + len(keys):
        return restore_reply(nonsense())
    listed, *ttls = reply
    for key, ttl in zip(keys, ttls, strict=True):
        found = restored_for(None if key.expires_ms is None else key.expires_ms - now_ms, ttl)
        if found.outcome is RestoreOutcome.FAILED:
            return found
    if listed != 1:
        return RestoreReply(RestoreOutcome.FAILED, "the server said OK, but its list does not name it")
    return RestoreReply(RestoreOutcome.RESTORED)
