"""What a cleanup looks for, in words."""

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import escape_exact, safe_text
from redis_oom_tui.formatting.sizes import duration, number_of_keys, size
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.plan import Criteria, Order, TtlFilter

_LONGEST_LINE = 200


def summary(found: Criteria) -> str:
    """What is looked for, in one line.

    >>> summary(Criteria(patterns=(b"s:*",), types=("hash",), larger_than_bytes=1024))
    's:*, hash, over 1.0 KiB'
    >>> from redis_oom_tui.models.keys import KeyId
    >>> summary(Criteria(keys=(KeyId(0, b"s:1"),)))
    '1 key by name'
    """
    words = []
    if found.keys:
        words.append(f"{number_of_keys(len(found.keys))} by name")
    words += [escape_exact(pattern) for pattern in found.patterns]
    words += [one_line(pattern) for pattern in found.key_patterns]
    words += found.types
    if found.databases is not None:
        words.append("db " + ",".join(map(str, found.databases)))
    if found.node:
        words.append(f"on {safe_text(found.node, 80)}")
    if found.idle_over_seconds is not None:
        words.append(f"idle over {duration(found.idle_over_seconds)}")
    if found.ttl is not TtlFilter.ANY:
        words.append(f"{found.ttl.value} TTL")
    if found.larger_than_bytes is not None:
        words.append(f"over {size(found.larger_than_bytes)}")
    if found.max_keys is not None or found.max_bytes is not None:
        words.append("those idle for longest" if found.order is Order.OLDEST else "the largest")
    if found.max_keys is not None:
        words.append(f"at most {number_of_keys(found.max_keys)}")
    if found.max_bytes is not None:
        words.append(f"at most {size(found.max_bytes)} in all")
    return ", ".join(words)


def one_line(chosen: KeyPattern) -> str:
    """What to show of it, and to edit; one with a long list of names that it leaves out is shown without the list."""
    text = pattern_text.text(chosen)
    return safe_text(pattern_text.shown(chosen)) if text is None or len(text) > _LONGEST_LINE else text
