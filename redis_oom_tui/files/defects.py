"""Defects that ended nothing, in a file that can be sent with a report: bounded, readable by its owner alone."""

import contextlib
import os
import time
from pathlib import Path

from redis_oom_tui import __version__
from redis_oom_tui.rules.guarded import NotJudged

_MOST_BYTES = 256 * 1024


def write_down(path: Path, fault: NotJudged) -> None:
    """Append `fault` to the file at `path`. One that cannot be written, or is full, ends nothing either."""
    at = time.strftime("%Y-%m-%d %H:%M:%S %z")
    text = "\n".join((f"{at}  redis-oom-tui {__version__}  {fault.words}", *fault.lines, ""))
    with contextlib.suppress(OSError):
        _append(path, text.encode("utf-8", "backslashreplace"))


def _append(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if os.fstat(file).st_size < _MOST_BYTES:
            os.write(file, text)
    finally:
        os.close(file)
