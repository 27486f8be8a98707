"""What `check` tells of settings that a killed tool may have changed, or was to set back and did not."""

import re
import time
from collections.abc import Mapping

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.files.audit import AuditFile, state_folder, tail_of
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.settings import Setting
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.cluster import servers_in
from redis_oom_tui.rules.earlier_runs import left_behind

_TIMED = re.compile(rb'"reverts_in_seconds":\s*[0-9]')
_BEGUN = re.compile(rb'"phase":"intent","id":"(\w+)","action":"(?:set|undo)"')
_ENDED = re.compile(rb'"phase":"result","id":"(\w+)"')


def unreturned(invocation: Invocation, snapshot: Snapshot, settings: Mapping[str, str]) -> tuple[str, ...] | None:
    """A sentence for each, from the audit log; none where that tells of no such change. None: it is unreadable."""
    path = invocation.audit_path or state_folder() / "audit.jsonl"
    # To read the whole log takes long, and there is hardly ever such a change in it.
    try:
        if not path.exists() or not _tells_of_any(tail_of(path)):
            return ()
        history = AuditFile(path, wall=time.time).history()
    except (OSError, TriageError):
        return None
    memory = snapshot.memory
    values = {"maxmemory": str(memory.maxmemory_bytes or 0), "maxmemory-policy": memory.policy, **settings}
    shown = str(snapshot.server.address)
    told: list[str] = []
    for server in sorted(servers_in(snapshot)):
        known = [Setting(name, value) for name, value in values.items()] if server == shown else []
        told += left_behind(history, server, known, time.time(), unread=True)
    return tuple(told)


def _tells_of_any(tail: bytes) -> bool:
    """Whether there is a change for a while in the log, or one of which no end was written."""
    return _TIMED.search(tail) is not None or not set(_BEGUN.findall(tail)) <= set(_ENDED.findall(tail))
