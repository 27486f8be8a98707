"""What watches the server while it is scanned or changed: a connection of its own that pings, and a look now and then
at the server while what is under way stands still for a moment."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from redis_oom_tui.models.errors import ServerBusy, TriageError
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.headroom import pause_after
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.clocks import undelayed_clock
from redis_oom_tui.server.errors import translated
from redis_oom_tui.server.rate_controller import Hold, RateController
from redis_oom_tui.server.resp import ScanCommand, packed
from redis_oom_tui.server.scan.connection import MonitoredServer, ScanConnection
from redis_oom_tui.server.tasks import monitored, silent_or_closed_once, until_lost

Command = tuple[bytes, ...]
_PING = (b"PING",)
_STATS = (b"INFO", b"stats")
_PINGS_AT_FIRST, _PINGS_AT_REST = 6, 3
_PROBE_EVERY = 0.05
_DECIDE_EVERY = 0.25
_INFORM_EVERY = 1.0
_REST_EVERY = 1.0
# So long it waits for what is under way, and for so long it counts others' commands.
_HOMEWARD, _COUNTED = 0.2, 0.01
# Over a long way a rest takes several round trips: it comes so seldom that it takes a tenth of the time.
_TRIPS_BETWEEN_RESTS = 50
# A way that is as long as this does not tremble enough to be measured more than thrice.
_VERY_LONG_WAY = 0.05
# Between the two looks at the counter: the first look itself, and a PING.
_OWN_COMMANDS = 2


class Probe(Protocol):
    """The connection that is asked; opened with the first question."""

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order, a refusal as an error in its place. Raises one of `models.errors`."""

    async def close(self) -> None:
        """Let go of the connection; the next question opens another."""


class LatencyMonitor:
    """Feeds `rate` by what PINGs to `server` wait.

    With `snapshot` and `sent`, the number of commands sent from here, INFO tells what share of the server that takes
    and what others do; without, others' commands are counted while nothing is under way, where `counting`.
    """

    def __init__(
        self,
        server: MonitoredServer,
        rate: RateController,
        *,
        snapshot: Callable[[], Awaitable[Snapshot]] | None = None,
        sent: Callable[[], int] = lambda: 0,
        counting: bool = False,
        rests: Callable[[], bool] = lambda: True,
        probe: Probe | None = None,
    ) -> None:
        self._rate = rate
        self._snapshot = snapshot
        self._sent = sent
        self._counting = counting
        self._rests = rests
        self._probe_connection = probe or _ScanProbe(server)

    async def measure_at_rest(self) -> None:
        """How fast the server answers before anything begins. Raises one of `models.errors`."""
        pings: list[float] = []
        try:
            while len(pings) < _PINGS_AT_FIRST and not (len(pings) >= _PINGS_AT_REST and min(pings) > _VERY_LONG_WAY):
                pings.append(await self._ping())
            self._rate.rested(pings)
            if self._counting:
                await self._count_others()
        except TriageError:
            # Who asks again asks on a new line.
            await self.close()
            raise

    async def watch(self) -> None:
        """Probe, decide and look, until cancelled. A lost connection is made again: what is under way reports it."""
        decided = informed = rested = time.monotonic()
        inform_every = _INFORM_EVERY
        try:
            while True:
                await asyncio.sleep(_PROBE_EVERY)
                await self._rate.resumed.wait()
                try:
                    await self._probe()
                    now = time.monotonic()
                    if self._snapshot is not None and now - informed >= inform_every:
                        informed = now
                        self._rate.informed(await self._snapshot(), self._sent())
                        inform_every = max(_INFORM_EVERY, pause_after(time.monotonic() - informed))
                    if now - decided >= _DECIDE_EVERY:
                        decided = now
                        self._rate.decide()
                    rest_every = max(_REST_EVERY, _TRIPS_BETWEEN_RESTS * self._rate.probes.round_trip)
                    if now - rested >= rest_every and self._rests():
                        await self._rest()
                        rested = time.monotonic()
                except TriageError:
                    await self.close()
                    self._rate.release()
                    await asyncio.sleep(_DECIDE_EVERY)
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._probe_connection.close()

    async def _rest(self) -> None:
        """Let what is under way come home, then see how the server answers without it."""
        rate = self._rate
        rate.hold(Hold.REST)
        try:
            async with asyncio.timeout(_HOMEWARD + 10 * rate.probes.round_trip):
                await rate.home.wait()
            if self._counting:
                await self._count_others()
            else:
                rate.rested([await self._ping() for _ in range(_PINGS_AT_REST)])
        except TimeoutError:
            # What is under way would be taken for others' work: then what was known before holds on.
            return
        finally:
            rate.release(Hold.REST)

    async def _count_others(self) -> None:
        before, began = await self._commands(), time.monotonic()
        quiet = await self._ping()
        await asyncio.sleep(_COUNTED)
        after, seconds = await self._commands(), time.monotonic() - began
        others = None if before is None or after is None else max(0, after - before - _OWN_COMMANDS) / seconds
        self._rate.rested([quiet], others)

    async def _commands(self) -> int | None:
        """How many commands the server has carried out in all; None where it does not tell."""
        info = await self._ask(_STATS)
        if isinstance(info, bytes):
            for line in info.splitlines():
                name, _, number = line.partition(b":")
                if name == b"total_commands_processed" and number.strip().isdigit():
                    return int(number)
        return None

    async def _probe(self) -> None:
        """A PING beside what is under way: nothing more is sent where its answer does not come in time."""
        timer = asyncio.get_running_loop().call_later(self._rate.hold_after, self._rate.hold)
        try:
            self._rate.probed(await self._ping())
        finally:
            timer.cancel()

    async def _ping(self) -> float:
        """How long a PING waited, in seconds, but for this process's wait for a processor; its answer may be a refusal
        (MISCONF), which takes as long.
        """
        now = undelayed_clock()
        started = now()
        await self._ask(_PING)
        return now() - started

    async def _ask(self, command: Command) -> object:
        return (await self._probe_connection.call([command]))[0]


class _ScanProbe:
    """A connection of its own beside those of a scan."""

    def __init__(self, server: MonitoredServer) -> None:
        self._server = server
        self._connection: ScanConnection | None = None

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """As for `Probe`."""
        with translated(self._server.address, commands[0][0].decode()):
            if self._connection is None:
                connection = ScanConnection(self._server.connection, 0, ScanCommand())
                await connection.open()
                for command in (_PING, _STATS):
                    connection.admit(command)
                self._connection = connection
            return [(await self._connection.ask(packed(command), 1))[0] for command in commands]

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextlib.asynccontextmanager
async def throttled(
    server: MonitoredServer, *, scanning: bool = False, probe: Probe | None = None
) -> AsyncIterator[CallThrottle]:
    """How hard to lean on `server`, watched for as long as the context lasts.

    `scanning`: nothing is changed, so a silent server is asked again.

    `probe` is a connection that the action has anyway: each further one takes memory from a full server.

    Raises ServerUnreachable where nobody answers. A monitor that breaks stops what it watches over at its next safe
    point; MonitorBroken is raised at the end.
    """
    throttle = CallThrottle()
    monitor = LatencyMonitor(server, throttle.rate, counting=True, probe=probe)
    try:
        # A busy server is waited for by what comes next, which can be stopped.
        with contextlib.suppress(ServerBusy):
            await (
                until_lost(monitor.measure_at_rest, worth=silent_or_closed_once())
                if scanning
                else monitor.measure_at_rest()
            )
        async with monitored(monitor.watch(), throttle.stop, "watch over the server"):
            yield throttle
    finally:
        await monitor.close()
