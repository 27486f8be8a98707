"""Whether this tool itself changes what a server holds, by the audit file: what comes or goes then is no trend."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from redis_oom_tui.files.audit import state_folder
from redis_oom_tui.files.audit_lines import Intent, read_line, take
from redis_oom_tui.files.disk import MIB, lines, open_plain
from redis_oom_tui.formatting.typed import Damaged
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.cluster import actions_on
from redis_oom_tui.rules.history import MOVES_MEMORY, quiet_seconds

_TAIL, _LONGEST_LINE = MIB, MIB
# How each line begins, as `AuditFile` writes it: most of them are long, and nothing more of those is asked for.
_HEAD = re.compile(rb'\{"v":1,"at":([0-9.]+),"phase":"(intent|batch|done|result)","id":"([0-9a-f]+)"')


class OwnActions:
    """Follows the audit file at `path` (None: in its usual place), whoever of this computer writes it.

    `wall` tells Unix seconds.
    """

    def __init__(self, path: Path | None, wall: Callable[[], float] = time.time) -> None:
        self._path = path or state_folder() / "audit.jsonl"
        self._wall = wall
        self._read = -1
        self._open: dict[str, AuditEntry] = {}
        self._heard: dict[str, float] = {}

    def since_last(self, snapshot: Snapshot) -> bool:
        """Whether an action that frees or takes memory ran on what `snapshot` is of since this was last asked."""
        ended = self._follow()
        now = self._wall()
        running = [
            entry
            for entry in self._open.values()
            if now - self._heard.get(entry.id, entry.at) < quiet_seconds(entry.action)
        ]
        return bool(actions_on(snapshot, (*ended, *running)))

    def _follow(self) -> list[AuditEntry]:
        """Take in what was written since; returns the actions that ended."""
        ended: list[AuditEntry] = []
        first, self._read = self._read < 0, max(0, self._read)
        try:
            size = self._path.stat().st_size
            if size == self._read:
                return ended
            with open_plain(self._path) as file:
                if first or size < self._read:
                    self._read = max(0, size - _TAIL)
                file.seek(self._read)
                for line in lines(file, _LONGEST_LINE):
                    if not line.whole:
                        break
                    self._read = line.offset + line.size
                    entry = self._take(line.raw or line.start)
                    if entry is not None:
                        ended.append(entry)
        except (OSError, BadInput):
            return ended
        # What had ended before anybody looked moved nothing since.
        return [] if first else ended

    def _take(self, raw: bytes) -> AuditEntry | None:
        """The action that ends with this line."""
        head = _HEAD.match(raw)
        if head is None:
            return None
        at, phase, name = float(head[1]), head[2], head[3].decode()
        if phase == b"result":
            self._heard.pop(name, None)
            return self._open.pop(name, None)
        if phase != b"intent":
            self._heard[name] = at
            return None
        try:
            line = read_line(raw)
        except Damaged:
            return None
        if isinstance(line, Intent) and line.action in MOVES_MEMORY:
            take(line, self._open)
        return None
