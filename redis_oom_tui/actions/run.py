"""A plan being carried out: each batch written down, checked, acted on, and what came of each key written down."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from redis_oom_tui.actions.batch import Worker
from redis_oom_tui.actions.batches import Batches
from redis_oom_tui.actions.bound import ByteBound
from redis_oom_tui.actions.context import DEFECT, ActionContext
from redis_oom_tui.actions.interrupted_runs import copies
from redis_oom_tui.actions.outcomes import OutcomeTable, after
from redis_oom_tui.actions.saving import Saver
from redis_oom_tui.files.audit_lines import EarlierRuns
from redis_oom_tui.files.backup import BackupWriter, new_path
from redis_oom_tui.files.plans import criteria_fields
from redis_oom_tui.formatting.sizes import known_bytes, number_of_keys, size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.errors import ServerUnreachable, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import KeyOutcome, Operation, Outcome, Plan, RunView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import plan_warnings
from redis_oom_tui.rules.headroom import headroom, pause_after
from redis_oom_tui.rules.report import report
from redis_oom_tui.server.active_clock import ActiveClock
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.latency_monitor import throttled
from redis_oom_tui.server.mutations.pinned_connection import OtherServer, PinnedConnections
from redis_oom_tui.server.scan.tasks import monitored

_MAY_EXPIRE = {Outcome.EXPIRING, Outcome.FAILED, Outcome.IN_DOUBT}
_POLL_SECONDS = 0.5
_FREEING_POLL_SECONDS = 0.1
_FREEING_PAUSE_SECONDS = 5.0
_FREEING_LONGEST_SECONDS = 30.0


class ChildBegan(TriageError):
    """The server forked since the preview: it no longer tells which keys are used, and no value would be saved."""


class PlanRunner:
    """A run of one plan. Implements `ports.PlanRun`."""

    def __init__(self, desk: ActionContext, plan: Plan, backup: BackupChoice) -> None:
        self._desk = desk
        self._plan = plan
        self._backup = backup
        self._tally = OutcomeTable(plan.keys)
        self._view = RunView(total_keys=len(plan.keys), planned_bytes=plan.size)
        self._writer: BackupWriter | None = None
        self._lines = PinnedConnections(desk.server, plan.run_id)
        self._action_id: str | None = None
        self._pacer: CallThrottle | None = None
        self._bound: ByteBound | None = None
        self._run_id: str | None = None
        self._restarted = False
        self._before: EarlierRuns | None = None
        self._clock = ActiveClock()
        self._stop = False
        self._took = 0.0

    def stop(self) -> None:
        """End once the calls on their way have come home."""
        self._stop = True
        if self._pacer is not None:
            self._pacer.stop()

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        """What became of each key, in the plan's order."""
        return self._tally.each(only)

    def view(self) -> RunView:
        """The run as it stands."""
        counts = self._tally.counts()
        elapsed = self._clock.elapsed
        done = sum(number for outcome, number in counts.items() if outcome is not Outcome.NOT_ATTEMPTED)
        return replace(
            self._view,
            counts=counts,
            freed_bytes=self._tally.freed_bytes,
            charged_bytes=0 if self._bound is None else self._bound.charged,
            elapsed_seconds=elapsed,
            keys_per_second=done / elapsed if elapsed > 0 else 0.0,
        )

    async def run(self) -> RunView:
        """Carry out the plan, wait until what was freed is free, and report."""
        self._clock.start()
        failure: str | None = DEFECT
        try:
            await self._carry_out()
            await self._freeing()
            failure = None
        except TriageError as error:
            failure = str(error)
            self._unread(error)
        except asyncio.CancelledError:
            failure = "The tool ended while this ran"
            raise
        finally:
            try:
                await self._lines.close()
            finally:
                self._end(failure)
        return self.view()

    def _unread(self, error: TriageError) -> None:
        """What the memory came to was not read where the server was lost, or is another one now."""
        if isinstance(error, OtherServer):
            self._restarted = True
            self._view = replace(self._view, used_before_bytes=None)
        elif isinstance(error, ServerUnreachable):
            self._view = replace(self._view, used_now_bytes=None)

    async def _first_look(self) -> Snapshot:
        """The server as it stands; asked twice, as a connection that lay idle may have been closed meanwhile."""
        try:
            return await self._desk.server.snapshot()
        except ServerUnreachable:
            return await self._desk.server.snapshot()

    async def _carry_out(self) -> None:
        hire = await self._begin()
        async with throttled(self._desk.server) as pacer:
            worker, self._pacer = hire(pacer), pacer
            if self._stop:
                pacer.stop()
            batches = Batches(
                self._plan,
                self._tally,
                worker,
                pacer,
                self._desk.audit,
                self._action_id or "",
                self._lines,
                self._bound,
            )
            async with monitored(self._keep_looking(), pacer.stop, "look at the memory"):
                await batches.run(lambda: self._show(pacer))

    async def _begin(self) -> Callable[[CallThrottle], Worker]:
        snapshot = await self._first_look()
        self._recognise(snapshot)
        self._run_id = snapshot.server.run_id
        self._view = replace(self._view, used_before_bytes=snapshot.memory.used_bytes)
        self._notice(snapshot)
        if self._plan.deed is Operation.DELETE and self._plan.criteria.max_bytes is not None:
            used = snapshot.memory.used_bytes
            self._bound = ByteBound(self._desk.server, self._plan.criteria.max_bytes, used)
        unsaved = self._plan.deed is Operation.DELETE and not self._backup.wanted
        if unsaved and snapshot.activity.has_child and plan_warnings.CHILD_RUNS not in self._plan.flags:
            raise ChildBegan(plan_warnings.CHILD_BEGAN)
        known = await self._desk.learn()
        earlier = {} if known.has(Feature.NO_TOUCH) else await asyncio.to_thread(copies, self._desk.audit, self._plan)
        if self._plan.deed is Operation.DELETE:
            self._before = await asyncio.to_thread(self._desk.audit.earlier, self._plan.hash)
        path = None
        if self._backup.wanted:
            path = self._backup.path or new_path(self._desk.backups, self._plan, self._desk.wall())
        self._action_id = self._intend(snapshot, path)
        if path is not None:
            skew = snapshot.clock_skew_seconds
            self._writer = BackupWriter(path, self._plan, snapshot.server, self._desk.wall(), skew)
            self._view = replace(self._view, backup_path=str(path))
        alone = snapshot.server.mode == "cluster"
        room = headroom(snapshot)
        return lambda pacer: self._hire(pacer, known, earlier, room, alone=alone)

    def _recognise(self, snapshot: Snapshot) -> None:
        """Raise OtherServer where this is not the server that the plan was made on, by its run id, else by address."""
        here, now, then = str(self._desk.server.address), snapshot.server.run_id, self._plan.run_id
        if (now != then) if now and then else (here != self._plan.server):
            raise OtherServer(
                f"{here} is not the server of this plan ({self._plan.server}), or was restarted since (its run id"
                " changed): make the plan again"
            )

    def _intend(self, snapshot: Snapshot, path: Path | None) -> str:
        plan, held = self._plan, known_bytes(self._view.planned_bytes, len(self._plan.keys))
        return self._desk.audit.intent(
            plan.deed.value,
            server=plan.server,
            who=self._desk.who,
            what=f"{plan.deed.value} {number_of_keys(len(plan.keys))} ({size(held)})",
            run_id=snapshot.server.run_id,
            plan=plan.hash,
            criteria=criteria_fields(plan.criteria),
            expire_seconds=plan.expire_seconds,
            keys=len(plan.keys),
            bytes=held,
            backup=None if path is None else str(path),
            used_memory=snapshot.memory.used_bytes,
        )

    def _hire(
        self,
        pacer: CallThrottle,
        known: Capabilities,
        earlier: Mapping[KeyId, str],
        room: int | None,
        *,
        alone: bool,
    ) -> Worker:
        saver = None
        if self._writer is not None:
            untouched = known.has(Feature.NO_TOUCH)
            saver = Saver(
                self._plan,
                self._backup,
                self._writer,
                self._tally,
                untouched=untouched,
                room=room,
                before=self._before,
            )
        scripted = known.has(Feature.SCRIPT)
        return Worker(
            self._plan,
            self._tally,
            saver,
            pacer,
            scripted=scripted,
            alone=alone,
            copies=earlier,
            before=self._before,
        )

    def _show(self, pacer: CallThrottle) -> None:
        doing = "deleting" if self._plan.deed is Operation.DELETE else "setting expiries"
        self._view = replace(self._view, phase=pacer.words(doing))
        if pacer.probes.hopeless:
            slow = f"{self._desk.server.address} takes {pacer.probes.waited:.0f} s to answer"
            raise ServerUnreachable(f"{slow}: stopped, so as not to add to that")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(max(_POLL_SECONDS, pause_after(self._took)))
            await self._poll()

    async def _poll(self) -> None:
        """Look at the memory; a look that fails leaves it unknown, and the next batch will tell why."""
        began = time.monotonic()
        try:
            self._notice(await self._desk.server.snapshot())
        except TriageError:
            self._view = replace(self._view, used_now_bytes=None, lazyfree_pending_objects=None)

        self._took = time.monotonic() - began

    def _notice(self, snapshot: Snapshot) -> None:
        run_id = snapshot.server.run_id
        if None not in (run_id, self._run_id) and run_id != self._run_id:
            # Another process: what the first one used says nothing about what this one uses.
            self._restarted = True
            self._view = replace(self._view, used_before_bytes=None)
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
            # Who waits for the end is not kept for as long as a screen that goes on looking.
            await asyncio.sleep(min(_FREEING_PAUSE_SECONDS, max(_FREEING_POLL_SECONDS, pause_after(self._took))))

    def _end(self, failure: str | None) -> None:
        self._clock.stop()
        if self._writer is not None:
            self._close(self._writer)
        before, now = self._view.used_before_bytes, self._view.used_now_bytes
        fell = None if before is None or now is None else before - now
        sentence = report(
            self._plan.deed,
            self._tally.counts(),
            len(self._plan.keys),
            fell,
            restarted=self._restarted,
            earlier=self._tally.deleted_earlier(),
        )
        if failure is not None:
            sentence = after(failure, sentence)
        elif self._interrupted:
            sentence = f"Interrupted. {sentence}"
        elif self._bound is not None and self._bound.reached:
            sentence = f"Stopped at its bound of {size(self._bound.limit)}. {sentence}"
        sentence += self._write_result(failure is None and not self._interrupted, sentence)
        self._view = replace(
            self._view,
            phase="ended",
            ended=sentence,
            failed=failure is not None,
        )

    @property
    def _interrupted(self) -> bool:
        """Whether it was stopped before the last key."""
        return self._stop and Outcome.NOT_ATTEMPTED in self._tally.counts()

    def _close(self, writer: BackupWriter) -> None:
        """Close the backup; one from which nothing can be put back is not shown, and goes where it tells nothing."""
        writer.close()
        counts = self._tally.counts()
        expires = self._plan.deed is Operation.EXPIRE
        undoes = bool(counts.keys() & _MAY_EXPIRE) if expires else bool(writer.keys)
        if not undoes:
            self._view = replace(self._view, backup_path=None)
            if not writer.left_out:
                writer.discard()

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
                freed_bytes=known_bytes(self._tally.freed_bytes, self._tally.counts().get(Outcome.DELETED, 0)),
                used_memory=self._view.used_now_bytes,
                backup=self._view.backup_path,
                stopped=self._stop,
            )
        except TriageError as error:
            return f" {error}"
        return ""
