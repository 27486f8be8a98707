"""Finished jobs of an application: found by its own lists, saved, and deleted with all that belongs to them."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from redis_oom_tui.actions.context import ActionContext, PacedWork
from redis_oom_tui.actions.deployment import Deployment, Place
from redis_oom_tui.actions.node_worker import known_sum
from redis_oom_tui.actions.shrink_planning import each_page
from redis_oom_tui.formatting.sizes import count
from redis_oom_tui.models.action import Action
from redis_oom_tui.models.application import Confidence
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.stepped import FinishedJob, FinishedPlan, FinishedRequest
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import finished
from redis_oom_tui.rules.applications.recognizing import alike_keys
from redis_oom_tui.rules.sizing import most_of_all
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import finished as jobs_on
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, SearchConnection
from redis_oom_tui.server.mutations.replies import server_time

_SIZED = 50
# A job's keys have few elements: nearly all are measured whole, and none keeps the server.
_SAMPLES = 200
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
        snapshots = [await self._patiently(server, server.snapshot) for server, _ in nodes]
        for (server, rights), snapshot in zip(nodes, snapshots, strict=True):
            known = await self._patiently(server, rights.learn)
            changing = not known.has(Feature.NO_TOUCH) and not server.connection.read_only
            abouts.append(await self._on(server, self._connection(server, changing=changing), snapshot))
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

    def _connection(self, server: LiveServer, *, changing: bool = False) -> SearchConnection:
        """One to a node of which a snapshot was taken."""
        run_id = None if server.seen is None else server.seen.run_id
        return SearchConnection(server, self._request.db, run_id, lambda: self._stop, changing=changing)

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
            async with self._connection(self._deployment.node(place).server) as own:
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
