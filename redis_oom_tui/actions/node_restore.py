"""A backup put back on one node: its connection, its room, its clock, and what became of each key there."""

import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from redis_oom_tui.actions.context import ActionRecord, Losses, PacedWork, snapshot_until_lost
from redis_oom_tui.actions.deployment import ActionNode
from redis_oom_tui.actions.node_worker import too_slow
from redis_oom_tui.actions.restore_room import must_have_room, standing
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.models.action import Action, Backup, RestoreOutcome
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import OtherServer, OutOfMemory, ServerUnreachable, TriageError
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.snapshot import Server, Snapshot
from redis_oom_tui.models.stepped import FinishedJob
from redis_oom_tui.rules.restoring import maybe_gone
from redis_oom_tui.server.call_throttle import CallThrottle, paced
from redis_oom_tui.server.info_reader import BRIEF
from redis_oom_tui.server.mutations.connections import PinnedConnection
from redis_oom_tui.server.mutations.finished import JobKey, JobToRestore, put_jobs
from redis_oom_tui.server.mutations.replies import server_time
from redis_oom_tui.server.mutations.restoring import Elements, Expiry, RestoreReply, put_elements, take_back
from redis_oom_tui.server.mutations.value_restorer import Value, ValueRestorer, too_large
from redis_oom_tui.server.tasks import not_busy

# A difference between clocks that is not from the way.
_SKEW_MS = 5000
_ELEMENTS_AT_ONCE = 100
_FEWEST = 100  # where there is no room for more keys than that, fewer are tried
_UNTRIED = RestoreReply(RestoreOutcome.NOT_ATTEMPTED)
_THERE = RestoreReply(RestoreOutcome.EXISTS)
_EXPIRED = RestoreReply(RestoreOutcome.EXPIRED, "it expired since the backup")


