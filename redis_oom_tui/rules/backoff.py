"""How long to leave a server alone after a question that took it long.

While a giant is freed with libc's allocator the server waits for that at each turn, and an INFO takes it seconds:
asking it every second would then be most of what it does.
"""

TIMES = 9.0
"""A slow answer is followed by so many times its length without a question: a tenth of the server's time at most."""
LONGEST_SECONDS = 30.0
# What is no slower than this above the usual is a hiccup, or the link.
_HICCUP_SECONDS = 0.25
# An answer may take so long by the link alone: INFO over 10 KB/s.
_LINK_SECONDS = 0.5


def pause_after(took: float, usual: float = 0.0) -> float:
    """Seconds for which not to ask again after an answer that took `took`; `usual` is the quickest answer so far.

    >>> pause_after(0.2), pause_after(3.0), pause_after(1.0, usual=0.9), pause_after(60.0)
    (0.0, 27.0, 4.5, 30.0)
    """
    beyond = took - min(usual, _LINK_SECONDS)
    return min(LONGEST_SECONDS, TIMES * beyond) if beyond >= _HICCUP_SECONDS else 0.0
