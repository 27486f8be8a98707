"""A server that does as the script says: the Source and Scan that screens are tested on, without a socket."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from redis_oom_tui.models.activity import Activity, Counters
from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.capabilities import Capabilities
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.keys import KeyDetails, KeyId, KeyRow
from redis_oom_tui.models.scan import Pace, PatternRow, ScanOptions, ScanState, ScanView, ThrottleState, TypeRow
from redis_oom_tui.models.snapshot import Database, Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace

MIB = 1024 * 1024


class FakeClock:
    """Stands still until told to move."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_760_000_000.0) -> None:
        self.now = monotonic
        self.offset = wall - monotonic

    def monotonic(self) -> float:
        """Seconds that only `move` adds to."""
        return self.now

    def wall(self) -> float:
        """The time of day that goes with them."""
        return self.now + self.offset

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def a_snapshot(**changes: object) -> Snapshot:
    """A Valkey at its limit, refusing writes; `used`, `maxmemory`, `policy`, `refused`, `evicted`, `at` change it."""
    used = int(str(changes.get("used", 509 * MIB)))
    limit = changes.get("maxmemory", 512 * MIB)
    at = float(str(changes.get("at", 1000.0)))
    return Snapshot(
        taken_monotonic=at,
        taken_at=1_760_000_000.0 + at - 1000.0,
        server=Server("valkey", "9.1.2", "master", Address(), run_id="r1", uptime_seconds=273_600),
        memory=Memory(
            used_bytes=used,
            maxmemory_bytes=None if limit is None else int(str(limit)),
            policy=str(changes.get("policy", "noeviction")),
            rss_bytes=int(used * 1.07),
            peak_bytes=max(used, 511 * MIB),
            fragmentation_ratio=1.07,
            startup_bytes=MIB,
            overhead_bytes=42 * MIB,
            dataset_bytes=used - 42 * MIB,
            clients_normal_bytes=3 * MIB,
            replication_backlog_bytes=MIB,
            lua_bytes=32 * 1024,
            allocator="jemalloc-5.3.0",
        ),
        databases=(Database(0, 412_000, 60_000), Database(3, 1_200, 0)),
        counters=Counters(
            refused_writes_total=int(str(changes.get("refused", 1_284))),
            refused_by_command={"set": 1_100, "hset": 184},
            evicted_keys_total=int(str(changes.get("evicted", 0))),
            expired_keys_total=8_812,
            commands_per_second=1_840,
        ),
        activity=Activity(connected_clients=37, blocked_clients=1, connected_replicas=1),
        took_seconds=0.001,
    )


def some_rows(count: int = 200) -> tuple[KeyRow, ...]:
    """So many keys of falling size, in believable patterns."""
    pattern_rows = ("session:{}", "cart:{}:items", "cache:page:{}", "queue:mail:{}", "board:{}")
    types = ("string", "hash", "string", "list", "zset")
    return tuple(
        KeyRow(
            id=KeyId(0, pattern_rows[n % 5].format(10_000 + n).encode()),
            type=types[n % 5],
            size=(count - n) * 48_211,
            ttl_ms=None if n % 3 else 3_600_000 + n * 1000,
            idle_seconds=n * 97,
        )
        for n in range(count)
    )


def some_patterns() -> tuple[PatternRow, ...]:
    """A roll-up of those patterns."""
    names = (b"session:*", b"cart:*:items", b"cache:page:*", b"queue:mail:*", b"board:*")
    return tuple(
        PatternRow(
            pattern=name,
            match=name,
            keys=80_000 - n * 9_000,
            size=(200 - n * 31) * MIB,
            share=0.38 - n * 0.06,
            no_ttl_keys=80_000 - n * 14_000,
            types=(("string", 80_000 - n * 9_000),),
        )
        for n, name in enumerate(names)
    )


