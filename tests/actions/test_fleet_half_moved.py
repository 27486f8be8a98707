"""A slot that is half moved, or moves while a plan is made or carried out: nothing is lost, counted twice or hidden."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.crc import key_slot

from redis_oom_tui.actions.fleet import running as running_plans
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.plan import Criteria, Outcome, Plan
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from tests.actions.test_fleet import KEPT, OLD, _fill, _filled, _held, _planned, acting
from tests.support.cluster import Node, RunningCluster, clustered, half_moved, moved_slot
from tests.support.servers import available

TAGGED, GONE, MORE = 40, 15, 3000
SLOT = key_slot(b"{tag}")
AHEAD = [b"old:{tag}%d" % number for number in range(GONE)]


def _tagged(cluster: RunningCluster) -> Node:
    """Fill one slot, and return a primary that does not serve it."""
    _filled(cluster)
    owner = cluster.owner(SLOT)
    with owner.server.client() as client:
        for number in range(TAGGED):
            client.set(b"old:{tag}%d" % number, "v" * 100)
    return next(node for node in cluster.primaries if node is not owner)


@pytest.mark.parametrize("flavour", available())
async def test_a_half_moved_slot_is_told_and_done_once_it_has_moved(
    flavour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_plans, "_PATIENCE_SECONDS", 0.5)
    with clustered(flavour=flavour) as cluster:
        target = _tagged(cluster)
        async with acting(cluster, tmp_path) as (_, operator):
            plan = await _planned(operator)
            half_moved(cluster, SLOT, target, *AHEAD)
            beside = await _planned(operator)
            run = operator.run(plan, backup=BackupChoice(wanted=False))
            view = await run.run()
            assert view.counts == {Outcome.DELETED: OLD + TAGGED - GONE, Outcome.FAILED: GONE}, view.ended
            assert f"{GONE} keys of slot {SLOT} are on the way from one node to another" in (view.ended or "")
            details = {told.detail for told in run.outcomes(frozenset({Outcome.FAILED}))}
            assert all("half moved" in detail for detail in details)
            assert (_held(cluster, b"old:"), _held(cluster, b"kept:")) == (GONE, KEPT)
            moved_slot(cluster, SLOT, target)
            again = await operator.run(plan, backup=BackupChoice(wanted=False)).run()
    # Those that moved begin their idle time anew, as any that was used since.
    done = again.counts.get(Outcome.DELETED, 0) + again.counts.get(Outcome.CHANGED, 0)
    assert (done, again.counts.get(Outcome.GONE)) == (GONE, OLD + TAGGED - GONE), again.ended
    assert len(beside.keys) == OLD + TAGGED - GONE
    assert any(flag.startswith(f"{GONE} keys of slot {SLOT} are on their way") for flag in beside.flags), beside.flags
    assert not any("may not look" in flag for flag in beside.flags)


@pytest.mark.parametrize("flavour", available())
async def test_a_scan_over_a_half_moved_slot_counts_all_of_it(flavour: str, tmp_path: Path) -> None:
    with clustered(flavour=flavour) as cluster:
        target = _tagged(cluster)
        async with acting(cluster, tmp_path) as (source, _):
            half_moved(cluster, SLOT, target, *AHEAD)
            half = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            moved_slot(cluster, SLOT, target)
            whole = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
    assert (half.state, half.scanned_keys) == (ScanState.COMPLETE, OLD + KEPT + TAGGED), half.error
    assert (whole.state, whole.scanned_keys) == (ScanState.COMPLETE, OLD + KEPT + TAGGED), whole.error


@pytest.mark.parametrize("flavour", available())
async def test_a_slot_that_is_moved_while_the_plan_runs(flavour: str, tmp_path: Path) -> None:
    with clustered(flavour=flavour) as cluster:
        target = _tagged(cluster)
        async with acting(cluster, tmp_path) as (_, operator):
            plan = await _planned(operator)
            run = operator.run(plan, backup=BackupChoice(wanted=False))
            half_moved(cluster, SLOT, target, *AHEAD)
            running = asyncio.create_task(run.run())
            await _until(lambda: run.view().done_keys == len(plan.keys))
            moved_slot(cluster, SLOT, target)
            view = await running
    _assert_all_done(plan, view.counts, view.ended)


def _assert_all_done(plan: Plan, counts: object, ended: str | None) -> None:
    told = dict(counts)  # type: ignore[call-overload]
    assert told.get(Outcome.DELETED, 0) + told.get(Outcome.CHANGED, 0) == len(plan.keys), ended
    assert told.get(Outcome.CHANGED, 0) <= GONE, ended


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_slot_that_moves_while_the_plan_is_made_is_planned_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clustered() as cluster:
        target = _tagged(cluster)
        async with acting(cluster, tmp_path) as (_, operator):
            maker = operator.plan(Criteria(patterns=(b"old:*",)))
            makers = maker._make

            def one_after_the_other() -> object:
                """The old owner is read, then the slot moves, then the new owner is read."""
                made = makers()
                old, new = made[cluster.owner(SLOT).name], made[target.name]
                read = asyncio.Event()
                run_old, run_new = old.run, new.run

                async def first() -> object:
                    view = await run_old()
                    moved_slot(cluster, SLOT, target)
                    read.set()
                    return view

                async def second() -> object:
                    await read.wait()
                    return await run_new()

                old.run, new.run = first, second  # type: ignore[method-assign,assignment]
                return made

            monkeypatch.setattr(maker, "_make", one_after_the_other)
            view = await maker.run()
            assert view.plan is not None, view.error
            names = [key.id.key for key in view.plan.keys]
            assert len(names) == len(set(names)) == view.plan.matched_keys == OLD + TAGGED
            ran = await operator.run(view.plan, backup=BackupChoice(wanted=False)).run()
    assert ran.counts.get(Outcome.DELETED, 0) + ran.counts.get(Outcome.CHANGED, 0) == OLD + TAGGED, ran.ended


@pytest.mark.parametrize("flavour", available())
@pytest.mark.parametrize("finished", [False, True], ids=["left-half", "finished"])
async def test_a_slot_that_moves_while_a_scan_runs_is_counted_once_or_told(
    flavour: str, finished: bool, tmp_path: Path
) -> None:
    with clustered(flavour=flavour) as cluster:
        target = _tagged(cluster)
        _fill(cluster, b"more:%d", MORE)
        every = OLD + KEPT + TAGGED + MORE
        async with acting(cluster, tmp_path) as (source, _):
            scan = source.scan(ScanOptions(pace=Pace.GENTLE))
            running = asyncio.create_task(scan.run())
            await _until(lambda: scan.view().scanned_keys > 0)
            scan.pause()
            half_moved(cluster, SLOT, target, *AHEAD)
            if finished:
                moved_slot(cluster, SLOT, target)
            scan.resume()
            view = await running
            if not finished:
                moved_slot(cluster, SLOT, target)
            again = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
    assert view.scanned_keys <= every
    assert view.scanned_keys == every if view.complete else "counted only in part" in (view.error or "")
    assert finished or not view.complete
    assert (again.complete, again.scanned_keys) == (True, every), again.error
