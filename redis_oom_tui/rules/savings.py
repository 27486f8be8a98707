"""By how much used_memory falls when something goes: a range around what the server says that it takes.

Even where a size is exact, used_memory falls by another figure. Measured on Redis 6.2 (libc), 7.0 and 8.2 (jemalloc)
and Valkey 9.1 (libc), used_memory before and after, once nothing moved any more:

| What goes, or comes meanwhile | Beside its MEMORY USAGE from all elements |
|---|---|
| a string, list or stream, whatever is one block | the key's place in the tables: 15 to 27 bytes |
| a hash, set or sorted set that is a table | 0 to 8 bytes an element more: jemalloc gives 32 for an entry of 24 |
| a set on Redis 7.2 and later | 25 to 45% less: it counts entries that it does not make any more |
| a number below 10,000 on 6.2 and 7.0 | 8 bytes less: its 16 are shared, and its place takes 8 |
| the first call of a command, from 7.0 on | 24.7 KB stay taken, for the histogram of its times (`latency-tracking`) |
| the first cleanup by this tool on a server | 200 to 270 KB stay taken: eight such commands; the second: nothing |
| a connection | 2 to 23 KB come or go |
| a client that has written or read large values | 95 to 130 KB go some seconds later |

So a saving of megabytes is told to within some percent, and a small one is not. What a rule takes from measurements of
used_memory has this in its range already.
"""

from collections.abc import Iterable

from redis_oom_tui.models.keys import KeyRow, SizeKind
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.rules.sizing import COMPACT

WIDEST = 2.5
"""A range wider than this, high over low, helps nobody to decide: then there is no number."""

# What rounding to whole bytes makes of it.
_TOLERANCE = 0.01
# What a key takes in the tables beyond its MEMORY USAGE, at most.
_PLACE_BYTES = 27

TAKEN_BYTES = 256 * 1024
"""What the first cleanup leaves on a server, for the statistics of its commands."""

# Of a small saving no more than a share is counted as taken meanwhile: then commands by hand are meant, of which two
# may be the first of their kind. What is given meanwhile is of those who wrote.
_TAKEN_SHARE, _COMMANDS_BYTES = 1 / 8, 48 * 1024
_GIVEN_BYTES, _GIVEN_SHARE = 128 * 1024, 1 / 16
# What deleting many keys frees for each byte of their MEMORY USAGE: where that was measured, and where it was sampled.
_EXACT, _SAMPLED = (0.90, 1.15), (0.66, 1.50)
# A number that all keys share is counted with each of them: 16 bytes, less those of the key's place.
_SHARED_BYTES = 10
# What an element of a table takes beyond what is counted, and the least that is counted for one.
_ROUNDED_BYTES, _LEAST_ELEMENT_BYTES = 8, 48
_TABLES = frozenset({"hash", "set", "zset"})
# What a set of Redis 7.2 and later frees for each byte of its MEMORY USAGE.
_SET_LOW = 0.5


def with_noise(low: int, high: int) -> tuple[int, int]:
    """`low` to `high` bytes that go, and what used_memory moves by itself meanwhile.

    >>> with_noise(30_000_000, 30_000_000), with_noise(800_000, 900_000)
    ((29737856, 30131072), (700000, 956250))
    """
    taken = max(_COMMANDS_BYTES, min(TAKEN_BYTES, int(low * _TAKEN_SHARE)))
    return max(0, low - taken), high + min(_GIVEN_BYTES, int(high * _GIVEN_SHARE))


def narrow(saves: tuple[int, int] | None) -> tuple[int, int] | None:
    """`saves`, or None where it is too wide to say anything.

    >>> narrow((100, 250)), narrow((100, 300)), narrow((0, 9))
    ((100, 250), None, None)
    """
    return None if saves is None or saves[1] > (WIDEST + _TOLERANCE) * saves[0] else saves


def freed(low: int, high: int, keys: int = 1, *, exact: bool = True) -> tuple[int, int]:
    """What deleting so many keys frees whose sizes add up to `low` to `high` bytes.

    >>> freed(1_000_000, 1_000_000, 100), freed(1_000_000, 1_000_000, 100, exact=False)
    ((875000, 1152700), (660000, 1502700))
    """
    least, most = _EXACT if exact else _SAMPLED
    lowest, highest = with_noise(low, high)
    lowest = min(int(low * least), lowest, low - keys * _SHARED_BYTES)
    return max(0, lowest), max(int(high * most), highest) + keys * _PLACE_BYTES


def freed_with(rows: Iterable[KeyRow], server: Server) -> tuple[int, int]:
    """What deleting these keys frees: near their sizes where these are known, else as far around as a sample's."""
    rows = tuple(rows)
    ranges = [_held(row, server) for row in rows]
    low, high = sum(low for low, _ in ranges), sum(high for _, high in ranges)
    if any(row.size_kind is not SizeKind.EXACT and row.size_low is None for row in rows):
        return freed(low, high, len(rows), exact=False)
    lowest, highest = with_noise(low, high)
    return lowest, highest + len(rows) * _PLACE_BYTES


def _held(row: KeyRow, server: Server) -> tuple[int, int]:
    """What a key takes, least and most, with what its elements take beyond what the server counts."""
    size = row.size or 0
    low, high = (size if end is None else end for end in (row.size_low, row.size_high))
    if row.type not in _TABLES or row.encoding in COMPACT:
        return low, high
    if row.type == "set" and row.measured:
        if server.flavour == "redis" and server.release >= (7, 2):
            return int(size * _SET_LOW), size
        low = high = size
    elements = high // _LEAST_ELEMENT_BYTES if row.elements is None else row.elements
    return low, high + _ROUNDED_BYTES * elements