def a_view(state: ScanState = ScanState.RUNNING, **changes: object) -> ScanView:
    """A scan two fifths of the way."""
    view = ScanView(
        state=state,
        scanned_keys=165_280,
        total_keys=413_200,
        bytes_seen=190 * MIB,
        volatile_keys=24_000,
        volatile_bytes=20 * MIB,
        elapsed_seconds=3.2,
        keys_per_second=51_600.0,
        remaining_seconds=4.8,
        top=some_rows(),
        patterns=some_patterns(),
        types=(
            TypeRow("string", 120_000, 120 * MIB),
            TypeRow("hash", 30_000, 60 * MIB),
            TypeRow("list", 15_280, 10 * MIB),
        ),
        throttle=ThrottleState(share=0.21, probe_ms=0.4, baseline_ms=0.2),
    )
    return replace(view, **changes)  # type: ignore[arg-type]


@dataclass
class ScriptedScan:
    """Shows the views of the script in turn, one for each look."""

    views: Sequence[ScanView]
    state: ScanState | None = None
    pace: Pace = Pace.NORMAL
    calls: list[str] = field(default_factory=list)
    looks: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> ScanView:
        """Until stopped or told that it is done."""
        await self.done.wait()
        return self.view()

    def view(self) -> ScanView:
        """The next view; the last one stays."""
        view = self.views[min(self.looks, len(self.views) - 1)]
        self.looks += 1
        return replace(view, pace=self.pace, state=self.state or view.state)

    def pause(self) -> None:
        """Note it."""
        self.calls.append("pause")
        self.state = ScanState.PAUSED

    def resume(self) -> None:
        """Note it."""
        self.calls.append("resume")
        self.state = None

    def stop(self) -> None:
        """Note it, and end."""
        self.calls.append("stop")
        self.finish(ScanState.STOPPED)

    def finish(self, state: ScanState = ScanState.COMPLETE) -> None:
        """End in that state."""
        self.state = state
        self.done.set()

    def set_pace(self, pace: Pace) -> None:
        """Note it."""
        self.calls.append(pace.value)
        self.pace = pace


class ScriptedSource:
    """Answers with the script's snapshots in turn (the last one stays); an error in it is raised."""

    def __init__(
        self,
        snapshots: Sequence[Snapshot | TriageError] | None = None,
        *,
        clients: Sequence[ClientBuffer] = (),
        capabilities: Capabilities | None = None,
        views: Sequence[ScanView] = (),
        details: Callable[[KeyId], KeyDetails | None] | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.script: list[Snapshot | TriageError] = list(snapshots or [a_snapshot()])
        self.some_clients = tuple(clients)
        self.some_capabilities = capabilities or Capabilities()
        self.views = list(views) or [a_view()]
        self.some_details = details
        self.clock = clock
        self.scans: list[tuple[ScanOptions, ScriptedScan]] = []
        self.touched: list[KeyId] = []
        self.opened = 0
        self.closed = 0
        self.asked = itertools.count()

    @property
    def address(self) -> Address:
        """Nowhere."""
        return Address()

    async def open(self) -> None:
        """Count it."""
        self.opened += 1

    async def close(self) -> None:
        """Count it."""
        self.closed += 1

    async def capabilities(self) -> Capabilities:
        """As scripted."""
        return self.some_capabilities

    async def snapshot(self) -> Snapshot:
        """The next one."""
        answer = self.script[min(next(self.asked), len(self.script) - 1)]
        if isinstance(answer, TriageError):
            raise answer
        if self.clock is not None:
            return replace(answer, taken_monotonic=self.clock.monotonic(), taken_at=self.clock.wall())
        return answer

    async def clients(self) -> tuple[ClientBuffer, ...]:
        """As scripted."""
        return self.some_clients

    def scan(self, options: ScanOptions) -> ScriptedScan:
        """A scan over the scripted views."""
        scan = ScriptedScan(self.views)
        self.scans.append((options, scan))
        return scan

    async def details(self, key: KeyId, *, touch: bool = False) -> KeyDetails | None:
        """As scripted, else the row of the last view."""
        self.touched += [key] * touch
        if self.some_details is not None:
            return self.some_details(key)
        return next((KeyDetails(row) for row in self.views[-1].top if row.id == key), None)
