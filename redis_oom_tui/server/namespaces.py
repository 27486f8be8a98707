"""Making a little room in one namespace, within bounds: a hook for `resilience`, run by the application itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from redis_oom_tui.formatting.sanitize import escape_glob

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
class _Bounds:
    """What both kinds of cleanup are told, and where they stand."""

    client: Any
    prefix: bytes
    max_keys: int = 200
    idle_over_seconds: int = 60
    only_expiring: bool = True
    max_scanned: int = 10_000
    deleted_total: int = field(default=0, init=False)
    _cursor: int = field(default=0, init=False)

    def _pages(self) -> Iterator[dict[str, Any]]:
        """How each SCAN of one call is to be asked: the next page of the prefix, as far as a call may look."""
        for _ in range(max(1, self.max_scanned // PAGE)):
            yield {"cursor": self._cursor, "match": escape_glob(self.prefix) + b"*", "count": PAGE}

    def _deletions(self, names: list[Any]) -> Any:
        """One call a key: a script with several would not work on a cluster, and would hold the server for longer."""
        pipeline = self.client.pipeline(transaction=False)
        for name in names:
            pipeline.eval(_DELETE_IF, 1, name, self.idle_over_seconds, int(self.only_expiring))
        return pipeline


@dataclass(slots=True)
class NamespaceCleanup(_Bounds):
    """Delete at most `max_keys` keys that begin with `prefix` each time it is called.

    A key goes only if, at that moment, it has a TTL (unless `only_expiring` is False) and nobody used it for
    `idle_over_seconds`. At most `max_scanned` keys are looked at in a call; the next call goes on from there. Under an
    LFU policy the server keeps no idle times: nothing goes then unless `idle_over_seconds` is 0.
    """

    def __call__(self, _error: Exception | None = None, _failures: int = 1) -> int:
        """How many keys were deleted."""
        deleted = 0
        for page in self._pages():
            self._cursor, names = self.client.scan(**page)
            deleted += sum(self._deletions(names[: self.max_keys - deleted]).execute())
            if deleted >= self.max_keys or not self._cursor:
                break
        self.deleted_total += deleted
        return deleted


@dataclass(slots=True)
class AsyncNamespaceCleanup(_Bounds):
    """`NamespaceCleanup` for a client of redis.asyncio."""

    async def __call__(self, _error: Exception | None = None, _failures: int = 1) -> int:
        """How many keys were deleted."""
        deleted = 0
        for page in self._pages():
            self._cursor, names = await self.client.scan(**page)
            deleted += sum(await self._deletions(names[: self.max_keys - deleted]).execute())
            if deleted >= self.max_keys or not self._cursor:
                break
        self.deleted_total += deleted
        return deleted
