"""One batch of a plan: saved, acted on, and, where a reply was lost, read again instead of guessed."""

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar, overload

from redis_oom_tui.actions.context import Losses, SharedRun, asked_again
from redis_oom_tui.actions.outcomes import LOST_AND_GONE, CameTo, gone
from redis_oom_tui.actions.saving import NO_COPY, SAVE_AT_ONCE, UNKNOWN_SIZE, Copied, Saver, outcome_of
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import CommandRefused, ErrorClass, KeyMoved, ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.plan import Operation, Outcome
from redis_oom_tui.rules import headroom
from redis_oom_tui.rules.expected_state import TTL_SLACK_MS, Expected, expected
from redis_oom_tui.rules.headroom import OWN_TYPES
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.mutations.connections import PinnedConnection, settled
from redis_oom_tui.server.mutations.key_mutator import KeyMutator
from redis_oom_tui.server.mutations.replies import ReplyOrError, server_time
from redis_oom_tui.server.mutations.scripts import Reply

Answer = TypeVar("Answer")

# So many refusals, and nothing but them, and the rest is not tried.
_ALL_REFUSED = 100
# What a module may have done to a key when another key of its own was deleted.
_BY_CONTENT = (Reply.CONTENT, Reply.SIZE, Reply.USED)
_MAY_BE_THE_MODULE = "this plan deletes keys of a module too ({}), and a module may change its other keys with them"
_LOST = "the connection was lost before the reply: unknown whether it was done"


class Ready(NamedTuple):
    """Positions that may be acted on, with the copies of those that were saved, and the new ends of their keys."""

    positions: Sequence[int]
    copies: Mapping[int, Copied]
    due_ms: Mapping[int, int]


class ExpectedStates(Sequence[Expected]):
    """How the keys at `positions` must look, worked out when they are asked for: while the server is at work."""

    def __init__(self, positions: Sequence[int], made: Callable[[Sequence[int]], list[Expected]]) -> None:
        self._positions = positions
        self._made = made

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Expected: ...

    @overload
    def __getitem__(self, index: slice) -> list[Expected]: ...

    def __getitem__(self, index: int | slice) -> Expected | list[Expected]:
        if isinstance(index, int):
            return self._made([self._positions[index]])[0]
        return self._made(self._positions[index])


