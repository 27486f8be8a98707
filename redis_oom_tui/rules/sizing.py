"""What an answer of MEMORY USAGE is worth: exact, an estimate with a range, or nothing; whether sums can be true.

The server looks at the first so many elements of a collection (SAMPLES, 5 by default) and takes them for all. One large
field among eleven makes that wrong by 0.01 to 2 times, by the hash seed of the process. What helps (measured on Redis
6.2, 7.0, 8.2 and Valkey 9.1, as the answer over what was really freed):

| Value | SAMPLES 16 | from all elements |
|---|---|---|
| string, or a collection in one block (listpack, ziplist, intset) | 0.97-1.00 | the same |
| hash of 11, 30, 200 fields, one of them of 10,000 bytes | 1.0, 0.2-1.8, 0.5-0.6 | 0.95-1.02 |
| list with a head of 20 MB, zset with a member of 20 MB | 78-485 | 1.00 |
| set as a hash table (Redis 8.2 counts entries that it does not make) | 0.86-1.83 | 0.86-1.83 |
| stream: plain, with 100,000 consumers, with 50,000 pending entries | 1.0-1.1, 0.7-2.8, 1.0-5.1 | the same |

XINFO STREAM's radix-tree-keys is no better hint for a stream: with so many samples the answer is the one from all
elements (0.99-1.13 for plain, uneven and trimmed streams), and what consumers and pending entries hold is not in it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from redis_oom_tui.formatting.sizes import count, number_of_keys, percent, size
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.headroom import OWN_TYPES, size_is_reported

SAMPLES = 16
"""How many elements are looked at first: it costs nothing for a collection of up to so many, and is exact for them."""
MOST_ELEMENTS = 100_000
"""So many elements may be looked at in one go: at 0.1 to 0.5 µs each."""
MANY_ELEMENTS = 10_000
"""So many are, of a collection that has more than may be looked at in one go, or of which that is not known."""
COMPACT = frozenset({"raw", "embstr", "int", "listpack", "ziplist", "intset"})
"""Encodings for which MEMORY USAGE needs no samples: the value is one block."""
NO_TYPE = "?"
"""Stands for the type where the server refuses to tell it."""

# No element takes less: table slot, entry and the shortest name. A set of Redis 8 needs no entry for each.
_LEAST_ELEMENT, _LEAST_MEMBER = 24, 16
# Their samples are nodes, of which there are no more than elements.
_IN_NODES = ("list", "stream")
# What the allocator takes beyond what the server counts, and the key's place in the tables.
_ALLOCATOR_SHARE, _PLACE_BYTES = 16, 32


class Size(NamedTuple):
    """A size with its range, as in `KeyRow`; `whole` says that it was read from all elements."""

    size: int | None
    low: int | None = None
    high: int | None = None
    whole: bool = False
    suspect: bool = False


class SizeAnswer(NamedTuple):
    """What MEMORY USAGE answered with so many SAMPLES."""

    samples: int
    size: int


def enough_samples(kind: str, size: int) -> int:
    """With so many samples a collection whose size is no more than `size` has been looked at as a whole.

    >>> enough_samples("hash", 10_500)
    438
    """
    return size // (_LEAST_MEMBER if kind == "set" else _LEAST_ELEMENT) + 1


def tells_nothing(kind: str, size: int, name_bytes: int) -> bool:
    """Whether a module answered with no more than what the key's own entry takes.

    >>> tells_nothing("graphdata", 32, 5), tells_nothing("ReJSON-RL", 4096, 5), tells_nothing("set", 64, 1)
    (True, False, False)
    """
    return kind != NO_TYPE and not size_is_reported(kind, size, name_bytes)


@lru_cache(maxsize=4096)
def needs_closer(kind: str, size: int | None) -> bool:
    """Whether an answer from the first few elements leaves open how large the key is.

    >>> needs_closer("string", 10_000), needs_closer("hash", 300), needs_closer("hash", 10_000)
    (False, False, True)
    """
    if size is None or kind == "string" or kind not in OWN_TYPES:
        return False
    return kind == "stream" or enough_samples(kind, size) > SAMPLES


@lru_cache(maxsize=4096)
def first_size(kind: str, size: int, name_bytes: int, limit: int | None = None) -> Size:
    """The size of a key of which only the first few elements were read; `limit` is what no key can exceed."""
    return judged(kind, (SizeAnswer(SAMPLES, size),), name_bytes=name_bytes, limit=limit)


def judged(
    kind: str,
    answers: Sequence[SizeAnswer],
    *,
    encoding: str | None = None,
    elements: int | None = None,
    name_bytes: int = 0,
    limit: int | None = None,
) -> Size:
    """The size of a key by what MEMORY USAGE answered with ever more samples.

    >>> judged("hash", [SizeAnswer(16, 20_000), SizeAnswer(834, 11_000)])
    Size(size=11000, low=11000, high=11000, whole=True, suspect=False)
    >>> judged("hash", [SizeAnswer(16, 20_000_000), SizeAnswer(10_000, 16_000_000)], elements=200_000).whole
    False
    >>> judged("list", [SizeAnswer(16, 900_000)], limit=500_000)
    Size(size=500000, low=384, high=500000, whole=False, suspect=True)

    The elements that were not looked at may hold all that is used:

    >>> judged("zset", [SizeAnswer(16, 1_300_000), SizeAnswer(10_000, 1_300_000)], elements=20_000, limit=9_000_000)
    Size(size=1300000, low=650000, high=9000000, whole=False, suspect=False)
    """
    size = answers[-1].size
    if tells_nothing(kind, size, name_bytes):
        return Size(None)
    whole = _is_whole(kind, answers, encoding, elements)
    low = _least(kind, answers, encoding, elements, whole=whole)
    if limit is None or size <= limit:
        return Size(size, low, _most(kind, size, encoding, limit, whole=whole), whole)
    return Size(limit, min(low, limit), limit, whole, suspect=True)


def most_of_all(used_bytes: int | None, startup_bytes: int | None) -> int | None:
    """What no key can exceed: what is used beyond what an empty server takes; None where it is not known.

    >>> most_of_all(900, 100), most_of_all(900, None), most_of_all(None, 100)
    (800, 900, None)
    """
    return None if used_bytes is None else max(0, used_bytes - (startup_bytes or 0)) or None


def weight(most: int) -> int:
    """What a key that holds at most `most` bytes counts against a bound: with what its allocator takes beyond that."""
    return most + most // _ALLOCATOR_SHARE + _PLACE_BYTES


def _is_whole(kind: str, answers: Sequence[SizeAnswer], encoding: str | None, elements: int | None) -> bool:
    samples = answers[-1].samples
    if kind not in OWN_TYPES:
        return False
    if kind == "string" or encoding in COMPACT:
        return True
    if _elements(kind, answers, elements) <= samples:
        return True
    if elements is not None and kind not in _IN_NODES:
        return False
    # Elements that differ, and ten times as many of them came to the very same: there were no more.
    known = [answer.size for answer in answers]
    return len(known) > 2 and known[-1] == known[-2] != known[-3]


def _elements(kind: str, answers: Sequence[SizeAnswer], elements: int | None) -> int:
    """At most so many elements, or nodes of a list or stream: each answer counts all, none for less than the least."""
    by_size = min(enough_samples(kind, answer.size) for answer in answers)
    return by_size if elements is None else min(elements, by_size)


def _least(kind: str, answers: Sequence[SizeAnswer], encoding: str | None, elements: int | None, *, whole: bool) -> int:
    size = answers[-1].size
    if kind not in OWN_TYPES:
        return size // 2
    if not whole:
        # What those hold that were looked at.
        total = _elements(kind, answers, elements)
        size = max(answer.size * min(answer.samples, total) // total for answer in answers)
        size = max(size, min(answers[-1].size, SAMPLES * _LEAST_ELEMENT))
    if kind == "stream":
        return size // 6
    return size // 2 if kind == "set" and encoding not in COMPACT else size


def _most(kind: str, size: int, encoding: str | None, limit: int | None, *, whole: bool) -> int | None:
    """What it holds at most: where a part was not looked at, or a module counts, no more than that it is in memory."""
    if not whole:
        return limit
    most = size
    if kind == "stream":
        most = 2 * size
    elif kind == "set" and encoding not in COMPACT:
        most = size * 7 // 6
    return most if limit is None else max(size, min(most, limit))


# MEMORY USAGE adds up to 92 to 95% of used_memory on servers whose sizes are right.
_TOO_MUCH = 1.10
_TOO_LITTLE = 0.5
# Less than this is missing on any server that was just started.
_NOTHING = 2 * 1024 * 1024
# Fewer keys tell nothing of their type.
_FEWEST_SAMPLED = 8


def contradiction(held: int, used: tuple[int, int], overhead: int, *, unsized: int = 0, refused: int = 0) -> str | None:
    """Why `held`, the sizes of all keys together, cannot be true; None where it can.

    `used` is the least and the most of used_memory meanwhile, of which `overhead` is known to be no data.

    >>> contradiction(242, (90, 100), 0)
    'The sizes of the keys add up to 242% of used_memory, which cannot be: MEMORY USAGE over-reports some here.'
    >>> contradiction(90, (100, 100), 10)
    """
    least, most = used
    if most and held > _TOO_MUCH * most:
        return (
            f"The sizes of the keys add up to {percent(held / most)} of used_memory, which cannot be: "
            "MEMORY USAGE over-reports some here."
        )
    data = max(0, least - overhead)
    if refused or held >= _TOO_LITTLE * data or data - held < _NOTHING:
        return None
    why = "under-reports some of them here, or the server holds memory that it does not count"
    if unsized:
        why = "does not report the size of keys of modules, or under-reports others"
    return (
        f"The sizes of the keys explain {percent(held / data)} of the {size(data)} that used_memory holds beyond "
        f"known overheads: MEMORY USAGE {why}."
    )


def corrected_total(sums: Mapping[str, int], sample: Mapping[str, tuple[int, int, int]]) -> str | None:
    """What all keys hold by a `sample` that was measured as a whole; `sums` are the sums of MEMORY USAGE by type.

    `sample` has by type how many keys, what they hold, and what their first elements told.

    >>> corrected_total({"hash": 2_000_000, "string": 500_000}, {"hash": (120, 950_000, 500_000)})
    'Measured as a whole, 120 of the collections hold 1.9 times what their first elements suggested: by that all keys \
hold about 4.1 MiB.'
    """
    known = {kind: (held, first) for kind, (keys, held, first) in sample.items() if keys >= _FEWEST_SAMPLED and first}
    if not known:
        return None
    keys = sum(sample[kind][0] for kind in known)
    times = sum(held for held, _ in known.values()) / sum(first for _, first in known.values())
    total = sum(size_ * known[kind][0] // known[kind][1] if kind in known else size_ for kind, size_ in sums.items())
    return (
        f"Measured as a whole, {count(keys)} of the collections hold {times:.1f} times what their first elements "
        f"suggested: by that all keys hold about {size(total)}."
    )


def unsized_note(keys: int) -> tuple[str, ...]:
    """A sentence about keys whose module does not tell their size, none without such keys.

    >>> unsized_note(1)
    ('1 key is of a module that does not report its size: what it holds is in no sum',)
    """
    if not keys:
        return ()
    what, it = ("is", "it holds") if keys == 1 else ("are", "they hold")
    its = "its size" if keys == 1 else "their sizes"
    return (f"{number_of_keys(keys)} {what} of a module that does not report {its}: what {it} is in no sum",)


# Fewer expired keys than this, and than such a part of those seen, are what goes on everywhere.
_SOME_EXPIRED, _EXPIRED_SHARE = 100, 0.05


def expired_note(expired: int, seen: int) -> tuple[str, ...]:
    """A sentence about keys that expired before or during a scan that saw `seen` others; none where they are few.

    >>> expired_note(12_000, 400), expired_note(12, 400)
    (('12,000 keys had expired, or did meanwhile: the server dropped them',), ())
    """
    if expired < _SOME_EXPIRED or expired < _EXPIRED_SHARE * (expired + seen):
        return ()
    return (f"{number_of_keys(expired)} had expired, or did meanwhile: the server dropped them",)


# So few keys, or such a part of them, are no sign of anything; others' commands may explain ten times that part.
_FEW_KEYS, _NOT_MANY_SHARE, _UNSURE_SHARE = 2, 100, 10


class Churn(NamedTuple):
    """Why SCAN may give fewer keys than the server counts: keys that it counted as gone, and commands of others."""

    gone: int
    commands: int


def missing_keys(seen: int, held: int, churn: Churn | None) -> str | None:
    """Why a scan to the end that was given `seen` keys is not complete; None where it may be.

    `held` is the least that the server counted before and after, `churn` is None where nobody knows it. Nobody counts
    which of others' commands deleted a key, so they explain a tenth of the keys at most.

    >>> missing_keys(0, 40, Churn(0, 0))
    'SCAN ended after 0 keys, and the server counts 40: keys are missing. Start a new scan, or connect past any proxy.'
    >>> missing_keys(9_990, 10_000, Churn(0, 0)), missing_keys(9_500, 10_000, None)
    (None, None)
    >>> missing_keys(4_000, 10_000, Churn(6_000, 0)), missing_keys(9_000, 10_000, Churn(0, 50_000))
    (None, None)
    """
    others = held // _UNSURE_SHARE
    unsure = others if churn is None else churn.gone + min(churn.commands, others)
    if held - seen <= max(_FEW_KEYS, held // _NOT_MANY_SHARE) + unsure:
        return None
    return (
        f"SCAN ended after {number_of_keys(seen)}, and the server counts {count(held)}: keys are missing. "
        "Start a new scan, or connect past any proxy."
    )


def churn_between(before: Snapshot, after: Snapshot, sent: int) -> Churn | None:
    """What may have taken keys between two snapshots, beside `sent` commands of our own; None where unknown."""
    first, last = before.counters, after.counters
    pairs = (
        (first.expired_keys_total, last.expired_keys_total),
        (first.evicted_keys_total, last.evicted_keys_total),
        (first.commands_total, last.commands_total),
    )
    went = [None if then is None or now is None or now < then else now - then for then, now in pairs]
    if None in went:
        return None
    known = [each for each in went if each is not None]
    expiring = after.expires if after.server.is_replica else 0
    # A replica counts keys that have expired, and does not show them.
    return Churn(known[0] + known[1] + expiring, max(0, known[2] - sent))
