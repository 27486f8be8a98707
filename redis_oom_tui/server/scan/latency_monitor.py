"""Who watches the server while it is scanned: a connection of its own that pings, and a look at INFO now and then."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis import exceptions

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.scan import Pace
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.backoff import pause_after
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.control import ScanControl
from redis_oom_tui.server.scan.packing import Walker, packed_words

_PING = (b"PING",)
_PINGS_AT_REST = 6
_HOMEWARD = 0.002
_PROBE_EVERY = 0.05
_DECIDE_EVERY = 0.25
_INFORM_EVERY = 1.0
_REST_EVERY = 1.0
_PINGS_IN_A_REST = 3
# Over a long way a rest takes several round trips: it comes so seldom that it takes a tenth of the time.
_TRIPS_BETWEEN_RESTS = 50
# A way that is as long as this does not tremble enough to be measured more than thrice.
_LONG_WAY, _PINGS_OVER_A_LONG_WAY = 0.05, 3


class LatencyMonitor:
    """Feeds the brake of `reins` until it is cancelled; by PING alone where there is no `snapshot` to be had."""

    def __init__(
        self,
        connection: Connection,
        reins: ScanControl,
        snapshot: Callable[[], Awaitable[Snapshot]] | None,
    ) -> None:
        self._connection = connection
        self._reins = reins
        self._braking = reins.braking
        self._snapshot = snapshot
        self._lane: ScanConnection | None = None

    async def measure_at_rest(self) -> None:
        """How fast the server answers before the scan begins. Raises redis-py's errors."""
        for sent in range(_PINGS_AT_REST):
            if sent >= _PINGS_OVER_A_LONG_WAY and self._braking.quickest > _LONG_WAY:
                break
            await self._probe()
        self._braking.at_rest()

    async def watch(self) -> None:
        """Probe, decide and ask INFO, until cancelled. A lost connection is made again: the scan itself reports it."""
        decided = informed = rested = time.monotonic()
        inform_every = _INFORM_EVERY
        try:
            while True:
                await asyncio.sleep(_PROBE_EVERY)
                await self._reins.going.wait()
                try:
                    await self._probe()
                    now = time.monotonic()
                    if self._snapshot is not None and now - informed >= inform_every:
                        informed = now
                        self._braking.informed(await self._snapshot(), self._reins.sent)
                        inform_every = max(_INFORM_EVERY, pause_after(time.monotonic() - informed))
                    if now - decided >= _DECIDE_EVERY:
                        decided = now
                        self._braking.decide()
                    rest_every = max(_REST_EVERY, _TRIPS_BETWEEN_RESTS * (self._braking.round_trip or 0.0))
                    if now - rested >= rest_every and self._braking.pace is not Pace.FULL_SPEED:
                        await self._rest()
                        rested = time.monotonic()
                except (exceptions.RedisError, OSError, TriageError):
                    await self.close()
                    self._braking.release()
                    await asyncio.sleep(_DECIDE_EVERY)
        finally:
            await self.close()

    async def _rest(self) -> None:
        """Let the pages in flight come home, then see how the server answers without them."""
        self._braking.rest()
        try:
            await asyncio.sleep(_HOMEWARD + 2 * (self._braking.round_trip or 0.0))
            for _ in range(_PINGS_IN_A_REST):
                await self._probe()
        finally:
            self._braking.at_rest()

    async def close(self) -> None:
        """Let go of the connection."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.close()

    async def _probe(self) -> None:
        if self._lane is None:
            lane = ScanConnection(self._connection, 0, Walker())
            await lane.open()
            lane.admit(_PING)
            self._lane = lane
        alarm = asyncio.get_running_loop().call_later(self._braking.hold_after, self._braking.hold)
        started = time.perf_counter()
        try:
            await self._lane.ask(packed_words(_PING), 1)
        finally:
            alarm.cancel()
        self._braking.probed(time.perf_counter() - started)
