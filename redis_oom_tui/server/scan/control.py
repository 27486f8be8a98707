"""What holds the lanes of a scan: its rate, a pause, a stop, and a sample that is enough."""

from typing import Any

from redis_oom_tui.models.scan import Brake, Pace
from redis_oom_tui.server.pace_steps import PROFILES, PaceStep
from redis_oom_tui.server.rate_controller import RateController
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.batching import Counted, PageBatch
from redis_oom_tui.server.scan.packing import KeyQuestion


class ScanControl:
    """What the workers of a scan at `pace` ask, which counts pages by `counted` into `tally`; `sample` keys are enough.

    `sent` is how many commands went out, `given` how many keys SCAN gave, `let_go` that it ends after the page in
    flight.
    """

    def __init__(self, pace: Pace, tally: ScanAggregates, sample: int | None, counted: Counted) -> None:
        self.pace = pace
        self.rate = RateController(PROFILES[pace])
        self.sent = 0
        self.given = 0
        self._tally = tally
        self._sample = sample
        self.gathering = PageBatch(counted)

    @property
    def let_go(self) -> bool:
        """Whether it was stopped."""
        return self.rate.stopping

    def stop(self) -> None:
        """End after the page in flight, whatever holds it."""
        self.rate.stop()

    def set_pace(self, pace: Pace) -> None:
        """Lean harder, or less, from the next page on."""
        self.pace = pace
        self.rate.use(PROFILES[pace])

    @property
    def enough(self) -> bool:
        """Whether the sample that was asked for has been seen."""
        return self._sample is not None and self._tally.keys + self.gathering.keys >= self._sample

    @property
    def step(self) -> PaceStep:
        """How many lanes, and how large a page, right now."""
        return self.rate.step

    @property
    def stopping(self) -> bool:
        """Whether to end after the page in flight."""
        return self.let_go or self.enough

    def shown(self) -> Brake:
        """What it costs, for people."""
        return self.rate.shown()

    def count(self, db: int, names: list[bytes], asked: tuple[KeyQuestion, ...], answers: list[Any]) -> None:
        """Take one page: the answers about `names`, which came with those of a SCAN."""
        self.sent += len(answers) + 1
        self.given += len(names)
        self.gathering.add(db, names, asked, answers)
