"""For the applications that receive the error: wait, make room within bounds, try again, give up with the error.

    >>> from redis_oom_tui.resilience import OomRetry
    >>> OomRetry(retries=3, base_seconds=0.25, cap_seconds=2.0).longest_wait_seconds
    3.5

This file needs redis-py, from 5 on, and nothing else: it may be copied into an application.
"""

import asyncio
import inspect
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from redis import exceptions
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

__all__ = ["AsyncNamespaceCleanup", "AsyncOomRetry", "NamespaceCleanup", "OomRetry", "is_oom"]

P = ParamSpec("P")
T = TypeVar("T")

# How servers refuse a write for want of room; at EXEC and inside old servers' script errors it stands further in.
_OOM_TEXT = re.compile(
    r"command not allowed when used memory > 'maxmemory'"  # Redis since 2, Valkey, KeyDB
    r"|command not allowed under OOM prevention"  # Redis Enterprise and Cloud, Memorystore, Azure Managed Redis
    r"|(^|ERR |: )Out of memory\.?$"  # Dragonfly
    r"|DB capacity quota exceeded"  # Upstash
    r"|command not allowed when reached max-db-size"  # Kvrocks
)


def is_oom(error: object) -> bool:
    """Whether an error says that the server refused a write for want of memory, in whichever form: of a script on 6.2,
    of a transaction, of a pipeline, and in the words of other makers' servers.

    >>> is_oom(ResponseError("@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'."))
    True
    >>> is_oom(ResponseError("DB capacity quota exceeded")), is_oom(ResponseError("Out of memory"))
    (True, True)
    >>> is_oom(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    False
    """
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and _OOM_TEXT.search(str(error)) is not None
    )


@dataclass(frozen=True, slots=True)
class _Tries:
    retries: int = 5
    base_seconds: float = 0.1
    cap_seconds: float = 2.0
    before_retry: Callable[[Exception, int], object] | None = None

    @property
    def longest_wait_seconds(self) -> float:
        """The longest that all waits together can take; the hook's own time and the server's come on top."""
        return sum(min(self.cap_seconds, self.base_seconds * float(2**n)) for n in range(1, self.retries + 1))

    def _wait(self, failures: int) -> float:
        """Seconds before the next try: from the upper half of what is allowed, so that many clients spread."""
        longest = min(self.cap_seconds, self.base_seconds * float(2**failures))
        return longest / 2 + random.uniform(0, longest / 2)  # noqa: S311 - it spreads load, and guards nothing


