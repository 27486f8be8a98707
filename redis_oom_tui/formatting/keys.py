"""How well the size of a key is known, in words and in cells; and its slot in a cluster."""

from binascii import crc_hqx
from collections.abc import Iterable

from redis_oom_tui.formatting.sizes import count, short_size, size
from redis_oom_tui.models.keys import KeyRow, SizeKind
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.models.scan import ScanView

Sized = KeyRow | PlannedKey
SLOTS = 16_384
_NAMED = 5


def mark(key: Sized) -> str:
    """One cell behind a size: `~` for an estimate, a blank for what is exact or unknown."""
    return "~" if key.size_kind is SizeKind.ESTIMATED else " "


def range_cell(key: Sized) -> str:
    """The least and the most that an estimate may be, in at most 15 cells; empty where the size is exact.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> range_cell(KeyRow(KeyId(0, b"k"), "stream", 6_000_000, size_low=1_000_000, size_high=12_000_000))
    '976.6K-11.4M'
    """
    if key.size_kind is SizeKind.EXACT:
        return ""
    if key.size_kind is SizeKind.UNKNOWN:
        return "not measurable"
    return f"{short_size(key.size_low)}-{short_size(key.size_high)}"


def size_words(key: Sized) -> str:
    """A size with what it is worth.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> size_words(KeyRow(KeyId(0, b"k"), "string", 2048)), size_words(KeyRow(KeyId(0, b"k"), "graphdata", None))
    ('2.0 KiB (exact)', '? (not measurable)')
    """
    return f"{size(key.size)} ({worth_words(key)})"


def worth_words(key: Sized) -> str:
    """What a size is worth.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> worth_words(KeyRow(KeyId(0, b"k"), "stream", 6_000_000, size_low=1_000_000, size_high=12_000_000))
    'estimated: 976.6 KiB to 11.4 MiB'
    """
    if key.size_kind is not SizeKind.ESTIMATED:
        return key.size_kind.value
    if key.size_low is None or key.size_high is None:
        return "estimated from a few elements"
    return f"estimated: {size(key.size_low)} to {size(key.size_high)}"


def kind_of_sum(types: Iterable[str], held: int | None, view: ScanView) -> SizeKind:
    """How well the sum of the sizes of scanned keys of these `types` is known: exact where all sizes are.

    >>> from redis_oom_tui.models.scan import ScanState
    >>> seen = ScanView(ScanState.COMPLETE, scanned_keys=2)
    >>> kind_of_sum(["string"], 90, seen), kind_of_sum(["string", "hash"], 90, seen)
    (<SizeKind.EXACT: 'exact'>, <SizeKind.ESTIMATED: 'estimated'>)
    """
    if held is None:
        return SizeKind.UNKNOWN
    if {*types} == {"string"} or not view.scanned_keys or all_exact(view):
        return SizeKind.EXACT
    return SizeKind.ESTIMATED


def all_exact(view: ScanView) -> bool:
    """Whether every scanned key is among the rows that were looked at closer, and its size is exact."""
    return len(view.top) == view.scanned_keys and all(row.size_kind is SizeKind.EXACT for row in view.top)


def mark_of_sum(kind: SizeKind) -> str:
    """What stands behind such a sum."""
    return "~" if kind is SizeKind.ESTIMATED else ""


def sum_words(held: int | None, low: int, high: int) -> str:
    """A sum of sizes, with its range where some of them are estimates.

    >>> sum_words(4096, 4096, 4096), sum_words(4096, 2048, 8192)
    ('4.0 KiB', '4.0 KiB, estimated: 2.0 to 8.0 KiB')
    """
    if held is None or (low == held == high):
        return size(held)
    least, most = size(low), size(high)
    least = least.removesuffix(most[most.index(" ") :])
    return f"{size(held)}, estimated: {least} to {most}"


def slot_of(key: bytes) -> int:
    """The slot of `key` in a cluster: CRC16 of it, or of its hash tag where it has one (Redis's keyHashSlot).

    >>> slot_of(b"123456789"), slot_of(b"{user1000}.following") == slot_of(b"user1000")
    (12739, True)
    """
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else key, 0) % SLOTS


def slots_by_number(slots: Iterable[int]) -> str:
    """The first few by number, and how many more.

    >>> slots_by_number([7]), slots_by_number(range(9))
    ('slot 7', 'slots 0, 1, 2, 3, 4 and 4 more')
    """
    numbers = sorted(slots)
    more = len(numbers) - _NAMED
    named = ", ".join(map(str, numbers[:_NAMED])) + (f" and {count(more)} more" if more > 0 else "")
    return f"slots {named}" if len(numbers) > 1 else f"slot {named}"
