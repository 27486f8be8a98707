"""The armed cleanup on a scripted operator: only when armed twice, only within bounds, never at a doubt."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.action import BackupChoice, PlanningState, PlanningView
from redis_oom_tui.models.alert import Event, EventKind, JudgedSample
from redis_oom_tui.models.config import Emergency, NamedPlan, WatchSettings
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Outcome, Plan, PlannedKey, RunView
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.emergency import EmergencyCleanup, EmergencyJob, armed
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.rules.plan_hash import frozen
from redis_oom_tui.rules.verdict import judge
from tests.monitor.scripted import ADDRESS, TurnedClock, answered, snapshot

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


async def test_it_begins_only_once_the_state_has_been_critical_for_long_enough(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace())
    await watching.see(*[snapshot(96)] * 14)  # held after 10 s, then 55 s more
    assert watching.keyspace.runs == []
    watching = Watching(tmp_path, Keyspace())
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == [100]
    assert watching.keyspace.backups == [True]


async def test_what_swings_never_sets_it_off(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace())
    await watching.see(*([snapshot(96)] * 10 + [snapshot(80)] * 4) * 10)
    assert watching.keyspace.runs == []


async def test_its_report_is_an_event_that_hooks_hear_of(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace())
    await watching.see(*[snapshot(96)] * 16)
    (event,) = watching.events
    assert (event.kind, event.level.value, event.number) == (EventKind.CLEANUP, "critical", 2)
    assert event.reason == (
        "Emergency cleanup cache: 100 deleted; 4.9 KiB by their own figures. Used memory 1000 B -> 900 B."
        " Undo: restore /backups/1"
    )
    assert "cache begins to delete 100 keys, 4.9 KiB: cache:0, cache:1" in watching.said


@pytest.mark.parametrize("size", [50, 450])
async def test_a_million_candidates_and_small_bounds(tmp_path: Path, size: int) -> None:
    """Three hours of a critical state: every run and every hour stays within its bounds in keys and in bytes."""
    keyspace = Keyspace(sizes=itertools.repeat(size))
    watching = Watching(tmp_path, keyspace)
    taken: list[tuple[float, int, int]] = []
    before = (0, 0)
    running = asyncio.create_task(watching.armed.run(watching.stop))
    for _ in range(3 * 720):
        verdict = judge(snapshot(96))
        reading = JudgedSample(watching.clock.now, watching.clock.wall(), verdict.level, verdict.level)
        watching.book.observe(reading)
        watching.armed.on_state(answered(snapshot(96), reading))
        for _ in range(30):
            await asyncio.sleep(0)
        now = (keyspace.deleted_keys, keyspace.deleted_bytes)
        if now != before:
            taken.append((watching.clock.now, now[0] - before[0], now[1] - before[1]))
            before = now
        watching.clock.turn(5)
    watching.stop.set()
    await running
    assert len(taken) >= 6
    for at, keys, bytes_ in taken:
        assert keys <= 100
        assert bytes_ <= 10_000
        hour = [item for item in taken if 0 <= at - item[0] < 3600]
        assert sum(item[1] for item in hour) <= 250
        assert sum(item[2] for item in hour) <= 50_000
    assert keyspace.candidates == 1_000_000 - keyspace.deleted_keys
    assert all(criteria.max_keys is not None and criteria.max_keys <= 100 for criteria in keyspace.asked)


async def test_a_clock_that_jumps_does_not_open_the_bounds_of_the_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The computer's clock is set ahead by a day while the watch runs."""
    keyspace = Keyspace()
    watching = Watching(tmp_path, keyspace)
    running = asyncio.create_task(watching.armed.run(watching.stop))
    for poll in range(600):
        if poll == 300:
            monkeypatch.setattr(watching.clock, "wall", lambda: 1_700_086_400 + watching.clock.now)
        verdict = judge(snapshot(96))
        reading = JudgedSample(watching.clock.now, watching.clock.wall(), verdict.level, verdict.level)
        watching.book.observe(reading)
        watching.armed.on_state(answered(snapshot(96), reading))
        for _ in range(30):
            await asyncio.sleep(0)
        watching.clock.turn(5)
    watching.stop.set()
    await running
    assert sum(keyspace.runs) <= 250


