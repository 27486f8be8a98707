"""One batch of a plan: saved, acted on, and, where a reply was lost, read again instead of guessed."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from redis_oom_tui.actions.saving import Saver, outcome_of
from redis_oom_tui.actions.tally import Tally
from redis_oom_tui.models.errors import (
    CommandMissing,
    CommandRefused,
    PermissionRefused,
    ServerUnreachable,
    TriageError,
    WritesBlocked,
)
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Deed, Outcome, Plan
from redis_oom_tui.rules.recheck import TTL_SLACK_MS, expected
from redis_oom_tui.rules.report import blocks_writes
from redis_oom_tui.store.changing.acting import KEYS_PER_CALL, Check, Hands, Said
from redis_oom_tui.store.changing.line import Line

_SAVE_AT_ONCE = 4 * 1024 * 1024
_UNKNOWN_SIZE = 64 * 1024
_LOST_AND_GONE = "the reply was lost; it is gone now"
_LOST = "the connection was lost before the reply: not known whether it was done"


class Task(NamedTuple):
    """A key that may be acted on: its position in the plan, how it must look, and, to expire, when it is due."""

    at: int
    check: Check
    due_ms: int = 0


class Worker:
    """Acts on batches of `plan` and writes into `tally`. `blocked` is why nothing more can be done, once that is so.

    `copies` are digests of keys that an earlier run of the plan has saved (`resuming`). `window` is how many calls may
    be on their way at once.
    """

    def __init__(
        self,
        plan: Plan,
        tally: Tally,
        saver: Saver | None,
        *,
        scripted: bool,
        alone: bool,
        copies: Mapping[KeyId, str] | None = None,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._saver = saver
        self._scripted = scripted
        self._alone = alone
        self._copies = copies or {}
        self._wall = wall
        self._chance = chance
        self._done = Outcome.DELETED if plan.deed is Deed.DELETE else Outcome.EXPIRING
        self._command = "UNLINK" if plan.deed is Deed.DELETE else "PEXPIREAT"
        self._began = wall()
        self.window = 1
        self.blocked: TriageError | None = None

    def cut(self, positions: Sequence[int], start: int, most: int) -> list[int]:
        """The batch of `positions` from `start` on: at most `most` keys, all of one database."""
        batch: list[int] = []
        held = 0
        for at in positions[start : start + most]:
            key = self._plan.keys[at]
            if batch and key.id.db != self._plan.keys[batch[0]].id.db:
                break
            held += key.size if key.size is not None else _UNKNOWN_SIZE
            if batch and held > _SAVE_AT_ONCE and self._saver is not None:
                break
            batch.append(at)
        return batch

    async def work(self, line: Line, batch: Sequence[int]) -> None:
        """Save and act on the keys of `batch`. Each of them has its outcome afterwards, also when this raises."""
        now = self._wall()
        keys = [self._plan.keys[at] for at in batch]
        checks = [Check(key.id, expected(key, now, self._copies.get(key.id, ""))) for key in keys]
        tasks = self._timed([*zip(batch, checks, strict=True)])
        if self._saver is not None and self._plan.deed is Deed.EXPIRE:
            self._saver.note(batch, [task.due_ms for task in tasks], now)
        elif self._saver is not None:
            tasks = self._timed(await self._saved(line, self._saver, batch, checks))
        at_once = self.window * KEYS_PER_CALL
        for start in range(0, len(tasks), at_once):
            if self.blocked is None:
                await self._act(line, tasks[start : start + at_once])

    async def _saved(
        self, line: Line, saver: Saver, batch: Sequence[int], checks: Sequence[Check]
    ) -> list[tuple[int, Check]]:
        try:
            return await saver.save(self._hands(line), batch, checks, self._wall())
        except ServerUnreachable:
            await line.reopen()
            return await saver.save(self._hands(line), batch, checks, self._wall())

    def _timed(self, ready: Sequence[tuple[int, Check]]) -> list[Task]:
        """`ready` as tasks; to expire, with ends that spread over the plan's span."""
        span = self._plan.expire_seconds or 0
        if self._plan.deed is Deed.DELETE:
            return [Task(at, check) for at, check in ready]
        first = max(self._began, self._wall()) + 1.0
        return [Task(at, check, round((first + span * self._chance()) * 1000)) for at, check in ready]

    async def _act(self, line: Line, tasks: list[Task]) -> None:
        for last in (False, True):
            if not tasks:
                return
            try:
                replies = await self._send(self._hands(line), tasks)
            except ServerUnreachable:
                if last:
                    self._unknown(tasks)
                    raise
                tasks = await self._after_loss(line, tasks)
            else:
                self._settle(tasks, replies)
                return

    async def _send(self, hands: Hands, tasks: Sequence[Task]) -> list[Said]:
        checks = [task.check for task in tasks]
        if self._plan.deed is Deed.DELETE:
            return await hands.delete(checks)
        return await hands.expire(checks, [task.due_ms for task in tasks], round(self._wall() * 1000))

    async def _after_loss(self, line: Line, tasks: list[Task]) -> list[Task]:
        """Read the keys in flight again; those to which nothing was done are to be tried once more."""
        try:
            await line.reopen()
            lives = await self._hands(line).lives([task.check.id for task in tasks])
        except TriageError:
            self._unknown(tasks)
            raise
        left = []
        now_ms = round(self._wall() * 1000)
        for task, ttl in zip(tasks, lives, strict=True):
            if ttl is None:
                self._tally.put(task.at, Outcome.GONE, _LOST_AND_GONE)
            elif self._plan.deed is Deed.EXPIRE and ttl >= 0 and abs(now_ms + ttl - task.due_ms) <= TTL_SLACK_MS:
                self._tally.put(task.at, Outcome.EXPIRING)
            else:
                left.append(task)
        return left

    def _settle(self, tasks: Sequence[Task], replies: Sequence[Said]) -> None:
        for task, reply in zip(tasks, replies, strict=True):
            outcome, detail = outcome_of(reply, self._done)
            self._tally.put(task.at, outcome, detail)
            if isinstance(reply, WritesBlocked):
                self.blocked = reply
            elif isinstance(reply, str) and blocks_writes(reply):
                self.blocked = WritesBlocked(f"The server accepts no writes now: {reply}", text=reply)
        if self.blocked is None and all(
            isinstance(reply, (PermissionRefused, CommandMissing, str)) for reply in replies
        ):
            said = next(iter(replies))
            self.blocked = (
                said if isinstance(said, TriageError) else CommandRefused(f"{self._command} was refused: {said}")
            )

    def _unknown(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._tally.put(task.at, Outcome.FAILED, _LOST)

    def _hands(self, line: Line) -> Hands:
        return Hands(line.channel, scripted=self._scripted, alone=self._alone, window=self.window)
