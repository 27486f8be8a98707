"""What the workers of a scan ask: its rate, a pause, a stop, a sample that is enough; and pages counted in batches."""

from collections.abc import Callable, Sequence
from typing import Any

from redis_oom_tui.models.scan import Brake, Pace
from redis_oom_tui.server.pace_steps import PROFILES, PaceStep
from redis_oom_tui.server.rate_controller import RateController
from redis_oom_tui.server.scan.aggregates import Columns, ScanAggregates
from redis_oom_tui.server.scan.packing import KeyQuestion

Counted = Callable[[int, list[bytes], Columns], None]

_MOST = 256
# A part of a scan is a sample by how its pages differ from each other: so early on there must be enough of them.
_FEWEST_PAGES = 32


class PageBatch:
    """Pages of one scan that `counted` has not been given yet: few keys at first, up to 256 later."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._db = 0
        self._names: list[bytes] = []
        self._asked: tuple[KeyQuestion, ...] = ()
        self._answers: list[Any] = []
        self._handed_over = 0

    @property
    def keys(self) -> int:
        """How many keys wait to be counted."""
        return len(self._names)

    def add(self, db: int, names: list[bytes], asked: tuple[KeyQuestion, ...], answers: list[Any]) -> None:
        """One page: of each of `names` one after the other the answers to what was `asked`."""
        if self._names and (db, asked) != (self._db, self._asked):
            self.hand_over()
        if self._names:
            self._names += names
            self._answers += answers
        else:
            self._db, self._names, self._asked, self._answers = db, list(names), asked, answers
        if len(self._names) >= min(_MOST, self._handed_over // _FEWEST_PAGES):
            self.hand_over()

    def hand_over(self) -> None:
        """Whatever waits is counted now."""
        names, answers = self._names, self._answers
        if not names:
            return
        self._names, self._answers = [], []
        self._handed_over += len(names)
        self._counted(self._db, names, sorted_out(self._asked, answers, len(names)))


def sorted_out(asked: Sequence[KeyQuestion], answers: list[Any], size: int) -> Columns:
    """The answers about `size` keys, of each key one after the other what was `asked`, by what they are."""
    each = len(asked)
    found = {column: answers[index : each * size : each] for index, column in enumerate(asked)}
    frequency = KeyQuestion.FREQUENCY in found
    return Columns(
        sizes=found.get(KeyQuestion.SIZE),
        types=found.get(KeyQuestion.TYPE),
        ttls=found.get(KeyQuestion.TTL),
        idles=found.get(KeyQuestion.FREQUENCY if frequency else KeyQuestion.IDLE),
        frequencies=frequency,
    )


class ScanControl:
    """What the workers of a scan at `pace` ask, which counts pages by `counted` into `tally`; `sample` keys are enough.

    `sent` is how many commands went out, `given` how many keys SCAN gave, `stopped` that it ends after the page in
    flight.
    """

    def __init__(self, pace: Pace, tally: ScanAggregates, sample: int | None, counted: Counted) -> None:
        self.pace = pace
        self.rate = RateController(PROFILES[pace])
        self.sent = 0
        self.given = 0
        self._tally = tally
        self._sample = sample
        self.batch = PageBatch(counted)

    @property
    def stopped(self) -> bool:
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
        return self._sample is not None and self._tally.keys + self.batch.keys >= self._sample

    @property
    def step(self) -> PaceStep:
        """How many lanes, and how large a page, right now."""
        return self.rate.step

    @property
    def stopping(self) -> bool:
        """Whether to end after the page in flight."""
        return self.stopped or self.enough

    def shown(self) -> Brake:
        """What it costs, for people."""
        return self.rate.shown()

    def count(self, db: int, names: list[bytes], asked: tuple[KeyQuestion, ...], answers: list[Any]) -> None:
        """Take one page: the answers about `names`, which came with those of a SCAN."""
        self.sent += len(answers) + 1
        self.given += len(names)
        self.batch.add(db, names, asked, answers)
