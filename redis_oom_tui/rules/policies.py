"""Eviction policies in plain words (evict.c; lrm exists since Redis 8.6), and whose keys each would take first."""

from bisect import bisect_left

from msgspec import Struct

from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.sampling import Curve, falling, share_up_to

NOEVICTION = "noeviction"
# What a snapshot says where the server does not report its policy.
UNKNOWN = "unknown"

# In the order in which they are shown where the server does not list its own.
KNOWN = (
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
)

_FIRST = {
    "lru": "the least recently used first",
    "lfu": "the least often used first",
    "lrm": "the least recently changed first",
    "random": "chosen at random",
    "ttl": "those that expire soonest first",
}


def evicts(policy: str) -> str:
    """Who goes first under `policy`, as one sentence.

    >>> evicts("noeviction")
    'Nothing is evicted: when the limit is reached, writes are refused.'
    >>> evicts("volatile-ttl")
    'Only keys with a TTL are evicted; those that expire soonest first.'
    """
    if policy == NOEVICTION:
        return "Nothing is evicted: when the limit is reached, writes are refused."
    who, _, how = policy.partition("-")
    first = _FIRST.get(how)
    if who not in {"allkeys", "volatile"} or first is None:
        return "A policy of this server that this version of the tool does not know."
    whom = "Any key may be evicted" if who == "allkeys" else "Only keys with a TTL are evicted"
    return f"{whom}; {first}."


def not_judged(policy: str) -> str:
    """What is not judged because this tool does not know `policy`; '' for a known one, and where none is reported.

    >>> not_judged("allkeys-lru"), not_judged(UNKNOWN), not_judged("allkeys-coldest")
    ('', '', 'which keys it evicts first is not judged')
    >>> not_judged("eviction")
    'what it evicts, and when writes are refused under it, is not judged'
    """
    if policy in {NOEVICTION, UNKNOWN}:
        return ""
    if not is_known(policy):
        return "what it evicts, and when writes are refused under it, is not judged"
    return "" if policy.partition("-")[2] in _FIRST else "which keys it evicts first is not judged"


def is_known(policy: str) -> bool:
    """Whether it is one of Redis's or Valkey's, now or by its form a later one.

    >>> is_known("allkeys-lrm"), is_known("eviction"), is_known("unknown")
    (True, False, False)
    """
    return policy == NOEVICTION or is_volatile(policy) or is_allkeys(policy)


def is_volatile(policy: str) -> bool:
    """Whether only keys with a TTL can be evicted."""
    return policy.startswith("volatile-")


def is_allkeys(policy: str) -> bool:
    """Whether any key can be evicted."""
    return policy.startswith("allkeys-")


def is_lfu(policy: str) -> bool:
    """Whether the server keeps access frequencies instead of idle times."""
    return policy.endswith("-lfu")


def is_lrm(policy: str) -> bool:
    """Whether the server keeps when a key was last changed in place of when it was last used."""
    return policy.endswith("-lrm")


def keeps_last_use(policy: str) -> bool:
    """Whether what the server calls a key's idle time is the time since its last use.

    >>> keeps_last_use("noeviction"), keeps_last_use("allkeys-lfu"), keeps_last_use("volatile-lrm")
    (True, False, False)
    """
    return not is_lfu(policy) and not is_lrm(policy)


def by_last_use(scan: ScanView, policy: str) -> ScanView:
    """`scan` without its idle times where those are times since the last change: keys that are only read have them."""
    if not is_lrm(policy):
        return scan
    patterns = tuple(replace(row, idle_quantiles=None, idle_curve=()) for row in scan.patterns)
    return replace(scan, patterns=patterns, top=tuple(replace(row, idle_seconds=None) for row in scan.top))


def evictable_keys(policy: str, snapshot: Snapshot) -> int | None:
    """How many keys `policy` could evict at most, those left out that are never evicted (BLESS); None if unknown.

    How many of the latter have a TTL is not told: as many as leaves most to evict.
    """
    if policy == NOEVICTION:
        return 0
    if not snapshot.keyspace_known:
        return None
    others = max(0, snapshot.keys - (snapshot.activity.never_evicted_keys or 0))
    if is_volatile(policy):
        return min(snapshot.expires, others)
    return others if is_allkeys(policy) else None


def none_evictable(snapshot: Snapshot) -> bool:
    """Whether all keys are such that no policy ever evicts them (BLESS)."""
    return 0 < snapshot.keys <= (snapshot.activity.never_evicted_keys or 0)


# So much of the keys that can go must be of rows with a curve before it says who goes first.
_TELLING = 0.9
# How many patterns are named, and the most where more of them tie.
_NAMED, _MOST_NAMED = 3, 10
# Times within this of each other tie: the scan keeps them in steps of about a fifth.
_ALIKE = 0.2
_HALVINGS = 20


class FirstOut(Struct, frozen=True):
    """The patterns that lose keys first, each with about how many, most first; `by` says what decides.

    Where that is not known, `unknown` says why, and `patterns` are all that can lose keys, largest first. `named` are
    those to name: none where chance decides, and all that tie.
    """

    patterns: tuple[tuple[PatternRow, float], ...] = ()
    by: str = ""
    unknown: str | None = None
    named: tuple[PatternRow, ...] = ()


