"""The backup of a run: each batch saved and on disk before any of its keys is deleted."""

from collections.abc import Sequence

from redis_oom_tui.actions.tally import Tally
from redis_oom_tui.files.backup import BackupWriter, Record
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.plan import Outcome, Plan, PlannedKey
from redis_oom_tui.rules.recheck import expected
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
        self, plan: Plan, choice: BackupChoice, writer: BackupWriter, tally: Tally, *, untouched: bool
    ) -> None:
        self._keys = plan.keys
        self._choice = choice
        self._writer = writer
        self._tally = tally
        self._untouched = untouched

    def _fits(self, key: PlannedKey) -> bool:
        return key.size is None or key.size <= self._choice.max_key_bytes

    async def save(
        self, hands: Hands, batch: Sequence[int], checks: Sequence[Check], now: float
    ) -> list[tuple[int, Check]]:
        """The keys of `batch` that may be deleted, each with what it must still look like; all others have an outcome.

        Raises CapReached, with nothing of this batch written, and `files.backup.BackupFailed`.
        """
        if self._writer.size >= self._choice.max_total_bytes:
            raise CapReached(f"The backup has reached its cap of {size(self._choice.max_total_bytes)}")
        fitting = [at for at in range(len(batch)) if self._fits(self._keys[batch[at]])]
        ready = self._leave_out(batch, checks)
        replies = await hands.save([checks[at] for at in fitting])
        # Fewer replies than keys: it was told to stop, and the others were not attempted.
        for at, reply in zip(fitting, replies, strict=False):
            key = self._keys[batch[at]]
            if isinstance(reply, Saved):
                self._writer.add(_record(key, reply, now))
                want = expected(key, now, reply.digest, saved_untouched=self._untouched)
                ready.append((batch[at], Check(key.id, want)))
            else:
                outcome, detail = outcome_of(reply, Outcome.FAILED)
                prefix = "not saved, so not deleted: " if outcome is Outcome.FAILED else ""
                self._tally.put(batch[at], outcome, prefix + detail)
        self._writer.flush()
        return ready

    def note(self, batch: Sequence[int], due_ms: Sequence[int], now: float) -> None:
        """Write down the present expiry of keys that are about to be given another one."""
        if self._writer.size >= self._choice.max_total_bytes:
            raise CapReached(f"The backup has reached its cap of {size(self._choice.max_total_bytes)}")
        now_ms = round(now * 1000)
        for at, due in zip(batch, due_ms, strict=True):
            key = self._keys[at]
            read_ms = now_ms if key.read_at is None else round(key.read_at * 1000)
            expires = None if key.ttl_ms is None else read_ms + key.ttl_ms
            self._writer.add(Record(key.id, key.type, None, expires_ms=expires, saved_ms=now_ms, due_ms=due))
        self._writer.flush()

    def _leave_out(self, batch: Sequence[int], checks: Sequence[Check]) -> list[tuple[int, Check]]:
        """The keys over the cap of one key: named in the backup, and deleted or kept as was chosen."""
        ready = []
        for at, position in enumerate(batch):
            key = self._keys[position]
            if self._fits(key):
                continue
            if self._choice.keep_unsaved:
                self._tally.put(position, Outcome.FAILED, f"kept: {size(key.size)} is too large to save")
                continue
            self._writer.add(Record(key.id, key.type, None, left_out=f"{size(key.size)} is over the cap of one key"))
            ready.append((position, checks[at]))
        return ready


def _record(key: PlannedKey, saved: Saved, now: float) -> Record:
    now_ms = round(now * 1000)
    return Record(
        id=key.id,
        type=key.type,
        payload=saved.payload,
        expires_ms=None if saved.ttl_ms is None else now_ms + saved.ttl_ms,
        idle_seconds=saved.idle_seconds,
        frequency=saved.frequency,
        saved_ms=now_ms,
        size=key.size,
    )
