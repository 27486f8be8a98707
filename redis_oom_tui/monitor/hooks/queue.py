"""Takes events off the loop's hands and delivers them in order: bounded, paced, each outcome in the log."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from redis_oom_tui.models.alert import Event
from redis_oom_tui.models.config import HookSettings
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.state import ServerState
from redis_oom_tui.rules.guarded import TROUBLE, sentence

WAITING_EVENTS = 100
# After the watch was asked to stop: how long deliveries that are due may still take.
FAREWELL_SECONDS = 5.0


class DeliveryFailed(Exception):
    """One event could not be delivered; the text is one sentence without any secret."""


class Hook(Protocol):
    """One way of telling somebody."""

    name: str

    async def deliver(self, event: Event) -> str:
        """Deliver, with whatever retries are due; returns how it went. Raises DeliveryFailed."""


class DeliveryCounts(Struct):
    """What became of the events so far."""

    delivered: int = 0
    failed: int = 0
    dropped: int = 0


class HookQueue:
    """Delivers to one hook. A `Listener`: the loop tells it, and never waits for it.

    At most WAITING_EVENTS wait; then the oldest falls out, which is logged. `burst` deliveries are free, further ones
    keep `min_gap_seconds` between them.
    """

    def __init__(
        self,
        hook: Hook,
        settings: HookSettings,
        clock: Clock,
        log: Callable[[Note], None],
        *,
        farewell_seconds: float = FAREWELL_SECONDS,
    ) -> None:
        self.tally = DeliveryCounts()
        self.name = f"the {hook.name} hook"
        self._hook = hook
        self._farewell = farewell_seconds
        self._settings = settings
        self._clock = clock
        self._log = log
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._allowance = float(settings.burst)
        self._counted_at = clock.monotonic()

    def seen(self, state: ServerState) -> None:
        """Looks are not delivered."""

    def told(self, event: Event) -> None:
        """Put the event in the queue, if it is of a kind that the hook is told of."""
        if event.kind not in self._settings.events:
            return
        if len(self._waiting) >= WAITING_EVENTS:
            lost = self._waiting.popleft()
            self.tally.dropped += 1
            self._note(lost, "dropped, since too many events wait for it", ok=False)
        self._waiting.append(event)
        self._arrived.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set and, for a few seconds more, what waits by then."""
        delivering = asyncio.create_task(self._deliver_all(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((delivering, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not delivering.done():
                self._arrived.set()
                await asyncio.wait((delivering,), timeout=self._farewell)
        finally:
            stopping.cancel()
            delivering.cancel()
            await asyncio.wait((delivering, stopping))
        for event in self._waiting:
            self._note(event, "not delivered: the watch has ended", ok=False)
        if not delivering.cancelled():
            delivering.result()

    async def _deliver_all(self, stop: asyncio.Event) -> None:
        while True:
            if not self._waiting:
                if stop.is_set():
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._turn(stop)
            event = self._waiting.popleft()
            try:
                await self._deliver(event)
            except asyncio.CancelledError:
                self._waiting.appendleft(event)
                raise

    async def _deliver(self, event: Event) -> None:
        try:
            how = await self._hook.deliver(event)
        except (DeliveryFailed, *TROUBLE) as error:
            self.tally.failed += 1
            why = str(error) if isinstance(error, DeliveryFailed) else sentence(f"the {self._hook.name} hook is", error)
            self._note(event, why, ok=False)
        else:
            self.tally.delivered += 1
            self._note(event, how, ok=True)

    async def _turn(self, stop: asyncio.Event) -> None:
        """Wait until the next delivery is allowed; a farewell does not wait."""
        while not stop.is_set():
            now = self._clock.monotonic()
            gap = self._settings.min_gap_seconds
            gained = (now - self._counted_at) / gap if gap > 0 else float(self._settings.burst)
            self._allowance = min(float(self._settings.burst), self._allowance + gained)
            self._counted_at = now
            if self._allowance >= 1.0:
                break
            await self._clock.wait(stop, (1.0 - self._allowance) * gap)
        self._allowance -= 1.0

    def _note(self, event: Event, text: str, *, ok: bool) -> None:
        figures = {"hook": self._hook.name, "number": event.number, "event": event.kind.value, "ok": ok}
        level = Level.OK if ok else Level.WARNING
        line = f"{self._hook.name}, event {event.number} {event.kind.value}: {text}"
        self._log(Note("hook", line, self._clock.wall(), level, figures))
