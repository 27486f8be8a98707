"""Sizes beside what really becomes free: scan, details and plan give the same, and a bound in bytes holds."""

import asyncio
import time
from pathlib import Path

import pytest

from redis_oom_tui.actions.batches import ByteBound
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.keys import KeyId, SizeKind
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.budget import beyond
from redis_oom_tui.server.live import LiveServer
from tests.support.acting import ALL, NO_BACKUP, operating, planned
from tests.support.servers import RunningServer, module_with_keys, started
from tests.support.shapes import SHAPES, jobs, streams_with_consumers, used_at_rest, zset_and_set_with_large_members
from tests.support.waiting import until

MIB = 1024 * 1024
# What the allocator takes beyond the server's own count, and the tables that shrink.
_SLACK, _TABLES = 0.07, 100_000


async def _warmed_up(server: RunningServer, folder: Path) -> None:
    """A first command of each kind makes the server allocate what it keeps: none of that is what a plan frees."""
    with server.client() as client:
        client.hset(b"decoy", mapping={b"f%d" % at: b"x" * 100 for at in range(200)})
        client.xadd(b"decoy:stream", {b"a": b"1"})
        client.unlink(b"absent")
    async with operating(server.connection, folder) as operator:
        live = LiveServer(server.connection)
        view = await live.scan(ScanOptions()).run()
        await live.details(view.top[0].id)
        await live.close()
        await operator.run(await planned(operator, ALL), backup=NO_BACKUP).run()


def _holds(real: int, low: int, high: int) -> bool:
    return low * (1 - _SLACK) - _TABLES <= real <= high * (1 + _SLACK) + _TABLES


@pytest.mark.in_turn
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_freed_lies_within_the_range_of_the_scan_and_of_the_plan(
    server: RunningServer, tmp_path: Path, shape: str
) -> None:
    await _warmed_up(server, tmp_path / "before")
    with server.client() as client:
        names = SHAPES[shape](client)
    with server.client() as client:
        before = used_at_rest(client)
        async with operating(server.connection, tmp_path) as operator:
            live = LiveServer(server.connection)
            view = await live.scan(ScanOptions(top=5000)).run()
            largest = await live.details(view.top[0].id)
            await live.close()
            plan = await planned(operator, ALL)
            run = await operator.run(plan, backup=NO_BACKUP).run()
        real = before - used_at_rest(client)
    assert run.counts == {Outcome.DELETED: len(names)}
    assert _holds(real, *plan.size_range)
    assert _holds(real, sum(row.size_low or 0 for row in view.top), sum(row.size_high or 0 for row in view.top))
    assert plan.size_range[1] < (1.2 * real if "stream" not in shape and shape != "set" else 6 * real) + _TABLES
    assert view.contradiction is None
    # The scan, the look at one key and the plan tell the same, by one way to ask.
    by_id = {key.id: key for key in plan.keys}
    rows = [row for row in view.top if row.size_kind is SizeKind.EXACT]
    assert all((row.size, row.size_kind) == (by_id[row.id].size, by_id[row.id].size_kind) for row in rows[:100])
    assert largest is not None
    assert largest.row.size_kind is view.top[0].size_kind


@pytest.mark.in_turn
@pytest.mark.parametrize("fields", [11, 30, 200])
async def test_a_bound_in_bytes_holds_whatever_the_seed_of_the_process(
    server: RunningServer, tmp_path: Path, fields: int
) -> None:
    await _warmed_up(server, tmp_path / "before")
    with server.client() as client:
        jobs(600, fields)(client)
        before = used_at_rest(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, Criteria(patterns=(b"bull:mail:*",), max_bytes=MIB))
            run = await operator.run(plan, backup=NO_BACKUP).run()
        assert {key.size_kind for key in plan.keys} == {SizeKind.EXACT}
        gone = run.counts[Outcome.DELETED]
        # Where the server gave other memory back meanwhile, used_memory reaches the bound before the plan's end.
        assert gone == len(plan.keys) or run.taken_bytes >= 0.98 * MIB
        freed = before - used_at_rest(client)
        assert 0.8 * MIB < freed <= 1.02 * MIB
        assert client.dbsize() == 600 - gone


