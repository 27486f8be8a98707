"""A plan being carried out: each batch written down, checked, acted on, and what came of each key written down."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from redis_oom_tui.actions.batch import Worker
from redis_oom_tui.actions.desk import Desk
from redis_oom_tui.actions.pacing import Pacer
from redis_oom_tui.actions.resuming import copies
from redis_oom_tui.actions.saving import Saver
from redis_oom_tui.actions.tally import Tally
from redis_oom_tui.files.backup import BackupWriter, new_path
from redis_oom_tui.files.plans import criteria_fields
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Deed, KeyOutcome, Outcome, Plan, RunView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.report import report
from redis_oom_tui.store.changing.channel import Channel
from redis_oom_tui.store.changing.line import Line, OtherServer
from redis_oom_tui.words.sizes import number_of_keys, size, told_bytes

_POLL_SECONDS = 0.5
_QUIET_SECONDS = 0.25
_FREEING_POLL_SECONDS = 0.1
_FREEING_LONGEST_SECONDS = 30.0
_PROBES_FIRST = 3


class PlanRunner:
    """A run of one plan. Implements `ports.PlanRun`."""

    def __init__(self, desk: Desk, plan: Plan, backup: BackupChoice) -> None:
        self._desk = desk
        self._plan = plan
        self._backup = backup
        self._tally = Tally(plan.keys)
        self._view = RunView(total_keys=len(plan.keys), planned_bytes=plan.size)
        self._writer: BackupWriter | None = None
        self._lines: dict[int, Line] = {}
        self._action_id: str | None = None
        self._batches = 0
        self._polled = 0.0
        self._rested = 0.0
        self._started = time.monotonic()
        self._stop = False

    def stop(self) -> None:
        """End at the edge of the batch in flight."""
        self._stop = True

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """What became of each key, in the plan's order."""
        return self._tally.each(only)

    def view(self) -> RunView:
        """The run as it stands."""
        counts = self._tally.counts()
        elapsed = self._view.elapsed_seconds if self._view.ended else time.monotonic() - self._started
        done = sum(number for outcome, number in counts.items() if outcome is not Outcome.NOT_ATTEMPTED)
        return replace(
            self._view,
            counts=counts,
            freed_bytes=self._tally.freed_bytes,
            elapsed_seconds=elapsed,
            keys_per_second=done / elapsed if elapsed > 0 else 0.0,
        )

    async def run(self) -> RunView:
        """Carry out the plan, wait until what was freed is free, and report."""
        self._started = time.monotonic()
        failure: str | None = None
        try:
            await self._each_batch(await self._begin())
            await self._freeing()
        except TriageError as error:
            failure = str(error)
        except asyncio.CancelledError:
            self._end("The tool ended while this ran")
            raise
        finally:
            for line in self._lines.values():
                await line.close()
        self._end(failure)
        return self.view()

    async def _first_look(self) -> Snapshot:
        """The server as it stands; asked twice, as a connection that lay idle may have been closed meanwhile."""
        try:
            return await self._desk.server.snapshot()
        except ServerUnreachable:
            return await self._desk.server.snapshot()

    async def _begin(self) -> Worker:
        snapshot = await self._first_look()
        self._recognise(snapshot)
        self._view = replace(self._view, used_before_bytes=snapshot.memory.used_bytes)
        self._notice(snapshot)
        known = await self._desk.learn()
        earlier = {} if known.has(Feature.NO_TOUCH) else await asyncio.to_thread(copies, self._desk.audit, self._plan)
        path = None
        if self._backup.wanted:
            path = self._backup.path or new_path(self._desk.backups, self._plan, self._desk.wall())
        self._action_id = self._intend(snapshot, path)
        if path is not None:
            self._writer = BackupWriter(path, self._plan, snapshot.server, self._desk.wall())
            self._view = replace(self._view, backup_path=str(path))
        return self._hire(known, earlier, alone=snapshot.server.mode == "cluster")

    def _recognise(self, snapshot: Snapshot) -> None:
        """Raise OtherServer where this is not the server that the plan was made on, by its run id, else by address."""
        here, now, then = str(self._desk.server.address), snapshot.server.run_id, self._plan.run_id
        if (now != then) if now and then else (here != self._plan.server):
            raise OtherServer(
                f"{here} is not the server of this plan ({self._plan.server}), or was restarted since (its run id"
                " changed): make the plan again"
            )

    def _intend(self, snapshot: Snapshot, path: Path | None) -> str:
        plan = self._plan
        return self._desk.audit.intent(
            plan.deed.value,
            server=plan.server,
            who=self._desk.who,
            what=f"{plan.deed.value} {number_of_keys(len(plan.keys))} ({size(told_bytes(plan.size, len(plan.keys)))})",
            run_id=snapshot.server.run_id,
            plan=plan.hash,
            criteria=criteria_fields(plan.criteria),
            expire_seconds=plan.expire_seconds,
            keys=len(plan.keys),
            bytes=told_bytes(plan.size, len(plan.keys)),
            backup=None if path is None else str(path),
            used_memory=snapshot.memory.used_bytes,
        )

    def _hire(self, known: Capabilities, earlier: Mapping[KeyId, str], *, alone: bool) -> Worker:
        saver = None
        if self._writer is not None:
            untouched = known.has(Feature.NO_TOUCH)
            saver = Saver(self._plan, self._backup, self._writer, self._tally, untouched=untouched)
        scripted = known.has(Feature.SCRIPT)
        return Worker(
            self._plan,
            self._tally,
            saver,
            scripted=scripted,
            alone=alone,
            copies=earlier,
            wall=self._desk.wall,
        )

    async def _each_batch(self, worker: Worker) -> None:
        keys = self._plan.keys
        positions = sorted(range(len(keys)), key=lambda at: keys[at].id.db)
        probe = Channel(self._desk.server)
        try:
            pacer = Pacer(min([await _ping(probe) for _ in range(_PROBES_FIRST)]))
            start = 0
            while start < len(positions) and not self._stop:
                _heed_cancellation()
                batch = worker.cut(positions, start, pacer.keys)
                start += len(batch)
                quiet = await _ping_quietly(probe) if self._quiet_is_due() else None
                worker.window = pacer.window
                beside = asyncio.create_task(_ping_quietly(probe))
                try:
                    await self._one_batch(worker, batch)
                finally:
                    waited = await beside
                if worker.blocked is not None:
                    raise worker.blocked
                if waited is not None:
                    pacer.learn(quiet, waited)
                await self._pace(pacer)
        finally:
            await probe.close()

    def _quiet_is_due(self) -> bool:
        """Whether to look at the server without a batch beside again: a few times a second will do."""
        now = time.monotonic()
        if now - self._rested < _QUIET_SECONDS:
            return False
        self._rested = now
        return True

    async def _one_batch(self, worker: Worker, batch: Sequence[int]) -> None:
        line = await self._line(self._plan.keys[batch[0]].id.db)
        self._batches += 1
        audit, action_id = self._desk.audit, self._action_id or ""
        audit.batch(action_id, self._batches, [(self._plan.keys[at].id.db, self._plan.keys[at].id.key) for at in batch])
        try:
            await worker.work(line, batch)
        finally:
            details = {n: detail for n, at in enumerate(batch) if (detail := self._tally.detail(at))}
            audit.done(action_id, self._batches, [self._tally.outcome(at) for at in batch], details)

    async def _line(self, db: int) -> Line:
        if db not in self._lines:
            self._lines[db] = Line(self._desk.server, db, self._plan.run_id)
            await self._lines[db].open()
        return self._lines[db]

    async def _pace(self, pacer: Pacer) -> None:
        doing = "deleting" if self._plan.deed is Deed.DELETE else "setting expiries"
        self._view = replace(self._view, phase=pacer.words(doing))
        if pacer.hopeless:
            raise ServerUnreachable(
                f"{self._desk.server.address} takes {pacer.waited:.0f} s to answer: stopped, so as not to add to that"
            )
        if time.monotonic() - self._polled >= _POLL_SECONDS:
            await self._poll()
        if pacer.rest and not self._stop:
            await asyncio.sleep(pacer.rest)

    async def _poll(self) -> None:
        """Look at the memory; a look that fails leaves it unknown, and the next batch will tell why."""
        try:
            self._notice(await self._desk.server.snapshot())
        except TriageError:
            self._polled = time.monotonic()
            self._view = replace(self._view, used_now_bytes=None, lazyfree_pending_objects=None)

    def _notice(self, snapshot: Snapshot) -> None:
        self._polled = time.monotonic()
        self._view = replace(
            self._view,
            used_now_bytes=snapshot.memory.used_bytes,
            lazyfree_pending_objects=snapshot.memory.lazyfree_pending_objects,
        )

    async def _freeing(self) -> None:
        """Wait for the background freeing: before it is done, used_memory says little about what was deleted."""
        self._view = replace(self._view, phase="freeing in the background")
        deadline = time.monotonic() + _FREEING_LONGEST_SECONDS
        while True:
            await self._poll()
            if not self._view.lazyfree_pending_objects or time.monotonic() >= deadline or self._stop:
                return
            await asyncio.sleep(_FREEING_POLL_SECONDS)

    def _end(self, failure: str | None) -> None:
        if self._writer is not None:
            self._writer.close()
        before, now = self._view.used_before_bytes, self._view.used_now_bytes
        fell = None if before is None or now is None else before - now
        sentence = report(self._plan.deed, self._tally.counts(), len(self._plan.keys), fell)
        if failure is not None:
            sentence = f"{failure.rstrip('.')}. {sentence}"
        elif self._stop:
            sentence = f"Stopped. {sentence}"
        sentence += self._write_result(failure is None, sentence)
        self._view = replace(
            self._view,
            elapsed_seconds=time.monotonic() - self._started,
            phase="ended",
            ended=sentence,
            failed=failure is not None,
        )

    def _write_result(self, ok: bool, sentence: str) -> str:
        """Write down the end; what to add to the report where that failed."""
        if self._action_id is None:
            return ""
        try:
            self._desk.audit.result(
                self._action_id,
                ok=ok,
                result=sentence,
                counts={outcome.value: number for outcome, number in self._tally.counts().items()},
                freed_bytes=told_bytes(self._tally.freed_bytes, self._tally.counts().get(Outcome.DELETED, 0)),
                used_memory=self._view.used_now_bytes,
                backup=self._view.backup_path,
                stopped=self._stop,
            )
        except TriageError as error:
            return f" {error}"
        return ""


def _heed_cancellation() -> None:
    """Raise CancelledError where the task was cancelled: asyncio.wait_for, used by redis-py, may swallow it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _ping(probe: Channel) -> float:
    """How long a PING waited, in seconds; its answer may be a refusal (MISCONF), which takes as long."""
    started = time.monotonic()
    await probe.call([("PING",)])
    return time.monotonic() - started


async def _ping_quietly(probe: Channel) -> float | None:
    """The same, None where the connection was lost: the batch beside it will find that out and say so."""
    try:
        return await _ping(probe)
    except TriageError:
        await probe.close()
        return None
