"""A backup put back on one node: its connection, its room, its clock, and what became of each key there."""

from collections.abc import Callable, Sequence

from redis_oom_tui.actions.context import ActionRecord, Losses, asked_until_lost
from redis_oom_tui.actions.deployment import ActionNode
from redis_oom_tui.files.backup_lines import JobRecord, Record
from redis_oom_tui.formatting.sizes import number_of_keys, percent, percent_beside, size
from redis_oom_tui.models.action import Action, Backup, RestoreOutcome
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import OutOfMemory, ServerUnreachable, TriageError
from redis_oom_tui.models.finished import FinishedJob
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.snapshot import Server, Snapshot
from redis_oom_tui.rules.policies import NOEVICTION
from redis_oom_tui.rules.restoring import FILLED_TO, restored_size, table_growth
from redis_oom_tui.server.mutations.connections import OtherServer, PinnedConnection
from redis_oom_tui.server.mutations.finished import JobKey
from redis_oom_tui.server.mutations.replies import server_time
from redis_oom_tui.server.mutations.restoring import (
    Elements,
    Expiry,
    JobToRestore,
    RestoreReply,
    Value,
    put_back,
    put_elements,
    put_jobs,
    take_back,
)
from redis_oom_tui.server.tasks import not_busy

# Where no size was told: a large hash took 61 to 77 MB in memory and 24.6 MB in its DUMP.
_SWELLS = 3
# A difference between clocks that is not from the way.
_SKEW_MS = 5000
# What the connections of a restore take besides: query and reply buffers of a few clients.
_BUFFERS = 64 * 1024
_ELEMENTS_AT_ONCE = 100
# What an element takes beside its own bytes.
_ELEMENT_MORE = 64


class NodeRestore:
    """Puts keys of the backup `head` back on one node. `failure` is why no more is put back there, once that is so.

    `stopped` says whether to leave off, `wall` tells Unix seconds.
    """

    def __init__(self, node: ActionNode, head: Backup, stopped: Callable[[], bool], wall: Callable[[], float]) -> None:
        self._server = node.server
        self._learn = node.rights.learn
        self._head = head
        self._stopped = stopped
        self._wall = wall
        self._connection: PinnedConnection | None = None
        self._first: Server | None = None
        self.failure: TriageError | None = None

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return str(self._server.address)

    async def snapshot(self) -> Snapshot:
        """The memory now, once the server answers. Raises OtherServer where another one does than at the first look."""
        snapshot = await not_busy(lambda: asked_until_lost(self._server.snapshot, self._stopped), self._stopped)
        before, now = self._first, snapshot.server.run_id
        if before is None:
            self._first = snapshot.server
        elif before.run_id is not None and now is not None and now != before.run_id:
            raise OtherServer.at(self._server.address)
        return snapshot

    async def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def put(self, batch: Sequence[Record], record: ActionRecord) -> list[RestoreReply]:
        """Put `batch` back, all of one database, and write down what came of each. Raises where nothing was tried."""
        self._must_have_room(await self.snapshot(), batch)
        connection = await self._at(batch[0].id.db)
        number = record.next_batch()
        await record.batch(number, [one.id for one in batch])
        replies = await self._batch(connection, batch)
        details = {index: reply.detail for index, reply in enumerate(replies) if reply.detail}
        record.done(number, [reply.outcome for reply in replies], details)
        return replies

    def _must_have_room(self, snapshot: Snapshot, batch: Sequence[Record]) -> None:
        """Raise OutOfMemory before these would bring the server to its limit again."""
        memory = snapshot.memory
        needed = _needed(snapshot, batch)
        if memory.maxmemory_bytes is None or memory.counted_bytes is None or not needed:
            return
        # While they arrive, the payloads lie in the query buffer as well, and that counts.
        arriving = sum(len(record.payload or b"") for record in batch) + _BUFFERS
        if memory.counted_bytes + needed + arriving <= FILLED_TO * memory.maxmemory_bytes:
            return
        pressure = memory.pressure or 0
        after = (memory.counted_bytes + needed + arriving) / memory.maxmemory_bytes
        now, then = (percent_beside(share, (FILLED_TO,)) for share in (pressure, after))
        full = (
            f"The next {number_of_keys(len(batch))} may need up to {size(needed + arriving)} while they arrive, which"
            f" would take the server from {now} to {then} of maxmemory: over {percent(FILLED_TO)}, close to the limit"
        )
        if pressure >= 1:
            full = f"{self._server.address} is over maxmemory"
        elif pressure >= FILLED_TO:
            full = f"{self._server.address} is at {percent(pressure)} of maxmemory already, close to the limit"
        then = "would refuse writes" if memory.policy == NOEVICTION else "would evict other keys for them"
        raise OutOfMemory(f"{full}, where {memory.policy} {then}")

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

    async def _batch(self, connection: PinnedConnection, batch: Sequence[Record]) -> list[RestoreReply]:
        """What became of each key of `batch`: those that a busy server said nothing of are sent again."""
        replies: dict[int, RestoreReply] = {}
        left = list(range(len(batch)))
        while left:
            found = await self._safely(connection, [batch[index] for index in left])
            replies.update(zip(left, found, strict=True))
            busy = next((one.busy for one in found if one.busy is not None), None)
            left = [index for index in left if replies[index].busy is not None]
            if busy is None or self._stopped():
                break
            try:
                await connection.hold(self._stopped)
            except TriageError as error:
                replies.update((index, replies[index]._replace(stop=error)) for index in left)
                break
        return [replies[index] for index in range(len(batch))]

    async def _safely(self, connection: PinnedConnection, batch: Sequence[Record]) -> list[RestoreReply]:
        losses = Losses()
        while True:
            try:
                return await self._put(connection, batch)
            except ServerUnreachable:
                if losses.enough():
                    raise
                # Nothing is overwritten, so trying again is safe: what the lost try put back reads as there already.
                await connection.reopen()

    async def _put(self, connection: PinnedConnection, batch: Sequence[Record]) -> list[RestoreReply]:
        now_ms = (await not_busy(lambda: server_time(connection.channel), self._stopped)).ms
        first, nodes = self._first, {record.id.node for record in batch}
        later = {node: self._later_ms(now_ms, node) for node in nodes}
        results = [RestoreReply(RestoreOutcome.EXPIRED, "it expired since the backup")] * len(batch)
        records = [_moved_by(later[record.id.node], record) for record in batch] if any(later.values()) else batch
        live = [
            index for index, record in enumerate(records) if record.expires_ms is None or record.expires_ms > now_ms
        ]
        if self._head.operation == Action.SHRINK.value:
            replies = await self._put_elements(connection, [records[index] for index in live])
        elif self._head.operation == Action.FINISH.value:
            replies = await put_jobs(connection.channel, [_job(records[at]) for at in live], now_ms)
        elif self._head.operation == Operation.EXPIRE.value:
            expiries = [_expiry(records[index]) for index in live]
            scripted = (await self._learn()).has(Feature.SCRIPT)
            alone = first is not None and first.mode == "cluster"
            replies = await take_back(connection.channel, expiries, scripted=scripted, alone=alone) if live else []
        else:
            values = [_value(records[index], now_ms) for index in live]
            replies = await put_back(
                connection.channel, values, old_idle_bug=first is not None and first.version.startswith("6.")
            )
        for index, reply in zip(live, replies, strict=True):
            results[index] = reply
        return results

    @staticmethod
    async def _put_elements(connection: PinnedConnection, records: Sequence[Record]) -> list[RestoreReply]:
        """Of one key, as a batch has the elements of one plan; in calls that the server works off quickly."""
        replies: list[RestoreReply] = []
        for start in range(0, len(records), _ELEMENTS_AT_ONCE):
            part = records[start : start + _ELEMENTS_AT_ONCE]
            elements = [record.element or () for record in part]
            last = part[-1]
            facts = Elements(last.id.key, last.type, elements, last.expires_ms, last.end or "left", last.outside)
            replies += await put_elements(connection.channel, facts)
        return replies

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


