"""The backup of a run: each batch saved and on disk before any of its keys is deleted."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from msgspec import Struct

from redis_oom_tui.actions.context import SharedRun
from redis_oom_tui.actions.outcomes import READ_BY_BACKUP, CameTo, gone
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.errors import BadInput, ErrorClass, KeyMoved, ServerBusy, TriageError
from redis_oom_tui.models.plan import Outcome, OutcomeNote, Plan
from redis_oom_tui.rules import headroom
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.server.mutations.key_mutator import KeyMutator, ReplyRoom
from redis_oom_tui.server.mutations.replies import Limit, ReplyOrError, Saved, Uncopied, digest
from redis_oom_tui.server.mutations.scripts import CHANGED_WORDS, Reply

SAVE_AT_ONCE = 4 * 1024 * 1024
UNKNOWN_SIZE = 64 * 1024
# How long a large key waits for what was deleted before it to be freed in the background.
_FREEING_SECONDS, _FREEING_PAUSE_SECONDS = 5.0, 0.1


class Copied(Struct, frozen=True, gc=False):
    """A copy in the backup: the SHA-1 of its DUMP, and the size of the key; NO_COPY has neither."""

    digest: str
    size: int


NO_COPY = Copied("", 0)
Hold = Callable[[], Awaitable[bool]]
"""Waits until the server carries out commands again; whether to go on then."""


class CapReached(TriageError):
    """The backup is as large as it may become."""


async def on_disk(writer: BackupWriter) -> None:
    """Flush beside everything else; whoever cancels this waits for it, as the file is closed after that."""
    flushing = asyncio.create_task(asyncio.to_thread(writer.flush), name="backup to disk")
    try:
        await asyncio.shield(flushing)
    except asyncio.CancelledError:
        await asyncio.wait([flushing])
        raise


def outcome_of(reply: ReplyOrError, done: Outcome) -> tuple[Outcome, str]:
    """What a reply about one key means, `done` being what was asked for.

    What the server refused to everybody was not attempted: nothing was found out about the key.
    """
    if isinstance(reply, TriageError):
        failed = reply.error_class is ErrorClass.KEY
        return Outcome.FAILED if failed else Outcome.NOT_ATTEMPTED, str(reply)
    if reply is Reply.DONE:
        return done, ""
    if reply is Reply.GONE:
        return Outcome.GONE, ""
    return Outcome.CHANGED, CHANGED_WORDS[reply]


class Saver:
    """Writes what a run is about to delete on one node through `writer`.

    `untouched` tells that the server knows CLIENT NO-TOUCH: then a key that is read by others between its saving and
    its deletion is noticed, too. `free_bytes` is what was free below maxmemory last, None where nothing bounds a reply.
    `blocked` is why no further key would be saved, once that is so. `saved` are the digests of keys that are in the
    backup, by position: one that is tried on another node goes only if it is still the same there. `node` is where the
    keys are, for their records; '' without a cluster.
    """

    def __init__(
        self, shared: SharedRun, writer: BackupWriter, *, untouched: bool, free_bytes: int | None = None, node: str = ""
    ) -> None:
        self.saved = shared.saved
        self._node = node
        self._before = shared.before
        # Of this batch: those that an earlier try may have read.
        self._asked: set[int] = set()
        self._twice: set[int] = set()
        self._keys = shared.plan.keys
        self.free_bytes: int | None = free_bytes
        self.short: list[int] = []
        self._busy = False
        self._ready: dict[int, Copied] = {}
        self._lines: list[Record] = []
        self._choice = shared.choice
        self._writer = writer
        self._table = shared.table
        self.untouched = untouched
        self.blocked: TriageError | None = None

    async def save(
        self,
        mutator: KeyMutator,
        batch: Sequence[int],
        wanted: Callable[[Sequence[int]], Sequence[Expected]],
        hold: Hold,
    ) -> dict[int, Copied]:
        """The keys of `batch` that may be deleted, on disk, each with its copy, or with NO_COPY where it is deleted
        without one; all others have an outcome. `hold` waits while the server carries out nothing.

        Raises CapReached, `files.backup.BackupFailed`, and ServerUnreachable, after which nothing of the batch was
        written.
        """
        self._check_cap()
        self._ready, self._lines = {}, []
        keys, most = self._keys, self._choice.max_key_bytes
        # The plan itself tells that these are too large, whatever room there is.
        too_large = {position for position in batch if (keys[position].size or 0) > most}
        left = [position for position in batch if position not in too_large] if too_large else list(batch)
        for position in sorted(too_large):
            self._uncopied(position, headroom.too_large(keys[position].size or 0, self._choice))
        self._twice, self._asked = self._asked.intersection(left), set(left)
        until = time.monotonic() + _FREEING_SECONDS
        while left:
            try:
                reply_room = await mutator.headroom()
            except ServerBusy:
                if not await hold():
                    break
                continue
            self.free_bytes = reply_room.free
            left, waiting = await self._some(mutator, left, wanted(left), reply_room, wait=time.monotonic() < until)
            if self._busy and not await hold():
                break
            if waiting:
                await asyncio.sleep(_FREEING_PAUSE_SECONDS)
        self._writer.add(*self._lines)
        await on_disk(self._writer)
        self.saved.update({position: copied.digest for position, copied in self._ready.items()})
        return self._ready

    async def _some(
        self, mutator: KeyMutator, left: Sequence[int], wanted: Sequence[Expected], reply_room: ReplyRoom, *, wait: bool
    ) -> tuple[list[int], bool]:
        """Copy those of `left` that there is room for now: returns the others, and whether one waits for room that is
        becoming free.
        """
        sizes = [self._keys[position].size or UNKNOWN_SIZE for position in left]
        most = headroom.largest(reply_room.free, self._choice.max_key_bytes)
        limit = Limit(most, headroom.at_once(reply_room.free, SAVE_AT_ONCE), unsized=reply_room.free is None)
        later: list[int] = []
        waiting = self._busy = False
        sent = 0
        # Fewer replies than keys: it was told to stop, and the others were not attempted.
        async with contextlib.aclosing(mutator.save(wanted, sizes, limit)) as parts:
            async for first, replies in parts:
                sent = first + len(replies)
                part = left[first:sent]
                if set(map(type, replies)) == {Saved} and self.saved.keys().isdisjoint(part):
                    # As it is nearly always.
                    self._copied(part, cast("list[Saved]", replies))
                    continue
                for position, reply in zip(part, replies, strict=True):
                    waits = wait and reply_room.freeing and self._fits_later(reply)
                    waiting = waiting or waits
                    busy = isinstance(reply, ServerBusy)
                    self._busy = self._busy or busy
                    if waits or busy or reply is Reply.LATER:
                        later.append(position)
                    elif isinstance(reply, Saved) and not self.saved.get(position):
                        self._copied([position], [reply])
                    else:
                        self._take(position, reply, reply_room.free)
        if self._busy:
            # Nothing was sent after that.
            later += left[sent:]
        return later, waiting

    def _take(self, position: int, reply: Saved | Uncopied | ReplyOrError, free_bytes: int | None) -> None:
        """What was said about the key at `position`, with `free_bytes` free."""
        if isinstance(reply, Saved):
            # In the backup already, by an earlier try.
            known = reply.digest
            if known != self.saved[position]:
                self._table.put(
                    position, Outcome.CHANGED, "its content changed while it was on its way to another node"
                )
                return
            self._ready[position] = Copied(known, reply.size or len(reply.payload))
        elif isinstance(reply, Uncopied):
            self._uncopied(position, self._why(reply.size, free_bytes))
            # One that goes without a copy is not tried again: it would be found gone, and be told as if others took it.
            if self._fits_later(reply) and position not in self._ready:
                self.short.append(position)
        else:
            self._refused(position, reply)

    def _copied(self, positions: Sequence[int], copies: Sequence[Saved]) -> None:
        """Take copies that are to be written."""
        for position, copy in zip(positions, copies, strict=True):
            key, payload, now_ms = self._keys[position], copy.payload, copy.now_ms
            expires_ms = None if copy.ttl_ms is None else now_ms + copy.ttl_ms
            held = key.size if copy.size is None else copy.size
            facts = (payload, expires_ms, copy.idle_seconds, copy.frequency, now_ms, None, held, self._node)
            self._lines.append(Record(key.id.db, key.id.key, key.type, *facts))
            self._ready[position] = Copied(digest(payload), copy.size or len(payload))

    def _fits_later(self, reply: Saved | Uncopied | ReplyOrError) -> bool:
        """Whether it is for want of room alone that there is no copy."""
        return isinstance(reply, Uncopied) and reply.size is not None and reply.size <= self._choice.max_key_bytes

    def _why(self, bytes_: int | None, free_bytes: int | None) -> str:
        if bytes_ is None:
            return headroom.SIZE_UNKNOWN
        if bytes_ > self._choice.max_key_bytes or free_bytes is None:
            return headroom.too_large(bytes_, self._choice)
        return headroom.no_room(bytes_, free_bytes)

    def _uncopied(self, position: int, reason: str) -> None:
        """Keep a key that cannot be copied, unless it was read before the confirmation that there is no copy of it."""
        key = self._keys[position]
        if self._choice.keep_unsaved or headroom.why_uncopied(key, self._choice) is None:
            self._table.put(position, Outcome.FAILED, f"kept: {reason}", OutcomeNote.UNSAVED)
            return
        if position not in self.saved:
            self._lines.append(Record(key.id.db, key.id.key, key.type, node=self._node, left_out=reason))
        self._ready[position] = NO_COPY

    def _check_cap(self) -> None:
        if self._writer.size >= self._choice.max_total_bytes:
            raise CapReached(f"The backup has reached its cap of {size(self._choice.max_total_bytes)}")

    def _refused(self, position: int, reply: ReplyOrError) -> None:
        outcome, detail, note = self._came_to(position, reply)
        prefix = "not saved, so not deleted: " if outcome is Outcome.FAILED else ""
        self._table.put(position, outcome, prefix + detail, note, moved=reply if isinstance(reply, KeyMoved) else None)
        if isinstance(reply, TriageError) and reply.error_class is ErrorClass.STOP:
            self.blocked = self.blocked or reply

    def _came_to(self, position: int, reply: ReplyOrError) -> CameTo:
        id_ = self._keys[position].id
        if reply is Reply.GONE:
            return gone(id_, self._before)
        outcome, detail = outcome_of(reply, Outcome.FAILED)
        reached = self._before is not None and (id_.db, id_.key) in self._before.reached
        if reply is Reply.USED and not self.untouched and (reached or position in self._twice):
            detail = READ_BY_BACKUP
        return outcome, detail, None

    async def note(self, batch: Sequence[int], due_ms: Mapping[int, int], now_ms: int) -> None:
        """Write down the present expiry of keys that are about to be given another one; `now_ms` is the server's."""
        self._check_cap()
        for position in batch:
            key = self._keys[position]
            read_ms = now_ms if key.read_at is None else round(key.read_at * 1000)
            expires = None if key.ttl_ms is None else read_ms + key.ttl_ms
            self._writer.add(
                Record(
                    *(key.id.db, key.id.key, key.type),
                    expires_ms=expires,
                    saved_ms=now_ms,
                    due_ms=due_ms[position],
                    node=self._node,
                )
            )
        await on_disk(self._writer)


def earlier_copies(audit: AuditFile, plan: Plan) -> dict[tuple[int, bytes], str]:
    """The SHA-1 of the DUMP of each key of `plan` that an earlier run of it saved, and did not come to delete.

    On servers without CLIENT NO-TOUCH saving a key is a use of it, after which its idle time no longer tells whether
    anybody else used it. Its copy in the backup does: the key is still the one of the plan if its DUMP is the same.
    """
    found: dict[tuple[int, bytes], str] = {}
    for backup, names in audit.unfinished(plan.hash).items():
        try:
            for record in read_records(Path(backup)):
                name = (-1, b"") if record is None else (record.db, record.key)
                if record is not None and record.payload is not None and name in names:
                    found[name] = hashlib.sha1(record.payload, usedforsecurity=False).hexdigest()
        except BadInput:
            # The backup was moved or removed: then the keys it held are compared by their idle times after all.
            continue
    return found