@pytest.mark.in_turn
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "jobs" not in shape])
async def test_what_does_not_fit_a_bound_is_not_taken(server: RunningServer, tmp_path: Path, shape: str) -> None:
    # What arrived in large pieces leaves buffers behind, which go with the connection.
    with server.client() as filling:
        SHAPES[shape](filling)
    with server.client() as client:
        keys, before = client.dbsize(), used_at_rest(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, replace(ALL, max_bytes=500_000))
            run = await operator.run(plan, backup=NO_BACKUP).run()
        assert before - used_at_rest(client) <= 550_000
        taken = keys - client.dbsize()
    # Where the server gave other memory back meanwhile, used_memory reaches the bound before the plan's end.
    assert taken == len(plan.keys) or run.taken_bytes >= 490_000
    assert taken == run.counts.get(Outcome.DELETED, 0)
    assert taken == 0 or shape == "one giant in many"
    assert b"many:giant" not in {key.id.key for key in plan.keys}


async def test_a_key_of_which_a_part_was_looked_at_counts_against_no_bound(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        zset_and_set_with_large_members(client)
        client.set(b"part:small", b"x" * 1000)
        memory = client.info("memory")
        async with operating(server.connection, tmp_path) as operator:
            bounded = await planned(operator, Criteria(patterns=(b"part:*",), max_bytes=18 * MIB))
            plan = await planned(operator, Criteria(patterns=(b"part:*",)))
            before = used_at_rest(client)
            await operator.run(plan, backup=NO_BACKUP).run()
        real = before - used_at_rest(client)
        assert client.dbsize() == 0
    assert [key.id.key for key in bounded.keys] == [b"part:small"], (bounded.keys, bounded.limit_bytes)
    assert any("at most is not known" in flag for flag in bounded.flags)
    assert bounded.matched_keys == 3
    # What is shown of the others is true, and no more than all that was used.
    assert {key.size_kind for key in plan.keys if key.type != "string"} == {SizeKind.ESTIMATED}
    low, high = plan.size_range
    assert low < real <= high <= 1.1 * memory["used_memory"]


async def test_sets_beside_streams_whose_sizes_are_too_large_are_not_taken_for_changed(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        streams_with_consumers(client, 40)
        for number in range(20):
            client.sadd(b"set:%d" % number, *[b"member:%d" % at for at in range(2000)])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, ALL)
            run = await operator.run(plan, backup=NO_BACKUP).run()
    assert run.counts == {Outcome.DELETED: 60}


async def test_a_bound_ends_a_run_whose_sizes_were_wrong(server: RunningServer, tmp_path: Path) -> None:
    await _warmed_up(server, tmp_path / "before")
    with server.client() as client:
        jobs(1500, 11)(client)
        before = used_at_rest(client)
        async with operating(server.connection, tmp_path) as operator:
            honest = await planned(operator, ALL)
            keys = [replace(key, size=700, size_low=700, size_high=700, answered=key.size) for key in honest.keys]
            plan = replace(honest, keys=tuple(keys), criteria=replace(ALL, max_bytes=2 * MIB))
            run = await operator.run(plan, backup=NO_BACKUP).run()
        freed = before - used_at_rest(client)
    assert 0.5 * MIB < freed <= 2.1 * MIB
    assert str(run.ended).startswith("Stopped at the limit of 2.0 MiB. Deleted")
    assert run.counts[Outcome.NOT_ATTEMPTED] > 1000
    assert abs(run.taken_bytes - freed) < 0.2 * MIB


async def test_what_others_write_meanwhile_does_not_widen_a_bound(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = ByteBound.charge
    with server.client() as client:
        jobs(600, 11)(client)

        async def charged(self: ByteBound, planned: int) -> None:
            client.set(f"others:{planned}:{self.charged}", b"x" * 1_000_000)
            await charge(self, planned)

        monkeypatch.setattr(ByteBound, "charge", charged)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, Criteria(patterns=(b"bull:*",)))
            # Far more than the bound lets in: the run itself has to end at it.
            bounded = replace(plan, criteria=replace(plan.criteria, max_bytes=MIB))
            view = await operator.run(bounded, backup=NO_BACKUP).run()
    deleted = view.counts[Outcome.DELETED]
    assert 0.8 * MIB < sum(key.size or 0 for key in plan.keys[:deleted]) <= MIB
    assert (view.used_now_bytes or 0) > (view.used_before_bytes or 0)
    assert 0.8 * MIB < view.taken_bytes <= 1.05 * MIB


@pytest.fixture
def with_module() -> object:
    module = module_with_keys()
    if module is None:
        pytest.skip("no module with keys of its own")
    return module


async def test_a_modules_key_that_tells_no_size_is_shown_as_such(with_module: object, tmp_path: Path) -> None:
    with started("redis8", f"loadmodule {with_module}") as server, server.client() as client:
        client.set(b"plain", b"x" * 1000)
        client.execute_command("GRAPH.QUERY", "graph", "UNWIND range(1, 40000) AS x CREATE (:N {v: x})")
        live = LiveServer(server.connection)
        view = await live.scan(ScanOptions()).run()
        details = await live.details(KeyId(0, b"graph"))
        await live.close()
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, Criteria(patterns=(b"graph", b"plain")))
            bounded = await planned(operator, replace(plan.criteria, max_bytes=10**9))
            before = client.info("memory")["used_memory"]
            await operator.run(plan, backup=NO_BACKUP).run()
        # The module frees its graph in a thread of its own, and no counter tells of it.
        until(lambda: before - client.info("memory")["used_memory"] > MIB, "the graph was freed")
    row = next(row for row in view.top if row.id.key == b"graph")
    assert (row.size, row.measured, row.size_kind) == (None, False, SizeKind.UNKNOWN)
    assert view.unsized_keys == 1
    assert any("does not report its size" in note for note in view.notes)
    assert view.contradiction is not None
    assert "keys of modules" in view.contradiction
    assert details is not None
    assert details.row.size_kind is SizeKind.UNKNOWN
    assert {key.id.key: key.size_kind for key in plan.keys}[b"graph"] is SizeKind.UNKNOWN
    assert any("does not report the size of a key" in flag for flag in plan.flags)
    assert [key.id.key for key in bounded.keys] == [b"plain"]