@dataclass(frozen=True, slots=True)
class OomRetry(_Tries):
    """How often and how long to try again. Times are in seconds.

    The wait before try n is drawn from the upper half of `min(cap_seconds, base_seconds * 2**n)`. `before_retry` is
    called with the error and its number, from 1, before each further try; what it raises ends the trying. Errors that
    are not OOM are never retried. The last error is raised as redis-py raised it.
    """

    def call(self, write: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`write(*args, **kwargs)`, and again while it is refused for want of memory."""
        return self._tried(lambda: write(*args, **kwargs), is_oom)

    def execute(self, pipeline: Any) -> list[Any]:
        """A pipeline's answers in its own order. Only its refused commands are sent again, after those that passed.

        A transaction is sent again as a whole, as it was refused as a whole; one with WATCH is not, because its watch
        is gone: give `call` the function that watches.
        """
        job = _PipelineJob(pipeline)
        self._tried(lambda: job.take(job.load().execute(raise_on_error=False)), job.may_retry)
        return job.finished()

    def _tried(self, write: Callable[[], T], may_retry: Callable[[Exception], bool]) -> T:
        failures = 0
        while True:
            try:
                return write()
            except ResponseError as error:
                failures += 1
                if failures > self.retries or not may_retry(error):
                    raise
                if self.before_retry is not None:
                    self.before_retry(error, failures)
            time.sleep(self._wait(failures))


@dataclass(frozen=True, slots=True)
class AsyncOomRetry(_Tries):
    """`OomRetry` for redis.asyncio; `before_retry` may be a plain function or a coroutine function."""

    async def call(self, write: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `OomRetry.call`; `write` returns an awaitable, a new one for each try."""
        return await self._tried(lambda: write(*args, **kwargs), is_oom)

    async def execute(self, pipeline: Any) -> list[Any]:
        """As `OomRetry.execute`, for a pipeline of redis.asyncio."""
        job = _PipelineJob(pipeline)

        async def send() -> None:
            job.take(await job.load().execute(raise_on_error=False))

        await self._tried(send, job.may_retry)
        return job.finished()

    async def _tried(self, write: Callable[[], Awaitable[T]], may_retry: Callable[[Exception], bool]) -> T:
        failures = 0
        while True:
            try:
                return await write()
            except ResponseError as error:
                failures += 1
                if failures > self.retries or not may_retry(error):
                    raise
                if self.before_retry is not None:
                    answer = self.before_retry(error, failures)
                    if inspect.isawaitable(answer):
                        await answer
            await asyncio.sleep(self._wait(failures))


class _PipelineJob:
    """A pipeline's commands, the answers so far, and which commands are still to be sent.

    A cluster's pipeline keeps its commands in a strategy of its own, and has no flags of a transaction.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        strategy = getattr(pipeline, "_execution_strategy", pipeline)  # of a cluster's since redis-py 6
        queue = _queue(pipeline, strategy)
        self._commands = [_words(command) for command in queue]
        self._plain = all(isinstance(command, tuple) for command in queue)
        self._answers: list[Any] = [None] * len(self._commands)
        self._pending = list(range(len(self._commands)))
        self._loaded = False
        self._explicit = bool(getattr(pipeline, "explicit_transaction", False))
        # redis.asyncio names the same flag otherwise.
        always = any(getattr(pipeline, flag, None) is True for flag in ("transaction", "is_transaction"))
        self._atomic = self._explicit or always or "Transaction" in type(strategy).__name__
        self._watching = bool(getattr(pipeline, "watching", False) or getattr(strategy, "_watching", False))
        self._committed = False

    def load(self) -> Any:
        """The pipeline with what is pending on its stack; `execute` empties it each time."""
        if not self._loaded:
            self._loaded = True
            return self._pipeline
        if self._plain:
            self._pipeline.command_stack = [self._commands[index] for index in self._pending]
            self._pipeline.explicit_transaction = self._explicit
            return self._pipeline
        for index in self._pending:
            words, options = self._commands[index]
            self._pipeline.execute_command(*words, **options)
        return self._pipeline

    def take(self, answers: list[Any]) -> None:
        """Keep the answers; raise the first refusal for want of memory."""
        for index, answer in zip(self._pending, answers, strict=True):
            self._answers[index] = answer
        self._committed = self._atomic
        self._pending = [index for index in self._pending if is_oom(self._answers[index])]
        if self._pending:
            raise self._answers[self._pending[0]]

    def may_retry(self, error: Exception) -> bool:
        """Never in part what was committed as one, never without the watch that it depended on."""
        return is_oom(error) and not self._committed and not self._watching

    def finished(self) -> list[Any]:
        """All answers; raises the first error among them, as redis-py does."""
        for answer in self._answers:
            if isinstance(answer, RedisError):  # a cluster's pipeline answers a lost node's commands with its error
                raise answer
        return self._answers


def _queue(pipeline: Any, strategy: Any) -> list[Any]:
    queues = (getattr(strategy, name, None) for name in ("_command_queue", "_command_stack", "command_stack"))
    found = next((queue for queue in queues if queue is not None), None)
    if found is None:
        raise TypeError(f"{type(pipeline).__name__} is not a pipeline of redis-py whose commands can be read")
    return list(found)


def _words(command: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A queued command: its words and its options."""
    if isinstance(command, tuple):
        return command
    options = getattr(command, "options", None)
    return tuple(command.args), dict(getattr(command, "kwargs", {}) if options is None else options)


PAGE = 500
_LOST = (OSError, exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ClusterDownError)
_GLOB_SPECIAL = re.compile(rb"[*?\[\]\\]")

# The check and the deletion are one step on the server. No shebang: Redis 7 refuses scripts with one at OOM.
_DELETE_IF = """
local ttl = redis.call('PTTL', KEYS[1])
if ttl == -2 then return -1 end
if ARGV[2] == '1' and ttl == -1 then return 0 end
local wanted = tonumber(ARGV[1])
if wanted > 0 then
  local idle = redis.pcall('OBJECT', 'IDLETIME', KEYS[1])
  if type(idle) ~= 'number' or idle < wanted then return 0 end
end
return redis.call('UNLINK', KEYS[1])
"""


@dataclass(slots=True)
class _Bounds:
    """What both kinds of cleanup are told, and where they stand. `lost`: what the last call could not finish, its error
    by the node's name ('' without a cluster). The server said that `deleted_total` keys were deleted; whether this took
    `in_doubt_total` more is not known: no reply came, or they were gone already, as where redis-py asked again.
    """

    client: Any
    prefix: bytes
    max_keys: int = 200
    idle_over_seconds: int = 60
    only_expiring: bool = True
    max_scanned: int = 10_000
    deleted_total: int = field(default=0, init=False)
    in_doubt_total: int = field(default=0, init=False)
    lost: dict[str, Exception] = field(default_factory=dict, init=False)
    _node: str = field(default="", init=False)
    _places: list[tuple[Any, int]] = field(default_factory=list, init=False)
    _names: list[Any] = field(default_factory=list, init=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)

    def _next(self, call: Counter[str]) -> list[Any]:
        """The keys to ask for now, as many as the bound leaves: in doubt until they are answered."""
        wanted = self.max_keys - call.total()
        names, self._names = self._names[:wanted], self._names[wanted:]
        call["in_doubt"] += len(names)
        self.in_doubt_total += len(names)
        return names

    def _page(self) -> dict[str, Any]:
        """How the next SCAN is to be asked; of a cluster each primary in turn, as any of them may be the full one."""
        with self._lock:
            if not self._places:
                primaries = getattr(self.client, "get_primaries", None)
                self._places = [(None, 0)] if primaries is None else [(node, 0) for node in primaries()]
            node, cursor = self._places.pop(0)
            self._node = "" if node is None else node.name
        page = {"cursor": cursor, "match": _GLOB_SPECIAL.sub(rb"\\\g<0>", self.prefix) + b"*", "count": PAGE}
        return page if node is None else {**page, "target_nodes": node}

    def _take(self, page: dict[str, Any], reply: tuple[Any, list[Any]]) -> None:
        cursor, self._names = reply
        if isinstance(cursor, dict):  # of a cluster, by its node's name
            (cursor,) = cursor.values()
        if cursor:
            self._places.append((page.get("target_nodes"), cursor))

    def _settle(self, call: Counter[str], answers: list[Any]) -> None:
        """Count what they say; raises an error among them only after that."""
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        known = len(answers) - answers.count(-1) - sum(isinstance(error, _LOST) for error in errors)
        call.update(deleted=answers.count(1), in_doubt=-known)
        self.deleted_total += answers.count(1)
        self.in_doubt_total -= known
        for error in errors:
            raise error

    def _deletions(self, names: list[Any]) -> Any:
        """One call a key: a script with several would not work on a cluster, and would hold the server for longer."""
        pipeline = self.client.pipeline(transaction=False)
        for name in names:
            # A cluster's pipeline has no eval().
            pipeline.execute_command("EVAL", _DELETE_IF, 1, name, self.idle_over_seconds, int(self.only_expiring))
        return pipeline


@dataclass(slots=True)
class NamespaceCleanup(_Bounds):
    """Delete at most `max_keys` keys that begin with `prefix` each time it is called.

    A key goes only if, at that moment, it has a TTL (unless `only_expiring` is False) and nobody used it for
    `idle_over_seconds`. At most `max_scanned` keys are looked at in a call; the next call goes on from there. Under an
    LFU policy the server keeps no idle times: nothing goes then unless `idle_over_seconds` is 0. It goes on with the
    other nodes of a cluster where one is lost, which `lost` names then.
    """

    def __call__(self, _error: Exception | None = None, _failures: int = 1) -> int:
        """How many keys were deleted."""
        call, self.lost = Counter[str](), {}
        for _ in range(max(1, self.max_scanned // PAGE)):
            try:
                if not self._names:
                    page = self._page()
                    self._take(page, self.client.scan(**page))
                while names := self._next(call):
                    self._settle(call, self._deletions(names).execute(raise_on_error=False))
            except _LOST as error:
                self.lost[self._node], self._names = error, []
                if hasattr(self.client, "replace_default_node"):  # a cluster's client asks that for the keys of EVAL
                    self.client.replace_default_node()
            if call.total() >= self.max_keys or not self._places:
                break
        return call["deleted"]


@dataclass(slots=True)
class AsyncNamespaceCleanup(_Bounds):
    """`NamespaceCleanup` for a client of redis.asyncio."""

    async def __call__(self, _error: Exception | None = None, _failures: int = 1) -> int:
        """How many keys were deleted."""
        if hasattr(self.client, "get_primaries"):
            await self.client.initialize()  # else an unused client of a cluster knows no node
        call, self.lost = Counter[str](), {}
        for _ in range(max(1, self.max_scanned // PAGE)):
            try:
                if not self._names:
                    page = self._page()
                    self._take(page, await self.client.scan(**page))
                while names := self._next(call):
                    self._settle(call, await self._deletions(names).execute(raise_on_error=False))
            except _LOST as error:
                self.lost[self._node], self._names = error, []
            if call.total() >= self.max_keys or not self._places:
                break
        return call["deleted"]
