"""What holds the lanes of a scan: its brake, a pause, a stop, and a sample that is enough."""

import asyncio
from typing import Any

from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.batching import Counted, PageBatch
from redis_oom_tui.server.scan.pace_steps import PaceStep
from redis_oom_tui.server.scan.packing import KeyQuestion
from redis_oom_tui.server.scan.rate_controller import RateController


class ScanControl:
    """The `crew.Foreman` of a scan that counts pages by `counted` into `tally`, of which `sample` keys are enough."""

    def __init__(self, braking: RateController, tally: ScanAggregates, sample: int | None, counted: Counted) -> None:
        self.braking = braking
        self.going = asyncio.Event()
        self.going.set()
        self.let_go = False
        self.sent = 0
        self._tally = tally
        self._sample = sample
        self.gathering = PageBatch(counted)

    def take(self) -> None:
        """A run begins."""
        self.let_go = False
        self.going.set()

    def stop(self) -> None:
        """End after the page in flight, whatever holds it."""
        self.let_go = True
        self.going.set()
        self.braking.free.set()

    @property
    def enough(self) -> bool:
        """Whether the sample that was asked for has been seen."""
        return self._sample is not None and self._tally.keys + self.gathering.keys >= self._sample

    # What the lanes ask.

    @property
    def step(self) -> PaceStep:
        """How many lanes, and how large a page, right now."""
        return self.braking.step

    @property
    def stopping(self) -> bool:
        """Whether to end after the page in flight."""
        return self.let_go or self.enough

    async def ready(self) -> None:
        """Return when the next page may be sent."""
        await self.going.wait()
        await self.braking.free.wait()

    def count(self, db: int, names: list[bytes], asked: tuple[KeyQuestion, ...], answers: list[Any]) -> None:
        """Take one page: the answers about `names`, which came with those of a SCAN."""
        self.sent += len(answers) + 1
        self.gathering.add(db, names, asked, answers)
