"""What goes on for a while: plannings, runs and restorings, each in a task of its own that ends at an edge."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from redis_oom_tui.ports.source import Job

_Result = TypeVar("_Result")
_View = TypeVar("_View")

_LOOK_SECONDS = 0.5
_LEAVE_SECONDS = 1.5


class BackgroundJobs:
    """The jobs under way: they outlive the dialog that began them, and are waited for when the app is left."""

    def __init__(self) -> None:
        self._stops: dict[asyncio.Task[object], Callable[[], None]] = {}

    def __bool__(self) -> bool:
        """Whether a job goes on."""
        return bool(self._stops)

    async def follow(self, job: Job[_Result, _View], publish: Callable[[_View], None]) -> _Result:
        """Run a job to its end, publishing how far it is twice a second; where that fails, the job is stopped."""
        task = asyncio.create_task(job.run())
        self._stops[task] = job.stop
        task.add_done_callback(lambda done: self._stops.pop(done, None))
        try:
            while not task.done():
                publish(job.view())
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
        finally:
            if task.done():
                self._stops.pop(task, None)
            else:
                job.stop()
        return task.result()

    def stop(self) -> None:
        """End every job at its next edge."""
        for stop in list(self._stops.values()):
            stop()

    async def close(self) -> None:
        """End them in a known state, and wait a moment for that."""
        self.stop()
        if self._stops:
            await asyncio.wait(set(self._stops), timeout=_LEAVE_SECONDS)
