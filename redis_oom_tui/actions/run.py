"""A plan being carried out: one line of intent, one backup, one result, whichever nodes serve its keys."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from redis_oom_tui.actions.context import DEFECT, ActionContext, ActionRecord, SharedRun
from redis_oom_tui.actions.deployment import Deployment, Place, prefixed
from redis_oom_tui.actions.node_worker import OF_ALL_NODES, NodeWorker, known_sum
from redis_oom_tui.actions.outcomes import OutcomeTable, after
from redis_oom_tui.actions.saving import earlier_copies
from redis_oom_tui.files.backup import BackupWriter, new_path
from redis_oom_tui.files.plans import criteria_fields
from redis_oom_tui.formatting.keys import slot_of, slots_by_number
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, known_bytes, number_of, number_of_keys, size
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import KeyOutcome, Operation, Outcome, OutcomeNote, Plan, RunView
from redis_oom_tui.rules.report import report
from redis_oom_tui.rules.sizing import weight
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.tasks import run_all, together

_MAY_EXPIRE = {Outcome.EXPIRING, Outcome.FAILED, Outcome.IN_DOUBT}
_UNSETTLED = (Outcome.NOT_ATTEMPTED, Outcome.FAILED, Outcome.IN_DOUBT)
_ROUNDS = 4
# How long a lost primary's replica may take to be promoted.
_PATIENCE_SECONDS = 20.0


class Run:
    """A run of one plan. Implements `ports.PlanRun`.

    Each key is acted on by the node that serves it. One whose slot moved was refused, not touched: it is tried again at
    its new node, behind ASKING where the slot is half moved. After a failover what was not attempted goes on at the
    promoted node; not where idle times chose the keys, as a replica never knew them.
    """

    def __init__(self, context: ActionContext, deployment: Deployment, plan: Plan, backup: BackupChoice) -> None:
        self._context = context
        self._deployment = deployment
        self._plan = plan
        self._table = OutcomeTable(plan.keys)
        self._shared = SharedRun(plan, backup, self._table, ActionRecord(context), self._stop_workers)
        self._workers: list[NodeWorker] = []
        self._tried: list[tuple[Place, ...]] = [()] * len(plan.keys)
        self._failures: dict[str, None] = {}
        self._clock = ActiveClock()
        self._stop = False
        self._ended: str | None = None
        self._failed = False

    def stop(self) -> None:
        """End once the calls on their way have come home."""
        self._stop = True
        self._stop_workers()

    def _stop_workers(self) -> None:
        for worker in self._workers:
            worker.stop()

    def outcomes(self, only: frozenset[Outcome] | None = None) -> Iterator[KeyOutcome]:
        return self._table.each(only)

    def view(self) -> RunView:
        """The run as it stands, all nodes together."""
        counts = self._table.counts()
        elapsed = self._clock.elapsed
        done = sum(number for outcome, number in counts.items() if outcome is not Outcome.NOT_ATTEMPTED)
        before, now = self._used()
        busy = [worker for worker in self._workers if not worker.ended]
        writer = self._shared.writer
        undoes = writer is not None and (not self._ended or _undoes(self._plan, self._table, writer))
        return RunView(
            total_keys=len(self._plan.keys),
            counts=counts,
            freed_bytes=self._table.freed_bytes,
            used_before_bytes=before,
            used_now_bytes=now,
            lazyfree_pending_objects=known_sum([worker.lazyfree_pending_objects for worker in self._workers]),
            charged_bytes=sum(worker.charged_bytes for worker in self._workers),
            elapsed_seconds=elapsed,
            keys_per_second=done / elapsed if elapsed > 0 else 0.0,
            backup_path=str(writer.path) if writer is not None and undoes else None,
            phase="ended" if self._ended else self._phase(busy),
            throttled=not self._ended and any(worker.throttled for worker in busy[:1]),
            ended=self._ended,
            failed=self._failed,
        )

    def _used(self) -> tuple[int | None, int | None]:
        """used_memory of all nodes before it, and now: a node that was asked again counts once."""
        before: dict[str, int | None] = {}
        now: dict[str, int | None] = {}
        for worker in self._workers:
            before.setdefault(worker.place.node, worker.used_before_bytes)
            now[worker.place.node] = worker.used_now_bytes
        restarted = any(worker.restarted for worker in self._workers)
        return None if restarted else known_sum(list(before.values())), known_sum(list(now.values()))

    def _phase(self, busy: Sequence[NodeWorker]) -> str:
        if not self._deployment.clustered:
            return busy[0].phase if busy else "starting"
        return f"{busy[0].phase} ({number_of(len(busy), 'node')})" if busy else "finding who serves the rest"

    async def run(self) -> RunView:
        """Carry out the plan on every node, follow what moved meanwhile, wait until what was freed is free, and report.

        Never raises but for a defect, or where it is cancelled.
        """
        self._clock.start()
        failure: str | None = DEFECT
        try:
            await self._deployment.refresh()
            await self._rounds()
            failure = None
        except TriageError as error:
            failure = str(error)
        except asyncio.CancelledError:
            failure = "The tool ended while this ran"
            raise
        finally:
            if failure is not None:
                self._failures.setdefault(failure)
            self._end()
        return self.view()

    async def _rounds(self) -> None:
        left: Sequence[int] = range(len(self._plan.keys))
        for _ in range(_ROUNDS):
            workers = await self._placed(left)
            if workers:
                await self._round(workers)
            left = self._left(workers)
            if not left or self._stop or not await self._found_successors(left):
                break

    async def _placed(self, left: Sequence[int]) -> list[NodeWorker]:
        """A worker for each place where some of the keys are to be tried next."""
        # For hundreds of thousands of keys this takes a while, in which a screen must still answer.
        shares = await asyncio.to_thread(self._shares, left)
        for place, positions in shares.items():
            once = (place,)
            for position in positions:
                before = self._tried[position]
                self._tried[position] = (*before, place) if before else once
                if before:
                    # Until this try has ended nothing has come of it: it must not count twice.
                    self._table.put(position, Outcome.NOT_ATTEMPTED)
        for position in left if sum(map(len, shares.values())) < len(left) else ():
            if not self._tried[position]:
                self._table.put(position, Outcome.NOT_ATTEMPTED, "no node serves its slot")
        bounds = self._bounds(shares)
        node = self._deployment.node
        return [
            NodeWorker(self._shared, place, node(place), positions, bounds[place])
            for place, positions in shares.items()
        ]

    def _shares(self, left: Sequence[int]) -> dict[Place, list[int]]:
        if not self._deployment.clustered:
            place = self._deployment.place_of(b"")
            return {} if place is None or not left else {place: list(left)}
        shares: dict[Place, list[int]] = defaultdict(list)
        for position in left:
            place = self._place(position)
            if place is not None:
                shares[place].append(position)
        return shares

    def _place(self, position: int) -> Place | None:
        """Where to try the key next; None where there is nowhere that was not tried."""
        tried = self._tried[position]
        last = tried[-1] if tried else None
        key = self._plan.keys[position].id.key
        place = self._deployment.place_of(key, last, self._table.moved(position))
        return None if place in tried else place

    def _bounds(self, shares: Mapping[Place, list[int]]) -> dict[Place, int | None]:
        """How many bytes may go in each place: what earlier rounds have left, by what the keys there hold at most."""
        most = self._plan.criteria.max_bytes
        if most is None:
            return dict.fromkeys(shares)
        left = max(0, most - (self.view().taken_bytes if self._workers else 0))
        keys = self._plan.keys
        held = {
            place: sum(weight(keys[position].most or 0) for position in positions)
            for place, positions in shares.items()
        }
        whole = sum(held.values())
        return {place: left * share // whole if whole else left for place, share in held.items()}

    async def _round(self, workers: Sequence[NodeWorker]) -> None:
        self._workers += workers
        if self._stop:
            self._stop_workers()
        await together(worker.first_poll() for worker in workers)
        snapshots = [worker.snapshot for worker in workers if worker.snapshot is not None]
        self._deployment.recognize(self._plan, snapshots)
        await together(worker.prepare() for worker in workers)
        fit = [worker for worker in workers if worker.failure is None]
        if fit and not self._shared.record.begun:
            await self._begin(fit)
        await run_all(fit)
        for worker in workers:
            if worker.failure is not None:
                words = str(worker.failure)
                self._failures[prefixed(worker.place.node, words) if self._deployment.clustered else words] = None

    async def _begin(self, workers: Sequence[NodeWorker]) -> None:
        """Write down what is about to happen, and make the backup."""
        plan, shared, context = self._plan, self._shared, self._context
        if not all(worker.knows_uses for worker in workers):
            shared.copies = await asyncio.to_thread(earlier_copies, context.audit, plan)
        if plan.operation is Operation.DELETE:
            shared.before = await asyncio.to_thread(context.audit.earlier, plan.hash)
        path = None
        if shared.choice.wanted:
            path = shared.choice.path or new_path(context.backups, plan, context.wall())
        held, first = known_bytes(plan.size, len(plan.keys)), workers[0].snapshot
        shared.record.begin(
            plan.operation.value,
            server=plan.server,
            what=f"{plan.operation.value} {number_of_keys(len(plan.keys))} ({size(held)})",
            run_id=None if first is None or self._deployment.clustered else first.server.run_id,
            plan=plan.hash,
            criteria=criteria_fields(plan.criteria),
            expire_seconds=plan.expire_seconds,
            keys=len(plan.keys),
            bytes=held,
            backup=None if path is None else str(path),
            used_memory=self._used()[0],
        )
        if path is not None and first is not None:
            skews = {
                worker.place.node: worker.snapshot.clock_skew_seconds
                for worker in workers
                if self._deployment.clustered and worker.snapshot is not None
            }
            skew = first.clock_skew_seconds
            shared.writer = BackupWriter(path, plan, first.server, context.wall(), skew, node_skews=skews)

    def _left(self, workers: Sequence[NodeWorker]) -> list[int]:
        """The keys that another node may take: moved ones, and what a lost node was never asked for."""
        if any(isinstance(worker.failure, OF_ALL_NODES) for worker in workers):
            return []
        by_idle = self._plan.criteria.idle_over_seconds is not None
        left = self._table.moved_of([position for worker in workers for position in worker.positions])
        lost = [position for worker in workers if worker.may_have_successor for position in worker.positions]
        nowhere = [position for position, tried in enumerate(self._tried) if not tried]
        untouched = () if by_idle else (*lost, *nowhere)
        left += [position for position in untouched if self._table.outcome(position) is Outcome.NOT_ATTEMPTED]
        return sorted(left)

    async def _found_successors(self, left: Sequence[int]) -> bool:
        """Wait until every key that is left has a place that was not tried; after a while one such key is enough."""
        if not self._deployment.clustered:
            return False
        deadline = time.monotonic() + _PATIENCE_SECONDS
        some = False
        while not self._stop:
            await self._deployment.refresh()
            fresh = [self._place(position) is not None for position in left]
            some = any(fresh)
            if all(fresh) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        return some

    def _end(self) -> None:
        self._clock.stop()
        counts = self._table.counts()
        missed = any(counts.get(outcome) for outcome in _UNSETTLED)
        self._failed = bool(self._failures) and (missed or not self._deployment.clustered)
        interrupted = self._stop and Outcome.NOT_ATTEMPTED in counts
        sentence = self._sentence(counts, interrupted=interrupted)
        writer = self._shared.writer
        backup = None
        if writer is not None:
            writer.close()
            if _undoes(self._plan, self._table, writer):
                backup = str(writer.path)
            elif not writer.left_out:
                writer.discard()
        self._ended = self._shared.record.end(
            ok=not (self._failed or interrupted),
            result=sentence,
            counts={outcome.value: number for outcome, number in counts.items()},
            freed_bytes=known_bytes(self._table.freed_bytes, counts.get(Outcome.DELETED, 0)),
            used_memory=self._used()[1],
            backup=backup,
            stopped=self._stop,
        )

    def _sentence(self, counts: Mapping[Outcome, int], *, interrupted: bool) -> str:
        before, now = self._used()
        sentence = report(
            self._plan.operation,
            counts,
            len(self._plan.keys),
            None if before is None or now is None else before - now,
            restarted=any(worker.restarted for worker in self._workers),
            earlier=self._table.noted(OutcomeNote.DELETED_EARLIER),
            kept=self._table.noted(OutcomeNote.UNSAVED),
        )
        bound = self._plan.criteria.max_bytes
        failures = list(self._failures)
        if self._deployment.clustered:
            failures += _left_on_their_way(self._table)
        if interrupted and (self._deployment.clustered or not failures):
            sentence = f"Interrupted. {sentence}"
        elif bound is not None and not failures and any(worker.bound_reached for worker in self._workers):
            sentence = f"Stopped at the limit of {size(bound)}. {sentence}"
        if not self._deployment.clustered:
            return after(" ".join(failures), sentence) if failures else sentence
        nodes = {key.id.node for key in self._plan.keys}
        where = safe_text(next(iter(nodes)), 80) if len(nodes) == 1 else f"{count(len(nodes))} nodes"
        return " ".join([f"On {where}: {sentence}", *failures])


def _left_on_their_way(table: OutcomeTable) -> list[str]:
    """What is to be said of keys that no node acted on, as each sent us to another."""
    failed = table.each(frozenset({Outcome.FAILED}))
    slots = Counter(slot_of(key.id.key) for key in failed if key.moved is not None)
    if not slots:
        return []
    keys, verb = number_of_keys(sum(slots.values())), "is" if sum(slots.values()) == 1 else "are"
    where = f"{keys} of {slots_by_number(slots)} {verb} on the way from one node to another"
    return [f"{where} and untouched: plan again when the resharding has ended."]


def _undoes(plan: Plan, table: OutcomeTable, writer: BackupWriter) -> bool:
    if plan.operation is Operation.EXPIRE:
        return bool(table.counts().keys() & _MAY_EXPIRE)
    return bool(writer.keys)