class BatchWorker:
    """Acts on batches of the keys at `positions`. `blocked` is why nothing more can be done, once that is so.

    `copies` are digests of keys that an earlier run of the plan has saved. `pacer` says how much goes to the server at
    once, and whether to stop.
    """

    def __init__(
        self,
        shared: SharedRun,
        positions: Sequence[int],
        saver: Saver | None,
        throttle: CallThrottle,
        *,
        scripted: bool,
        alone: bool,
        copies: Mapping[tuple[int, bytes], str],
    ) -> None:
        plan = shared.plan
        self._plan = plan
        self._table = shared.table
        self._saver = saver
        self._throttle = throttle
        self._scripted = scripted
        self._alone = alone
        self._copies = copies
        self.positions = positions
        self._due_ms = shared.due_ms
        self._before = shared.before
        # Sent once already, with no word of what came of it.
        self._sent_before: set[int] = set()
        self._done = Outcome.DELETED if plan.operation is Operation.DELETE else Outcome.EXPIRING
        self._command = "UNLINK" if plan.operation is Operation.DELETE else "PEXPIREAT"
        types = {plan.keys[position].type for position in positions} if plan.operation is Operation.DELETE else set()
        self._modules = sorted(safe_text(kind, 20) for kind in types - OWN_TYPES)
        self._refused = 0
        self._acted = self._acted_before = 0
        self._held: list[int] = []
        self.blocked: TriageError | None = None

    def cut(self, positions: Sequence[int], start: int, most: int) -> list[int]:
        """The batch of `positions` from `start` on: at most `most` keys, all of one database."""
        keys = self._plan.keys
        batch = list(positions[start : start + most])
        if batch and keys[batch[0]].id.db != keys[batch[-1]].id.db:
            batch = [position for position in batch if keys[position].id.db == keys[batch[0]].id.db]
        return batch if self._saver is None else self._fitting(batch, self._saver.free_bytes)

    def _fitting(self, batch: list[int], free_bytes: int | None) -> list[int]:
        """The first of `batch` that may be saved at once: no more bytes than both sides hold well."""
        held, most = 0, headroom.at_once(free_bytes, SAVE_AT_ONCE)
        for number, position in enumerate(batch):
            size = self._plan.keys[position].size
            held += size if size is not None else UNKNOWN_SIZE
            if number and held > most:
                return batch[:number]
        return batch

    @property
    def light_bytes(self) -> int | None:
        """A larger key is better saved when others have made room for its copy; None where that is no matter."""
        if self._saver is None or self._plan.operation is not Operation.DELETE:
            return None
        return headroom.at_once(self._saver.free_bytes, SAVE_AT_ONCE)

    def again(self) -> list[int]:
        """The keys that were kept for want of room, if any has been deleted since they were last tried."""
        if self._saver is None:
            return []
        short, self._saver.short = self._saver.short, []
        before, self._acted_before = self._acted_before, self._acted
        keys = self._plan.keys
        return (
            sorted(short, key=lambda position: (keys[position].id.db, keys[position].size or 0))
            if self._acted > before
            else []
        )

    @property
    def saves(self) -> bool:
        """Whether keys are saved before they are acted on."""
        return self._saver is not None

    async def ready(self, connection: PinnedConnection, batch: Sequence[int]) -> Ready:
        """Save the keys of `batch`, or note their ends, where that is wanted. Those left out have their outcome."""
        if self._plan.operation is Operation.EXPIRE:
            now_ms = (await asked_again(connection, lambda: server_time(connection.channel), self._is_stopping)).ms
            fresh = [position for position in batch if self._due_ms.get(position, 0) <= now_ms]
            due_ms = _spread(fresh, now_ms, self._plan.expire_seconds or 0)
            if self._saver is not None and fresh:
                await self._saver.note(fresh, due_ms, now_ms)
            self._due_ms.update(due_ms)
            return Ready(batch, {}, {position: self._due_ms[position] for position in batch})
        if self._saver is None:
            return Ready(batch, {}, {})
        copies = await self._save(connection, self._saver, batch)
        return Ready(list(copies), copies, {})

    async def act(self, connection: PinnedConnection, ready: Ready) -> None:
        """Act on what is `ready`. Each key that was sent has its outcome afterwards, also when this raises."""
        self._refused = 0
        losses, todo = Losses(), ready.positions
        while True:
            mutator = self._mutator(connection)
            answered: set[int] = set()
            held: list[int] = []
            self._held = held
            try:
                await self._send(mutator, todo, ready, answered)
            except ServerUnreachable:
                in_doubt, rest = _split(todo, mutator.sent, answered)
                if losses.enough(since_last=bool(answered)):
                    self._unknown(in_doubt)
                    raise
                todo = [*held, *await self._after_loss(connection, in_doubt, ready.due_ms), *rest]
            except BaseException:
                self._unknown(_split(todo, mutator.sent, answered)[0])
                raise
            else:
                if not held or self._throttle.stopping:
                    return
                # Nothing was done to those: they are sent again, and what was not sent follows.
                todo = [*held, *todo[mutator.sent :]]
                await connection.hold(self._is_stopping)

    def _is_stopping(self) -> bool:
        return self._throttle.stopping

    def _expected(
        self, positions: Sequence[int], copied: Mapping[int, Copied] = MappingProxyType({})
    ) -> ExpectedStates:
        keys, copies = self._plan.keys, self._copies
        untouched = self._saver is not None and self._saver.untouched

        def made(some: Sequence[int]) -> list[Expected]:
            planned = [keys[position] for position in some]
            if not copied and not copies:
                return [expected(key) for key in planned]
            own = [copied.get(position, NO_COPY).digest for position in some]
            return [
                expected(key, digest, saved_untouched=untouched)
                if digest
                else expected(key, copies.get((key.id.db, key.id.key), ""))
                for key, digest in zip(planned, own, strict=True)
            ]

        return ExpectedStates(positions, made)

    async def _save(self, connection: PinnedConnection, saver: Saver, batch: Sequence[int]) -> dict[int, Copied]:
        async def hold() -> bool:
            await settled(connection.channel, self._is_stopping)
            return not self._throttle.stopping

        mutator = self._mutator
        copies = await asked_again(
            connection, lambda: saver.save(mutator(connection), batch, self._expected, hold), self._is_stopping
        )
        if saver.blocked is not None:
            self._block(saver.blocked)
        return copies

    async def _send(self, mutator: KeyMutator, todo: Sequence[int], ready: Ready, answered: set[int]) -> None:
        """Act on the keys at `todo`, and put those whose replies came into `answered`."""
        wanted = self._expected(todo, ready.copies)
        if self._plan.operation is Operation.DELETE:
            if self._saver is not None:
                sizes = [ready.copies[position].size for position in todo]
                mutator.take_sizes(
                    sizes, headroom.at_once(self._saver.free_bytes, SAVE_AT_ONCE) // max(1, self._throttle.window)
                )
            acting = mutator.delete(wanted)
        else:
            acting = mutator.expire(wanted, [ready.due_ms[position] for position in todo])
        async with contextlib.aclosing(acting):
            async for position, replies in acting:
                part = todo[position : position + len(replies)]
                answered.update(part)
                self._settle(part, replies)

    async def _after_loss(
        self, connection: PinnedConnection, positions: Sequence[int], due_ms: Mapping[int, int]
    ) -> list[int]:
        """Read the keys in doubt again; those to which nothing was done are to be tried once more."""
        try:
            await connection.reopen()
            names = [self._plan.keys[position].id for position in positions]
            ends = await asked_again(connection, lambda: self._mutator(connection).ends(names), self._is_stopping)
        except BaseException:
            self._unknown(positions)
            raise
        self._sent_before.update(positions)
        left = []
        for position, end in zip(positions, ends, strict=True):
            due = due_ms.get(position)
            if end is None:
                self._table.put(position, Outcome.IN_DOUBT, LOST_AND_GONE)
            elif due is not None and end >= 0 and abs(end - due) <= TTL_SLACK_MS:
                self._table.put(position, Outcome.EXPIRING)
            else:
                left.append(position)
        return left

    def _settle(self, positions: Sequence[int], replies: Sequence[ReplyOrError]) -> None:
        if replies == [Reply.DONE] * len(replies):
            self._table.put_all(positions, self._done)
            self._acted += len(positions)
            self._let_go(positions)
            self._refused = -1
            return
        for position, reply in zip(positions, replies, strict=True):
            if isinstance(reply, ServerBusy):
                self._held.append(position)
                continue
            outcome, detail, note = self._came_to(position, reply)
            self._acted += outcome is self._done
            if reply in _BY_CONTENT and self._modules:
                detail += f" ({_MAY_BE_THE_MODULE.format(', '.join(self._modules))})"
            self._table.put(position, outcome, detail, note, moved=reply if isinstance(reply, KeyMoved) else None)
            if isinstance(reply, TriageError) and reply.error_class is ErrorClass.STOP:
                self._block(reply)
        self._count_refusals(replies)

    def _let_go(self, positions: Sequence[int]) -> None:
        known = self._due_ms if self._plan.operation is Operation.EXPIRE or self._saver is None else self._saver.saved
        for position in positions if known else ():
            known.pop(position, None)

    def _came_to(self, position: int, reply: ReplyOrError) -> CameTo:
        if reply is Reply.GONE:
            if position in self._sent_before:
                return Outcome.IN_DOUBT, LOST_AND_GONE, None
            return gone(self._plan.keys[position].id, self._before)
        return *outcome_of(reply, self._done), None

    def _count_refusals(self, replies: Sequence[ReplyOrError]) -> None:
        """Whether all that was tried was refused: then the rest would be, too."""
        refusals = all(isinstance(reply, CommandRefused) and not isinstance(reply, KeyMoved) for reply in replies)
        if not refusals or self._refused < 0:
            self._refused = -1
            return
        self._refused += len(replies)
        if self._refused >= min(_ALL_REFUSED, len(self.positions)):
            refusal = next(reply for reply in replies if isinstance(reply, CommandRefused))
            bare = str(refusal) == refusal.text
            self._block(CommandRefused(f"{self._command} was refused: {refusal}") if bare else refusal)

    def _block(self, error: TriageError) -> None:
        self.blocked = self.blocked or error
        self._throttle.stop()

    def _unknown(self, positions: Sequence[int]) -> None:
        for position in positions:
            self._table.put(position, Outcome.IN_DOUBT, _LOST)

    def _mutator(self, connection: PinnedConnection) -> KeyMutator:
        return KeyMutator(connection.channel, self._throttle, scripted=self._scripted, alone=self._alone)


def _split(todo: Sequence[int], sent: int, answered: set[int]) -> tuple[list[int], list[int]]:
    """Those of `todo` that were sent and of which nothing was told, and those that were not sent."""
    return [position for position in todo[:sent] if position not in answered], list(todo[sent:])


def _spread(positions: Sequence[int], now_ms: int, seconds: int) -> dict[int, int]:
    """When the keys are to expire, in Unix milliseconds of the server: spread over so many seconds."""
    jitter = [random.random() for _ in positions]  # noqa: S311 - it spreads load, and guards nothing
    return {
        position: now_ms + 1000 + round(1000 * seconds * late) for position, late in zip(positions, jitter, strict=True)
    }