async def test_sizes_that_add_up_to_more_than_is_used_are_said_to(server: RunningServer) -> None:
    with server.client() as client:
        streams_with_consumers(client, 40)
    live = LiveServer(server.connection)
    view = await live.scan(ScanOptions()).run()
    used = (await live.snapshot()).memory.used_bytes
    await live.close()
    assert (view.contradiction is not None) == (view.bytes_seen > 1.1 * used)
    if server.flavour != "valkey":
        assert view.contradiction is not None
        assert "over-reports" in view.contradiction


async def test_a_key_that_a_module_changed_with_another_of_its_own_says_so(with_module: object, tmp_path: Path) -> None:
    with started("redis8", f"loadmodule {with_module}") as server, server.client() as client:
        client.execute_command("GRAPH.QUERY", "graph", "UNWIND range(1, 100) AS x CREATE (:N {v: x})")
        deadline = time.monotonic() + 20
        while client.dbsize() < 2:
            assert time.monotonic() < deadline, "the module wrote no telemetry"
            await asyncio.sleep(0.05)
        async with operating(server.connection, tmp_path) as operator:
            run = operator.run(await planned(operator, ALL), backup=BackupChoice())
            await run.run()
        outcomes = list(run.outcomes())
    # Which of them goes first, and what the module does to the other, is the module's own affair.
    assert Outcome.DELETED in {outcome.outcome for outcome in outcomes}
    changed = [outcome.detail for outcome in outcomes if outcome.outcome is Outcome.CHANGED]
    assert all(
        "keys of a module too (graphdata), and a module may change its other keys" in reason for reason in changed
    )
    assert changed


async def test_what_a_bound_leaves_out_has_a_size_only_where_that_is_known(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client:
        jobs(400, 11)(client)
        async with operating(server.connection, tmp_path) as operator:
            uneven = await planned(operator, Criteria(patterns=(b"bull:mail:*",), max_bytes=MIB // 2))
        client.flushall()
        client.mset({f"text:{number}": b"x" * 1000 for number in range(400)})
        async with operating(server.connection, tmp_path) as operator:
            even = await planned(operator, Criteria(patterns=(b"text:*",), max_bytes=MIB // 8))
    (said,) = [words for words in beyond(uneven, uneven.size) if "more keys match" in words]
    assert said.endswith("more keys match; the limit of the plan leaves them out.")
    assert 400_000 < even.matched_bytes < 600_000
    assert any("more keys match (" in words for words in beyond(even, even.size))