def _needed(snapshot: Snapshot, batch: Sequence[Record]) -> int:
    """What the keys of a batch take, with their places in the server's tables; nothing where none has a value."""
    elements = sum(sum(map(len, record.element)) + _ELEMENT_MORE for record in batch if record.element)
    elements += sum(_SWELLS * len(key[2]) + _ELEMENT_MORE for record in batch if record.job for key in record.job.keys)
    held = [record for record in batch if record.payload]
    if not held:
        return elements
    expiring = sum(1 for record in held if record.expires_ms is not None)
    sizes = sum(
        restored_size(
            record.type,
            max(record.size or _SWELLS * len(record.payload or b""), len(record.payload or b"")),
            expires=record.expires_ms is not None,
        )
        for record in held
    )
    return sizes + table_growth(snapshot.keys, len(held)) + table_growth(snapshot.expires, expiring)


def _job(record: Record) -> JobToRestore:
    job = record.job or JobRecord(b"", "zset", b"", b"", ())
    return JobToRestore(
        FinishedJob(job.listed_in, job.index_type, job.member, job.score, ()), tuple(JobKey(*key) for key in job.keys)
    )


def _value(record: Record, now_ms: int) -> Value:
    since = max(0, now_ms - record.saved_ms) // 1000
    idle = None if record.idle_seconds is None else record.idle_seconds + since
    ttl_ms = None if record.expires_ms is None else record.expires_ms - now_ms
    return Value(record.id.key, record.payload or b"", ttl_ms, idle, record.frequency)


def _moved_by(later_ms: int, record: Record) -> Record:
    """`record` with its times so much later, but for the expiry that was set: that one is as the server has it."""
    expires = record.expires_ms
    return record._replace(
        expires_ms=None if expires is None else expires + later_ms, saved_ms=record.saved_ms + later_ms
    )


def _expiry(record: Record) -> Expiry:
    return Expiry(record.id.key, record.type, record.due_ms or 0, record.expires_ms)
