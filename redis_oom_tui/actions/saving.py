"""The backup of a run: each batch saved and on disk before any of its keys is deleted."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from redis_oom_tui.actions.tally import Tally
from redis_oom_tui.files.backup import BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Outcome, Plan, PlannedKey
from redis_oom_tui.store.changing.acting import Hands
from redis_oom_tui.store.changing.packing import Check
from redis_oom_tui.store.changing.replies import Said, Saved
from redis_oom_tui.store.changing.scripts import CHANGED_WORDS, Reply
from redis_oom_tui.words.sizes import size


class CapReached(TriageError):
    """The backup is as large as it may become."""


def outcome_of(said: Said, done: Outcome) -> tuple[Outcome, str]:
    """What a reply about one key means, `done` being what was asked for."""
    if isinstance(said, TriageError):
        return Outcome.FAILED, str(said)
    if isinstance(said, str):
        return Outcome.FAILED, said
    if said is Reply.DONE:
        return done, ""
    if said is Reply.GONE:
        return Outcome.GONE, ""
    return Outcome.CHANGED, CHANGED_WORDS[said]


class Saver:
    """Writes what a plan is about to delete through `writer`, as `choice` says.

    `untouched` tells that the server knows CLIENT NO-TOUCH: then a key that is read by others between its saving and
    its deletion is noticed, too.
    """

    def __init__(
        self,
        plan: Plan,
        choice: BackupChoice,
        writer: BackupWriter,
        tally: Tally,
        *,
        untouched: bool,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keys = plan.keys
        self._choice = choice
        self._writer = writer
        self._tally = tally
        self.untouched = untouched
        self._wall = wall

    def _fits(self, key: PlannedKey) -> bool:
        return key.size is None or key.size <= self._choice.max_key_bytes

    async def save(
        self, hands: Hands, batch: Sequence[int], checks: Callable[[Sequence[int]], Sequence[Check]]
    ) -> dict[int, str]:
        """The keys of `batch` that may be deleted, on disk, each with the SHA-1 of its DUMP, '' for one that is deleted
        without a copy; all others have an outcome.

        Raises CapReached, `files.backup.BackupFailed`, and ServerUnreachable, after which nothing of the batch was
        written.
        """
        self._heed_cap()
        fitting = [position for position in batch if self._fits(self._keys[position])]
        records: list[Record] = []
        digests: dict[int, str] = {}
        # Fewer replies than keys: it was told to stop, and the others were not attempted.
        async with contextlib.aclosing(hands.save(checks(fitting))) as parts:
            async for first, replies in parts:
                now_ms = round(self._wall() * 1000)
                for position, reply in zip(fitting[first : first + len(replies)], replies, strict=True):
                    if isinstance(reply, Saved):
                        records.append(_record(self._keys[position], reply, now_ms))
                        digests[position] = reply.digest
                    else:
                        self._refused(position, reply)
        left_out = self._left_out(batch)
        self._writer.add(*[_without(self._keys[position]) for position in left_out], *records)
        await self._to_disk()
        return dict.fromkeys(left_out, "") | digests

    def _heed_cap(self) -> None:
        if self._writer.size >= self._choice.max_total_bytes:
            raise CapReached(f"The backup has reached its cap of {size(self._choice.max_total_bytes)}")

    def _refused(self, position: int, reply: Said) -> None:
        outcome, detail = outcome_of(reply, Outcome.FAILED)
        prefix = "not saved, so not deleted: " if outcome is Outcome.FAILED else ""
        self._tally.put(position, outcome, prefix + detail)

    async def _to_disk(self) -> None:
        """Flush beside everything else; whoever cancels this waits for it, as the file is closed after that."""
        flushing = asyncio.create_task(asyncio.to_thread(self._writer.flush), name="backup to disk")
        try:
            await asyncio.shield(flushing)
        except asyncio.CancelledError:
            await asyncio.wait([flushing])
            raise

    async def note(self, batch: Sequence[int], due_ms: Mapping[int, int]) -> None:
        """Write down the present expiry of keys that are about to be given another one."""
        self._heed_cap()
        now_ms = round(self._wall() * 1000)
        for at in batch:
            key = self._keys[at]
            read_ms = now_ms if key.read_at is None else round(key.read_at * 1000)
            expires = None if key.ttl_ms is None else read_ms + key.ttl_ms
            self._writer.add(Record(key.id, key.type, None, expires_ms=expires, saved_ms=now_ms, due_ms=due_ms[at]))
        await self._to_disk()

    def _left_out(self, batch: Sequence[int]) -> list[int]:
        """The keys over the cap of one key that are to be deleted all the same; the others are kept, if so chosen."""
        over = [position for position in batch if not self._fits(self._keys[position])]
        if not self._choice.keep_unsaved:
            return over
        for position in over:
            large = size(self._keys[position].size)
            self._tally.put(position, Outcome.FAILED, f"kept: {large} is too large to save")
        return []


def _without(key: PlannedKey) -> Record:
    """What names a key in the backup of which it holds no copy."""
    return Record(key.id, key.type, None, left_out=f"{size(key.size)} is over the cap of one key")


def _record(key: PlannedKey, saved: Saved, now_ms: int) -> Record:
    expires_ms = None if saved.ttl_ms is None else now_ms + saved.ttl_ms
    return Record(
        key.id, key.type, saved.payload, expires_ms, saved.idle_seconds, saved.frequency, now_ms, None, key.size
    )
