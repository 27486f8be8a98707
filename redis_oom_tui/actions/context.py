"""What every action needs beside its own order: the server, where to write things down, and who acts."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.server.live import LiveServer

DEFECT = "A defect of this tool ended this early"
"""What an action is said to have come to where the reason is an error that nobody foresaw."""


class ActionContext(Struct, frozen=True):
    """`who` is the person as the audit file names them; `backups` the folder for backups; `wall` tells Unix seconds.

    `learn` finds out, once, what may be used on the server.
    """

    server: LiveServer
    audit: AuditFile
    who: str
    backups: Path
    learn: Callable[[], Awaitable[Capabilities]]
    wall: Callable[[], float] = time.time
