"""Several things at once: none goes on unseen when another breaks."""

import asyncio

import pytest

from redis_oom_tui.models.errors import MonitorBroken
from redis_oom_tui.server.tasks import monitored, run_all, together
from tests.support.waiting import stays, until_async


class Run:
    """A run of steps that can be asked to stop; it breaks at the step `breaks`."""

    def __init__(self, steps: int, breaks: int = -1) -> None:
        self.steps, self.breaks = steps, breaks
        self.done = 0
        self.stopped = self.recorded = False

    async def run(self) -> int:
        try:
            while self.done < self.steps and not self.stopped:
                await asyncio.sleep(0)
                if self.done == self.breaks:
                    raise ZeroDivisionError
                self.done += 1
        finally:
            self.recorded = True
        return self.done

    def stop(self) -> None:
        self.stopped = True


async def test_every_run_comes_to_its_end() -> None:
    assert await run_all([Run(3), Run(1000), Run(0)]) == [3, 1000, 0]
    assert await run_all([]) == []


async def test_one_that_breaks_stops_the_others_which_end_before_its_error_is_raised() -> None:
    broken, other = Run(10, breaks=3), Run(10**9)
    with pytest.raises(ZeroDivisionError):
        await run_all([other, broken])
    assert other.stopped
    assert other.recorded
    done = other.done
    assert await stays(lambda: other.done == done < 1000)


async def test_a_cancelled_caller_takes_all_runs_along() -> None:
    runs = [Run(10**9), Run(10**9)]
    task = asyncio.create_task(run_all(runs))
    await until_async(lambda: all(run.done for run in runs), "both to run")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(run.recorded for run in runs)


async def test_the_first_error_ends_what_was_asked_beside_it() -> None:
    ended = asyncio.Event()

    async def forever() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    async def breaks() -> int:
        await asyncio.sleep(0)
        raise LookupError

    async def answers() -> int:
        return 1

    with pytest.raises(LookupError):
        await together([forever(), breaks(), answers()])
    assert ended.is_set()
    assert await together([answers(), answers()]) == [1, 1]
    assert await together([]) == []


async def test_a_monitor_that_breaks_stops_what_it_watches_and_is_named() -> None:
    stopped = asyncio.Event()

    async def breaks() -> None:
        await asyncio.sleep(0)
        raise ValueError("odd")

    async def body() -> None:
        async with monitored(breaks(), stopped.set, "latency watch"):
            await stopped.wait()

    with pytest.raises(MonitorBroken, match=r"The latency watch broke \(ValueError: odd\)"):
        await body()


async def test_a_monitor_that_is_no_longer_needed_stops_nothing() -> None:
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True

    async with monitored(asyncio.Event().wait(), stop, "watch"):  # type: ignore[arg-type]
        await asyncio.sleep(0)
    assert not stopped
