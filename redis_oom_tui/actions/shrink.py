"""A key made smaller: its elements written to the backup, removed in steps that check them, and what came of it."""

import time
from collections import deque
from collections.abc import Sequence
from itertools import islice

from redis_oom_tui.actions.context import ActionContext, Losses, asked_again
from redis_oom_tui.actions.deployment import Deployment
from redis_oom_tui.actions.saving import CapReached, on_disk
from redis_oom_tui.actions.shrink_planning import marked, node_of
from redis_oom_tui.actions.step_run import StepRun
from redis_oom_tui.files.backup import BackupMark, BackupWriter
from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import count, size
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.errors import ServerBusy, ServerUnreachable, TriageError
from redis_oom_tui.models.plan import Outcome
from redis_oom_tui.models.stepped import Element, ShrinkPlan
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import headroom
from redis_oom_tui.rules.shrinking import BY_NAME, elements_of, id_number
from redis_oom_tui.server.call_throttle import CallThrottle, paced
from redis_oom_tui.server.info_reader import BRIEF
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations import shrinking as removing
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, PinnedConnection
from redis_oom_tui.server.mutations.script_calls import ScriptCaller
from redis_oom_tui.server.mutations.shrinking import KeyState, Removal

# So often a stream, hash or set, whose elements have names, may differ from what was just read.
_TRIES = 3
_CHANGED = (
    "The key changed where its oldest elements are: others added or removed some. Preview again to remove the rest"
)

_FIELDS_CHANGED = "What was to go is not there as it was read: others changed it. Preview again to remove the rest"


class KeyChanged(TriageError):
    """The key is not as the plan and the last look have it: nothing more is removed."""


