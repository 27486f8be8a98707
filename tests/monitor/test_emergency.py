"""An armed cleanup: when it begins, when it stays away, and what it reports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.alert import EventKind
from redis_oom_tui.models.config import Emergency, NamedPlan
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.emergency import must_be_armed
from redis_oom_tui.rules.verdict import judge
from tests.monitor.keyspace import BOUNDS, CACHE, Keyspace, Watching
from tests.monitor.scripted import snapshot


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
    assert " and 95 more." in watching.said


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
        (hold_buffers, CACHE, "deleting keys does not help while the verdict is 'buffers': At 96"),
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


async def test_a_dry_run_of_a_critical_server_says_that_deleting_does_not_help(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace(), dry_run=True)
    await watching.see(*[hold_buffers(snapshot(96))] * 16)
    assert "(dry run) not started: deleting keys does not help while the verdict is 'buffers'" in watching.said


async def test_a_replica_is_never_cleaned_up(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace())
    await watching.armed.clean(as_replica(snapshot(96)), judge(snapshot(96)), watching.stop)
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


async def test_it_runs_at_the_next_poll_after_the_watch_that_it_waited_for(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Keyspace())

    async def other_watch() -> None:
        with Ledger(tmp_path / "emergency.json").held():
            while watching.clock.now < began + 100:
                await asyncio.sleep(0)

    began = watching.clock.now
    other = asyncio.create_task(other_watch())
    await asyncio.sleep(0)
    await watching.see(*[snapshot(96)] * 22)
    await other
    assert watching.said.count("Another watch runs its emergency cleanup now") == 1
    assert watching.keyspace.runs == [100]


async def test_a_server_that_cannot_be_reached_is_a_line(tmp_path: Path) -> None:
    class Away(Keyspace):
        @contextlib.asynccontextmanager
        async def connect(self, node: str = "") -> AsyncIterator[Keyspace]:
            raise ServerUnreachable("cache-1:6379 refuses connections")
            yield self

    watching = Watching(tmp_path, Away())
    await watching.see(*[snapshot(96)] * 16)
    assert "not started: cache-1:6379 refuses connections" in watching.said


def test_both_places_must_arm_the_same_plan() -> None:
    must_be_armed("cache", BOUNDS, dry_run=False, read_only=False)
    must_be_armed("cache", Emergency(), dry_run=True, read_only=True)
    for emergency in (Emergency(), replace(BOUNDS, armed=False), replace(BOUNDS, plan="other")):
        with pytest.raises(BadInput, match="--on-critical cache is not armed"):
            must_be_armed("cache", emergency, dry_run=False, read_only=False)
    with pytest.raises(BadInput, match="cannot be combined with --read-only"):
        must_be_armed("cache", BOUNDS, dry_run=False, read_only=True)
