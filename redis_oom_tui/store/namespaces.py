"""Making a little room in one namespace, within bounds: a hook for `resilience`, run by the application itself."""

from dataclasses import dataclass, field
from typing import Any

from redis_oom_tui.words.hostile import escape_glob

PAGE = 500

# The check and the deletion are one step on the server. No shebang: Redis 7 refuses scripts with one at OOM.
_DELETE_IF = """
local ttl = redis.call('PTTL', KEYS[1])
if ttl == -2 or (ARGV[2] == '1' and ttl == -1) then return 0 end
local wanted = tonumber(ARGV[1])
if wanted > 0 then
  local idle = redis.pcall('OBJECT', 'IDLETIME', KEYS[1])
  if type(idle) ~= 'number' or idle < wanted then return 0 end
end
return redis.call('UNLINK', KEYS[1])
"""


@dataclass(slots=True)
class NamespaceCleanup:
    """Delete at most `max_keys` keys that begin with `prefix` each time it is called.

    A key goes only if, at that moment, it has a TTL (unless `only_expiring` is False) and nobody used it for
    `idle_over_seconds`. At most `max_scanned` keys are looked at in a call; the next call goes on from there. Under an
    LFU policy the server keeps no idle times: nothing goes then unless `idle_over_seconds` is 0.
    """

    client: Any
    prefix: bytes
    max_keys: int = 200
    idle_over_seconds: int = 60
    only_expiring: bool = True
    max_scanned: int = 10_000
    deleted_total: int = field(default=0, init=False)
    _cursor: int = field(default=0, init=False)

    def __call__(self, _error: Exception | None = None, _failures: int = 1) -> int:
        """How many keys were deleted."""
        deleted = 0
        for _ in range(max(1, self.max_scanned // PAGE)):
            self._cursor, names = self.client.scan(self._cursor, match=escape_glob(self.prefix) + b"*", count=PAGE)
            deleted += self._delete(names[: self.max_keys - deleted])
            if deleted >= self.max_keys or not self._cursor:
                break
        self.deleted_total += deleted
        return deleted

    def _delete(self, names: list[Any]) -> int:
        pipeline = self.client.pipeline(transaction=False)
        _queue(pipeline, names, self.idle_over_seconds, self.only_expiring)
        return sum(pipeline.execute())


@dataclass(slots=True)
class AsyncNamespaceCleanup:
    """`NamespaceCleanup` for a client of redis.asyncio."""

    client: Any
    prefix: bytes
    max_keys: int = 200
    idle_over_seconds: int = 60
    only_expiring: bool = True
    max_scanned: int = 10_000
    deleted_total: int = field(default=0, init=False)
    _cursor: int = field(default=0, init=False)

    async def __call__(self, _error: Exception | None = None, _failures: int = 1) -> int:
        """How many keys were deleted."""
        deleted = 0
        for _ in range(max(1, self.max_scanned // PAGE)):
            pattern = escape_glob(self.prefix) + b"*"
            self._cursor, names = await self.client.scan(self._cursor, match=pattern, count=PAGE)
            deleted += await self._delete(names[: self.max_keys - deleted])
            if deleted >= self.max_keys or not self._cursor:
                break
        self.deleted_total += deleted
        return deleted

    async def _delete(self, names: list[Any]) -> int:
        pipeline = self.client.pipeline(transaction=False)
        _queue(pipeline, names, self.idle_over_seconds, self.only_expiring)
        return sum(await pipeline.execute())


def _queue(pipeline: Any, names: list[Any], idle_over_seconds: int, only_expiring: bool) -> None:
    """One call a key: a script with several would not work on a cluster, and would hold the server for longer."""
    for name in names:
        pipeline.eval(_DELETE_IF, 1, name, idle_over_seconds, int(only_expiring))
