"""Undo: a backup's keys put back where nothing newer stands, as far as the servers have room."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from redis_oom_tui.actions.context import DEFECT, ActionContext, ActionRecord
from redis_oom_tui.actions.deployment import Deployment, Place, prefixed
from redis_oom_tui.actions.node_restore import NodeRestore
from redis_oom_tui.actions.outcomes import after
from redis_oom_tui.files.audit import AuditFailed
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import inspect, must_be_whole, read_head, read_records, records_backward
from redis_oom_tui.files.disk import was_replaced
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import number_of_keys
from redis_oom_tui.models.action import Action, Backup, RestoreOutcome, RestoreReport
from redis_oom_tui.models.errors import KeyMoved, OutOfMemory, ServerBusy, ServerUnreachable, TriageError, WritesBlocked
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.restoring import number_restored, thing_restored, what_came_back
from redis_oom_tui.server.clocks import ActiveClock
from redis_oom_tui.server.mutations.restoring import RestoreReply
from redis_oom_tui.server.tasks import read_ahead

# Of what goes back in one call, no more in a batch.
_IN_ONE_CALL = 500
_BYTES_AT_ONCE = 4 * 1024 * 1024
# What is read from the file at a time, in a thread, while the last of it goes back.
_KEYS_READ, _BYTES_READ = 2000, 1024 * 1024
# What is held for all nodes together, where the keys of many come mixed.
_BYTES_HELD = 16 * 1024 * 1024
_NAMED = 1000
# How often a key is sent on from one node to another before it counts as failed.
_ROUNDS = 4
# What may pass by itself, so that it is worth while to try again.
_PASSING = (OutOfMemory, WritesBlocked, ServerBusy, ServerUnreachable)


@dataclass(slots=True)
class RestoreBatch:
    """Records of one database whose keys belong to one place, and the bytes of their values."""

    place: Place
    records: list[Record] = field(default_factory=list)
    size: int = 0

    def takes(self, record: Record, size: int, most: int) -> bool:
        """Whether `record`, of so many bytes, still goes into it; `most` is how many records do."""
        fits = len(self.records) < most and self.size + size <= _BYTES_AT_ONCE
        return fits and record.db == self.records[0].db


class Restore:
    """A backup being put back. Implements `ports.Restoring`; making it raises BadInput for a file that is none.

    Each key is put back on the node that serves its slot now, or where that node sends it on. A damaged file is
    restored only where that is `damaged_ok`, as far as it can be read; another file than was `inspected` is not
    restored.
    """

    def __init__(
        self,
        context: ActionContext,
        deployment: Deployment,
        path: Path,
        *,
        damaged_ok: bool = False,
        inspected: Backup | None = None,
    ) -> None:
        self._context = context
        self._deployment = deployment
        self._path = path
        self._damaged_ok = damaged_ok
        self._head = read_head(path, damaged_ok=damaged_ok)
        if inspected is not None and inspected.identity != self._head.identity:
            raise was_replaced(path)
        things = f"{thing_restored(self._head.operation)}s"
        self._view = RestoreReport(str(path), self._head.keys + self._head.left_out_keys, things=things)
        self._counts: Counter[RestoreOutcome] = Counter()
        self._reasons: Counter[str] = Counter()
        self._nodes: dict[Place, NodeRestore] = {}
        self._record = ActionRecord(context)
        self._restored: Counter[Place] = Counter()
        self._unsure: list[str] = []
        self._unserved = 0
        self._unreadable = 0  # Keys that the file's end counts, that cannot be read, and are not counted as failed yet.
        self._has_no_key = False  # The file was cut off before its first key.
        self._stop = False
        self._clock = ActiveClock()

    def stop(self) -> None:
        """End once what is on its way has come home."""
        self._stop = True
        for node in self._nodes.values():
            node.stop()

    def view(self) -> RestoreReport:
        """How far it is."""
        counts = dict(+self._counts)
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
            await self._begin()
            await self._each_batch()
            for place, number in self._restored.items():
                # A server that was restarted may have lost it again.
                unsure = await self._nodes[place].unsure(number_restored(self._head.operation, number))
                if unsure:
                    self._unsure.append(prefixed(place.node, unsure) if self._deployment.clustered else unsure)
            failure = None
        except TriageError as error:
            failure = error
        except asyncio.CancelledError:
            failure = ServerUnreachable("The tool ended while this ran")
            raise
        finally:
            try:
                for node in self._nodes.values():
                    await node.close()
            finally:
                self._end(failure)
        return self.view()

    async def _inspect(self) -> None:
        """Compare the whole file with what was written, before any key is restored."""
        inspection = await asyncio.to_thread(inspect, self._path, same=self._head.identity)
        self._view = replace(self._view, file_damaged=inspection.damaged)
        must_be_whole(inspection, damaged_ok=self._damaged_ok)
        self._view = replace(self._view, file_note=inspection.note)
        self._has_no_key = inspection.has_no_key
        self._unreadable = max(0, (inspection.expected or 0) - inspection.keys)

    async def _begin(self) -> None:
        await self._deployment.refresh()
        run_id = None
        if not self._deployment.clustered and (place := self._deployment.place_of(b"")) is not None:
            run_id = (await self._node(place).snapshot()).server.run_id
        head = self._head
        self._record.begin(
            "restore",
            server=self._deployment.name,
            what=f"restore {number_restored(head.operation, head.keys)} of a backup from {head.server}",
            run_id=run_id,
            backup=str(self._path),
        )

    def _node(self, place: Place) -> NodeRestore:
        if place not in self._nodes:
            node = self._deployment.node(place)
            self._nodes[place] = NodeRestore(node, self._head, lambda: self._stop, self._context.wall)
        return self._nodes[place]

    async def _each_batch(self) -> None:
        async with contextlib.aclosing(self._batches()) as batches:
            async for batch in batches:
                if self._stop or (self._failures() and not self._deployment.clustered):
                    return
                await self._put(batch.place, batch.records)
        if not (self._stop or self._failures() or self._unserved):
            # A frame whose header is damaged does not tell how many keys it held.
            self._counts[RestoreOutcome.FAILED] += max(0, self._unreadable)
            # The plan may have had more keys: changed, gone, or never come to. The file holds those that were saved.
            self._view = replace(self._view, total_keys=sum(self._counts.values()) + self._view.left_out_keys)

    def _failures(self) -> dict[Place, TriageError]:
        return {place: node.failure for place, node in self._nodes.items() if node.failure is not None}

    async def _batches(self) -> AsyncGenerator[RestoreBatch, None]:
        """The file's keys by place, in batches of one database; what was left out or is damaged is counted."""
        held: dict[Place, RestoreBatch] = {}
        sizes = 0
        async with contextlib.aclosing(read_ahead(_chunks(self._records()))) as chunks:
            async for chunk in chunks:
                alone = None if self._deployment.clustered else self._deployment.place_of(b"")
                for record, size in chunk:
                    place = self._place(record, alone)
                    if record is None or place is None:
                        continue
                    batch = held.get(place)
                    if batch is not None and not batch.takes(record, size, self._most(place)):
                        sizes -= batch.size
                        yield held.pop(place)
                        batch = None
                    if batch is None:
                        batch = held[place] = RestoreBatch(place)
                    batch.records.append(record)
                    batch.size += size
                    sizes += size
                    if sizes > _BYTES_HELD:
                        batch = held.pop(max(held, key=lambda one: held[one].size))
                        sizes -= batch.size
                        yield batch
        for batch in held.values():
            yield batch

    def _most(self, place: Place) -> int:
        most = self._node(place).keys
        return most if self._head.operation == Action.DELETE.value else min(most, _IN_ONE_CALL)

    def _records(self) -> Iterator[Record | None]:
        """The file's records; those of a list that was shrunk from the innermost on, as each is added outside."""
        same = self._head.identity
        if self._head.operation == Action.SHRINK.value:
            first = next(read_records(self._path, damaged_ok=self._damaged_ok, same=same), None)
            if first is not None and first.type == "list":
                return records_backward(self._path, damaged_ok=self._damaged_ok, same=same)
        return read_records(self._path, damaged_ok=self._damaged_ok, same=same)

    def _place(self, record: Record | None, alone: Place | None) -> Place | None:
        """Where to put a record back; None for one that has nothing to put back, which is counted."""
        if record is None:
            self._counts[RestoreOutcome.FAILED] += 1
            self._unreadable -= 1
            return None
        if record.left_out:
            self._left_out(record)
            return None
        place = alone or self._deployment.place_of(record.key)
        self._unserved += place is None
        return place

    def _left_out(self, record: Record) -> None:
        named = self._view.left_out
        if len(named) < _NAMED:
            named = (*named, escape_exact(record.key))
        self._view = replace(self._view, left_out_keys=self._view.left_out_keys + 1, left_out=named)

    async def _put(self, place: Place, batch: Sequence[Record], rounds: int = _ROUNDS) -> None:
        """Put `batch` back at `place`, and what is sent on from there where it was sent."""
        node = self._node(place)
        if node.failure is not None:
            return
        try:
            replies = await node.put(batch, self._record)
        except AuditFailed:
            raise
        except TriageError as error:
            node.failure = error
            return
        moved: list[tuple[Record, KeyMoved]] = []
        for record, reply in zip(batch, replies, strict=True):
            if reply.outcome is RestoreOutcome.RESTORED:
                continue
            if reply.moved is not None and self._deployment.clustered and rounds > 1:
                moved.append((record, reply.moved))
            else:
                self._count(reply)
        if restored := sum(reply.outcome is RestoreOutcome.RESTORED for reply in replies):
            self._counts[RestoreOutcome.RESTORED] += restored
            self._restored[place] += restored
        if (refusal := next((reply.stop for reply in replies if reply.stop is not None), None)) is not None:
            node.failure = refusal
        await self._send_on(place, moved, rounds - 1)

    def _count(self, reply: RestoreReply) -> None:
        if reply.outcome is not RestoreOutcome.NOT_ATTEMPTED:
            self._counts[reply.outcome] += 1
        if reply.outcome is RestoreOutcome.FAILED and reply.detail:
            self._reasons[reply.detail] += 1

    async def _send_on(self, place: Place, moved: Sequence[tuple[Record, KeyMoved]], rounds: int) -> None:
        if not moved:
            return
        with contextlib.suppress(TriageError):
            await self._deployment.refresh()
        sent: dict[Place, list[Record]] = defaultdict(list)
        for record, refusal in moved:
            # Where nobody serves its slot now, the one that was asked will say so once more.
            sent[self._deployment.place_of(record.key, place, refusal) or place].append(record)
        for successor, records in sent.items():
            await self._put(successor, records, rounds)

    def _end(self, failure: TriageError | None) -> None:
        self._clock.stop()
        failures = list(self._failures().values()) + ([] if failure is None else [failure])
        counts = self.view().counts
        interrupted = self._stop and RestoreOutcome.NOT_ATTEMPTED in counts
        passing = any(isinstance(one, _PASSING) for one in failures)
        sentence = self._record.end(
            ok=not (failures or interrupted or self._unserved or self._has_no_key),
            result=self._sentence(failure, interrupted=interrupted),
            counts={outcome.value: number for outcome, number in counts.items()},
        )
        self._view = replace(
            self._view,
            ended=sentence,
            failed=bool(failures or self._unserved or self._has_no_key),
            resumable=passing or self._stop or bool(self._unserved or self._unsure),
            unsure=bool(self._unsure),
        )

    def _sentence(self, failure: TriageError | None, *, interrupted: bool) -> str:
        sentence = what_came_back(self._head.operation, self.view(), self._reasons)
        reasons = self._why_early(failure)
        if reasons:
            return after(reasons, sentence)
        return f"Interrupted. {sentence}" if interrupted else sentence

    def _why_early(self, failure: TriageError | None) -> str:
        """Why it ended early, with the node where there are several."""
        reasons = [] if failure is None else [_why(failure, self._head, self._deployment.name)]
        for place, error in self._failures().items():
            words = _why(error, self._head, place.node)
            reasons.append(prefixed(place.node, words) if self._deployment.clustered else words)
        if self._unserved:
            reasons.append(f"No node serves the slots of {number_of_keys(self._unserved)}")
        reasons += self._unsure
        return ". ".join([*(reason.rstrip(".") for reason in reasons[:-1]), *reasons[-1:]])


def _chunks(records: Iterator[Record | None]) -> Iterator[list[tuple[Record | None, int]]]:
    """`records` with their sizes, some at a time."""
    chunk, held = list[tuple[Record | None, int]](), 0
    for record in records:
        size = 0
        if record is not None:
            size = len(record.payload or b"") + sum(map(len, record.element or ()))
            size += sum(len(copy) for _, _, copy, _ in record.job.keys) if record.job is not None else 0
        chunk.append((record, size))
        held += size
        if len(chunk) >= _KEYS_READ or held >= _BYTES_READ:
            yield chunk
            chunk, held = [], 0
    yield chunk


def _why(failure: TriageError, head: Backup, here: str) -> str:
    text = str(failure)
    if isinstance(failure, OutOfMemory):
        return f"{text.rstrip('.')}. Raise maxmemory or free more, then restore again to continue."
    if "payload version or checksum" in text:
        return (
            f"The backup was made by {head.flavour} {head.version}, whose values {here} cannot read:"
            " restore it to a server of that version or a newer one of the same product."
        )
    return text
