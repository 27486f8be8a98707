"""Who watches the server while something is done to it: a connection of its own that pings, and now and then a look at
the server while the action stands still for a moment."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from redis_oom_tui.actions.rate_controller import ActionRateController
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.exclusive_connection import ExclusiveConnection
from redis_oom_tui.server.scan.tasks import monitored

_PROBE_EVERY = 0.05
_DECIDE_EVERY = 0.25
_LOOK_EVERY = 1.0
_HOMEWARD = 0.2
_LOOK_SECONDS = 0.01
_PROBES_FIRST = 3
# Between the two looks at the counter: the first look itself, and a PING.
_OWN_COMMANDS = 2


class ActionMonitor:
    """Watches `server`; `walking` as for the pacer."""

    def __init__(self, server: LiveServer, *, walking: bool = False) -> None:
        self._walking = walking
        self._probe = ExclusiveConnection(server)

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[ActionRateController]:
        """How hard to lean, for as long as the context lasts. Raises ServerUnreachable where nobody answers.

        A watch that breaks stops what it watches over after the batch in hand; MonitorBroken is raised at the end.
        """
        try:
            pacer = ActionRateController(min([await self._ping() for _ in range(_PROBES_FIRST)]), walking=self._walking)
            await self._look(pacer)
            async with monitored(self._watch(pacer), pacer.stop, "watch over the server"):
                yield pacer
        finally:
            await self._probe.close()

    async def _watch(self, pacer: ActionRateController) -> None:
        """Probe, decide, look, until cancelled. A lost connection is made again: the action itself reports it."""
        decided = looked = time.monotonic()
        while True:
            await asyncio.sleep(_PROBE_EVERY)
            try:
                await self._probed(pacer)
                now = time.monotonic()
                if now - decided >= _DECIDE_EVERY:
                    decided = now
                    pacer.decide()
                if now - looked >= _LOOK_EVERY:
                    await self._look_at_rest(pacer)
                    looked = time.monotonic()
            except TriageError:
                await self._probe.close()
                pacer.release()
                await asyncio.sleep(_DECIDE_EVERY)

    async def _probed(self, pacer: ActionRateController) -> None:
        alarm = asyncio.get_running_loop().call_later(pacer.probes.hold_after, pacer.hold)
        try:
            pacer.probed(await self._ping())
        finally:
            alarm.cancel()

    async def _look_at_rest(self, pacer: ActionRateController) -> None:
        """Let the calls on their way come home, then see how the server is without them."""
        pacer.hold(slow=False)
        try:
            async with asyncio.timeout(_HOMEWARD + 10 * pacer.probes.round_trip):
                await pacer.home.wait()
            await self._look(pacer)
        except TimeoutError:
            # What is under way would be taken for others' work: then what was known before holds on.
            return
        finally:
            pacer.release()

    async def _look(self, pacer: ActionRateController) -> None:
        before, began = await self._commands(), time.monotonic()
        quiet = await self._ping()
        await asyncio.sleep(_LOOK_SECONDS)
        after, seconds = await self._commands(), time.monotonic() - began
        others = None if before is None or after is None else max(0, after - before - _OWN_COMMANDS) / seconds
        pacer.looked(quiet, others)

    async def _commands(self) -> int | None:
        """How many commands the server has carried out in all; None where it does not tell."""
        (info,) = await self._probe.call([("INFO", "stats")])
        if isinstance(info, bytes):
            for line in info.splitlines():
                name, _, number = line.partition(b":")
                if name == b"total_commands_processed" and number.strip().isdigit():
                    return int(number)
        return None

    async def _ping(self) -> float:
        """How long a PING waited, in seconds; its answer may be a refusal (MISCONF), which takes as long."""
        started = time.monotonic()
        await self._probe.call([("PING",)])
        return time.monotonic() - started