async def test_a_watch_that_was_restarted_goes_on_with_the_hour_it_found(tmp_path: Path) -> None:
    keyspace = Keyspace()
    for _ in range(5):
        await Watching(tmp_path, keyspace).see(*[snapshot(96)] * 16)
    assert keyspace.runs == [100, 100, 50]


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace(), dry_run=True)
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == []
    assert "cache (dry run) would delete 100 keys, 4.9 KiB: cache:0, cache:1" in watching.said
    assert watching.events == []


async def test_it_stops_once_the_state_eases(tmp_path: Path) -> None:
    keyspace = Keyspace(hold=asyncio.Event())
    watching = Watching(tmp_path, keyspace)
    await watching.see(*[snapshot(96)] * 16, *[snapshot(60)] * 3)
    assert keyspace.deleted_keys == 0
    assert "100 not attempted" in watching.events[0].reason
    assert Ledger(tmp_path / "emergency.json").spent("cache-1", watching.clock.wall())[0].keys == 0


async def test_a_search_that_takes_too_long_makes_do_with_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_oom_tui.monitor.emergency._SEARCH_SECONDS", 0.0)
    watching = Watching(tmp_path, Keyspace(endless=True, matched=7))
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == [100]


@pytest.mark.parametrize(("after", "expected"), [(0, "the watch ends"), (3, "pressure has eased")])
async def test_a_search_that_is_not_needed_any_more_ends_in_nothing(tmp_path: Path, after: int, expected: str) -> None:
    watching = Watching(tmp_path, Keyspace(endless=True))
    await watching.see(*[snapshot(96)] * 16, *[snapshot(60)] * after)
    assert watching.keyspace.runs == []
    assert expected in watching.said


async def test_it_stops_when_the_watch_is_asked_to_end(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace(hold=asyncio.Event()))
    await watching.see(*[snapshot(96)] * 16)
    assert "stopped" in watching.events[0].reason


def hold_buffers(snap: Snapshot) -> Snapshot:
    held = snap.memory.used_bytes - 2 * 1024**2
    memory = replace(snap.memory, clients_normal_bytes=held, overhead_bytes=held + 1024**2, dataset_bytes=1024**2)
    return replace(snap, memory=memory)


def as_replica(snap: Snapshot) -> Snapshot:
    return replace(snap, server=replace(snap.server, role="slave"))


@pytest.mark.parametrize(
    ("change", "plan", "expected"),
    [
        (hold_buffers, CACHE, "deleting keys would not help while the verdict is 'buffers'"),
        (
            lambda snap: snap,
            replace(CACHE, criteria=replace(CACHE.criteria, idle_over_seconds=60)),
            "trust_idle is not set",
        ),
    ],
)
async def test_a_doubt_is_enough_not_to_begin(
    tmp_path: Path, change: Callable[[Snapshot], Snapshot], plan: NamedPlan, expected: str
) -> None:
    watching = Watching(tmp_path, Keyspace(), plan=plan)
    await watching.see(*[change(snapshot(96))] * 16)
    assert watching.keyspace.runs == []
    assert expected in watching.said


async def test_a_replica_is_never_cleaned_up(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace())
    await watching.armed.clean(as_replica(snapshot(96)), "close-critical", watching.stop)
    assert watching.keyspace.runs == []
    assert "only a primary is cleaned up" in watching.said


async def test_keys_that_claim_more_idle_time_than_the_server_has_stop_it(tmp_path: Path) -> None:
    plan = replace(CACHE, criteria=replace(CACHE.criteria, idle_over_seconds=60))
    emergency = replace(BOUNDS, trust_idle=True)
    watching = Watching(tmp_path, Keyspace(idle_seconds=7_000_000), plan=plan, emergency=emergency)
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == []
    assert "idle for longer than the server has been up" in watching.said


async def test_a_failure_is_a_line_and_the_watch_goes_on(tmp_path: Path) -> None:
    keyspace = Keyspace(error="the server went away")
    watching = Watching(tmp_path, keyspace)
    await watching.see(*[snapshot(96)] * 80)
    assert watching.said.count("cache not started: the server went away") == 2  # once each cooldown


async def test_the_cooldown_counts_from_the_end_of_a_cleanup(tmp_path: Path) -> None:
    began: list[float] = []

    class Slow(Keyspace):
        def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
            began.append(watching.clock.now)
            watching.clock.turn(200)
            return super().run(plan, backup=backup)

    watching = Watching(tmp_path, Slow())
    await watching.see(*[snapshot(96)] * 80)
    assert len(began) == 2
    assert 200 + BOUNDS.cooldown_seconds <= began[1] - began[0] <= 200 + BOUNDS.cooldown_seconds + 10


