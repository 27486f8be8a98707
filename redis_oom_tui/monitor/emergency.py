"""The cleanup that runs when nobody is there: armed in two places, bounded, refused at every doubt, written down."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from msgspec import Struct

from redis_oom_tui.files.ledger import Ledger, LedgerHeld
from redis_oom_tui.formatting.keys import sum_words
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import count, known_bytes, number_of_keys, size
from redis_oom_tui.models.action import BackupChoice, PlanningView
from redis_oom_tui.models.alert import Event, EventKind, JudgedSample
from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.errors import BadInput, TriageError
from redis_oom_tui.models.plan import Operation, Outcome, Plan, RunView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.monitor.watch import Listener
from redis_oom_tui.ports.operator import Operator, Planning, PlanRun
from redis_oom_tui.rules import emergency as bounds
from redis_oom_tui.rules.alerts import AlertBook, figures
from redis_oom_tui.rules.guarded import TROUBLE, sentence
from redis_oom_tui.rules.policies import keeps_last_use

_SEVERE = frozenset({Level.CRITICAL, Level.OOM})
# How long a run that was asked to stop may take to reach the edge of its batch.
_PATIENCE_SECONDS = 60.0
_SAMPLE_NAMES = 5
# An emergency is no time for the best choice among all keys: what was found by then is what the plan is made of.
_SEARCH_SECONDS = 20.0


class EmergencyJob(Struct, frozen=True):
    """What may be done: a plan to look for, or one that was saved; within which bounds; or only said (`dry_run`).

    `connect` connects again for each run, gives who acts, and lets go at the end. It raises a TriageError. In a
    cluster it is given the name of the node that is critical, and who it gives acts on that one alone; else ''.
    `undo` says how a backup is put back.
    """

    name: str
    plan: NamedPlan | Plan
    emergency: Emergency
    connect: Callable[[str], AbstractAsyncContextManager[Operator]]
    dry_run: bool = False
    undo: Callable[[str], str] = "restore {}".format


def must_be_armed(option: str, emergency: Emergency, *, dry_run: bool, read_only: bool) -> None:
    """Raise BadInput where the configuration does not arm the plan that the option names; a dry run needs no arming.

    >>> must_be_armed("cache", Emergency(plan="cache", armed=True), dry_run=False, read_only=False)
    """
    if dry_run:
        return
    if read_only:
        raise BadInput(
            "--on-critical deletes keys and cannot be combined with --read-only: add --dry-run, or leave out one"
        )
    if not emergency.armed or emergency.plan != option:
        raise BadInput(
            f"--on-critical {option} is not armed: the configuration must say so too, by armed = true and"
            f' plan = "{option}" under [emergency] of this profile; --dry-run shows what it would do'
        )


class EmergencyCleanup(Listener):
    """Runs `job` once the state has been critical for long enough.

    `log` takes what it says, `tell` an event that hooks should hear of.
    """

    name = "the emergency cleanup"

    def __init__(
        self,
        job: EmergencyJob,
        book: AlertBook,
        ledger: Ledger,
        clock: Clock,
        *,
        log: Callable[[Note], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._job = job
        self._book = book
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._tell = tell
        self._critical_since: float | None = None
        self._next_at = clock.monotonic()
        # The hour is counted by the clock that never jumps: one that is set ahead would open the bounds again.
        self._day_began = clock.wall() - clock.monotonic()
        self._lfu_seen = False
        self._due: ServerState | None = None
        self._wake = asyncio.Event()
        self._eased = asyncio.Event()
        self._busy = False
        self._begun = False
        self._waiting = False

    def on_state(self, state: ServerState) -> None:
        """Note whether the state is critical, and for how long; set a run off once it has been for long enough."""
        if state.answer is not None:
            self._lfu_seen = self._lfu_seen or not all(map(keeps_last_use, _policies(state.answer)))
        sample = state.sample
        if not isinstance(sample, JudgedSample):
            return
        now = sample.monotonic
        if self._book.level not in _SEVERE:
            self._critical_since = None
            self._waiting = False
        elif self._critical_since is None:
            self._critical_since = now
        if sample.staying not in _SEVERE:
            self._eased.set()
            return
        self._eased.clear()
        lasted = self._critical_since is not None and now - self._critical_since >= self._job.emergency.after_seconds
        if lasted and sample.rising in _SEVERE and now >= self._next_at and not self._busy:
            self._due = state
            self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Clean up whenever it is due, until `stop` is set; a run under way is then ended at the edge of its batch."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait((waking, stopping), return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                self._wake.clear()
                due, self._due = self._due, None
                if due is not None and due.answer is not None and not stop.is_set():
                    await self.clean(due.answer, due.verdict_now, stop)
        finally:
            stopping.cancel()

    async def clean(self, snapshot: Snapshot, verdict: Verdict, stop: asyncio.Event) -> None:
        """One cleanup of the server that has this verdict, or the sentence that says why there is none."""
        self._busy = True
        self._begun = False
        waited, self._waiting = self._waiting, False
        try:
            with self._ledger.held():
                async with self._job.connect(snapshot.server.node) as operator:
                    await self._clean(operator, snapshot, verdict, stop)
        except LedgerHeld as error:
            self._waiting = True
            if not waited:
                self._say(f"not started: {error}", level=Level.WARNING)
        except TriageError as error:
            after = "interrupted after it had begun; the audit log shows how far it got"
            self._say(f"{after if self._begun else 'not started'}: {error}", level=Level.WARNING)
        except TROUBLE as error:
            after = "failed after it had begun, and the audit log shows how far it got"
            why = sentence(f"the emergency cleanup {self._job.name} is", error)
            self._say(f"{after if self._begun else 'failed, not started'}: {why}", level=Level.CRITICAL)
        finally:
            # From its end, however long it took: what it did must show in the next samples before it may run again.
            cooldown = 0.0 if self._waiting else self._job.emergency.cooldown_seconds
            self._next_at = self._clock.monotonic() + cooldown
            self._busy = False

    async def _clean(self, operator: Operator, snapshot: Snapshot, verdict: Verdict, stop: asyncio.Event) -> None:
        now = self._day_began + self._clock.monotonic()
        where, run_id = self._book.server, snapshot.server.run_id
        allowed = bounds.allowance(self._job.emergency, self._ledger.spent(where, now, run_id=run_id), now)
        refusal = self._why_not(snapshot, verdict, allowed)
        if refusal is not None:
            self._say(f"not started: {refusal}", level=Level.WARNING)
            return
        plan = await self._planned(operator, snapshot, allowed, stop)
        if not plan.keys:
            self._say("nothing to do: no key of the plan exists, or none fits what may still be deleted this hour.")
            return
        if stop.is_set() or self._eased.is_set():
            self._say("not started: the watch ends" if stop.is_set() else "not started: pressure has eased")
            return
        if self._job.dry_run:
            self._say(f"would {_operation(plan)}: {_names(plan)}.", plan)
            return
        run = operator.run(plan, backup=BackupChoice(wanted=self._job.emergency.backup, keep_unsaved=True))
        # All of it counts against the hour before it runs: whatever happens then, the hour never takes more.
        taking = bounds.Spent(now, len(plan.keys), plan.size_range[1])
        self._ledger.put(where, taking, run_id=run_id)
        view = await self._carried_out(run, plan, stop)
        doubt = ""
        try:
            self._ledger.put(where, _taken(now, plan, view), run_id=run_id, instead_of=taking)
        except BadInput as error:
            doubt = f" What it deleted could not be recorded, so the whole plan counts against the hour: {error}."
        self._report(view, snapshot, doubt)

    def _why_not(self, snapshot: Snapshot, verdict: Verdict, allowed: bounds.Allowance) -> str | None:
        job = self._job
        if snapshot.server.role not in ("master", "primary"):
            return f"{snapshot.server.address} is a {snapshot.server.role}: only a primary is cleaned up."
        # A dry run in quiet times shows the plan.
        tried = job.dry_run and verdict.level not in _SEVERE
        if not tried and bounds.in_vain(verdict.rule, snapshot):
            step = f" First step: {verdict.first_step}" if verdict.first_step else ""
            return f"deleting keys does not help while the verdict is '{verdict.rule}': {verdict.reason}{step}"
        if allowed.empty:
            return "hourly cap reached"
        return bounds.why_not_idle(job.plan.criteria, job.emergency, snapshot, lfu_seen=self._lfu_seen)

    async def _planned(
        self, operator: Operator, snapshot: Snapshot, allowed: bounds.Allowance, stop: asyncio.Event
    ) -> Plan:
        """The plan within its bounds. Raises BadInput where it cannot be made, or cannot be trusted."""
        wanted = self._job.plan
        if isinstance(wanted, Plan):
            if len(bounds.trimmed(wanted, allowed).keys) < len(wanted.keys):
                raise BadInput(
                    "the saved plan holds more keys or bytes than may be deleted now, or keys of unknown size"
                )
            # Its hash stays: it is the plan that was saved, and only ends sooner.
            plan = replace(wanted, criteria=replace(wanted.criteria, max_bytes=allowed.size))
        else:
            criteria = bounds.criteria_within(wanted, allowed)
            planning = operator.plan(criteria, operation=wanted.operation, expire_seconds=wanted.expire_seconds)
            view = await self._searched(planning, stop)
            if view.plan is None or view.error is not None:
                raise BadInput(view.error or "the plan was not completed")
            plan = bounds.trimmed(view.plan, allowed, wanted.criteria.max_bytes)
        doubts = bounds.doubts(plan, snapshot)
        if doubts:
            raise BadInput(doubts[0])
        return plan

    async def _searched(self, planning: Planning, stop: asyncio.Event) -> PlanningView:
        """The planning at its end: all keys seen, or stopped after a while, or since it is not needed any more."""
        running = asyncio.create_task(planning.run())
        waiting = [asyncio.create_task(event.wait()) for event in (stop, self._eased)]
        try:
            await asyncio.wait((running, *waiting), timeout=_SEARCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            while not running.done() and not (stop.is_set() or self._eased.is_set() or planning.view().matched_keys):
                await asyncio.wait((running, *waiting), timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            planning.stop()
            return await running
        finally:
            for task in (running, *waiting):
                task.cancel()
            await asyncio.wait((running, *waiting))

    async def _carried_out(self, run: PlanRun, plan: Plan, stop: asyncio.Event) -> RunView:
        """Run the plan; stop it early once the state is no longer critical, or the watch is asked to end."""
        self._begun = True
        self._say(f"begins to {_operation(plan)}: {_names(plan)}.", plan, level=Level.WARNING)
        running = asyncio.create_task(run.run())
        waiting = [asyncio.create_task(event.wait()) for event in (stop, self._eased)]
        try:
            await asyncio.wait((running, *waiting), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                run.stop()
                await asyncio.wait((running,), timeout=_PATIENCE_SECONDS)
        finally:
            for task in (running, *waiting):
                task.cancel()
            await asyncio.wait((running, *waiting))
        return run.view() if running.cancelled() else running.result()

    def _report(self, view: RunView, snapshot: Snapshot, doubt: str) -> None:
        counts = ", ".join(f"{count(number)} {outcome.value}" for outcome, number in view.counts.items() if number)
        used = f"Used memory {size(view.used_before_bytes)} -> {size(view.used_now_bytes)}."
        freed = known_bytes(view.freed_bytes, view.counts.get(Outcome.DELETED, 0))
        text = f"{counts or 'nothing done'}; {size(freed)} by their own figures. {view.ended or used}"
        text += doubt
        if view.undoable:
            text += f" Undo: {', '.join(map(self._job.undo, view.backup_files))}"
        level = self._book.level
        event = Event(
            number=0,
            kind=EventKind.CLEANUP,
            at=self._clock.wall(),
            server=self._book.server,
            level=level,
            before=level,
            reason=f"Emergency cleanup {self._job.name}: {text}",
            rule="emergency",
            figures=figures(snapshot),
            lasted_seconds=view.elapsed_seconds,
        )
        self._tell(event)

    def _say(self, text: str, plan: Plan | None = None, *, level: Level = Level.OK) -> None:
        mode = " (dry run)" if self._job.dry_run else ""
        figures = {"plan": self._job.name, "dry_run": self._job.dry_run}
        if plan is not None:
            figures |= {"keys": len(plan.keys), "bytes": known_bytes(plan.size, len(plan.keys)), "hash": plan.hash}
        self._log(Note("cleanup", f"{self._job.name}{mode} {text}", self._clock.wall(), level, figures))


def _policies(snapshot: Snapshot) -> Iterator[str]:
    yield snapshot.memory.policy
    for view in () if snapshot.cluster is None else snapshot.cluster.nodes:
        if view.snapshot is not None:
            yield view.snapshot.memory.policy


def _operation(plan: Plan) -> str:
    verb = "delete" if plan.operation is Operation.DELETE else f"let expire within {plan.expire_seconds}s"
    held = sum_words(known_bytes(plan.size, len(plan.keys)), *plan.size_range)
    return f"{verb} {number_of_keys(len(plan.keys))}, {held}"


def _names(plan: Plan) -> str:
    first = ", ".join(escape_exact(key.id.key)[:60] for key in plan.keys[:_SAMPLE_NAMES])
    more = len(plan.keys) - _SAMPLE_NAMES
    return f"{first} and {count(more)} more" if more > 0 else first


def _taken(at: float, plan: Plan, view: RunView) -> bounds.Spent:
    """What counts against the hour: all that may be gone, also keys whose fate is not known, and what used_memory fell
    by where that was more than the plan's own figures.
    """
    spared = (Outcome.GONE, Outcome.CHANGED, Outcome.NOT_ATTEMPTED)
    keys = len(plan.keys) - sum(view.counts.get(outcome, 0) for outcome in spared)
    unsure = bool(view.counts.keys() & {Outcome.FAILED, Outcome.IN_DOUBT}) or not view.counts
    return bounds.Spent(at, keys, max(plan.size_range[1], view.taken_bytes) if unsure else view.taken_bytes)
