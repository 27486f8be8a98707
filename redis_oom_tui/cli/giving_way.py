"""The processor, where the tool runs beside the server: others are served first."""

import os

from redis_oom_tui.models.scan import Pace

_LAST = 19


def give_way(pace: Pace) -> None:
    """Take the processor only where nobody else wants it, for the rest of this process; not at full speed.

    On the server's own machine, most of what others feel of a scan is its place in the processor's queue, not in the
    server's: `python -m tests.benchmarks latency` shows both.
    """
    if pace is not Pace.FULL_SPEED:
        os.nice(_LAST)
