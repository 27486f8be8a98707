"""Putting values back: RESTORE without REPLACE, each key read again behind it. All times are the server's."""

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

from redis_oom_tui.formatting.sizes import size
from redis_oom_tui.models.action import MIB, RestoreOutcome
from redis_oom_tui.models.errors import CommandRefused, TriageError
from redis_oom_tui.server.call_throttle import Throttle, windowed
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.mutations.replies import pairs
from redis_oom_tui.server.mutations.restoring import RestoreReply, restore_reply, restored_for
from redis_oom_tui.server.resp import KeyQuestion, packed, packed_by_key

# RESTORE IDLETIME of seven days or more reads back as 97 days on Redis 6.2.
_OLD_IDLE_LIMIT = 7 * 86400 - 1
_IDLE_LIMIT = 2**24 - 1
# So many bytes of values in a call at most, but at least one key.
_BYTES_IN_CALL = 1024 * 1024
# How large a part of a command may be: as `proto-max-bulk-len` says, which is no less than a MiB, else as it is unset.
_PART_LIMIT = b"proto-max-bulk-len"
_LOWEST_LIMIT, _USUAL_LIMIT = MIB, 512 * MIB


async def too_large(channel: ExclusiveConnection, sizes: Mapping[int, int]) -> dict[int, RestoreReply]:
    """What became of those of `sizes` (bytes, by position) that the server takes in no command: it closes the
    connection at one of them, and the others would not be restored either.
    """
    if max(sizes.values(), default=0) <= _LOWEST_LIMIT:
        return {}
    (reply,) = await channel.call([("CONFIG", "GET", _PART_LIMIT)])
    fields = pairs(reply)
    limit = _USUAL_LIMIT if isinstance(fields, TriageError) else int(fields.get(_PART_LIMIT, _USUAL_LIMIT))
    why = (
        f"its copy is larger than the {size(limit)} that the server takes: raise {_PART_LIMIT.decode()}, then try again"
    )
    return {at: RestoreReply(RestoreOutcome.FAILED, why) for at, bytes_ in sizes.items() if bytes_ > limit}


class Value(NamedTuple):
    """A key to put back: DUMP's bytes, in how many milliseconds it expires (None: never), idle time or frequency."""

    key: bytes
    payload: bytes
    ttl_ms: int | None
    idle_seconds: int | None
    frequency: int | None


class ValueRestorer:
    """Puts values back on `channel`, in calls as large as `throttle` says. `old_idle_bug` as on Redis 6.2.

    What the values have left to live is counted from when this was made.
    """

    def __init__(self, channel: ExclusiveConnection, throttle: Throttle, *, old_idle_bug: bool) -> None:
        self._channel = channel
        self._throttle = throttle
        self._idle_limit = _OLD_IDLE_LIMIT if old_idle_bug else _IDLE_LIMIT
        self._began = time.monotonic()

    async def put_back(self, values: Sequence[Value]) -> AsyncGenerator[dict[int, RestoreReply], None]:
        """RESTORE each value where no key stands, and see that it is there: yields what became of some, by their
        positions, until all are told of, one met a busy server, or the throttle is stopping. Raises ServerUnreachable
        where replies were lost.
        """
        calls = _RestoreCalls(self._channel, self._throttle, values, self._idle_limit, self._began)
        without_age: list[int] = []
        async with contextlib.aclosing(windowed(self._throttle, calls, len(values))) as answers:
            async for start, end, replies in answers:
                results = {at: one for at, one in zip(range(start, end), replies, strict=True) if one is not None}
                # A service without IDLETIME and FREQ (MemoryDB) calls them a syntax error.
                without_age += (
                    [at for at in range(start, end) if at not in results] if len(results) < end - start else []
                )
                calls.busy = calls.busy or any(one.busy is not None for one in results.values())
                yield results
        if without_age and not calls.busy:
            # The value is worth more than its age.
            bare = [values[at]._replace(idle_seconds=None, frequency=None) for at in without_age]
            async with contextlib.aclosing(self.put_back(bare)) as parts:
                async for part in parts:
                    yield {without_age[place]: one for place, one in part.items()}


class _RestoreCalls:
    """Calls that restore `values`. Implements `call_throttle.Calls`; an answer is None for a key that was refused for
    its age alone. Once a server was `busy`, no further one is sent.
    """

    def __init__(
        self, channel: ExclusiveConnection, throttle: Throttle, values: Sequence[Value], idle_limit: int, began: float
    ) -> None:
        self._channel = channel
        self._throttle = throttle
        self._values = values
        self._idle_limit = idle_limit
        self._began = began
        self.busy = False

    @property
    def ending(self) -> bool:
        """Whether to send no further one."""
        return self.busy or self._throttle.stopping

    def end(self, at: int) -> int:
        """Where a call that begins at `at` ends."""
        most, held = min(len(self._values), at + self._throttle.per_call), 0
        for place in range(at, most):
            held += len(self._values[place].payload)
            if held > _BYTES_IN_CALL and place > at:
                return place
        return most

    def make(self, at: int, end: int) -> tuple[Sequence[Value], bytes]:
        """The RESTOREs of these keys, and behind them a PTTL of each."""
        values, passed_ms, limit = self._values[at:end], self._passed_ms(), self._idle_limit
        parts = [packed(_restore(value, passed_ms, limit)) for value in values]
        parts.append(packed_by_key((KeyQuestion.TTL,), [value.key for value in values]))
        return values, b"".join(parts)

    async def send(self, made: tuple[Sequence[Value], bytes]) -> None:
        """Send it without waiting for its reply."""
        values, buffer = made
        await self._channel.send(("RESTORE", "PTTL"), buffer, 2 * len(values))

    async def answer(self, made: tuple[Sequence[Value], bytes], keys: int) -> list[RestoreReply | None]:
        """What became of each of these keys."""
        values, _ = made
        replies = await self._channel.next_replies(keys, "RESTORE")
        ttls = await self._channel.next_replies(keys, "PTTL")
        passed_ms = self._passed_ms()
        return [
            _refused(value, reply) if isinstance(reply, TriageError) else restored_for(value.ttl_ms, ttl, passed_ms)
            for value, reply, ttl in zip(values, replies, ttls, strict=True)
        ]

    async def abandon(self) -> None:
        """Disconnect, as replies may still be on their way."""
        await self._channel.abandon()

    def _passed_ms(self) -> int:
        return int((time.monotonic() - self._began) * 1000)


def _refused(value: Value, reply: TriageError) -> RestoreReply | None:
    aged = value.idle_seconds is not None or value.frequency is not None
    if aged and isinstance(reply, CommandRefused) and "syntax error" in reply.text.lower():
        return None
    return restore_reply(reply)


def _restore(value: Value, passed_ms: int, idle_limit: int) -> tuple[bytes, ...]:
    """RESTORE, `passed_ms` after what is left of its life was worked out."""
    key, payload, ttl_ms, idle, frequency = value
    # A span, as of a time that has passed the server says OK and creates nothing; 0 would be no expiry.
    span = b"0" if ttl_ms is None else b"%d" % max(1, ttl_ms - passed_ms)
    if idle is not None:
        return (b"RESTORE", key, span, payload, b"IDLETIME", b"%d" % min(idle, idle_limit))
    if frequency is not None:
        return (b"RESTORE", key, span, payload, b"FREQ", b"%d" % frequency)
    return (b"RESTORE", key, span, payload)
