"""Where a walk through a database stands, and how the cursor space may be divided among several walks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_BITS = 64
# A walk's first keys are remembered until its neighbour has ended: the neighbour's last page may reach into them.
_SEAM = 4096


def reversed_bits(cursor: int) -> int:
    """A cursor counts from its high bits down: reversed, it grows from 0 to 2^64 during a walk (dict.c, dictScan).

    >>> reversed_bits(1) == 1 << 63, reversed_bits(0)
    (True, 0)
    """
    return int(f"{cursor & ((1 << _BITS) - 1):064b}"[::-1], 2)


@dataclass(slots=True)
class Walk:
    """One part of a database's cursor space: all cursors whose lowest `bits` bits are `part`.

    `page` are keys that SCAN gave and that were not asked about yet: kept here, a lost connection loses none.
    """

    db: int
    part: int = 0
    bits: int = 0
    cursor: int = -1
    ended: bool = False
    page: list[bytes] = field(default_factory=list)
    head: set[bytes] | None = field(default_factory=set)
    tail: set[bytes] = field(default_factory=set)
    before: "Walk | None" = None

    def __post_init__(self) -> None:
        if self.cursor < 0:
            self.cursor = self.part

    @property
    def done(self) -> bool:
        """Whether every key of this part was given and asked about."""
        return self.ended and not self.page

    @property
    def share(self) -> float:
        """How much of this part was walked, from 0 to 1."""
        if self.ended:
            return 1.0
        start = reversed_bits(self.part)
        return min(1.0, (reversed_bits(self.cursor) - start) / (1 << (_BITS - self.bits)))

    def advance(self, cursor: int, keys: list[bytes]) -> None:
        """SCAN answered: the next cursor, and keys to ask about."""
        self.ended = cursor == 0 or (cursor & ((1 << self.bits) - 1)) != self.part
        self.cursor = cursor
        self.page = self._unseen(keys) if self.bits else keys

    def _unseen(self, keys: list[bytes]) -> list[bytes]:
        """`keys` without those that the neighbouring walks have given: pages reach over the seam between two parts."""
        if self.head is not None and len(self.head) < _SEAM:
            new = set(keys)
            self.head |= new
            if self.before is not None and self.before.tail:
                tail = self.before.tail
                keys = [key for key in keys if key not in tail]
        return keys

    def cross(self, following: "Walk") -> None:
        """This walk has ended inside `following`: drop from its last page what that one has given already."""
        self.tail = set(self.page)
        head = following.head or set()
        self.page = [key for key in self.page if key not in head]


def whole(db: int) -> list[Walk]:
    """One walk for all of a database."""
    return [Walk(db)]


def divided(db: int, bits: int) -> list[Walk]:
    """A database in 2^bits walks, in the order in which one walk would reach them."""
    walks = [Walk(db, part=reversed_bits(order << (_BITS - bits)), bits=bits) for order in range(1 << bits)]
    for before, walk in pairwise(walks):
        walk.before = before
    return walks


def share_walked(walks: Sequence[Walk]) -> float:
    """How much of the cursor space of all `walks` is behind them."""
    return sum(walk.share for walk in walks) / len(walks) if walks else 1.0
