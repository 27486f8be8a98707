"""Undo: a backup's keys put back where nothing newer stands, as far as the server has room."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

from redis_oom_tui.actions.context import DEFECT, ActionContext
from redis_oom_tui.actions.losses import Losses, asked_until_lost
from redis_oom_tui.actions.outcomes import after
from redis_oom_tui.files.backup import read_head, read_records
from redis_oom_tui.files.backup_check import inspect, must_be_whole
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import count, number_of_keys, percent, percent_beside, size
from redis_oom_tui.models.action import RestoreOutcome, RestoreReport
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import KeyMoved, OutOfMemory, ServerBusy, ServerUnreachable, TriageError, WritesBlocked
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.snapshot import Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.policies import NOEVICTION
from redis_oom_tui.rules.restoring import FILLED_TO, restored_size, table_growth
from redis_oom_tui.server.active_clock import ActiveClock
from redis_oom_tui.server.busy import not_busy
from redis_oom_tui.server.mutations.clock import server_time
from redis_oom_tui.server.mutations.pinned_connection import OtherServer, PinnedConnection, settled
from redis_oom_tui.server.mutations.restoring import Expiry, RestoreReply, Value, put_back, take_back

_KEYS_AT_ONCE = 500
_BYTES_AT_ONCE = 4 * 1024 * 1024
_NAMED = 1000
# Where no size was told: a large hash took 61 to 77 MB in memory and 24.6 MB in its DUMP.
_SWELLS = 3
# A difference between clocks that is not from the way.
_SKEW_MS = 5000
# What the connections of a restore take besides: query and reply buffers of a few clients.
_BUFFERS = 64 * 1024


class BackupRestorer:
    """A backup being put back. Implements `ports.Restoring`; making it raises BadInput for a file that is none.

    `mine` leaves out keys that are another node's. `elsewhere` takes up those that turn out to be, with the refusal;
    None where nobody takes them there, and they count as failed. A damaged file is restored only where that is
    `damaged_ok`, as far as it can be read.
    """

    def __init__(
        self, desk: ActionContext, path: Path, mine: Callable[[KeyId], bool] | None = None, *, damaged_ok: bool = False
    ) -> None:
        self._desk = desk
        self._mine = mine
        self._path = path
        self._damaged_ok = damaged_ok
        self._head = read_head(path, damaged_ok=damaged_ok)
        self._view = RestoreReport(str(path), self._head.keys + self._head.left_out_keys)
        self._counts: Counter[RestoreOutcome] = Counter()
        self._reasons: Counter[str] = Counter()
        self.elsewhere: dict[KeyId, KeyMoved] | None = None
        self._line: PinnedConnection | None = None
        self._action_id: str | None = None
        self._batches = 0
        self._stop = False
        self._clock = ActiveClock()

    def stop(self) -> None:
        """End after the batch in flight."""
        self._stop = True

    def view(self) -> RestoreReport:
        """How far it is."""
        counts = dict(self._counts)
        known = sum(counts.values()) + self._view.left_out_keys
        if known < self._view.total_keys:
            counts[RestoreOutcome.NOT_ATTEMPTED] = self._view.total_keys - known
        return replace(self._view, counts=MappingProxyType(counts), elapsed_seconds=self._clock.elapsed)

    async def run(self) -> RestoreReport:
        """Put back what is not there, batch by batch."""
        self._clock.start()
        failure: TriageError | None = TriageError(DEFECT)
        try:
            await self._inspect()
            snapshot = await asked_until_lost(self._desk.server.snapshot, lambda: self._stop)
            self._action_id = self._desk.audit.intent(
                "restore",
                server=str(self._desk.server.address),
                who=self._desk.who,
                what=f"put back {number_of_keys(self._head.keys)} of a backup from {self._head.server}",
                run_id=snapshot.server.run_id,
                backup=str(self._path),
            )
            await self._each_batch(snapshot.server)
            failure = None
        except TriageError as error:
            failure = error
        except asyncio.CancelledError:
            failure = ServerUnreachable("The tool ended while this ran")
            raise
        finally:
            try:
                if self._line is not None:
                    await self._line.close()
            finally:
                self._end(failure)
        return self.view()

    async def _inspect(self) -> None:
        """Compare the whole file with what was written, before any key is restored."""
        # Whoever has other keys left to other nodes has inspected the file for all of them.
        if self._mine is None:
            inspection = await asyncio.to_thread(inspect, self._path)
            self._view = replace(self._view, file_damaged=inspection.damaged)
            must_be_whole(inspection, damaged_ok=self._damaged_ok)
            self._view = replace(self._view, file_note=inspection.note)

    async def _each_batch(self, server: Server) -> None:
        for batch in self._read():
            if self._stop:
                return
            self._make_room_known(await self._look(server), batch)
            line = await self._at(batch[0].id.db, server.run_id)
            self._batches += 1
            audit, action_id = self._desk.audit, self._action_id or ""
            audit.batch(action_id, self._batches, [(record.id.db, record.id.key) for record in batch])
            told = await self._batch(line, batch, server)
            details = {at: one.detail for at, one in enumerate(told) if one.detail}
            audit.done(action_id, self._batches, [one.outcome for one in told], details)
            told = self._here(batch, told)
            self._counts.update(one.outcome for one in told if one.outcome is not RestoreOutcome.NOT_ATTEMPTED)
            self._reasons.update(one.detail for one in told if one.outcome is RestoreOutcome.FAILED and one.detail)
            stop = next((one.stop for one in told if one.stop is not None), None)
            if stop is not None:
                raise stop
        # The plan may have had more keys: changed, gone, or never come to. The file holds those that were saved.
        self._view = replace(self._view, total_keys=sum(self._counts.values()) + self._view.left_out_keys)

    async def _look(self, server: Server) -> Snapshot:
        """The memory of `server` now, once it answers. Raises OtherServer where another one does."""
        ask = self._desk.server.snapshot
        snapshot = await not_busy(lambda: asked_until_lost(ask, lambda: self._stop), lambda: self._stop)
        now = snapshot.server.run_id
        if server.run_id is not None and now is not None and now != server.run_id:
            raise OtherServer.at(self._desk.server.address)
        return snapshot

    def _here(self, batch: Sequence[Record], told: list[RestoreReply]) -> list[RestoreReply]:
        """`told` without the keys that another node serves, where somebody takes them there."""
        if self.elsewhere is None:
            return told
        moved = {at: one.moved for at, one in enumerate(told) if one.moved is not None}
        self.elsewhere.update((batch[at].id, refusal) for at, refusal in moved.items())
        return [one for at, one in enumerate(told) if at not in moved]

    def _read(self) -> Iterator[list[Record]]:
        """The file's keys in batches of one database each; what was left out or is damaged is counted on the way."""
        batch: list[Record] = []
        held = 0
        for record in read_records(self._path, damaged_ok=self._damaged_ok):
            if record is None:
                self._counts[RestoreOutcome.FAILED] += 1
                continue
            if self._mine is not None and not self._mine(record.id):
                continue
            if record.left_out:
                self._left_out(record)
                continue
            held += len(record.payload or b"")
            if batch and (len(batch) >= _KEYS_AT_ONCE or held > _BYTES_AT_ONCE or record.id.db != batch[0].id.db):
                yield batch
                batch, held = [], len(record.payload or b"")
            batch.append(record)
        if batch:
            yield batch

    def _left_out(self, record: Record) -> None:
        named = self._view.left_out
        if len(named) < _NAMED:
            named = (*named, escape_exact(record.id.key))
        self._view = replace(self._view, left_out_keys=self._view.left_out_keys + 1, left_out=named)

    def _make_room_known(self, snapshot: Snapshot, batch: Sequence[Record]) -> None:
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
            full = f"{self._desk.server.address} is over maxmemory"
        elif pressure >= FILLED_TO:
            full = f"{self._desk.server.address} is at {percent(pressure)} of maxmemory already, close to the limit"
        then = "would refuse writes" if memory.policy == NOEVICTION else "would evict other keys for them"
        raise OutOfMemory(f"{full}, where {memory.policy} {then}")

    async def _at(self, db: int, run_id: str | None) -> PinnedConnection:
        if self._line is None or self._line.db != db:
            if self._line is not None:
                await self._line.close()
            self._line = PinnedConnection(self._desk.server, db, run_id)
            try:
                await not_busy(self._line.open, lambda: self._stop)
            except ServerUnreachable:
                await self._line.reopen()
        return self._line

    async def _batch(self, line: PinnedConnection, batch: Sequence[Record], server: Server) -> list[RestoreReply]:
        """What became of each key of `batch`: those that a busy server said nothing of are sent again."""
        told: dict[int, RestoreReply] = {}
        left = list(range(len(batch)))
        while left:
            found = await self._safely(line, [batch[at] for at in left], server)
            told.update(zip(left, found, strict=True))
            busy = next((one.busy for one in found if one.busy is not None), None)
            left = [at for at in left if told[at].busy is not None]
            if busy is None or self._stop:
                break
            try:
                await self._hold(line)
            except TriageError as error:
                told.update((at, told[at]._replace(stop=error)) for at in left)
                break
        return [told[at] for at in range(len(batch))]

    async def _hold(self, line: PinnedConnection) -> None:
        try:
            await settled(line.channel, lambda: self._stop)
        except ServerUnreachable:
            await line.reopen()

    async def _safely(self, line: PinnedConnection, batch: Sequence[Record], server: Server) -> list[RestoreReply]:
        losses = Losses()
        while True:
            try:
                return await self._put(line, batch, server)
            except ServerUnreachable:
                if losses.enough():
                    raise
                # Nothing is overwritten, so trying again is safe: what the lost try put back reads as there already.
                await line.reopen()

    async def _put(self, line: PinnedConnection, batch: Sequence[Record], server: Server) -> list[RestoreReply]:
        now_ms = (await not_busy(lambda: server_time(line.channel), lambda: self._stop)).ms
        later = self._later_ms(now_ms)
        told = [RestoreReply(RestoreOutcome.EXPIRED, "it would have expired since")] * len(batch)
        records = [_moved_by(later, record) for record in batch] if later else batch
        live = [at for at, record in enumerate(records) if record.expires_ms is None or record.expires_ms > now_ms]
        if self._head.deed == Operation.EXPIRE.value:
            expiries = [_expiry(records[at]) for at in live]
            scripted = (await self._desk.learn()).has(Feature.SCRIPT)
            alone = server.mode == "cluster"
            replies = await take_back(line.channel, expiries, scripted=scripted, alone=alone) if live else []
        else:
            values = [_value(records[at], now_ms) for at in live]
            replies = await put_back(line.channel, values, old_idle_bug=server.version.startswith("6."))
        for at, reply in zip(live, replies, strict=True):
            told[at] = reply
        return told

    def _later_ms(self, now_ms: int) -> int:
        """How much later the times of the file are by this server's clock, which says `now_ms`.

        Older files have the times of a computer, taken for this one. On another server than the file's, a clock that is
        further ahead of this computer's than the other's was would end the keys early.
        """
        head, skew_ms = self._head, now_ms - round(self._desk.wall() * 1000)
        if not head.server_clock:
            return skew_ms
        # An expiry that was set stands there as it was set, on a promoted replica too.
        same = head.deed == Operation.EXPIRE.value or head.server == str(self._desk.server.address)
        if same or head.clock_skew_seconds is None:
            return 0
        more = skew_ms - round(head.clock_skew_seconds * 1000)
        return more if more > _SKEW_MS else 0

    def _end(self, failure: TriageError | None) -> None:
        self._clock.stop()
        sentence = self._sentence(failure)
        passing = (OutOfMemory, WritesBlocked, ServerBusy, ServerUnreachable)
        resumable = isinstance(failure, passing) or self._stop
        if self._action_id is not None:
            try:
                counts = {outcome.value: number for outcome, number in self.view().counts.items()}
                self._desk.audit.result(
                    self._action_id, ok=failure is None and not self._interrupted, result=sentence, counts=counts
                )
            except TriageError as error:
                sentence = f"{sentence} {error}"
        self._view = replace(
            self._view,
            ended=sentence,
            failed=failure is not None,
            resumable=resumable,
        )

    @property
    def _interrupted(self) -> bool:
        """Whether it was stopped before the last key of the file."""
        return self._stop and RestoreOutcome.NOT_ATTEMPTED in self.view().counts

    def _sentence(self, failure: TriageError | None) -> str:
        counts = self.view().counts
        parts = [f"Put back {count(counts.get(RestoreOutcome.RESTORED, 0))} of {number_of_keys(self._view.total_keys)}"]
        for outcome, words in _WORDS:
            if counts.get(outcome):
                why = self._most_of_all() if outcome is RestoreOutcome.FAILED else ""
                lost = outcome is RestoreOutcome.EXPIRED and self._head.deed == Operation.EXPIRE.value
                parts.append(f"{count(counts[outcome])} {(_GONE if lost else words)[counts[outcome] > 1]}{why}")
        if self._view.left_out_keys:
            were = "was" if self._view.left_out_keys == 1 else "were"
            parts.append(f"{count(self._view.left_out_keys)} {were} deleted without a copy")
        sentence = f"{'; '.join(parts)}.{' ' if self._view.file_note else ''}{self._view.file_note}"
        if failure is None:
            return f"Interrupted. {sentence}" if self._interrupted else sentence
        return after(self._why(failure), sentence)

    def _most_of_all(self) -> str:
        """The reason that most keys failed for, in parentheses."""
        reasons = self._reasons.most_common(1)
        return f" ({'mostly: ' if len(self._reasons) > 1 else ''}{reasons[0][0]})" if reasons else ""

    def _why(self, failure: TriageError) -> str:
        text = str(failure)
        if isinstance(failure, OutOfMemory):
            return f"{text.rstrip('.')}. Raise maxmemory or free more, then restore again: it goes on from there."
        if "payload version or checksum" in text:
            here = self._desk.server.address
            return (
                f"The backup was made by {self._head.flavour} {self._head.version}, whose values {here} cannot read:"
                " restore it to a server of that version or a newer one of the same family."
            )
        return text


# Of a key that was let expire there is no copy: what came to its end, or was deleted by others, is gone.
_GONE = ("has gone meanwhile and does not come back", "have gone meanwhile and do not come back")
_WORDS = (
    (RestoreOutcome.EXISTS, ("is there already and was left alone", "are there already and were left alone")),
    (RestoreOutcome.EXPIRED, ("would have expired since", "would have expired since")),
    (RestoreOutcome.CHANGED, ("was changed since and was left alone", "were changed since and were left alone")),
    (RestoreOutcome.FAILED, ("failed", "failed")),
    (RestoreOutcome.NOT_ATTEMPTED, ("was not attempted", "were not attempted")),
)


def _needed(snapshot: Snapshot, batch: Sequence[Record]) -> int:
    """What the keys of a batch take, with their places in the server's tables; nothing where none has a value."""
    held = [record for record in batch if record.payload]
    if not held:
        return 0
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
