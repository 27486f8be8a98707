"""Writing a backup: a new file, each key on disk before it goes, and an end that tells that it is whole."""

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any, NamedTuple

from redis_oom_tui.files.backup_frames import FrameMaker, TooLargeForFrame, end_frame, head_frame, new_mark
from redis_oom_tui.files.backup_lines import FORMAT, SERVER_CLOCK, End, Head, Record, packed
from redis_oom_tui.files.disk import lock_while_written, make_folder, sync_file, sync_folder
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import known_bytes, size
from redis_oom_tui.models.action import LARGEST_COPY, Action
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.models.stepped import FinishedPlan, ShrinkPlan
from redis_oom_tui.rules.restoring import restored_size

ENDING = ".backup"


class BackupFailed(TriageError):
    """The backup cannot be written, so what it was to hold is not deleted."""


class BackupMark(NamedTuple):
    """A place in a file that is being written: its bytes, its keys, and the digest up to there."""

    size: int
    keys: int
    digest: Any


def _contents(plan: Plan | ShrinkPlan | FinishedPlan) -> tuple[Action, int, int | None]:
    """What is done, to how many keys or elements, and the bytes that they hold."""
    if isinstance(plan, ShrinkPlan | FinishedPlan):
        return Action.SHRINK if isinstance(plan, ShrinkPlan) else Action.FINISH, plan.going, plan.about_bytes
    return Action(plan.operation.value), len(plan.keys), known_bytes(plan.size, len(plan.keys))


def _head(plan: Plan | ShrinkPlan | FinishedPlan, server: Server, wall: float) -> Head:
    operation, keys, held = _contents(plan)
    return Head(
        format=FORMAT,
        made_at=round(wall, 3),
        server=plan.server,
        flavour=server.flavour,
        version=server.version,
        run_id=server.run_id,
        plan=plan.hash,
        operation=operation,
        keys=keys,
        bytes=held,
        elements=plan.elements if isinstance(plan, ShrinkPlan) else None,
        clock=SERVER_CLOCK,
    )


def new_path(folder: Path, plan: Plan | ShrinkPlan | FinishedPlan, wall: float) -> Path:
    """A path for the backup of `plan` that says when and where, and that nothing stands at."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    place = re.sub(r"[^A-Za-z0-9.-]+", "_", plan.server)[-60:]
    names = (f"{stamp}-{place}-{plan.hash[:8]}{suffix}{ENDING}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for name in names if not (path := folder / name).exists())


class BackupWriter:
    """Writes a new file at `path`; raises BackupFailed wherever that fails, also for one that exists already.

    Several nodes may add keys and flush at the same time, each in a thread of its own.
    """

    def __init__(
        self,
        path: Path,
        plan: Plan | ShrinkPlan | FinishedPlan,
        server: Server,
        wall: float,
        clock_skew_seconds: float | None = None,
        *,
        node_skews: Mapping[str, float | None] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self.keys = self.left_out = 0
        self._expiring = self._takes = 0
        self._held: int | None = 0
        self.size = 0
        self._failure: BackupFailed | None = None
        self._added: SimpleQueue[Sequence[Record]] = SimpleQueue()
        self._writing = threading.Lock()
        self._file_mark = new_mark()
        self._frames = FrameMaker(self._file_mark)
        head = _head(plan, server, wall)
        head.clock_skew_seconds, head.node_skew_seconds = clock_skew_seconds, dict(node_skews)
        head.mark = self._file_mark.hex()
        try:
            make_folder(path.parent)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(handle, "wb")
            lock_while_written(handle)
            self._digest = hashlib.sha256()
            first = packed(head)
            self._write(first + head_frame(first, self._file_mark))
            self._sync()
            sync_folder(path.parent)
        except OSError as error:
            raise self._failed(error.strerror) from None

    def add(self, *records: Record) -> None:
        """Add keys; they are on disk after the next `flush`."""
        self._added.put(records)

    def flush(self) -> None:
        """Bring all that was added to the disk. After one failure each further one fails too."""
        with self._writing:
            self._write_added()
            self._sync()

    def mark(self) -> BackupMark:
        """How far it is now, for `rollback`."""
        with self._writing:
            self._write_added()
            return BackupMark(self.size, self.keys, self._digest.copy())

    def rollback(self, mark: BackupMark) -> None:
        """Take away the elements that were added since `mark`: they were not removed, so nobody is to restore them."""
        with self._writing:
            self._write_added()
            try:
                self._file.flush()
                self._file.truncate(mark.size)
                self._file.seek(mark.size)
            except OSError as error:
                raise self._failed(error.strerror) from None
            self.size, self.keys, self._digest = mark

    def close(self) -> None:
        """Write the end and close. A file that cannot be finished keeps its whole frames."""
        if self._file.closed:
            return
        # What could not be written may stand there in part: an end would say that all of it is whole.
        with contextlib.suppress(BackupFailed), self._writing:
            self._write_added()
            end = End(True, self.keys, self.left_out, self._held, sha256=self._digest.hexdigest())
            if self._held is not None:
                end.expiring, end.restored_bytes = self._expiring, self._takes
            self._write(end_frame(end, self._file_mark))
            self._sync()
        with contextlib.suppress(OSError):
            self._file.close()

    def discard(self) -> None:
        """Remove the closed file: nothing in it is worth keeping."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _write_added(self) -> None:
        """Write the frames of what was added. Others may add at the same time: nothing of theirs is passed over."""
        if self._failure is not None:
            raise self._failure
        records: list[Record] = []
        with contextlib.suppress(Empty):
            while True:
                records += self._added.get_nowait()
        try:
            for part in self._frames.frames_of(records):
                self._write(part)
        except TooLargeForFrame:
            raise self._failed(f"a copy is larger than {size(LARGEST_COPY)}") from None
        self._count(records)

    def _count(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.left_out:
                self.left_out += 1
                continue
            self.keys += 1
            self._held = None if self._held is None or record.size is None else self._held + record.size
            expires = record.expires_ms is not None
            self._expiring += expires
            self._takes += restored_size(record.type, record.size or 0, expires=expires)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error.strerror) from None
        self._digest.update(data)
        self.size += len(data)

    def _sync(self) -> None:
        try:
            self._file.flush()
            sync_file(self._file.fileno())
        except OSError as error:
            raise self._failed(error.strerror) from None

    def _failed(self, why: str | None) -> BackupFailed:
        shown = safe_text(str(self.path), 200)
        self._failure = BackupFailed(f"The backup {shown} cannot be written: {why}")
        return self._failure