async def test_a_server_that_cannot_be_reached_is_a_line(tmp_path: Path) -> None:
    class Away(Keyspace):
        @contextlib.asynccontextmanager
        async def connect(self, node: str = "") -> AsyncIterator[Keyspace]:
            raise ServerUnreachable("cache-1:6379 refuses connections")
            yield self

    watching = Watching(tmp_path, Away())
    await watching.see(*[snapshot(96)] * 16)
    assert "not started: cache-1:6379 refuses connections" in watching.said


async def test_keys_of_unknown_size_fit_no_bound(tmp_path: Path) -> None:
    saved = frozen(Plan((PlannedKey(KeyId(0, b"a"), "string", None),), Criteria(patterns=(b"a",)), 0.0, str(ADDRESS)))
    watching = Watching(tmp_path, Keyspace(), plan=saved)
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == []
    assert "keys of unknown size" in watching.said


async def test_a_saved_plan_runs_as_it_was_saved(tmp_path: Path) -> None:
    keys = tuple(PlannedKey(KeyId(0, b"k%d" % number), "string", 10) for number in range(20))
    saved = frozen(Plan(keys, Criteria(patterns=(b"k*",)), 0.0, str(ADDRESS)))
    watching = Watching(tmp_path, Keyspace(), plan=saved)
    await watching.see(*[snapshot(96)] * 16)
    assert watching.keyspace.runs == [20]
    assert watching.keyspace.asked == []


def test_both_places_must_arm_the_same_plan() -> None:
    assert not armed(None, BOUNDS, dry_run=False, read_only=False)
    assert armed("cache", BOUNDS, dry_run=False, read_only=False)
    assert armed("cache", Emergency(), dry_run=True, read_only=True)
    for emergency in (Emergency(), replace(BOUNDS, armed=False), replace(BOUNDS, plan="other")):
        with pytest.raises(BadInput, match="--on-critical cache is not armed"):
            armed("cache", emergency, dry_run=False, read_only=False)
    with pytest.raises(BadInput, match="cannot be combined with --read-only"):
        armed("cache", BOUNDS, dry_run=False, read_only=True)


@dataclass
class BreaksDuringTheRun(Keyspace):
    """Its ledger cannot be written any more once the run has deleted."""

    path: Path = Path()

    def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
        run = super().run(plan, backup=backup)
        real = run.run

        async def broken() -> RunView:
            view = await real()
            self.path.unlink()
            self.path.mkdir()
            return view

        run.run = broken
        return run


async def test_a_ledger_that_cannot_be_written_after_the_run_never_says_that_nothing_was_begun(tmp_path: Path) -> None:
    keyspace = BreaksDuringTheRun(path=tmp_path / "emergency.json")
    watching = Watching(tmp_path, keyspace)
    await watching.see(*[snapshot(96)] * 16)
    assert keyspace.deleted_keys > 0
    assert "not started" not in watching.said
    (event,) = watching.events
    assert "100 deleted" in event.reason
    assert "could not be recorded, so the whole plan counts against the hour" in event.reason


async def test_a_ledger_that_cannot_be_written_before_the_run_keeps_it_from_beginning(tmp_path: Path) -> None:
    keyspace = Keyspace()
    watching = Watching(tmp_path, keyspace)
    (tmp_path / "emergency.new").mkdir()
    await watching.see(*[snapshot(96)] * 16)
    assert keyspace.deleted_keys == 0
    assert "not started" in watching.said
    assert "cannot be written" in watching.said


class BreaksOff(Keyspace):
    """Its run raises after it has deleted."""

    def run(self, plan: Plan, *, backup: BackupChoice) -> "_Run":
        run = super().run(plan, backup=backup)
        real = run.run

        async def broken() -> RunView:
            await real()
            raise ServerUnreachable("the server went away")

        run.run = broken
        return run


async def test_a_run_that_broke_off_is_not_told_as_not_begun_and_all_of_it_counts(tmp_path: Path) -> None:
    keyspace = BreaksOff()
    watching = Watching(tmp_path, keyspace)
    await watching.see(*[snapshot(96)] * 16)
    assert keyspace.deleted_keys > 0
    assert "not started" not in watching.said
    assert "interrupted after it had begun" in watching.said
    spent = Ledger(tmp_path / "emergency.json").spent("cache-1", watching.clock.wall())
    assert sum(each.keys for each in spent) >= keyspace.deleted_keys
