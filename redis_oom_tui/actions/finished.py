"""Finished jobs of an application: found by its own lists, saved, and deleted with all that belongs to them."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from redis_oom_tui.actions.context import ActionContext, PacedWork, asked_again
from redis_oom_tui.actions.deployment import Deployment, Place
from redis_oom_tui.actions.node_worker import known_sum
from redis_oom_tui.actions.saving import CapReached, on_disk
from redis_oom_tui.actions.shrink_planning import each_page
from redis_oom_tui.actions.step_run import StepRun
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import count, number_of, size
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.application import Confidence
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import BadInput, ServerBusy, ServerUnreachable
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.stepped import FinishedJob, FinishedPlan, FinishedRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import finished, headroom
from redis_oom_tui.rules.applications.recognizing import alike_keys
from redis_oom_tui.rules.sizing import most_of_all
from redis_oom_tui.server.call_throttle import CallThrottle, paced
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import finished as jobs_on
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, PinnedConnection
from redis_oom_tui.server.mutations.finished import GONE, TOO_LARGE, WORDS, SavedJob
from redis_oom_tui.server.mutations.replies import server_time
from redis_oom_tui.server.mutations.script_calls import ScriptCaller

_SIZED = 50
# A job's keys have few elements: nearly all are measured whole, and none keeps the server.
_SAMPLES = 200
_JOBS_AT_ONCE = 100
_PROVING_JOBS = 3


class FinishedPlanner(PacedWork):
    """A plan of finished jobs in the making; its view is how many were found. Raises BadInput for work not known."""

    def __init__(self, context: ActionContext, deployment: Deployment, request: FinishedRequest) -> None:
        super().__init__()
        self._application = finished.application_called(request.application)
        self._work = finished.work_of(self._application, request.state)
        if not self._work.index or not self._work.job:
            raise BadInput(f"Finished work of {self._application.name} is no list of jobs")
        self._wall = context.wall
        self._deployment = deployment
        self._request = replace(request, application=self._application.name)
        self._found: list[FinishedJob] = []
        self._lists = self._total = 0
        self._seen: set[bytes] = set()
        self._other_queues: set[bytes] = set()
        self._apart: Counter[bytes] = Counter()  # by their index, the jobs with keys in several slots

    def view(self) -> int:
        """How many jobs were found."""
        return len(self._found)

    async def run(self) -> FinishedPlan:
        """Look through the application's lists of finished jobs, on every node. Raises one of `models.errors`."""
        deployment = self._deployment
        await deployment.refresh()
        nodes = [deployment.node(Place(name)) for name in deployment.primaries]
        weaknesses: dict[str, None] = {}
        abouts: list[int | None] = []
        for server, rights in nodes:
            known, snapshot = await rights.learn(), await server.snapshot()
            changing = not known.has(Feature.NO_TOUCH) and not server.connection.read_only
            channel = ExclusiveConnection(server, self._request.db, changing=changing)
            abouts.append(await self._on(server, channel, snapshot))
            weaknesses |= dict.fromkeys(rights.weaknesses(Action.FINISH))
        apart = finished.split_jobs(self._apart)
        if not (self._lists or self._stop) or (apart and not self._found):
            raise BadInput(*apart or (finished.no_list(self._request, self._work.state, self._other_queues),))
        flags = finished.loss_warnings(self._application, self._work) + apart
        if len(self._found) >= finished.MOST_JOBS:
            flags += (f"A plan holds {count(finished.MOST_JOBS)} jobs: plan again for the rest.",)
        primaries = "1 primary" if len(nodes) == 1 else f"{len(nodes)} primaries"
        plan = FinishedPlan(
            self._request,
            tuple(self._found),
            self._wall(),
            deployment.name,
            state=self._work.state,
            total=self._total,
            about_bytes=known_sum(abouts),
            flags=(*flags, *weaknesses),
            run_id=None if deployment.clustered else snapshot.server.run_id,
            role=primaries if deployment.clustered else snapshot.server.role,
        )
        return finished.frozen(plan)

    async def _on(self, server: LiveServer, channel: ExclusiveConnection, snapshot: Snapshot) -> int | None:
        """Look through the lists of one node; about what the jobs hold that were found there."""
        before = len(self._found)
        try:
            async with self._throttled(server, scanning=True) as throttle:
                await self._search(channel, throttle)
                return await self._about(channel, snapshot, self._found[before:])
        finally:
            await channel.close()

    async def _search(self, channel: ExclusiveConnection, throttle: CallThrottle) -> None:
        before = (await server_time(channel)).ms / 1000 - self._request.older_than_seconds
        kind = self._application.kind(self._work.index)
        for glob in finished.globs(kind):
            for type_ in kind.types or (None,):
                async for page in each_page(throttle, jobs_on.keys_like(channel, glob, type_), lambda: self._stop):
                    for name in page:
                        if name not in self._seen and finished.placed(kind, name) is not None:
                            self._seen.add(name)
                            await self._take(channel, throttle, name, before)

    async def _take(self, channel: ExclusiveConnection, throttle: CallThrottle, index: bytes, before: float) -> None:
        """The jobs of one index that ended before that time (Unix seconds)."""
        queue = finished.queue_of(self._application, self._work, index)
        other = self._request.queue not in (None, queue)
        enough = other and len(self._other_queues) >= finished.MOST_QUEUES
        (kind,) = await jobs_on.types_of(channel, [index])
        if enough or kind not in {"zset", "set", "list"} or not await self._is_proven(channel, index, kind):
            return
        if other:
            self._other_queues.add(queue or b"")
            return
        self._lists += 1
        async for page in each_page(throttle, jobs_on.members(channel, index, kind), lambda: self._stop):
            every = [finished.job_of(self._application, self._work, index, kind, *one) for one in page]
            jobs = [job for job in every if not self._deployment.clustered or finished.in_one_slot(job)]
            self._apart[index] += len(every) - len(jobs)
            self._total += len(page)
            ends = await jobs_on.ends(channel, self._work, jobs)
            old = [job for job, end in zip(jobs, ends, strict=True) if end is not None and end < before]
            self._found += old[: finished.MOST_JOBS - len(self._found)]

    async def _is_proven(self, channel: ExclusiveConnection, index: bytes, kind: str) -> bool:
        """Whether what stands beside it shows that the index is of the application."""
        application, work = self._application, self._work
        place = finished.placed(application.kind(work.index), index) or {}
        names = [name for _, name in finished.names(application.keys, place)]
        async for page in jobs_on.members(channel, index, kind):
            for member, score in page[:_PROVING_JOBS]:
                names += finished.job_of(application, work, index, kind, member, score).keys
            break
        names = list(dict.fromkeys([index, *names]))
        types = await self._types(channel, names)
        here = {name: type_ for name, type_ in zip(names, types, strict=True) if type_ != "none"}
        alike = alike_keys([self._request.db] * len(here), list(here), list(here.values()))
        labels = alike[0].labels if alike else ()
        return any(label.application is application and label.confidence is not Confidence.POSSIBLE for label in labels)

    async def _types(self, channel: ExclusiveConnection, names: Sequence[bytes]) -> list[str]:
        if not self._deployment.clustered:
            return await jobs_on.types_of(channel, names)
        shares: dict[Place, list[bytes]] = defaultdict(list)
        for name in names:
            if (place := self._deployment.place_of(name)) is not None:
                shares[place].append(name)
        found: dict[bytes, str] = {}
        for place, theirs in shares.items():
            async with ExclusiveConnection(self._deployment.node(place).server, self._request.db) as own:
                found |= zip(theirs, await jobs_on.types_of(own, theirs), strict=True)
        return [found.get(name, "none") for name in names]

    async def _about(self, channel: ExclusiveConnection, snapshot: Snapshot, jobs: Sequence[FinishedJob]) -> int | None:
        """About what all of the jobs hold, by some of them, and no more than the server holds; None where not known."""
        if not jobs:
            return 0
        some = finished.samples(jobs, _SIZED)
        names = [name for job in some for name in job.keys]
        replies = await channel.call([("MEMORY", "USAGE", name, "SAMPLES", _SAMPLES) for name in names])
        known = [reply for reply in replies if isinstance(reply, int)]
        if not known:
            return None
        about = len(jobs) * sum(known) // len(some)
        return min(about, most_of_all(snapshot.memory.used_bytes, snapshot.memory.startup_bytes) or about)


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
        plan = self._plan
        await self._deployment.refresh()
        nodes = [(server, await server.snapshot(), jobs) for server, jobs in self._shares()]
        for server, snapshot, _ in nodes:
            self._must_be_the_same(server, snapshot)
        self._used = (known_sum([snapshot.memory.used_bytes for _, snapshot, _ in nodes]), None)
        # Only in a cluster a record has to tell where its keys were.
        clustered = self._deployment.clustered
        skews = {str(server.address): snapshot.clock_skew_seconds for server, snapshot, _ in nodes if clustered}
        for server, snapshot, jobs in nodes:
            self._node = str(server.address) if skews else ""
            connection = PinnedConnection(server, plan.request.db, snapshot.server.run_id)
            try:
                await connection.open()
                if not self._record.begun:
                    what = f"delete {number_of(plan.going, 'job')} of {plan.request.application} ({plan.state})"
                    indexes = [escape_exact(index) for index in dict.fromkeys(job.index for job in plan.jobs)]
                    self._begin(Action.FINISH, what, snapshot, skews, indexes=indexes, jobs=plan.going)
                async with self._throttled(server) as throttle:
                    await self._batches(server, connection, throttle, jobs)
            except CapReached:
                await self._measure(*(server for server, _, _ in nodes))
                raise
            finally:
                await connection.close()
        await self._measure(*(server for server, _, _ in nodes))

    def _shares(self) -> list[tuple[LiveServer, list[FinishedJob]]]:
        """The jobs by the node that serves their index now. Raises ServerUnreachable where none does."""
        shares: dict[Place, list[FinishedJob]] = defaultdict(list)
        for job in self._plan.jobs:
            place = self._deployment.place_of(job.index)
            if place is None:
                raise ServerUnreachable("No node serves the slot of some of these jobs now")
            shares[place].append(job)
        return [(self._deployment.node(place).server, jobs) for place, jobs in shares.items()]

    async def _batches(
        self, server: LiveServer, connection: PinnedConnection, throttle: CallThrottle, jobs: Sequence[FinishedJob]
    ) -> None:
        first = self._settled
        while self._settled - first < len(jobs) and not throttle.stopping:
            began = time.monotonic()
            if self._writer is not None:
                # A copy on its way counts toward maxmemory: others must not be evicted for it.
                self._room = headroom.headroom(
                    await asked_again(connection, server.snapshot, lambda: throttle.stopping)
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
        while True:
            try:
                call = ScriptCaller(connection.channel).call(jobs_on.deleting(job, copy))
                (reply,) = await paced(throttle, call, 1 + len(job.keys))
                code = jobs_on.deleted(reply)
            except ServerBusy:
                await connection.hold(lambda: throttle.stopping)
                if throttle.stopping:
                    return Outcome.NOT_ATTEMPTED
                continue
            return Outcome.DELETED if code == 1 else self._kept(code)

    def _kept(self, code: int) -> Outcome:
        why = WORDS[code]
        if code == TOO_LARGE and self._room is not None:
            why += f", with {size(self._room)} free below maxmemory"
        self._reasons[why] = None
        return {GONE: Outcome.GONE, TOO_LARGE: Outcome.FAILED}.get(code, Outcome.CHANGED)
