"""A run of a plan of finished jobs: saved, and deleted with all that belongs to them, on the nodes that have them."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from redis_oom_tui.actions.context import ActionContext, Losses, asked_again, snapshot_until_lost
from redis_oom_tui.actions.deployment import Deployment, Place
from redis_oom_tui.actions.node_worker import TooSlow, known_sum
from redis_oom_tui.actions.saving import CapReached, on_disk
from redis_oom_tui.actions.step_run import StepRun
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import number_of, size
from redis_oom_tui.models import timeouts
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import OtherServer, ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.stepped import FinishedJob, FinishedPlan
from redis_oom_tui.rules import headroom
from redis_oom_tui.server.call_throttle import CallThrottle, paced
from redis_oom_tui.server.info_reader import BRIEF
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import finished as jobs_on
from redis_oom_tui.server.mutations.connections import PinnedConnection
from redis_oom_tui.server.mutations.finished import GONE, TOO_LARGE, WORDS, SavedJob
from redis_oom_tui.server.mutations.script_calls import ScriptCaller

_JOBS_AT_ONCE = 100
# How often jobs are given to other nodes, and between two questions who serves them.
_ROUNDS, _PAUSE_SECONDS = 4, 0.2


class FinishedRun(StepRun):
    """A run of one plan of finished jobs. Its view counts jobs in place of keys."""

    verb = "Deleted"

    def __init__(
        self, context: ActionContext, deployment: Deployment, plan: FinishedPlan, backup: BackupChoice
    ) -> None:
        super().__init__(context, deployment, plan, backup)
        self._plan = plan
        self._reasons: dict[str, None] = {}
        self._room: int | None = None
        self._node = ""

    def _number(self, number: int) -> str:
        return number_of(number, "job")

    def _freed(self) -> int:
        return (self._plan.about_bytes or 0) * self._counts[Outcome.DELETED] // max(1, self._plan.going)

    def _left_words(self) -> str:
        return f" Kept, as {' or '.join(self._reasons)}." if self._reasons else ""

    async def _carry_out(self) -> None:
        """Node by node; in a cluster the jobs of a node that is lost go on with the one that takes its place."""
        await self._deployment.refresh()
        left: Sequence[FinishedJob] = self._plan.jobs
        tried: set[Place] = set()
        for _ in range(_ROUNDS):
            shares = self._shares(left, tried)
            tried.update(shares)
            left, lost = await self._round(shares)
            if not left or self._stop or lost is None or not await self._found_successors(left, tried):
                break
        if left and lost is not None:
            raise lost

    async def _found_successors(self, left: Sequence[FinishedJob], tried: set[Place]) -> bool:
        """Wait until other nodes serve the jobs that are left; in the end one that does is enough."""
        deadline = time.monotonic() + timeouts.FAILOVER
        fresh = [False]
        while self._deployment.clustered and not self._stop:
            with contextlib.suppress(ServerUnreachable):
                await self._deployment.refresh()
            fresh = [self._deployment.place_of(job.index) not in {None, *tried} for job in left]
            if all(fresh) or time.monotonic() > deadline:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        return any(fresh)

    async def _round(
        self, shares: Mapping[Place, Sequence[FinishedJob]]
    ) -> tuple[Sequence[FinishedJob], TriageError | None]:
        """The jobs that were not attempted, and the loss of a node that left them so."""
        left: list[FinishedJob] = []
        lost: TriageError | None = None
        known: list[tuple[LiveServer, Snapshot, Sequence[FinishedJob]]] = []
        for place, jobs in shares.items():
            server = self._deployment.node(place).server
            try:
                known.append((server, await snapshot_until_lost(server, lambda: self._stop), jobs))
            except ServerUnreachable as error:
                lost = self._passing(error)
                left += jobs
        first = bool(known) and not self._record.begun
        if first:
            self._begun([(server, snapshot) for server, snapshot, _ in known])
        servers = [server for server, _, _ in known]
        for server, snapshot, jobs in known:
            before = self._settled
            try:
                await self._on(server, snapshot, jobs)
            except CapReached:
                await self._measure(*servers)
                raise
            except (ServerUnreachable, OtherServer) as error:
                lost = self._passing(error)
            left += jobs[self._settled - before :]
        if first and lost is None:
            await self._measure(*servers)
        return left, lost

    def _passing(self, error: TriageError) -> TriageError:
        """`error` where another node may take the place of the one that is lost; raises it where none can."""
        if isinstance(error, TooSlow) or not self._deployment.clustered:
            raise error
        return error

    def _begun(self, nodes: Sequence[tuple[LiveServer, Snapshot]]) -> None:
        plan = self._plan
        for server, snapshot in nodes:
            self._must_be_the_same(server, snapshot)
        self._used = (known_sum([snapshot.memory.used_bytes for _, snapshot in nodes]), None)
        # Only in a cluster a record has to tell where its keys were.
        clustered = self._deployment.clustered
        skews = {str(server.address): snapshot.clock_skew_seconds for server, snapshot in nodes if clustered}
        what = f"delete {number_of(plan.going, 'job')} of {plan.request.application} ({plan.state})"
        indexes = [escape_exact(index) for index in dict.fromkeys(job.index for job in plan.jobs)]
        self._begin(Action.FINISH, what, nodes[0][1], skews, indexes=indexes, jobs=plan.going)

    async def _on(self, server: LiveServer, snapshot: Snapshot, jobs: Sequence[FinishedJob]) -> None:
        self._node = str(server.address) if self._deployment.clustered else ""
        connection = PinnedConnection(server, self._plan.request.db, snapshot.server.run_id)
        try:
            try:
                await connection.open()
            except ServerUnreachable:
                await connection.reopen()
            async with self._throttled(server) as throttle:
                await self._batches(server, connection, throttle, jobs)
        finally:
            await connection.close()

    def _shares(self, jobs: Sequence[FinishedJob], tried: set[Place]) -> dict[Place, list[FinishedJob]]:
        """The jobs by the node that serves their index now, but for those `tried`. Raises ServerUnreachable where none
        does.
        """
        shares: dict[Place, list[FinishedJob]] = defaultdict(list)
        for job in jobs:
            place = self._deployment.place_of(job.index)
            if place is None and not tried:
                raise ServerUnreachable("No node serves the slot of some of these jobs now")
            if place is not None and place not in tried:
                shares[place].append(job)
        return shares

    async def _batches(
        self, server: LiveServer, connection: PinnedConnection, throttle: CallThrottle, jobs: Sequence[FinishedJob]
    ) -> None:
        first = self._settled
        while self._settled - first < len(jobs) and not throttle.stopping:
            began = time.monotonic()
            if self._writer is not None:
                # A copy on its way counts toward maxmemory: others must not be evicted for it.
                self._room = headroom.headroom(
                    await asked_again(connection, lambda: server.snapshot(BRIEF), lambda: throttle.stopping)
                )
            start = self._settled - first
            batch = jobs[start : start + min(_JOBS_AT_ONCE, throttle.keys)]
            number = self._record.next_batch()
            await self._record.batch(number, [(self._plan.request.db, job.keys[0]) for job in batch])
            outcomes = [Outcome.NOT_ATTEMPTED] * len(batch)
            try:
                await self._batch(connection, throttle, batch, outcomes)
            finally:
                self._record.done(number, outcomes, {})
                for outcome in outcomes:
                    if outcome is not Outcome.NOT_ATTEMPTED:
                        self._put(outcome)
            throttle.batched(len(batch), time.monotonic() - began)

    async def _batch(
        self,
        connection: PinnedConnection,
        throttle: CallThrottle,
        batch: Sequence[FinishedJob],
        outcomes: list[Outcome],
    ) -> None:
        """Save each job of `batch`, and delete those that could be saved; `outcomes` says what became of each."""
        saved: list[SavedJob | None] = [None] * len(batch)
        if self._writer is not None:
            saved = await self._saved(connection, throttle, self._writer, batch)
        for place, (job, copy) in enumerate(zip(batch, saved, strict=True)):
            if throttle.stopping:
                return
            if copy is not None and copy.code != 1:
                outcomes[place] = self._kept(copy.code)
                continue
            outcomes[place] = Outcome.IN_DOUBT
            outcomes[place] = await self._deleted(connection, throttle, job, copy)

    async def _saved(
        self, connection: PinnedConnection, throttle: CallThrottle, writer: BackupWriter, batch: Sequence[FinishedJob]
    ) -> list[SavedJob | None]:
        if writer.size > self._choice.max_total_bytes:
            cap = size(self._choice.max_total_bytes)
            raise CapReached(f"The backup has reached its cap of {cap}, so the rest was left as it is")
        found: list[SavedJob | None] = []
        for job in batch:

            async def ask(job: FinishedJob = job) -> SavedJob:
                call = jobs_on.saving(job, headroom.largest(self._room, self._choice.max_key_bytes))
                (reply,) = await paced(throttle, ScriptCaller(connection.channel).call(call), 1)
                return jobs_on.saved(reply, job)

            copy = await asked_again(connection, ask, lambda: throttle.stopping)
            found.append(copy)
            if copy.code == 1:
                writer.add(self._line(job, copy))
        await on_disk(writer)
        return found

    def _line(self, job: FinishedJob, copy: SavedJob) -> Record:
        keys = tuple((key.key, key.type, key.payload, key.expires_ms) for key in copy.keys)
        record = JobRecord(job.index, job.index_type, job.member, job.score, keys)
        kind = copy.keys[0].type if copy.keys else "none"
        return Record(self._plan.request.db, job.keys[0], kind, saved_ms=copy.now_ms, node=self._node, job=record)

    async def _deleted(
        self, connection: PinnedConnection, throttle: CallThrottle, job: FinishedJob, copy: SavedJob | None
    ) -> Outcome:
        losses, lost = Losses(), False
        while True:
            try:
                call = ScriptCaller(connection.channel).call(jobs_on.deleting(job, copy))
                (reply,) = await paced(throttle, call, 1 + len(job.keys))
                code = jobs_on.deleted(reply)
            except ServerBusy:
                await connection.hold(lambda: throttle.stopping)
                if throttle.stopping:
                    return Outcome.IN_DOUBT if lost else Outcome.NOT_ATTEMPTED
            except ServerUnreachable:
                if losses.enough():
                    raise
                # What is sent again looks at the job again: whatever changed meanwhile is kept.
                await connection.reopen()
                lost = True
            else:
                break
        if lost and code == GONE:
            # Perhaps by this run, whose reply was lost.
            return Outcome.IN_DOUBT
        return Outcome.DELETED if code == 1 else self._kept(code)

    def _kept(self, code: int) -> Outcome:
        why = WORDS[code]
        if code == TOO_LARGE and self._room is not None:
            why += f", with {size(self._room)} free below maxmemory"
        self._reasons[why] = None
        return {GONE: Outcome.GONE, TOO_LARGE: Outcome.FAILED}.get(code, Outcome.CHANGED)