class ShrinkRun(StepRun):
    """A run of one shrink plan. Its view counts elements in place of keys."""

    def __init__(self, context: ActionContext, deployment: Deployment, plan: ShrinkPlan, backup: BackupChoice) -> None:
        super().__init__(context, deployment, plan, backup)
        self._plan = plan
        self._state: KeyState | None = None
        self._at_once = 1
        self._names = deque(plan.marked)
        self._behind: list[Element] = []
        self._losses, self._heard = Losses(), False

    def _number(self, number: int) -> str:
        return elements_of(self._plan.type, number)

    def _freed(self) -> int:
        if self._plan.size is None or self._state is None or self._state.size is None:
            return 0
        return max(0, self._plan.size - self._state.size)

    def _left_words(self) -> str:
        plan, state = self._plan, self._state
        if state is None or not self._record.begun:
            return ""
        was = f" (it took {size(plan.size)})" if plan.size is not None else ""
        takes = f" and takes about {size(state.size)}{was}" if state.size is not None else ""
        return f" The key has {self._number(state.elements)} now{takes}."

    async def _carry_out(self) -> None:
        plan = self._plan
        await self._deployment.refresh()
        server, _ = node_of(self._deployment, plan.key.key)
        snapshot = await server.snapshot()
        self._must_be_the_same(server, snapshot)
        self._used = (snapshot.memory.used_bytes, None)
        connection = PinnedConnection(server, plan.key.db, plan.run_id)
        try:
            await connection.open()
            self._state = await self._read_key(connection)
            if self._state is None or self._state.type != plan.type:
                raise KeyChanged("The key is gone, or of another type: preview again")
            name = escape_exact(plan.key.key[:200])
            what = f"remove {count(plan.going)} of {self._number(plan.elements)} from {name}"
            key = [plan.key.db, escape_exact(plan.key.key)]
            self._begin(Action.SHRINK, what, snapshot, key=key, elements=plan.going)
            async with self._throttled(server) as throttle:
                try:
                    await self._batches(server, connection, throttle)
                finally:
                    self._state = None
                    self._state = await self._read_key(connection)
                    await self._measure(server)
        finally:
            await connection.close()

    async def _read_key(self, connection: PinnedConnection) -> KeyState | None:
        key = self._plan.key.key
        return await asked_again(connection, lambda: removing.key_state(connection.channel, key), lambda: self._stop)

    async def _batches(self, server: LiveServer, connection: PinnedConnection, throttle: CallThrottle) -> None:
        tries = 0
        while self._settled < self._plan.going and not throttle.stopping:
            began = time.monotonic()
            snapshot = await asked_again(connection, lambda: server.snapshot(BRIEF), lambda: self._stop)
            self._at_once = headroom.elements_at_once(self._held(), self._plan.elements, headroom.headroom(snapshot))
            chunk = await asked_again(
                connection, lambda: self._next(connection.channel, self._size_of_batch(throttle)), lambda: self._stop
            )
            if not chunk:
                # Others took what was left of a stream, or each field of this batch has changed.
                if self._plan.type == "stream":
                    self._put(Outcome.GONE, self._plan.going - self._settled)
                continue
            before = self._settled
            try:
                await self._batch(connection, throttle, chunk)
                tries = 0
            except KeyChanged:
                tries = tries + 1 if self._settled == before else 0
                if self._plan.type in {"list", "zset"} or tries >= _TRIES:
                    raise
            throttle.batched(len(chunk), time.monotonic() - began)

    def _held(self) -> int | None:
        """What all elements would hold if each were as large as the mean of all, or of those that go."""
        plan = self._plan
        if plan.size is None or plan.about_bytes is None:
            return plan.size
        return max(plan.size, plan.about_bytes * plan.elements // max(1, plan.going))

    def _size_of_batch(self, throttle: CallThrottle) -> int:
        return max(1, min(throttle.keys, self._plan.going - self._settled, self._at_once))

    async def _next(self, channel: ExclusiveConnection, number: int) -> list[Element]:
        """The next elements that go, as they are now; those of a hash or set that are not as planned are settled."""
        plan, key = self._plan, self._plan.key.key
        if plan.type not in BY_NAME:
            end = plan.request.oldest_end
            found = await removing.first_elements(channel, key, plan.type, number, end)
            if plan.type == "stream":
                found = [entry for entry in found if id_number(entry[0]) <= id_number(plan.newest[0])]
            elif plan.type == "list":
                self._behind = await removing.first_elements(channel, key, plan.type, 1, end, start=len(found))
            return found
        wanted = list(islice(self._names, number))
        there = await removing.named_elements(channel, key, plan.type, [one.name for one in wanted])
        going: list[Element] = []
        for one, element in zip(wanted, there, strict=True):
            self._names.popleft()
            if element is not None and marked(element) == one:
                going.append(element)
            else:
                self._put(Outcome.GONE if element is None else Outcome.CHANGED)
        self._names.extendleft(reversed([marked(element) for element in going]))
        return going

    async def _batch(self, connection: PinnedConnection, throttle: CallThrottle, chunk: Sequence[Element]) -> None:
        """Write `chunk` down, and remove it call by call."""
        number, marks = self._record.next_batch(), list[BackupMark]()
        if self._writer is not None:
            marks = await self._saved(self._writer, chunk)
        await self._record.batch(number, [(self._plan.key.db, self._plan.key.key)])
        before, outcome, start = self._settled, Outcome.DELETED, 0
        read_back = self._counts[Outcome.IN_DOUBT]
        try:
            while start < len(chunk) and not throttle.stopping:
                start += await self._next_part(connection, throttle, chunk[start:])
                read_back = self._counts[Outcome.IN_DOUBT]
        except KeyChanged:
            outcome = Outcome.CHANGED
            raise
        except BaseException:
            in_doubt = self._counts[Outcome.IN_DOUBT] - read_back
            outcome = Outcome.IN_DOUBT if in_doubt else Outcome.FAILED
            start += in_doubt
            raise
        finally:
            if self._writer is not None and start < len(marks):
                # What was not removed is not to be restored: a list would have it twice.
                self._writer.rollback(marks[start])
                await on_disk(self._writer)
            words = f"{count(self._settled - before)} of {self._number(len(chunk))}"
            self._record.done(number, [outcome], {0: words})

    async def _saved(self, writer: BackupWriter, chunk: Sequence[Element]) -> list[BackupMark]:
        """Write `chunk` down; returns the places before each of its elements, for those that are not removed."""
        if writer.size > self._choice.max_total_bytes:
            raise CapReached(
                f"The backup has reached its cap of {size(self._choice.max_total_bytes)}, so the rest was left as it is"
            )
        plan, state = self._plan, self._state
        end = plan.request.oldest_end
        now_ms, expires_ms = (0, None) if state is None else (state.now_ms, state.expires_ms)
        common = Record(
            *(plan.key.db, plan.key.key, plan.type),
            expires_ms=expires_ms,
            saved_ms=now_ms,
            node=plan.key.node,
            end=None if end is None else end.value,
        )
        marks = []
        for element in chunk:
            marks.append(writer.mark())
            writer.add(replace(common, element=element))
        await on_disk(writer)
        return marks

    async def _next_part(self, connection: PinnedConnection, throttle: CallThrottle, rest: Sequence[Element]) -> int:
        """Remove the first of `rest`; how many are settled by that: none where they are to be removed once more."""
        part = rest[: throttle.per_call]
        try:
            await self._remove(connection, throttle, part)
        except ServerBusy:
            await connection.hold(lambda: throttle.stopping)
            return 0
        except ServerUnreachable as lost:
            return 0 if await self._is_there(connection, rest, len(part), lost) else len(part)
        return len(part)

    async def _is_there(
        self, connection: PinnedConnection, rest: Sequence[Element], number: int, lost: ServerUnreachable
    ) -> bool:
        """Whether the first of `rest`, so many, whose removal had no answer, are in the key still; else they are in
        doubt. Raises `lost` where nobody tells.
        """
        plan, part, behind = self._plan, rest[:number], [*rest[number:], *self._behind]
        there = None
        try:
            if not self._losses.enough(since_last=self._heard):
                self._heard = False
                await connection.reopen()
                facts = plan.key.key, plan.type, part, behind, plan.request.oldest_end
                there = await asked_again(
                    connection, lambda: removing.still_there(connection.channel, *facts), lambda: self._stop
                )
        finally:
            if not there:
                self._settle(Outcome.IN_DOUBT, number)
        if there is None:
            raise lost
        return there

    async def _remove(self, connection: PinnedConnection, throttle: CallThrottle, part: Sequence[Element]) -> None:
        plan = self._plan
        removal = Removal(part, plan.going - self._settled, plan.newest)
        call = removing.removing(plan.key.key, plan.type, removal, plan.request.oldest_end)
        try:
            (reply,) = await paced(throttle, ScriptCaller(connection.channel).call(call), len(part))
        except ServerUnreachable:
            raise
        except BaseException:
            self._put(Outcome.IN_DOUBT, len(part))
            raise
        self._heard = True
        came_to = removing.removed(reply)
        if came_to.changed:
            raise KeyChanged(_FIELDS_CHANGED if plan.type in {"hash", "set"} else _CHANGED)
        self._settle(Outcome.DELETED, came_to.removed)
        if came_to.removed != len(part):
            self._settle(Outcome.GONE, len(part) - came_to.removed)

    def _settle(self, outcome: Outcome, number: int) -> None:
        """Count the next elements, which are not to be looked at any more."""
        self._put(outcome, number)
        for _ in range(number) if self._names else ():
            self._names.popleft()
