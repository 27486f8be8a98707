"""Whether the server's clock and this computer's agree."""

from redis_oom_tui.formatting.sizes import duration
from redis_oom_tui.models.snapshot import Snapshot

# Less may be from the way, and does no harm.
_NOTABLE_SECONDS = 5.0


def notable_skew(snapshot: Snapshot) -> float | None:
    """By how much the server's clock is ahead of this computer's, in seconds; None where that is next to nothing."""
    skew = snapshot.clock_skew_seconds
    if skew is None or abs(skew) <= _NOTABLE_SECONDS + (snapshot.took_seconds or 0.0):
        return None
    return skew


def skew_sentence(snapshot: Snapshot) -> str | None:
    """The difference in a sentence without its full stop; None where there is next to none.

    >>> from redis_oom_tui.models.address import Address
    >>> from redis_oom_tui.models.snapshot import Memory, Server
    >>> server = Server("redis", "8.2.3", "master", Address())
    >>> skew_sentence(Snapshot(0.0, 0.0, server, Memory(1), clock_skew_seconds=-7200.0))
    "The server's clock is 2h00m behind this computer's"
    >>> skew_sentence(Snapshot(0.0, 0.0, server, Memory(1), clock_skew_seconds=3.0))
    """
    skew = notable_skew(snapshot)
    if skew is None:
        return None
    return f"The server's clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this computer's"
