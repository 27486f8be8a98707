"""A watched server by a script, clocks that a test turns, and an output that only remembers."""

import asyncio
from collections.abc import Callable, Iterator

from redis_oom_tui.models.activity import Activity, Counters
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.alert import Event, JudgedSample, Silence
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.snapshot import Database, Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.state import Link, ServerState
from redis_oom_tui.rules.verdict import judge

ADDRESS = Address("cache-1")


class TurnedClock(Clock):
    """A clock that only `wait` and `turn` move."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(lambda: self.now, lambda: 1_700_000_000 + self.now)

    def turn(self, seconds: float) -> None:
        self.now += seconds

    async def wait(self, stop: asyncio.Event, seconds: float) -> bool:
        await asyncio.sleep(0)
        self.now += max(0.0, seconds)
        return stop.is_set()


def snapshot(percent: float = 50, *, refused: int = 0, evicted: int = 0, policy: str = "noeviction") -> Snapshot:
    """A server with a limit of a thousand MiB, so full; over 100% it is over its limit."""
    mib = 1024**2
    return Snapshot(
        taken_monotonic=0,
        taken_at=0,
        server=Server("valkey", "9.1.2", "master", ADDRESS, run_id="a", uptime_seconds=10_000),
        memory=Memory(int(percent * 10 * mib), 1000 * mib, policy, rss_bytes=1100 * mib, startup_bytes=mib),
        databases=(Database(0, 1000, 0),),
        counters=Counters(
            refused_writes_total=refused,
            evicted_keys_total=evicted,
            eviction_exceeded_ms=1000 if percent > 100 else 0,
            commands_total=1000 + refused,
        ),
        activity=Activity(connected_clients=3),
    )


class Script:
    """Answers each look with the script's next step: a snapshot, or None for a server that is away."""

    def __init__(self, steps: Iterator[Snapshot | None], clock: Clock) -> None:
        self.steps = steps
        self.clock = clock
        self.opened = 0
        self.closed = 0
        self.is_open = False
        self.asked = 0
        self.on_look: Callable[[int], None] = lambda _: None

    @property
    def address(self) -> Address:
        return ADDRESS

    async def open(self) -> None:
        assert not self.is_open
        self.opened += 1
        self.is_open = True

    async def close(self) -> None:
        self.closed += self.is_open
        self.is_open = False

    async def snapshot(self) -> Snapshot:
        assert self.is_open
        self.asked += 1
        self.on_look(self.asked)
        await asyncio.sleep(0)
        step = next(self.steps)
        if step is None:
            raise ServerUnreachable("cache-1:6379 refuses connections")
        return replace(step, taken_monotonic=self.clock.monotonic(), taken_at=self.clock.wall())


def answered(snap: Snapshot, sample: JudgedSample | None = None, alert: Level = Level.OK) -> ServerState:
    """The state of a poll that the server answered so."""
    verdict = judge(snap)
    sample = sample or JudgedSample(5.0, 105.0, verdict.level, verdict.level, verdict.reason)
    return ServerState(ADDRESS, Link.LIVE, snap, verdict=verdict, sample=sample, alert=alert)


def unanswered(reason: str = "gone") -> ServerState:
    """The state of a poll that the server did not answer."""
    return ServerState(ADDRESS, error=reason, attempts=1, silent_since=5.0, sample=Silence(5.0, 105.0, reason))


class Remembered:
    """An output that keeps what it was told."""

    def __init__(self, *, keep_ticks: bool = True) -> None:
        self.keep_ticks = keep_ticks
        self.ticks: list[ServerState] = []
        self.events: list[Event] = []
        self.notes: list[Note] = []

    def tick(self, tick: ServerState) -> None:
        if self.keep_ticks:
            self.ticks.append(tick)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def note(self, note: Note) -> None:
        self.notes.append(note)