class NodeRestore(PacedWork):
    """Puts keys of the backup `head` back on one node. `failure` is why no more is put back there, once that is so.

    `stopped` says whether to leave off, `wall` tells Unix seconds.
    """

    def __init__(self, node: ActionNode, head: Backup, stopped: Callable[[], bool], wall: Callable[[], float]) -> None:
        super().__init__()
        self._server = node.server
        self._learn = node.rights.learn
        self._head = head
        self._stopped = stopped
        self._wall = wall
        self._connection: PinnedConnection | None = None
        self._first: Server | None = None
        self._watch = contextlib.AsyncExitStack()
        self.failure: TriageError | None = None

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return str(self._server.address)

    async def _end_watch(self) -> None:
        try:
            await self._watch.aclose()
        except TriageError as error:
            self.failure = self.failure or error

    @property
    def keys(self) -> int:
        """How many keys go in the next batch: what is written down at a time, and may be in doubt after a crash."""
        return _FEWEST if self._throttle is None else self._throttle.keys

    async def snapshot(self) -> Snapshot:
        """The memory now, once the server answers. Raises OtherServer where another one does than at the first look."""
        snapshot = await self._asked()
        if self._first is None:
            self._first = snapshot.server
        elif self._is_other(snapshot):
            raise OtherServer.at(self._server.address)
        return snapshot

    async def _asked(self) -> Snapshot:
        return await not_busy(lambda: snapshot_until_lost(self._server, self._stopped), self._stopped)

    def _is_other(self, snapshot: Snapshot) -> bool:
        before, now = None if self._first is None else self._first.run_id, snapshot.server.run_id
        return None not in (before, now) and before != now

    async def unsure(self, restored: str) -> str:
        """What is known of what was `restored` where the server was lost or restarted since, which is the `failure`
        then; '' where it was not.
        """
        lost = isinstance(self.failure, ServerUnreachable)
        try:
            now = await (self._server.snapshot(BRIEF) if lost else self._asked())
        except TriageError as error:
            self.failure = self.failure or error
            return maybe_gone(restored, None)
        if not self._is_other(now):
            return ""
        self.failure = OtherServer.at(self._server.address)
        return maybe_gone(restored, now.keys)

    async def close(self) -> None:
        """Let go of the connections. Where what watches over the server broke, that is the `failure`."""
        await self._end_watch()
        if self._connection is not None:
            await self._connection.close()

    async def put(
        self, batch: Sequence[Record], record: ActionRecord, *, may_be_there: bool = True
    ) -> list[RestoreReply]:
        """Put `batch` back, all of one database, and write down what came of each. Raises where nothing was tried.

        Where there is no room for all of it: without those that are there already, then a half at a time.
        """
        snapshot = await self.snapshot()
        try:
            must_have_room(snapshot, batch, self._head.operation, self._server.address)
        except OutOfMemory:
            there = await self._there(batch) if may_be_there else set[int]()
            if there:
                return await self._without(there, batch, record)
            if len(batch) <= _FEWEST:
                raise
            return await self._in_halves(batch, record)
        throttle = await self._pace()
        too_slow(throttle, self._server)
        connection = await self._at(batch[0].db)
        number, began = record.next_batch(), time.monotonic()
        await record.batch(number, [(one.db, one.key) for one in batch])
        replies = [_UNTRIED] * len(batch)
        try:
            await self._batch(connection, throttle, batch, replies)
        except TriageError as error:
            # What became of the others nobody knows: their batch has no end in the audit file.
            return [reply._replace(stop=error) if _is_open(reply) else reply for reply in replies]
        details = {index: reply.detail for index, reply in enumerate(replies) if reply.detail}
        record.done(number, [reply.outcome for reply in replies], details)
        throttle.batched(len(batch), time.monotonic() - began)
        if throttle.stopping and not self._stopped():
            await self._end_watch()
        return replies

    async def _in_halves(self, batch: Sequence[Record], record: ActionRecord) -> list[RestoreReply]:
        """Put back as many of `batch`, from the first on, as there is room for."""
        half = len(batch) // 2
        replies = await self.put(batch[:half], record, may_be_there=False)
        if any(reply.stop is not None for reply in replies):
            return replies + [_UNTRIED] * (len(batch) - half)
        try:
            return replies + await self.put(batch[half:], record, may_be_there=False)
        except TriageError as error:
            return replies + [RestoreReply(RestoreOutcome.NOT_ATTEMPTED, stop=error)] * (len(batch) - half)

    async def _there(self, batch: Sequence[Record]) -> set[int]:
        """The positions of those that a key stands in the way of, as one does that an earlier restore brought back."""
        throttle = await self._pace()
        too_slow(throttle, self._server)
        connection = await self._at(batch[0].db)

        async def ask() -> set[int]:
            return await paced(throttle, standing(connection.channel, batch), len(batch))

        losses = Losses()
        while True:
            try:
                return await not_busy(ask, self._stopped)
            except ServerUnreachable:
                if losses.enough():
                    raise
                await connection.reopen()

    async def _without(self, there: set[int], batch: Sequence[Record], record: ActionRecord) -> list[RestoreReply]:
        """Put back those of `batch` that are not `there`: the others are left unchanged, and need no room."""
        replies = [_THERE if at in there else _UNTRIED for at in range(len(batch))]
        number = record.next_batch()
        await record.batch(number, [(batch[at].db, batch[at].key) for at in sorted(there)])
        record.done(number, [RestoreOutcome.EXISTS] * len(there), {})
        rest = [at for at in range(len(batch)) if at not in there]
        if not rest:
            return replies
        try:
            put = await self.put([batch[at] for at in rest], record, may_be_there=False)
            for at, reply in zip(rest, put, strict=True):
                replies[at] = reply
        except TriageError as error:
            replies[rest[0]] = _UNTRIED._replace(stop=error)
        return replies

    async def _pace(self) -> CallThrottle:
        """What says how much goes to the server at once, from the first batch on."""
        if self._throttle is not None:
            return self._throttle
        return await self._watch.enter_async_context(self._throttled(self._server))

    async def _at(self, db: int) -> PinnedConnection:
        if self._connection is None or self._connection.db != db:
            if self._connection is not None:
                await self._connection.close()
            run_id = None if self._first is None else self._first.run_id
            self._connection = PinnedConnection(self._server, db, run_id)
            try:
                await not_busy(self._connection.open, self._stopped)
            except ServerUnreachable:
                await self._connection.reopen()
        return self._connection

    async def _batch(
        self, connection: PinnedConnection, throttle: CallThrottle, batch: Sequence[Record], replies: list[RestoreReply]
    ) -> None:
        """Put what became of each key of `batch` into `replies`: those that a busy server said nothing of, and those
        whose replies were lost, are sent again.
        """
        left, losses = list(range(len(batch))), Losses()
        while left:
            try:
                async with contextlib.aclosing(
                    self._put(connection, throttle, [batch[index] for index in left])
                ) as parts:
                    async for part in parts:
                        for index, reply in part.items():
                            replies[left[index]] = reply
            except ServerUnreachable:
                if losses.enough():
                    raise
                # Nothing is overwritten, so trying again is safe: what the lost try put back reads as there already.
                await connection.reopen()
                left = [index for index in left if _is_open(replies[index])]
                continue
            busy = any(replies[index].busy is not None for index in left)
            left = [index for index in left if _is_open(replies[index])]
            if not busy or self._stopped() or throttle.stopping:
                return
            try:
                await connection.hold(self._stopped)
            except TriageError as error:
                replies[left[0]] = replies[left[0]]._replace(stop=error)
                return

    async def _put(
        self, connection: PinnedConnection, throttle: CallThrottle, batch: Sequence[Record]
    ) -> AsyncGenerator[dict[int, RestoreReply], None]:
        """What became of some keys of `batch` at a time, by their positions."""
        now_ms = (await not_busy(lambda: server_time(connection.channel), self._stopped)).ms
        read_at = time.monotonic()
        later = {node: self._later_ms(now_ms, node) for node in {record.node for record in batch}}
        records = [record.moved_by(later[record.node]) for record in batch] if any(later.values()) else batch
        # The key that elements belong to may expire later now: their script looks.
        until = -1 if self._head.operation == Action.SHRINK.value else now_ms
        live = [index for index, one in enumerate(records) if one.expires_ms is None or one.expires_ms > until]
        if len(live) < len(records):
            yield dict.fromkeys(set(range(len(records))).difference(live), _EXPIRED)
        refused = await too_large(connection.channel, {index: records[index].largest_part for index in live})
        yield refused
        live = [index for index in live if index not in refused]
        if not live:
            return
        if self._head.operation == Action.DELETE.value:
            version = "" if self._first is None else self._first.version
            restorer = ValueRestorer(connection.channel, throttle, old_idle_bug=version.startswith("6."))
            values = [_value(records[index], now_ms) for index in live]
            async with contextlib.aclosing(restorer.put_back(values)) as parts:
                async for part in parts:
                    yield part if len(live) == len(records) else {live[at]: reply for at, reply in part.items()}
            return
        replies = await paced(
            throttle, self._put_others(connection, [records[at] for at in live], now_ms, read_at), len(live)
        )
        yield dict(zip(live, replies, strict=True))

    async def _put_others(
        self, connection: PinnedConnection, records: Sequence[Record], now_ms: int, read_at: float
    ) -> list[RestoreReply]:
        """What is no value of a key: elements, jobs, or former expiries; `now_ms` was the time at `read_at`."""
        if self._head.operation == Action.SHRINK.value:
            return await self._put_elements(connection, records)
        if self._head.operation == Action.FINISH.value:
            # They may have waited for their turn since the server's time was read.
            now_ms += round((time.monotonic() - read_at) * 1000)
            return await put_jobs(connection.channel, [_job(record) for record in records], now_ms)
        scripted = (await self._learn()).has(Feature.SCRIPT)
        alone = self._first is not None and self._first.mode == "cluster"
        return await take_back(connection.channel, list(map(_expiry, records)), scripted=scripted, alone=alone)

    async def _put_elements(self, connection: PinnedConnection, records: Sequence[Record]) -> list[RestoreReply]:
        """Of one key, as a batch has the elements of one plan; in calls that the server works off quickly. Behind one
        that was not carried out none is sent: a list would have the elements in another order.
        """
        replies: list[RestoreReply] = []
        # As large as one another: whether a single one is in a list already cannot be told.
        at_once = math.ceil(len(records) / math.ceil(len(records) / _ELEMENTS_AT_ONCE))
        for start in range(0, len(records), at_once):
            part = records[start : start + at_once]
            elements = [record.element or () for record in part]
            last = part[-1]
            facts = Elements(last.key, last.type, elements, last.expires_ms, last.end or "left", last.outside)
            replies += await put_elements(connection.channel, facts._replace(were=self._head.elements))
            if any(reply.busy is not None or reply.stop is not None for reply in replies):
                break
        return replies + [_UNTRIED] * (len(records) - len(replies))

    def _later_ms(self, now_ms: int, node: str) -> int:
        """How much later the times of a record are by this server's clock, which says `now_ms`; `node` is where its key
        was, '' for where the whole file is from.

        Older files have the times of a computer, taken for this one. On another server than the file's, a clock that is
        further ahead of this computer's than the other's was would end the keys early.
        """
        head, skew_ms = self._head, now_ms - round(self._wall() * 1000)
        if not head.server_clock:
            return skew_ms
        # An expiry that was set stands there as it was set, on a promoted replica too.
        same = head.operation == Operation.EXPIRE.value or (node or head.server) == self.address
        before = head.node_skew_seconds.get(node, head.clock_skew_seconds)
        if same or before is None:
            return 0
        more = skew_ms - round(before * 1000)
        return more if more > _SKEW_MS else 0


def _is_open(reply: RestoreReply) -> bool:
    """Whether a key is still to be sent, or to be sent again."""
    return reply is _UNTRIED or reply.busy is not None


def _job(record: Record) -> JobToRestore:
    job = record.job or JobRecord(b"", "zset", b"", b"", ())
    return JobToRestore(
        FinishedJob(job.listed_in, job.index_type, job.member, job.score, ()), tuple(JobKey(*key) for key in job.keys)
    )


def _value(record: Record, now_ms: int) -> Value:
    since = max(0, now_ms - record.saved_ms) // 1000
    idle = None if record.idle_seconds is None else record.idle_seconds + since
    ttl_ms = None if record.expires_ms is None else record.expires_ms - now_ms
    return Value(record.key, record.payload or b"", ttl_ms, idle, record.frequency)


def _expiry(record: Record) -> Expiry:
    return Expiry(record.key, record.type, record.due_ms or 0, record.expires_ms)
