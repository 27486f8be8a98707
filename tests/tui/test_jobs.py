"""Jobs under way: followed to their end, and never left to go on unseen."""

import asyncio

import pytest

from redis_oom_tui.tui.flows.controller import BackgroundJobs


class _Job:
    """Goes on until it is stopped."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.ended = False

    async def run(self) -> str:
        await self.stopped.wait()
        self.ended = True
        return "stopped"

    def stop(self) -> None:
        self.stopped.set()

    def view(self) -> int:
        return 7


async def test_a_job_that_cannot_be_shown_any_more_is_stopped_and_forgotten():
    def broken(view: int) -> None:
        raise ZeroDivisionError(view)

    jobs, job = BackgroundJobs(), _Job()
    with pytest.raises(ZeroDivisionError):
        await jobs.follow(job, broken)
    assert jobs, "it ends at its next edge, and is waited for until then"
    await jobs.close()
    assert job.ended
    await asyncio.sleep(0)
    assert not jobs


async def test_a_job_is_followed_to_its_end():
    jobs, job, seen = BackgroundJobs(), _Job(), []
    following = asyncio.create_task(jobs.follow(job, seen.append))
    await asyncio.sleep(0)
    assert jobs
    jobs.stop()
    assert await following == "stopped"
    assert seen == [7]
    assert not jobs
