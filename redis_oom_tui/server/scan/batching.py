"""Small pages wait for each other: to count one costs as much as some forty of its keys."""

from collections.abc import Callable, Sequence
from typing import Any

from redis_oom_tui.server.scan.aggregates import Columns
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
