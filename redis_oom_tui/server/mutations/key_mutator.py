"""Check each key again, and delete it, let it expire or save it: by script in one step, else as close as it goes."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from redis_oom_tui.models.errors import PermissionRefused, ServerBusy, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.rules.expected_state import Expected
from redis_oom_tui.rules.headroom import headroom_in
from redis_oom_tui.server.call_throttle import Throttle, windowed
from redis_oom_tui.server.mutations import scripts
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.mutations.non_atomic_mutator import NonAtomicMutator
from redis_oom_tui.server.mutations.replies import (
    Limit,
    ReplyOrError,
    Saved,
    Uncopied,
    replies_of_all,
    reply_or_error,
    saved_or_error,
    server_time,
    string,
)
from redis_oom_tui.server.mutations.script_calls import ScriptCall, ScriptCaller, checking
from redis_oom_tui.server.mutations.scripts import Reply
from redis_oom_tui.server.replies import info_in

_Reply = TypeVar("_Reply", ReplyOrError, Saved | Uncopied | ReplyOrError)


class KeyReplies(NamedTuple):
    """What became of some keys that follow each other, from that at position `at` on."""

    at: int
    replies: list[ReplyOrError]


class ReplyRoom(NamedTuple):
    """Bytes that are free for replies, None where nothing bounds them; `freeing` while more becomes free."""

    free: int | None
    freeing: bool


class _Weights:
    """Cuts calls short: of keys of these sizes no more than `at_once` bytes go into one, but at least one key."""

    def __init__(self, sizes: Sequence[int] = (), at_once: int = 0) -> None:
        self._sizes = sizes
        self._at_once = at_once

    def end(self, at: int, end: int) -> int:
        """Where a call that begins at `at` ends, at `end` at the latest."""
        held = 0
        for place, size in enumerate(self._sizes[at:end], at):
            held += size
            if place > at and held > self._at_once:
                return place
        return end


class KeyMutator:
    """Acts on keys of one database. `scripted` is False where EVAL is refused; `alone` sends each key by itself. After
    a lost connection `sent` is how many of the keys, from the first on, may have been acted on. Once the server said
    that it carries out nothing just now, no further call is sent.
    """

    def __init__(
        self, channel: ExclusiveConnection, throttle: Throttle, *, scripted: bool, alone: bool = False
    ) -> None:
        self.channel = channel
        self.throttle = throttle
        self._scripted = scripted
        self._steps = NonAtomicMutator(channel)
        self.caller = ScriptCaller(channel)
        self.alone = alone
        self._weights = _Weights()
        self.sent = 0
        self._held = False

    async def headroom(self) -> ReplyRoom:
        """What is free for replies now. Raises one of `models.errors`."""
        replies = await self.channel.call([("INFO", "memory"), ("INFO", "keyspace")])
        texts = [string(reply) for reply in replies]
        for text in texts:
            if isinstance(text, TriageError):
                raise text
        fields = info_in(b"\n".join(text for text in texts if isinstance(text, bytes)))
        free = headroom_in(fields, self.channel.stated_limit_bytes)
        return ReplyRoom(free, freeing=fields.get("lazyfree_pending_objects", "0") != "0")

    def take_sizes(self, sizes: Sequence[int], at_once: int) -> None:
        """What is deleted next is of these sizes, and its values are read again: `at_once` bytes in a call at most."""
        self._weights = _Weights(sizes, at_once)

    async def delete(self, wanted: Sequence[Expected]) -> AsyncGenerator[KeyReplies, None]:
        """UNLINK each key that still looks as expected, and tell of some at a time, until all are told of or the
        throttle is stopping. Raises ServerUnreachable where replies were lost.
        """
        weights, self._weights = self._weights, _Weights()
        self._held = False
        if self._scripted:
            calls = self._calls(len(wanted), lambda at, end: checking(scripts.DELETE, wanted[at:end]), weights)
            async with contextlib.aclosing(calls) as answers:
                async for at, replies in answers:
                    yield self._held_replies(at, _replies_of_all(replies))
            return
        async with contextlib.aclosing(self._parts(wanted, weights)) as parts:
            async for at, part in parts:
                yield self._held_replies(at, await self._steps.delete(part))

    async def expire(self, wanted: Sequence[Expected], due_ms: Sequence[int]) -> AsyncGenerator[KeyReplies, None]:
        """Give each unchanged key its end at `due_ms` (Unix milliseconds of the server), unless it ends sooner already.

        One that is overdue when its turn comes keeps a second.
        """
        self._held = False
        if self._scripted:
            calls = self._calls(
                len(wanted), lambda at, end: checking(scripts.EXPIRE, wanted[at:end], due_ms[at:end]), _Weights()
            )
            async with contextlib.aclosing(calls) as answers:
                async for at, replies in answers:
                    yield self._held_replies(at, _replies_of_all(replies))
            return
        async with contextlib.aclosing(self._parts(wanted)) as parts:
            async for at, part in parts:
                yield self._held_replies(at, await self._steps.expire(part, due_ms[at : at + len(part)]))

    async def save(
        self, wanted: Sequence[Expected], sizes: Sequence[int], limit: Limit
    ) -> AsyncGenerator[tuple[int, list[Saved | Uncopied | ReplyOrError]], None]:
        """The value of each key that still looks as expected, some at a time with the position of the first, until the
        throttle is stopping. What does not fit into `limit` is Uncopied, or LATER; `sizes` are the sizes as far as
        they are known. Raises as `delete` does.
        """
        limit = limit._replace(at_once=limit.at_once // max(1, self.throttle.window))
        weights = _Weights(sizes, limit.at_once)
        self._held = False
        if not self._scripted:
            async with contextlib.aclosing(self._parts(wanted, weights)) as parts:
                async for at, part in parts:
                    yield at, self._noting_busy(await self._steps.save(part, limit))
            return
        most = -limit.most if limit.unsized else limit.most
        packed = scripts.COPY_LIMIT.pack(most, limit.at_once)
        calls = self._calls(len(wanted), lambda at, end: checking(scripts.SAVE, wanted[at:end], limit=packed), weights)
        async with contextlib.aclosing(calls) as answers:
            async for at, replies in answers:
                yield at, self._noting_busy(saved_or_error(replies))

    def _held_replies(self, at: int, replies: list[ReplyOrError]) -> KeyReplies:
        return KeyReplies(at, self._noting_busy(replies))

    def _noting_busy(self, replies: list[_Reply]) -> list[_Reply]:
        self._held = self._held or any(issubclass(kind, ServerBusy) for kind in set(map(type, replies)))
        return replies

    @property
    def ending(self) -> bool:
        """Whether to send no further call."""
        return self.throttle.stopping or self._held

    async def ends(self, keys: Sequence[KeyId]) -> list[int | None]:
        """When each key expires, in Unix milliseconds of the server; -1 where it does not, None where it is gone."""
        now = await server_time(self.channel)
        replies = await self.channel.call([("PTTL", key.key) for key in keys])
        for reply in replies:
            if isinstance(reply, ServerBusy):
                raise reply
        return [
            None if reply == -2 else now.ms + reply if isinstance(reply, int) and reply >= 0 else -1
            for reply in replies
        ]

    async def _parts(
        self, wanted: Sequence[Expected], weights: "_Weights | None" = None
    ) -> AsyncGenerator[tuple[int, Sequence[Expected]], None]:
        """`wanted` in parts, each as soon as it may be acted on."""
        weights, at = weights or _Weights(), 0
        while at < len(wanted) and not self.ending:
            await self.throttle.ready()
            part = wanted[at : weights.end(at, min(len(wanted), at + self.throttle.per_call))]
            self.sent = at + len(part)
            self.throttle.begun()
            began = self.throttle.now()
            took = False
            try:
                yield at, part
                took = True
            finally:
                # Of a lost reply the pacer hears as well, or it would wait for it for ever.
                self.throttle.took(len(part) if took else 0, *began.until(self.throttle.now()))
            at += len(part)

    async def _calls(
        self, number: int, call: Callable[[int, int], ScriptCall], weights: _Weights
    ) -> AsyncGenerator[tuple[int, list[Any]], None]:
        """Make each `call` about keys from one position to another, `number` in all, the next on its way while the
        server works at one: yields the replies to some of them, and from which position on they are. Whoever leaves off
        early loses the connection.
        """
        refused: list[tuple[int, int]] = []
        calls = _ScriptCalls(self, number, call, weights)
        async with contextlib.aclosing(windowed(self.throttle, calls, number)) as answers:
            async for start, end, replies in answers:
                if isinstance(replies, PermissionRefused):
                    refused.append((start, end))
                else:
                    yield start, replies
        for start, end in refused:
            yield start, await self._singly(calls, start, end)

    async def _singly(self, calls: "_ScriptCalls", start: int, end: int) -> list[Any]:
        """One key that this user may not touch refuses a whole call, and nothing of it ran: each key by itself."""
        return [replies_of_all(one, 1)[0] for one in await self.caller.call(*calls.each(start, end))]


class _ScriptCalls:
    """Calls about `number` keys of a mutator, each made by `call`. Implements `call_throttle.Calls`."""

    def __init__(
        self, mutator: KeyMutator, number: int, call: Callable[[int, int], ScriptCall], weights: _Weights
    ) -> None:
        self._mutator = mutator
        self._number = number
        self._call = call
        self._weights = weights

    @property
    def ending(self) -> bool:
        """Whether to send no further one."""
        return self._mutator.ending

    def end(self, at: int) -> int:
        """Where a call that begins at `at` ends."""
        return self._weights.end(at, min(self._number, at + self._mutator.throttle.per_call))

    def make(self, at: int, end: int) -> list[ScriptCall]:
        """One call for all of these keys, or one for each."""
        self._mutator.sent = end
        if self._mutator.alone:
            return self.each(at, end)
        return [self._call(at, end)]

    def each(self, start: int, end: int) -> list[ScriptCall]:
        """A call for each key."""
        return [self._call(at, at + 1) for at in range(start, end)]

    async def send(self, made: list[ScriptCall]) -> None:
        """Send it without waiting for its reply."""
        await self._mutator.caller.send(*made)

    async def answer(self, made: list[ScriptCall], keys: int) -> list[Any] | PermissionRefused:
        """The replies about the keys of `made`; the refusal where it met a call of several keys."""
        replies = await self._mutator.caller.replies(made)
        if self._mutator.alone:
            return [replies_of_all(one, 1)[0] for one in replies]
        if isinstance(replies[0], PermissionRefused) and keys > 1:
            return replies[0]
        return replies_of_all(replies[0], keys)

    async def abandon(self) -> None:
        """Disconnect, as replies may still be on their way."""
        await self._mutator.channel.abandon()


def _replies_of_all(replies: list[Any]) -> list[ReplyOrError]:
    # Usually all of them are alike, and there are many.
    return (
        [Reply.DONE] * len(replies) if replies == [1] * len(replies) else [reply_or_error(reply) for reply in replies]
    )
