"""How moments are said in the log."""

import time


def moment(at: float) -> str:
    """A time of day with its date, where the tool runs."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def clock_time(at: float) -> str:
    """The time of day alone."""
    return time.strftime("%H:%M:%S", time.localtime(at))
