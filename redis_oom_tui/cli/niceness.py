"""The processor, where the tool runs beside the server: others are served first."""

import os

from redis_oom_tui.models.scan import Pace

# The last of all gets a fiftieth of a crowded core: only who asked for it waits so long. At 10 it is a tenth.
_NICE = {Pace.GENTLE: 19, Pace.NORMAL: 10, Pace.FULL_SPEED: 0}


def give_way(pace: Pace) -> None:
    """Take the processor after others, at the gentle pace only where nobody wants it, for the rest of this process.

    On the server's own machine, most of what others feel of a scan or a deletion is its place in the processor's queue,
    not in the server's: `python -m tests.benchmarks latency` and `... deleting --only felt` show both.
    """
    os.nice(_NICE[pace])
