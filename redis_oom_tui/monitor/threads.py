"""Blocking work beside the loop, on threads that never keep the process from ending."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T], *, name: str, expected: tuple[type[Exception], ...]) -> T:
    """What `work` returns, or raises of the `expected` errors, from a daemon thread.

    When the caller gives up waiting the thread is left to itself: unlike an executor's, it cannot hold up the exit.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except expected as error:
            _settle(done, error=error)
        else:
            _settle(done, result)
        finally:
            # Anything else is a defect: threading prints it, and the caller must not wait for ever.
            if not done.done():
                _settle(done, error=RuntimeError(f"{name} failed in a way that was not foreseen"))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)


def _settle(done: Future[T], result: T | None = None, *, error: Exception | None = None) -> None:
    """Hand over the outcome, unless the caller has given up, or its loop has closed, meanwhile."""
    with contextlib.suppress(RuntimeError):
        if not done.set_running_or_notify_cancel():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]
