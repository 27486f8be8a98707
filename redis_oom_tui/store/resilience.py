"""What an application does about OOM: wait a little, make room within bounds, try again, and give up with the error."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from redis.asyncio.retry import Retry as AsyncioRetry
from redis.backoff import EqualJitterBackoff
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.retry import Retry

P = ParamSpec("P")
T = TypeVar("T")

# One wording since Redis 2: at EXEC and inside old servers' script errors it stands further in.
_OOM_TEXT = "command not allowed when used memory > 'maxmemory'"


def is_oom(error: object) -> bool:
    """Whether an error says that the server refused a write for want of memory, in whichever form.

    Redis 6.2 wraps it into a script's plain error, a transaction into EXECABORT; pipelines prefix the command.

    >>> is_oom(ResponseError("@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'."))
    True
    >>> is_oom(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    False
    """
    return isinstance(error, OutOfMemoryError) or (isinstance(error, ResponseError) and _OOM_TEXT in str(error))


@dataclass(frozen=True, slots=True)
class OomRetry:
    """How often and how long to try again. Times are in seconds.

    The wait before try n is drawn from the upper half of `min(cap_seconds, base_seconds * 2**n)`. `before_retry` is
    called with the error and its number, from 1, before each further try; what it raises ends the trying. Errors that
    are not OOM are never retried. The last error is raised as redis-py raised it.
    """

    retries: int = 5
    base_seconds: float = 0.1
    cap_seconds: float = 2.0
    before_retry: Callable[[Exception, int], object] | None = None

    @property
    def longest_wait_seconds(self) -> float:
        """The longest that all waits together can take; the hook's own time and the server's come on top."""
        return sum(min(self.cap_seconds, self.base_seconds * float(2**n)) for n in range(1, self.retries + 1))

    def call(self, write: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`write(*args, **kwargs)`, and again while it is refused for want of memory."""
        return self._retry().call_with_retry(
            lambda: write(*args, **kwargs), self._failed, is_oom, with_failure_count=True
        )

    def execute(self, pipeline: Any) -> list[Any]:
        """A pipeline's answers in its own order. Only its refused commands are sent again, after those that passed.

        A transaction is sent again as a whole, as it was refused as a whole; one with WATCH is not, because its watch
        is gone: give `call` the function that watches.
        """
        job = _PipelineJob(pipeline)
        self._retry().call_with_retry(
            lambda: job.take(job.load().execute(raise_on_error=False)),
            self._failed,
            job.may_retry,
            with_failure_count=True,
        )
        return job.finished()

    def _retry(self) -> Retry:
        return Retry(EqualJitterBackoff(self.cap_seconds, self.base_seconds), self.retries, (ResponseError,))

    def _failed(self, error: Exception, failures: int) -> None:
        if self.before_retry is not None and failures <= self.retries:
            self.before_retry(error, failures)


@dataclass(frozen=True, slots=True)
class AsyncOomRetry:
    """`OomRetry` for redis.asyncio; `before_retry` may be a plain function or a coroutine function."""

    retries: int = 5
    base_seconds: float = 0.1
    cap_seconds: float = 2.0
    before_retry: Callable[[Exception, int], object] | None = None

    @property
    def longest_wait_seconds(self) -> float:
        """As `OomRetry.longest_wait_seconds`."""
        return OomRetry(self.retries, self.base_seconds, self.cap_seconds).longest_wait_seconds

    async def call(self, write: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `OomRetry.call`; `write` returns an awaitable, anew for each try."""
        return await self._retry().call_with_retry(
            lambda: write(*args, **kwargs), self._failed, is_oom, with_failure_count=True
        )

    async def execute(self, pipeline: Any) -> list[Any]:
        """As `OomRetry.execute`, for a pipeline of redis.asyncio."""
        job = _PipelineJob(pipeline)

        async def send() -> None:
            job.take(await job.load().execute(raise_on_error=False))

        await self._retry().call_with_retry(send, self._failed, job.may_retry, with_failure_count=True)
        return job.finished()

    def _retry(self) -> AsyncioRetry:
        errors = (ResponseError,)
        return AsyncioRetry(EqualJitterBackoff(self.cap_seconds, self.base_seconds), self.retries, errors)

    async def _failed(self, error: Exception, failures: int) -> None:
        if self.before_retry is not None and failures <= self.retries:
            answer = self.before_retry(error, failures)
            if inspect.isawaitable(answer):
                await answer


class _PipelineJob:
    """A pipeline's commands, the answers so far, and which commands are still to be sent."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._commands = list(pipeline.command_stack)
        self._answers: list[Any] = [None] * len(self._commands)
        self._pending = list(range(len(self._commands)))
        self._explicit = bool(pipeline.explicit_transaction)
        # redis.asyncio names the same flag otherwise.
        always = getattr(pipeline, "transaction", None) is True or getattr(pipeline, "is_transaction", None) is True
        self._atomic = self._explicit or always
        self._watching = bool(pipeline.watching)
        self._committed = False

    def load(self) -> Any:
        """The pipeline with what is pending on its stack; `execute` empties it each time."""
        self._pipeline.command_stack = [self._commands[index] for index in self._pending]
        self._pipeline.explicit_transaction = self._explicit
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
            if isinstance(answer, ResponseError):
                raise answer
        return self._answers
