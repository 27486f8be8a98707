"""A cleanup that runs: how far it is, its stop, its end and its undo."""

from pathlib import Path

import pytest

from redis_oom_tui.models.action import Backup, BackupInspection
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, restore_question
from redis_oom_tui.tui.flows.late_escape import LateEscape
from redis_oom_tui.tui.flows.state import Stage
from tests.support.scripted_operator import ScriptedOperator
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_cleanup import at, to_dialog, to_preview

pytestmark = pytest.mark.usefixtures("listening_at_once")


async def run_it(pilot):
    await to_preview(pilot)
    await pilot.press("x")
    await to_dialog(pilot)
    await pilot.press("tab", "enter")


async def test_a_run_shows_how_far_it_is_and_stops_at_an_edge():
    operator = ScriptedOperator(hurry=False)
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: operator.plannings)
        operator.plannings[0].done.set()
        await at(pilot, Stage.PREVIEW)
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: operator.runs)
        run = operator.runs[0]
        run.step(10)
        run.words = "throttled: the server answers in 40 ms"
        await until(pilot, lambda: "10 of 40 keys" in screen_text(app))
        assert "throttled: the server answers in 40 ms" in screen_text(app)
        await pilot.press("1", "4")
        await pilot.press("escape")
        await at(pilot, Stage.REPORT)
        assert "Stopped by you" in screen_text(app)
        assert "not attempted 30" in screen_text(app)


async def test_an_escape_that_comes_as_a_run_ends_leaves_its_report_to_be_read(monkeypatch):
    monkeypatch.setattr(LateEscape, "SECONDS", 600.0)
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await run_it(pilot)
        await at(pilot, Stage.REPORT)
        await pilot.press("escape")
        await until(pilot, lambda: "It had ended already: Esc again leaves" in rows(app)[-1])
        assert app.session.actions.cleanup.stage is Stage.REPORT
        # On another pane an Escape is meant for that one.
        await pilot.press("2", "slash", "u", "enter", "escape")
        await until(pilot, lambda: "had ended already" not in rows(app)[-1])
        await pilot.press("4")
        app.session.actions.late_escape.forget()
        await pilot.press("escape")
        await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.FORM)


async def test_an_escape_that_comes_as_a_search_ends_keeps_its_plan(monkeypatch):
    monkeypatch.setattr(LateEscape, "SECONDS", 600.0)
    app = an_app(operator=ScriptedOperator())
    async with app.run_test(size=(80, 24)) as pilot:
        await to_preview(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "It had ended already" in rows(app)[-1])
        assert app.session.actions.cleanup.stage is Stage.PREVIEW


async def test_leaving_in_the_middle_of_a_run_asks_and_then_waits_for_its_edge():
    operator = ScriptedOperator(hurry=False)
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "enter", *"s*", "enter", "x")
        await until(pilot, lambda: operator.plannings)
        operator.plannings[0].done.set()
        await at(pilot, Stage.PREVIEW)
        await pilot.press("x")
        await to_dialog(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.session.actions.cleanup.stage is Stage.RUNNING)
        await pilot.press("q")
        await until(pilot, lambda: "Stop it and quit?" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: not app.is_running)
    assert operator.runs[0].ended == "Stopped by you at the edge of a batch."
    assert app.farewell[0] == "redis-oom-tui: Stopped by you at the edge of a batch."


async def test_undo_of_a_run_asks_and_puts_its_backup_back():
    operator = ScriptedOperator()
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await run_it(pilot)
        await at(pilot, Stage.REPORT)
        await pilot.press("z")
        await to_dialog(pilot, ConfirmDialog)
        assert "never overwritten" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert operator.restores[0].done.is_set()
        assert app.session.actions.cleanup.stage is Stage.REPORT, "Cancel had the focus: nothing was put back"
        await pilot.press("z")
        await to_dialog(pilot, ConfirmDialog)
        await pilot.press("tab", "enter")
        await at(pilot, Stage.RESTORED)
        assert "38 of 40 keys are back" in screen_text(app)
        assert operator.restores[-1].path == Path("/state/backups/one.oomb")


def test_the_restore_dialog_warns_of_a_server_that_takes_no_key_back():
    full = Snapshot(0.0, 0.0, Server("redis", "7", "master", Address()), Memory(used_bytes=130, maxmemory_bytes=100))
    inspected = BackupInspection(Backup("one.oomb", 0.0, "cache-1", "redis", "7", 5, 500, run_id="r1"), 5)
    asked = restore_question(inspected, "cache-1", full)
    assert any("over maxmemory, at 130% of maxmemory. Nothing is restored" in warning for warning in asked.warnings)
    roomy = replace(full, memory=replace(full.memory, used_bytes=50))
    asked = restore_question(inspected, "cache-1", roomy)
    assert (asked.warnings, "There is room for 50 B below maxmemory." in asked.lines) == ((), True)


def test_the_restore_dialog_knows_the_cluster_that_a_backup_is_of():
    backup = Backup("one.oomb", 0.0, "the cluster behind 10.0.0.1:7000", "valkey", "9", 5, 500)
    asked = restore_question(BackupInspection(backup, 5), "the cluster of 10.0.0.1:7000 (3 primaries)", None)
    assert not any("different address" in warning for warning in asked.warnings)
    asked = restore_question(BackupInspection(backup, 5), "the cluster of 10.0.0.2:7000 (3 primaries)", None)
    assert any("different address" in warning for warning in asked.warnings)


def test_the_restore_dialog_tells_a_server_by_its_run_id():
    backup = Backup("one.oomb", 0.0, "cache-1:6379", "valkey", "9", 5, 500, run_id="r1")
    now = Snapshot(0.0, 0.0, Server("redis", "7", "master", Address(), run_id="r1"), Memory(used_bytes=1))
    asked = restore_question(BackupInspection(backup, 5), "10.0.0.1:6379", now)
    assert (asked.warnings, "at another address then: cache-1:6379 (same run_id)" in asked.lines[3]) == ((), True)
    asked = restore_question(BackupInspection(replace(backup, run_id="r0"), 5), "cache-1:6379", now)
    assert (asked.warnings, "run_id is not that of the backup" in asked.lines[3]) == ((), True)
    asked = restore_question(BackupInspection(replace(backup, run_id="r0"), 5), "10.0.0.1:6379", now)
    assert asked.warnings == ("Taken from a different address: cache-1:6379.",)


async def test_a_run_that_crashes_is_told_and_leaves_a_report():
    operator = ScriptedOperator()
    operator.crash = RuntimeError("a defect [/red]")
    app = an_app(operator=operator)
    async with app.run_test(size=(80, 24)) as pilot:
        await run_it(pilot)
        await until(pilot, lambda: "a defect [/red]" in screen_text(app))
        await at(pilot, Stage.REPORT)
        await pilot.press("down")
        await until(pilot, lambda: "The run was interrupted" in screen_text(app))
