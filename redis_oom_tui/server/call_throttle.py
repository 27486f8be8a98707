"""How much of an action goes to the server at once, and how much of the server's time it takes.

What hurts others is the call that the server works off before it turns to them: so calls are as long as suits who else
is there, by what the last ones took. How often they come is a share of the server's time, moved by what probes wait.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol, TypeVar

from redis_oom_tui.formatting.sizes import percent
from redis_oom_tui.server.clocks import ClockReading, undelayed_clock
from redis_oom_tui.server.pace_steps import CALLS, LONG_WAY
from redis_oom_tui.server.rate_controller import Hold, Probes, RateController

# How long a call may take, in seconds: beside others at work, where one in a hundred of them waits for all of it, and
# where nobody waits behind it. By itself a call takes 10 µs of the server, and 50 of this process.
_CALL_SHARED, _CALL_ALONE = 0.00005, 0.001
# By such a part of itself the way to the server may take longer at times: that is no time of the server.
_TREMBLES = 0.2
_FEWEST, _FIRST, _MOST_SHARED, _MOST = 5, 16, 64, 400
# So many keys SCAN passes in the time in which one is looked at.
_PASSED, _MOST_PASSED = 8, 2000
# A call that took longer than so many quick ones counts as so many, as far as this process waited for a processor.
_CALLS_COMPARED, _TIMES_QUICK = 6, 2
# What is written down at a time, and may be in doubt after a crash.
_BATCH_FEWEST, _BATCH_FIRST, _BATCH_MOST, _BATCH_SECONDS = 100, 200, 2000, 0.1
# An event loop sleeps a millisecond at least; and nobody should wait longer than a second for the next sign of life.
_SHORTEST_REST, _LONGEST_REST = 0.001, 1.0
_GUESSED_SECONDS = 1e-5
_RECKONED_SECONDS = 0.25


_Made = TypeVar("_Made")
_Answer = TypeVar("_Answer")
_Answer_co = TypeVar("_Answer_co", covariant=True)


class Throttle(Protocol):
    """How much is sent at once, asked before each call."""

    @property
    def per_call(self) -> int:
        """How many keys to look at, or to act on, in a call."""

    @property
    def per_page(self) -> int:
        """How many keys SCAN may pass in a call that asks for names alone."""

    @property
    def window(self) -> int:
        """How many calls may be on their way."""

    @property
    def resting(self) -> bool:
        """Whether to let what is on its way come home, and then wait for `ready`, before the next call."""

    @property
    def stopping(self) -> bool:
        """Whether to send no further call."""

    @property
    def now(self) -> Callable[[], ClockReading]:
        """The clock that calls are timed by."""

    async def ready(self) -> None:
        """Return when the next call may be sent."""

    def begun(self) -> None:
        """A call is on its way."""

    def took(self, keys: int, seconds: float, waited: float = 0.0) -> None:
        """It was of so many keys and kept the server for at most so long, some of which this process may have `waited`
        for a processor; of none where its reply was lost.
        """


class Calls(Protocol[_Made, _Answer_co]):
    """Calls about some keys that follow each other, as they are sent over one connection."""

    @property
    def ending(self) -> bool:
        """Whether to send no further one."""

    def end(self, at: int) -> int:
        """Where a call that begins at position `at` ends."""

    def make(self, at: int, end: int) -> _Made:
        """The call about the keys from `at` to `end`."""

    async def send(self, made: _Made) -> None:
        """Send it without waiting for its reply."""

    async def answer(self, made: _Made, keys: int) -> _Answer_co:
        """The reply to it: the next that comes."""

    async def abandon(self) -> None:
        """Disconnect, as replies may still be on their way."""


async def windowed(
    throttle: Throttle, calls: Calls[_Made, _Answer], number: int
) -> AsyncGenerator[tuple[int, int, _Answer], None]:
    """Send `calls` about `number` keys, the next on its way while the server works at one: yields each answer with the
    positions that it is about, from the first to behind the last. Whoever leaves off early loses the connection.
    """
    on_the_way: deque[tuple[int, int, ClockReading, _Made]] = deque()
    at, last = 0, ClockReading(0.0)
    try:
        while True:
            while at < number and len(on_the_way) < throttle.window and not calls.ending:
                if throttle.resting:
                    if on_the_way:
                        break
                    await throttle.ready()
                end = calls.end(at)
                throttle.begun()
                made = calls.make(at, end)
                on_the_way.append((at, end, throttle.now(), made))
                await calls.send(made)
                at = end
            if not on_the_way:
                break
            start, end, sent, made = on_the_way[0]
            answer = await calls.answer(made, end - start)
            on_the_way.popleft()
            now = throttle.now()
            throttle.took(end - start, *max(sent, last).until(now))
            last = now
            yield start, end, answer
    finally:
        for _ in on_the_way:
            throttle.took(0, 0.0)
        if on_the_way:
            await calls.abandon()


class CallThrottle:
    """Fits calls to the server by what `rate` allows: longer and more often while nobody waits for them.

    All times are in seconds. `now` times the calls.
    """

    def __init__(
        self,
        rate: RateController | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], ClockReading] | None = None,
    ) -> None:
        self.rate = RateController(CALLS) if rate is None else rate
        self._clock = clock
        self.now: Callable[[], ClockReading] = now or undelayed_clock().moment
        self._size = _FIRST
        self._calls: list[float] = []
        self._quick = math.inf
        self._owed = 0.0
        self._used = 0.0
        self._used_since = clock()
        self._using: float | None = None
        self.keys = _BATCH_FIRST

    # What the calls ask.

    @property
    def per_call(self) -> int:
        """How many keys in a call, so that it takes about as long as it may."""
        return self._size if self.alone else min(self._size, _MOST_SHARED)

    @property
    def per_page(self) -> int:
        """The same of keys that SCAN passes."""
        return min(_MOST_PASSED, _PASSED * self.per_call)

    @property
    def window(self) -> int:
        """How many calls may be on their way at once: over a long way, as many as keep the server from waiting."""
        if self.probes.round_trip >= LONG_WAY:
            return 10
        return 2 if self.alone else 1

    @property
    def resting(self) -> bool:
        """Whether the next call has to wait."""
        return self._owed >= _SHORTEST_REST or self.rate.holding

    async def ready(self) -> None:
        """Return when the next call may be sent."""
        await self.rate.ready()
        if self._owed >= _SHORTEST_REST and not self.stopping:
            began = self._clock()
            await asyncio.sleep(self._owed)
            self._owed = max(-_SHORTEST_REST, self._owed - (self._clock() - began))
        await self.rate.ready()

    def begun(self) -> None:
        """A call is on its way."""
        self.rate.begun()

    def took(self, keys: int, seconds: float, waited: float = 0.0) -> None:
        """A call of so many keys kept the server, or the way to it, for so long; of none where its reply was lost.

        While this process `waited` for a processor, the server may have been at work, or others. So how long calls may
        be goes by the quick ones with all of their time, and the share of the server by the least that is certain.
        """
        self.rate.ended()
        if not keys:
            return
        if self.probes.round_trip >= LONG_WAY:
            # Most of it was the way: what the server's part was can only be guessed.
            server = busy = min(seconds, keys * _GUESSED_SECONDS)
        else:
            server = max(0.0, seconds - self._way)
            certain = max(seconds - waited, min(seconds, _TIMES_QUICK * (self._quick + self._way)))
            # Where the way took longer at rest, rests must not fall away; but calls are not cut short for its sake.
            busy = max(certain - self._way, certain / 5)
        self._fit(server)
        self._used += busy
        self._owed = min(_LONGEST_REST, self._owed + busy * (1.0 / self.share - 1.0))

    @property
    def _way(self) -> float:
        """What a call takes besides the server's work, as far as that matters."""
        return 0.0 if self.alone else self.probes.least_at_rest

    def _fit(self, server: float) -> None:
        """Longer or shorter calls, by what the quicker of the last ones took: the others may have waited for us."""
        self._calls.append(server)
        if len(self._calls) < _CALLS_COMPARED:
            return
        self._quick = sorted(self._calls)[1]
        allowed = _CALL_ALONE if self.alone else _CALL_SHARED + _TREMBLES * max(0.0, self._way - _CALL_SHARED)
        self._calls.clear()
        if self._quick > 1.5 * allowed:
            self._size = max(_FEWEST, self._size * 3 // 4)
        elif self._quick < allowed:
            self._size = min(_MOST, self._size * 3 // 2)

    def batched(self, keys: int, seconds: float) -> None:
        """A batch of so many keys took so long: the next is longer while that was short."""
        fitting = int(keys * _BATCH_SECONDS / max(seconds, 1e-6))
        self.keys = max(_BATCH_FEWEST, min(_BATCH_MOST, fitting, 2 * self.keys))

    # How hard it leans.

    @property
    def probes(self) -> Probes:
        """What PINGs waited."""
        return self.rate.probes

    @property
    def alone(self) -> bool:
        """Whether nobody else is at work, as far as is known."""
        return self.rate.alone

    @property
    def share(self) -> float:
        """How much of the server's time it may take."""
        return self.rate.step.share

    @property
    def throttled(self) -> bool:
        """Whether it holds itself back now."""
        return self.rate.throttled

    @property
    def stopping(self) -> bool:
        """Whether to send nothing more at all."""
        return self.rate.stopping

    def stop(self) -> None:
        """Send nothing more at all."""
        self.rate.stop()

    def words(self, doing: str) -> str:
        """The phase as a person reads it.

        >>> throttle = CallThrottle()
        >>> throttle.words("deleting")
        'deleting'
        >>> throttle.rate.rested([0.001]); throttle.rate.probed(0.04); throttle.rate.decide()
        >>> throttle.words("deleting")
        'deleting, throttled: using 0% of the server (budget 5%), which takes 40 ms to answer'
        """
        if Hold.SLOW in self.rate.holds:
            return f"{doing}, throttled: the server answers too slowly"
        self._measure_share()
        using = f"using {percent(self._using or 0.0)} of the server (budget {percent(self.share)})"
        if self.throttled:
            return f"{doing}, throttled: {using}, which takes {math.ceil(self.probes.waited * 1000)} ms to answer"
        return doing if self.alone or self._using is None else f"{doing}, {using}"

    def _measure_share(self) -> None:
        """What share of the server's time the calls took of late."""
        now = self._clock()
        if now - self._used_since >= _RECKONED_SECONDS:
            self._using = min(1.0, self._used / (now - self._used_since))
            self._used, self._used_since = 0.0, now


async def paced(throttle: CallThrottle, ask: Awaitable[_Answer], keys: int) -> _Answer:
    """What `ask`, about so many elements, answers once the server is to be asked again."""
    await throttle.ready()
    throttle.begun()
    began, done = throttle.now(), 0
    try:
        answer = await ask
        done = keys
    finally:
        throttle.took(done, *began.until(throttle.now()))
    return answer
