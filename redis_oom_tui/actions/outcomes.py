"""What became of each key of a plan, in a byte a key."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from redis_oom_tui.files.audit_lines import EarlierRuns
from redis_oom_tui.models.errors import KeyMoved
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import KeyOutcome, Outcome, OutcomeNote, PlannedKey

_DELETED_EARLIER = "an earlier run of this plan deleted it"
LOST_AND_GONE = "the reply was lost; it is gone now, perhaps by this run"
EARLIER_AND_GONE = "it is gone now; an earlier run of this plan was interrupted, and may have deleted it"
READ_BY_BACKUP = "it was used since the preview, perhaps only read by this tool's own backup"

_CODES = tuple(Outcome)
_NUMBER = {outcome: number for number, outcome in enumerate(_CODES)}
_UNTOUCHED = _NUMBER[Outcome.NOT_ATTEMPTED]


CameTo = tuple[Outcome, str, OutcomeNote | None]
"""What a key came to, the detail, and the note."""


def gone(id_: KeyId, before: EarlierRuns | None) -> CameTo:
    """What a key that is not there came to, by what runs of the plan `before` did."""
    name = (id_.db, id_.key)
    if before is None or name not in before.reached:
        return Outcome.GONE, "", None
    if name in before.in_doubt:
        return Outcome.IN_DOUBT, EARLIER_AND_GONE, None
    if name in before.deleted:
        return Outcome.GONE, _DELETED_EARLIER, OutcomeNote.DELETED_EARLIER
    return Outcome.GONE, "", None


class OutcomeTable:
    """Outcomes by position in the plan; a key of which nothing is said was not attempted."""

    def __init__(self, keys: Sequence[PlannedKey]) -> None:
        self._keys = keys
        self._codes = bytearray([_NUMBER[Outcome.NOT_ATTEMPTED]]) * len(keys)
        self._details: dict[int, str] = {}
        self._moved: dict[int, KeyMoved] = {}
        self._notes: dict[int, OutcomeNote] = {}
        self._counts: Counter[Outcome] = Counter({Outcome.NOT_ATTEMPTED: len(keys)})
        self.freed_bytes = 0

    def put(
        self,
        position: int,
        outcome: Outcome,
        detail: str = "",
        note: OutcomeNote | None = None,
        *,
        moved: KeyMoved | None = None,
    ) -> None:
        """The key at `position` came to this; `moved` is the refusal of a node that does not serve it."""
        if note is not None:
            self._notes[position] = note
        elif self._notes:
            self._notes.pop(position, None)
        if moved is not None:
            self._moved[position] = moved
        elif self._moved:
            self._moved.pop(position, None)
        before = self.outcome(position)
        self._counts[before] -= 1
        self._counts[outcome] += 1
        self._codes[position] = _NUMBER[outcome]
        if outcome is Outcome.DELETED and before is not Outcome.DELETED:
            self.freed_bytes += self._keys[position].size or 0
        if detail:
            self._details[position] = detail
        else:
            self._details.pop(position, None)

    def put_all(self, positions: Sequence[int], outcome: Outcome) -> None:
        """The keys at `positions` all came to this."""
        fresh = [position for position in positions if self._codes[position] == _UNTOUCHED]
        if len(fresh) < len(positions):
            for position in positions:
                self.put(position, outcome)
            return
        number = _NUMBER[outcome]
        for position in fresh:
            self._codes[position] = number
        self._counts[Outcome.NOT_ATTEMPTED] -= len(fresh)
        self._counts[outcome] += len(fresh)
        if outcome is Outcome.DELETED:
            self.freed_bytes += sum([self._keys[position].size or 0 for position in fresh])

    def outcome(self, position: int) -> Outcome:
        """What became of the key at `position`."""
        return _CODES[self._codes[position]]

    def of(self, positions: Sequence[int]) -> tuple[list[Outcome], dict[int, str]]:
        """What became of the keys at `positions`, in their order, and the details by their place in it."""
        codes, details = self._codes, self._details
        outcomes = [_CODES[codes[position]] for position in positions]
        return outcomes, {
            n: details[position] for n, position in enumerate(positions) if position in details
        } if details else {}

    def detail(self, position: int) -> str:
        """What had changed about it, or the refusal."""
        return self._details.get(position, "")

    def moved(self, position: int) -> KeyMoved | None:
        """The refusal of a node that does not serve the key at `position`; None where there was none."""
        return self._moved.get(position)

    def moved_of(self, positions: Sequence[int]) -> list[int]:
        """Those of `positions` whose keys a node refused that does not serve them."""
        return [position for position in positions if position in self._moved] if self._moved else []

    def noted(self, note: OutcomeNote) -> int:
        """Of how many that was noted."""
        return sum(one is note for one in self._notes.values())

    def counts(self) -> Mapping[Outcome, int]:
        """How many keys came to what; an outcome that no key came to is left out."""
        return MappingProxyType({outcome: number for outcome, number in self._counts.items() if number})

    def each(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """What became of each key, in the plan's order."""
        for position, key in enumerate(self._keys):
            outcome = self.outcome(position)
            if only is None or outcome in only:
                yield KeyOutcome(
                    key.id, outcome, self.detail(position), self.moved(position), self._notes.get(position)
                )


def after(failure: str, sentence: str) -> str:
    """`sentence` behind a failure that may end as a sentence does.

    >>> after("It is gone", "Deleted 2."), after("Is it up?", "Deleted 2.")
    ('It is gone. Deleted 2.', 'Is it up? Deleted 2.')
    """
    return f"{failure} {sentence}" if failure.endswith((".", "?", "!")) else f"{failure}. {sentence}"
