"""Where a scan of a database stands, how its pages are asked for, and how the cursor space may be divided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from redis_oom_tui.server.replies import page
from redis_oom_tui.server.resp import ScanCommand

_BITS = 64
# A range's first keys are remembered until its neighbour has ended, whose last page may reach into them: twice as many
# as a page may hold.
_SEAM = 2048
_FEWEST = 10
# A page of a thousand names of 100 KB would be a reply of 100 MB: so many bytes of names at most, and so many keys
# before anything is known of the names.
_MOST_BYTES, _FIRST_PAGE = 256 * 1024, 16
# So many keys make it worth while to divide a database in four, eight or sixteen.
_DIVISIONS = ((400_000, 4), (100_000, 3), (20_000, 2))


def reversed_bits(cursor: int) -> int:
    """A cursor counts from its high bits down: reversed, it grows from 0 to 2^64 during a scan (dict.c, dictScan).

    >>> reversed_bits(1) == 1 << 63, reversed_bits(0)
    (True, 0)
    """
    return int(f"{cursor & ((1 << _BITS) - 1):064b}"[::-1], 2)


@dataclass(slots=True)
class CursorRange:
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
    given: frozenset[bytes] = frozenset()
    before: "CursorRange | None" = None
    _start: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._start = reversed_bits(self.part)
        if self.cursor < 0:
            self.cursor = self.part

    @property
    def done(self) -> bool:
        """Whether every key of this part was given and asked about."""
        return self.ended and not self.page

    @property
    def share(self) -> float:
        """How much of this part was scanned, from 0 to 1."""
        if self.ended:
            return 1.0
        return min(1.0, (reversed_bits(self.cursor) - self._start) / (1 << (_BITS - self.bits)))

    def count(self, count: int, keys: int) -> int:
        """COUNT for the next page of a database of `keys`: less at the end, so as not to reach far into the next part.

        >>> CursorRange(0).count(1000, 5000), CursorRange(0, part=0, bits=4).count(1000, 5000)
        (1000, 328)
        """
        if not self.bits:
            return count
        left = (1.0 - self.share) * keys / (1 << self.bits)
        return min(count, max(_FEWEST, int(left * 1.05)))

    def advance(self, cursor: int, keys: list[bytes]) -> None:
        """SCAN answered: the next cursor, and keys to ask about."""
        self.ended = cursor == 0 or (cursor & ((1 << self.bits) - 1)) != self.part
        self.cursor = cursor
        self.page = self._unseen(keys) if self.bits else keys

    def cross(self, following: "CursorRange") -> None:
        """This range has ended inside `following`: drop from its last page what that one has given already."""
        if following.head is not None:
            self.page = [key for key in self.page if key not in following.head]
            following.given = frozenset(self.page)

    def _unseen(self, keys: list[bytes]) -> list[bytes]:
        """`keys` without those that the neighbour's last page gave, and remembered for it while it has not ended."""
        if self.head is None or self.before is None:
            return keys
        if len(self.head) < _SEAM:
            self.head.update(keys)
        elif self.before.ended:
            self.head, self.given = None, frozenset()
        return [key for key in keys if key not in self.given] if self.given else keys


def whole(db: int) -> list[CursorRange]:
    """One range for all of a database."""
    return [CursorRange(db)]


def divided(db: int, keys: int) -> list[CursorRange]:
    """A database of `keys` in several ranges, in the order in which a single one would reach their keys."""
    bits = next((bits for least, bits in _DIVISIONS if keys >= least), 0)
    if not bits:
        return whole(db)
    cursor_ranges = [
        CursorRange(db, part=reversed_bits(order << (_BITS - bits)), bits=bits) for order in range(1 << bits)
    ]
    for before, cursor_range in pairwise(cursor_ranges):
        cursor_range.before = before
    return cursor_ranges


def share_scanned(cursor_ranges: Sequence[CursorRange]) -> float:
    """How much of the cursor space of all `cursor_ranges` is behind them."""
    return sum(cursor_range.share for cursor_range in cursor_ranges) / len(cursor_ranges) if cursor_ranges else 1.0


def counts_in_reversed_bits(cursor: int, count: int, keys: int) -> bool:
    """Whether the cursor after a first page of `count` out of `keys` is where such a scan would be by then.

    A server that only speaks Redis's protocol may count otherwise, and must not be scanned in parts.
    """
    reached = reversed_bits(cursor) / (1 << _BITS)
    return cursor != 0 and 0 < reached < 20 * count / max(1, keys)


class PageSize:
    """COUNT for the next page by how long names are, from what the last pages brought.

    >>> pages = PageSize()
    >>> pages.count(1000), pages.count(8)
    (16, 8)
    >>> pages.came([b"k" * 100_000] * 16, 16); pages.count(1000)
    2
    >>> for _ in range(8): pages.came([b"short"] * 64, 64)
    >>> pages.count(1000)
    671
    """

    def __init__(self) -> None:
        self._each = _MOST_BYTES / _FIRST_PAGE

    def count(self, wanted: int) -> int:
        """So many keys, `wanted` at most."""
        return max(1, min(wanted, int(_MOST_BYTES / self._each)))

    def came(self, names: Sequence[bytes], count: int) -> None:
        """A page of `count` brought these names: longer ones count at once, shorter ones little by little."""
        self._each = max(sum(map(len, names)) / max(1, count), self._each / 2, 1.0)


class PageReader:
    """Asks by SCAN for the next page of a range of one database, and takes the reply: all loops over keys go by it."""

    def __init__(self, command: ScanCommand) -> None:
        self._command = command
        self._sizes = PageSize()

    def request(self, cursor_range: CursorRange, wanted: int, keys: int = 0) -> tuple[bytes, int]:
        """The command for `wanted` keys at most of a database of about `keys`, and for how many it asks."""
        size = cursor_range.count(self._sizes.count(wanted), keys)
        return self._command.packed(cursor_range.cursor, size), size

    def take(
        self, cursor_range: CursorRange, reply: Any, size: int, keep: Callable[[list[bytes]], list[bytes]] | None = None
    ) -> list[bytes]:
        """The names that a page of `size` brought, and `cursor_range` behind it, which holds those that `keep` leaves.

        Raises InvalidResponse, or the refusal that `reply` is: the range then stays where it was.
        """
        cursor, names = page(reply)
        self._sizes.came(names, size)
        cursor_range.advance(cursor, names if keep is None else keep(names))
        return names