def first_out(name: str, scan: ScanView, current: str, share: float) -> FirstOut:
    """Whose keys are among the first `share` of those that policy `name` can take, where `current` is the policy."""
    if name == NOEVICTION:
        return FirstOut()
    if is_volatile(name) and not scan.ttls_known:
        return FirstOut(unknown="TTLs are not available here")
    rows = _candidates(name, scan)
    if not rows:
        return FirstOut()
    everything = tuple((row, float(keys)) for row, keys in rows)
    if name.endswith("-random"):
        return FirstOut(everything, by="chance: every key that can be evicted is equally likely")
    if len(rows) == 1:
        return FirstOut(everything, by="being the only pattern that can lose keys", named=(rows[0][0],))
    curves = [(row, keys, _curve(name, row)) for row, keys in rows]
    if sum(keys for _, keys, curve in curves if curve) < _TELLING * sum(keys for _, keys in rows):
        return FirstOut(everything, unknown=_why_unknown(name, current))
    how = name.rpartition("-")[2]
    by = _BY_CHANGE if is_lrm(current) and how in _BY_CLOCK else _BY.get(how, "")
    found = _among_the_first(curves, share)
    named = _to_name([row for row, _ in found], {(row.db, row.pattern): curve for row, _, curve in curves})
    known = [curve for _, _, curve in curves if curve]
    if len(named) > _MOST_NAMED or (len(known) > 1 and all(_tie(known[0], curve) for curve in known)):
        tied = len(known) if len(named) <= _MOST_NAMED else len(named)
        return FirstOut(everything, unknown=f"{tied} patterns tie by {by}")
    return FirstOut(found, by, named=named)


def _to_name(rows: list[PatternRow], curves: dict[tuple[int | None, bytes], Curve]) -> tuple[PatternRow, ...]:
    """The first of `rows`, and those of the others that tie with one of them."""
    first = [curves[row.db, row.pattern] for row in rows[:_NAMED]]
    others = [row for row in rows[_NAMED:] if any(_tie(one, curves[row.db, row.pattern]) for one in first)]
    return (*rows[:_NAMED], *others)


def _tie(one: Curve, other: Curve) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(abs(a - b) <= max(1.0, _ALIKE * max(abs(a), abs(b))) for a, b in pairs)


_BY = {
    "ttl": "the shortest TTLs",
    "lru": "the longest idle times",
    "lrm": "the longest idle times",
    "lfu": "the lowest frequencies",
}
_BY_CHANGE = "the longest times since a change"
# Both go by the one time that the server keeps of a key: which events set it, the policy decides.
_BY_CLOCK = frozenset({"lru", "lrm"})


def _candidates(name: str, scan: ScanView) -> list[tuple[PatternRow, int]]:
    """The patterns that no smaller one divides, with their keys that can go, most first."""
    divided = {(row.db, row.parent) for row in scan.patterns if row.parent is not None}
    leaves = [row for row in scan.patterns if (row.db, row.pattern) not in divided]
    found = [(row, row.keys - row.no_ttl_keys if is_volatile(name) else row.keys) for row in leaves]
    return sorted(((row, keys) for row, keys in found if keys > 0), key=lambda item: -item[1])


def _curve(name: str, row: PatternRow) -> Curve:
    """The values by which the policy chooses, those that go first at its start; empty where they are not known."""
    if name.endswith("-ttl"):
        return row.ttl_curve
    if is_lfu(name):
        return row.frequency_curve
    if name.rpartition("-")[2] not in _BY_CLOCK:
        return ()
    if not row.idle_curve and row.idle_quantiles is not None:
        low, middle, high = row.idle_quantiles
        return falling((low,) * 4 + (middle,) * 3 + (high,) * 4)
    return falling(row.idle_curve)


def _why_unknown(name: str, current: str) -> str:
    if name.endswith("-ttl"):
        return "this scan kept no TTLs of patterns: scan again"
    if is_lfu(name):
        if is_lfu(current):
            return "frequencies were not read"
        return "the server counts frequencies only under an LFU policy"
    if name.rpartition("-")[2] in _BY_CLOCK:
        return "under an LFU policy the server keeps no idle times" if is_lfu(current) else "idle times were not read"
    return "the server does not report what this policy chooses by"


def _among_the_first(curves: list[tuple[PatternRow, int, Curve]], share: float) -> tuple[tuple[PatternRow, float], ...]:
    """How many keys of each pattern are among the first `share` of all, as if the server saw every key."""
    known = [(row, keys, curve) for row, keys, curve in curves if curve]
    wanted = share * sum(keys for _, keys, _ in known)

    def taken(most: float) -> float:
        return sum(keys * share_up_to(curve, most) for _, keys, curve in known)

    values = sorted({value for _, _, curve in known for value in curve})
    place = min(bisect_left(values, wanted, key=taken), len(values) - 1)
    low, most = float(values[place - 1] if place else values[0]), float(values[place])
    for _ in range(_HALVINGS):
        middle = (low + most) / 2
        low, most = (low, middle) if taken(middle) >= wanted else (middle, most)
    found = [(row, keys * share_up_to(curve, most)) for row, keys, curve in known]
    return tuple(sorted(((row, lost) for row, lost in found if lost > 0), key=lambda item: -item[1]))
