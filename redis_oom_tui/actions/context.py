"""What every action shares: who acts, what is written down, and when it gives up on a server that is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from redis_oom_tui.actions.outcomes import OutcomeTable
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.audit_lines import EarlierRuns
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import BackupChoice, RestoreOutcome
from redis_oom_tui.models.errors import OtherServer, ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.plan import Outcome, Plan
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.info_reader import BRIEF
from redis_oom_tui.server.latency_monitor import throttled
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, PinnedConnection
from redis_oom_tui.server.tasks import silent_or_closed_once, until_lost

_Answer = TypeVar("_Answer")

DEFECT = "A defect of this tool ended this early"
"""What an action is said to have come to where the reason is an error that nobody foresaw."""


class ActionContext(Struct, frozen=True):
    """`who` is the person as the audit file names them; `backups` the folder for backups; `wall` tells Unix seconds."""

    audit: AuditFile
    who: str
    backups: Path
    wall: Callable[[], float] = time.time

    def begin(self, server: LiveServer, action: str, what: str, **facts: Any) -> str:
        """Write down what is about to happen to `server`, with the run_id that it was last seen with; returns the
        action's id. After AuditFailed nothing may happen.
        """
        run_id = None if server.seen is None else server.seen.run_id
        return self.audit.intent(action, server=str(server.address), who=self.who, what=what, run_id=run_id, **facts)


class ActionRecord:
    """What one action on keys writes into the audit file: what it is to do, each batch, and how it ended."""

    def __init__(self, context: ActionContext) -> None:
        self._audit = context.audit
        self._who = context.who
        self._id = ""
        self._batches = 0

    @property
    def begun(self) -> bool:
        """Whether it was written down that the action begins."""
        return bool(self._id)

    def begin(self, action: str, *, server: str, what: str, **facts: Any) -> None:
        """Write down what is about to happen; after AuditFailed nothing may happen."""
        self._id = self._audit.intent(action, server=server, who=self._who, what=what, **_from_anywhere(facts))

    def next_batch(self) -> int:
        """The number of the batch that is to be written down next."""
        self._batches += 1
        return self._batches

    async def batch(self, number: int, names: Sequence[tuple[int, bytes]]) -> None:
        """Write down the keys, as (database, name), that are acted on next."""
        await asyncio.to_thread(self._audit.batch, self._id, number, names)

    def done(self, number: int, outcomes: Sequence[Outcome | RestoreOutcome], details: Mapping[int, str]) -> None:
        """Write down what became of the keys of a batch, in its order."""
        self._audit.done(self._id, number, outcomes, details)

    def end(self, *, ok: bool, result: str, **facts: Any) -> str:
        """Write down how it ended, if it began: `result`, with what kept that from being written."""
        if not self._id:
            return result
        try:
            self._audit.result(self._id, ok=ok, result=result, **_from_anywhere(facts))
        except TriageError as error:
            return f"{result} {error}"
        return result


def _from_anywhere(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts, a backup by its whole path: the audit file is read from other folders than it was written from."""
    backup = facts.get("backup")
    return {**facts, **({} if backup is None else {"backup": str(Path(backup).absolute())})}


class PacedWork:
    """Work on one server, at the pace that it bears, until it is done or stopped."""

    def __init__(self) -> None:
        self._throttle: CallThrottle | None = None
        self._stop = False

    def stop(self) -> None:
        """End once the calls on their way have come home."""
        self._stop = True
        if self._throttle is not None:
            self._throttle.stop()

    async def _patiently(self, server: LiveServer, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return await patiently(server, ask, lambda: self._stop)

    @asynccontextmanager
    async def _throttled(self, server: LiveServer, *, scanning: bool = False) -> AsyncIterator[CallThrottle]:
        """The throttle of all that follows, as `throttled` gives it; stopped where the work was stopped before."""
        async with throttled(server, scanning=scanning, probe=ExclusiveConnection(server)) as throttle:
            self._throttle = throttle
            if self._stop:
                throttle.stop()
            yield throttle


@dataclass(slots=True)
class SharedRun:
    """What the nodes of a run share: the plan, what became of its keys, the audit file, and the one backup.

    `stop_all` ends the run on every node. `before` is what earlier runs of the plan came to, `copies` the digests of
    keys that they saved, by database and name. `due_ms` are the expiries that keys were promised, and `saved` the
    digests of those that are in the backup, both by position and kept for as long as nothing came of them: a key that
    is tried again on another node is written down once.
    """

    plan: Plan
    choice: BackupChoice
    table: OutcomeTable
    record: ActionRecord
    stop_all: Callable[[], None]
    writer: BackupWriter | None = None
    before: EarlierRuns | None = None
    copies: Mapping[tuple[int, bytes], str] = field(default_factory=dict)
    due_ms: dict[int, int] = field(default_factory=dict)
    saved: dict[int, str] = field(default_factory=dict)


# So many losses one after the other, with no word in between, and the run ends: at the latest when they have taken
# `timeouts.GIVE_UP`.
_LOSSES = 5


class Losses:
    """Losses of the connection that follow each other with no word in between."""

    def __init__(self) -> None:
        self._number = 0
        self._first = 0.0

    def enough(self, *, since_last: bool = False) -> bool:
        """Count one more; whether to give up. `since_last` says that the server was heard since the last one."""
        now = time.monotonic()
        if since_last or not self._number:
            self._number, self._first = 0, now
        self._number += 1
        return self._number >= _LOSSES or now - self._first > timeouts.GIVE_UP


async def patiently(
    server: LiveServer, ask: Callable[[], Awaitable[_Answer]], stopped: Callable[[], bool] = lambda: False
) -> _Answer:
    """What `ask` returns, before anything was changed: asked again while `server` is silent, and once where it closed
    the connection. Raises OtherServer where it was restarted since it was last seen.
    """
    run_id = None if server.seen is None else server.seen.run_id
    closed = False

    async def asked() -> _Answer:
        nonlocal closed
        try:
            if closed and run_id is not None and (await server.snapshot(BRIEF)).server.run_id != run_id:
                raise OtherServer.at(server.address)
            return await ask()
        except ServerUnreachable as error:
            closed = closed or not error.silent
            raise

    return await until_lost(asked, stopped, worth=silent_or_closed_once(), superseded=server.superseded)


async def snapshot_until_lost(server: LiveServer, stopped: Callable[[], bool]) -> Snapshot:
    """A snapshot of `server`, asked for again while it is lost or silent.

    Gives up `timeouts.GIVE_UP` after the first loss, when `stopped`, or as soon as another node of its cluster serves
    what it served, with the last ServerUnreachable.
    """
    return await until_lost(lambda: server.snapshot(BRIEF), stopped, superseded=server.superseded)


async def asked_again(
    connection: PinnedConnection, ask: Callable[[], Awaitable[_Answer]], stopping: Callable[[], bool]
) -> _Answer:
    """What `ask` answers, which changes nothing on the server: again once that is no longer busy, and on a new
    connection where that was lost.
    """
    losses = Losses()
    while True:
        try:
            return await ask()
        except ServerBusy:
            if stopping():
                raise
            await connection.hold(stopping)
        except ServerUnreachable:
            if losses.enough():
                raise
            await connection.reopen()
