"""A defect of the tool in the middle of an action is told, stops the action at an edge, and is written down."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from redis_oom_tui.models.action import BackupChoice, PlanningState, RestoreOutcome
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.mutations.key_mutator import KeyMutator
from redis_oom_tui.server.rate_controller import RateController
from tests.support.acting import audited, fill, operating, planned, stepped
from tests.support.servers import RunningServer
from tests.support.waiting import stand_still

CACHE = Criteria(patterns=(b"cache:*",))


def breaking(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """From now on every watch breaks at its first decision; set once one did."""
    broke = threading.Event()

    def decide(rate: RateController) -> None:
        broke.set()
        raise ZeroDivisionError("a\x1b[31m defect")

    monkeypatch.setattr(RateController, "decide", decide)
    return broke


def last_line(folder: Path) -> dict[str, object]:
    """The end of the last action in the audit file."""
    line: dict[str, object] = json.loads((folder / "audit.jsonl").read_bytes().splitlines()[-1])
    assert line["phase"] == "result"
    return line


async def test_a_watch_that_breaks_stops_the_run_and_says_so(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(5000)])
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            broke = breaking(monkeypatch)

            def before(number: int) -> None:
                assert number == 1 or broke.wait(60)

            run = await stepped(operator, plan, before=before, backup=BackupChoice(path=tmp_path / "backup"))
            view = await run.run()
        left = view.counts[Outcome.NOT_ATTEMPTED]
        assert left > 0
        assert client.dbsize() == left
        assert view.failed
        assert str(view.ended).startswith(
            "The watch over the server broke (ZeroDivisionError: a\\x1b[31m defect): stopped, as nothing would throttle"
        )
        said, in_doubt = audited(tmp_path / "audit.jsonl")
        assert not in_doubt
        assert sum(letter == "d" for letter in said.values()) == 5000 - left
        assert (last_line(tmp_path)["ok"], last_line(tmp_path)["result"]) == (False, view.ended)


async def test_a_watch_that_breaks_stops_the_restore_and_says_so(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(3000)])
        async with operating(valkey.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=BackupChoice()).run()
            broke, ready = breaking(monkeypatch), CallThrottle.begun

            def slowly(throttle: CallThrottle) -> None:
                ready(throttle)
                assert broke.is_set() or stand_still(0.01) is None

            monkeypatch.setattr(CallThrottle, "begun", slowly)
            report = await operator.restore(Path(str(view.backup_path))).run()
        assert report.failed, report.ended
        assert str(report.ended).startswith("The watch over the server broke (ZeroDivisionError: a\\x1b[31m defect)")
        assert client.dbsize() == report.counts[RestoreOutcome.RESTORED] < 3000
        assert (last_line(tmp_path)["ok"], last_line(tmp_path)["result"]) == (False, report.ended)


async def test_a_watch_that_breaks_ends_a_plan_in_the_making(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(100)])
        broke = breaking(monkeypatch)
        ready = CallThrottle.ready

        async def after_that(pacer: CallThrottle) -> None:
            while not broke.is_set():
                await asyncio.sleep(0.01)
            await ready(pacer)

        monkeypatch.setattr(CallThrottle, "ready", after_that)
        async with operating(valkey.connection, tmp_path) as operator:
            view = await operator.plan(CACHE).run()
    assert view.state is PlanningState.FAILED
    assert view.plan is None
    assert "The watch over the server broke" in str(view.error)


async def test_any_other_defect_leaves_a_line_as_well(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        fill(client, [b"cache:%d" % n for n in range(300)])
        async with operating(valkey.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            monkeypatch.setattr(KeyMutator, "delete", None)
            run = operator.run(plan, backup=BackupChoice(path=tmp_path / "backup"))
            with pytest.raises(TypeError):
                await run.run()
        assert client.dbsize() == 300
        assert str(run.view().ended).startswith("A defect of this tool ended this early. ")
        assert run.view().failed
        assert last_line(tmp_path)["ok"] is False
