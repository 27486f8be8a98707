"""A keyspace without a server, and a watch that may clean it up in an emergency."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.action import BackupChoice, PlanningState, PlanningView
from redis_oom_tui.models.alert import Event, JudgedSample
from redis_oom_tui.models.config import Emergency, NamedPlan, WatchSettings
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.emergency import EmergencyCleanup, EmergencyJob
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.verdict import judge
from tests.monitor.scripted import ADDRESS, TurnedClock, answered

SETTINGS = WatchSettings(interval_seconds=5, hold_seconds=10, quiet_seconds=30, lost_seconds=15)


BOUNDS = Emergency(
    plan="cache",
    armed=True,
    after_seconds=60,
    cooldown_seconds=300,
    max_keys=100,
    max_bytes=10_000,
    max_keys_per_hour=250,
    max_bytes_per_hour=50_000,
)


CACHE = NamedPlan("cache", Criteria(patterns=(b"cache:*",)))


@dataclass
class Keyspace:
    """Keys that a scripted operator finds and deletes; it counts what it did."""

    sizes: Iterator[int] = field(default_factory=lambda: itertools.repeat(50))
    candidates: int = 1_000_000
    deleted_keys: int = 0
    deleted_bytes: int = 0
    runs: list[int] = field(default_factory=list)
    backups: list[bool] = field(default_factory=list)
    asked: list[Criteria] = field(default_factory=list)
    opened: int = 0
    error: str | None = None
    idle_seconds: int | None = None
    hold: asyncio.Event | None = None
    endless: bool = False
    matched: int = 0

    @contextlib.asynccontextmanager
    async def connect(self, node: str = "") -> AsyncIterator["Keyspace"]:
        self.opened += 1
        try:
            yield self
        finally:
            self.opened -= 1

    def plan(
        self, criteria: Criteria, *, operation: Operation = Operation.DELETE, expire_seconds: int | None = None
    ) -> "_Planning":
        self.asked.append(criteria)
        return _Planning(self, criteria)

    def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
        self.runs.append(len(plan.keys))
        self.backups.append(backup.wanted)
        return _Run(self, plan)


@dataclass
class _Planning:
    keyspace: Keyspace
    criteria: Criteria
    stopped: bool = False

    def view(self) -> PlanningView:
        return PlanningView(matched_keys=self.keyspace.matched)

    def stop(self) -> None:
        self.stopped = True

    async def run(self) -> PlanningView:
        while self.keyspace.endless and not self.stopped:
            await asyncio.sleep(0)
        if self.keyspace.error is not None:
            return PlanningView(PlanningState.FAILED, error=self.keyspace.error)
        found = min(self.keyspace.candidates, self.criteria.max_keys or 10**9)
        sizes = itertools.islice(self.keyspace.sizes, found)
        keys = tuple(
            PlannedKey(KeyId(0, b"cache:%d" % number), "string", size, idle_seconds=self.keyspace.idle_seconds)
            for number, size in enumerate(sizes)
        )
        plan = frozen(Plan(keys, self.criteria, 0.0, str(ADDRESS), matched_keys=self.keyspace.candidates))
        return PlanningView(PlanningState.COMPLETE, plan=plan)


@dataclass
class _Run:
    keyspace: Keyspace
    plan: Plan
    stopped: bool = False
    done: int = 0

    async def run(self) -> RunView:
        if self.keyspace.hold is not None:
            while not self.stopped:
                await asyncio.sleep(0)
            return RunView(len(self.plan.keys), Counter({Outcome.NOT_ATTEMPTED: len(self.plan.keys)}), ended="stopped")
        self.keyspace.deleted_keys += len(self.plan.keys)
        self.keyspace.deleted_bytes += self.plan.size
        self.keyspace.candidates -= len(self.plan.keys)
        await asyncio.sleep(0)
        return RunView(
            len(self.plan.keys),
            Counter({Outcome.DELETED: len(self.plan.keys)}),
            freed_bytes=self.plan.size,
            used_before_bytes=1000,
            used_now_bytes=900,
            backup_path="/backups/1",
        )

    def stop(self) -> None:
        self.stopped = True

    def view(self) -> RunView:
        return RunView(len(self.plan.keys))


class Watching:
    """An armed cleanup with a book, fed look by look, five seconds apart."""

    def __init__(self, tmp_path: Path, keyspace: Keyspace, **changes: object) -> None:
        self.clock = TurnedClock()
        self.book = AlertBook("cache-1", SETTINGS)
        self.notes: list[Note] = []
        self.events: list[Event] = []
        self.keyspace = keyspace
        job = EmergencyJob("cache", CACHE, BOUNDS, keyspace.connect)  # type: ignore[arg-type]
        self.job = replace(job, **changes)  # type: ignore[arg-type]
        self.armed = EmergencyCleanup(
            self.job,
            self.book,
            Ledger(tmp_path / "emergency.json"),
            self.clock,
            log=self.notes.append,
            tell=lambda event: self.events.append(self.book.note(event)),
        )
        self.stop = asyncio.Event()

    async def see(self, *looks: Snapshot) -> None:
        running = asyncio.create_task(self.armed.run(self.stop))
        for snap in looks:
            verdict = judge(snap)
            reading = JudgedSample(self.clock.now, self.clock.wall(), verdict.level, verdict.level, verdict.reason)
            state = answered(snap, reading)
            self.book.observe(reading)
            self.armed.on_state(state)
            for _ in range(30):
                await asyncio.sleep(0)
            self.clock.turn(5)
        self.stop.set()
        await asyncio.wait_for(running, 10)
        assert self.keyspace.opened == 0

    @property
    def said(self) -> str:
        return "\n".join(note.text for note in self.notes)
