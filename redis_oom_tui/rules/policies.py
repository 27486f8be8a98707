"""Eviction policies in plain words (evict.c; the lrm pair exists since Redis 8.6)."""

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
    "lru": "those not used for longest go first",
    "lfu": "those used least often go first",
    "lrm": "those not changed for longest go first",
    "random": "chosen at random",
    "ttl": "those that expire soonest go first",
}


def evicts(policy: str) -> str:
    """Who goes first under `policy`, as one sentence.

    >>> evicts("noeviction")
    'Nothing is evicted: when the limit is reached, writes are refused.'
    >>> evicts("volatile-ttl")
    'Only keys with a TTL are evicted; those that expire soonest go first.'
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
